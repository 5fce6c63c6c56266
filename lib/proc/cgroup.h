/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a cgroup path says of the unit and the container that a process belongs to. Units follow
 * systemd's sd_pid_get_unit(3) and sd_pid_get_user_unit(3): the unit is the first component below
 * the slices, so that nothing that a unit or a container creates beneath its own cgroup, whatever
 * it calls it, can look like another unit. Below user@UID.service the system's unit is that service
 * and the rest is the user manager's.
 *
 * A container is the outermost component that is named as docker, podman, containerd, CRI-O,
 * Kubernetes, LXC or systemd-nspawn name theirs, provided that the folder in which it lies belongs
 * to root: the user of a delegated subtree can make any name there. Where no container can be told,
 * the name is empty.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_NAME_MAX 256
#define CGROUP_PATH_MAX 4096

struct cgroup_names {
	char unit[CGROUP_NAME_MAX];      /* "" none */
	char user_unit[CGROUP_NAME_MAX]; /* "" none */
	char container[CGROUP_NAME_MAX]; /* "" none: an id of 64 hex digits or a machine's name */
};

/* Tells whether the folder at path[0, size) (absolute, below the root of the hierarchy) belongs to
 * root. */
typedef bool (*cgroup_trusted_t)(void *arg, const char *path, size_t size);

/* path as in /proc/PID/cgroup. trusted NULL: no folder is, and no container is found. */
void cgroup_names(const char *path, cgroup_trusted_t trusted, void *arg, struct cgroup_names *ret);

/*
 * The path of a process in the text of /proc/PID/cgroup: of the v2 hierarchy ("0::/..."), and of
 * the v1 hierarchy name=systemd. Sizes are 0 where there is none; the pointers go into text.
 */
struct cgroup_paths {
	const char *v2, *systemd;
	size_t v2_bytes, systemd_bytes;
};
void cgroup_parse(const char *text, size_t size, struct cgroup_paths *ret);
