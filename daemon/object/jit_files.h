/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where the JIT compiler of one program image writes names for its code: held while the process
 * lives, so that what it left can be read when it is gone.
 */

#include <stdbool.h>
#include <stdint.h>

#include "object.h"

struct jit_files {
	unsigned refs;
	uint32_t pid;      /* daemon's namespace */
	uint32_t ns_pid;   /* its own, which the files are named by */
	uint64_t start_ns; /* CLOCK_BOOTTIME */
	bool has_uid;      /* its owner is known */
	uint32_t uid;      /* effective, whose files count; before it is known, that of a sample */
	bool gone;         /* the process, or this program of it: nothing new will come */
	bool refused;      /* one of them was not its own: counted once */
	bool settled;      /* and that has been looked at */
	int root_fd;       /* O_PATH of its root, or -1 not seen yet */
	int map_fd;        /* perf-PID.map, or a negative errno */
	struct object *dump; /* jit-PID.dump, a file that it maps; NULL none */
	/* of the process that it was forked from, which named what was there then; NULL none */
	struct jit_files *parent;
	unsigned n_ancestors;
};

#define JIT_FILES_MAX_ANCESTORS 8
/* Makes parent, or the nearest of its ancestors that has room for descendants, f's; takes a reference. */
void jit_files_set_parent(struct jit_files *f, struct jit_files *parent);

/* What names are read from; -1 none. */
struct jit_fds {
	int parent_map, map, dump;
};

int jit_files_new(struct jit_files **ret, uint32_t pid, uint32_t ns_pid, uint64_t start_ns);
struct jit_files *jit_files_ref(struct jit_files *f);
struct jit_files *jit_files_unref(struct jit_files *f);
