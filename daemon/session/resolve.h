/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Targets as people write them → targets as BPF matches them. Units and containers are looked up in
 * the cgroup hierarchies: v2 where it is mounted, else v1 name=systemd, whose groups BPF cannot
 * match, so that their processes are listed, now and again while the capture runs.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/api.h"
#include "sampler.h"

struct capture_spec;

#define RESOLVE_MAX_TARGETS 4096

struct resolved {
	struct target *targets;
	size_t n_targets;
	/* Process targets among them: held by descriptor, so that a reused pid is not mistaken. */
	struct {
		uint32_t pid;
		int pidfd;
	} pids[CPROF_MAX_TARGETS];
	size_t n_pids;
	char **v1_folders; /* whose cgroup.procs are to be listed again */
	size_t n_v1_folders;
	char **v2_folders; /* for cpu.stat */
	size_t n_v2_folders;
};

/* On failure a message for the asker in *ret_error, one line that says what to do. */
int resolve_targets(const struct capture_spec *spec, struct resolved *ret, char **ret_error);
void resolved_done(struct resolved *r);
/* Calls for each process in the v1 folders. */
void resolve_list_v1(const struct resolved *r, void (*fn)(void *arg, uint32_t pid), void *arg);
