/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a process is called at a moment: command, executable, cgroup. Samples that wait hold the image
 * of their time; a change makes a new one where somebody holds the old.
 */

#include <stdint.h>

#include "cgroups.h"
#include "sample.h"
#include "source.h"

#define IMAGE_COMM_BYTES 64

struct image {
	unsigned refs;
	uint32_t pid, ns_pid;
	uint64_t start_ns;
	char comm[IMAGE_COMM_BYTES];
	struct source *exe;        /* NULL unknown */
	struct cgroup *cgroup;     /* NULL unknown */
	struct process_info *info; /* made from the above when asked for */
};

struct image *image_new(uint32_t pid);
struct image *image_ref(struct image *i);
struct image *image_unref(struct image *i);

/* *image becomes one that nobody else holds and that has no info yet. */
int image_own(struct image **image);

/* Changes of *image; nothing happens where nothing changes. References are taken. */
int image_set_comm(struct image **image, const char *comm, size_t size);
int image_set_exe(struct image **image, struct source *exe);
int image_set_cgroup(struct image **image, struct cgroup *cgroup);
int image_set_ids(struct image **image, uint32_t ns_pid, uint64_t start_ns);

/* Owned by the image; NULL without memory. Its exe is set once the source's object is there. */
struct process_info *image_info(struct image *i);
