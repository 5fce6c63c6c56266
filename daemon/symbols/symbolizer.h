/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names for (object, address) pairs. Answers are cached by object id under a byte budget. Files are
 * read by jobs; kernel text by kallsyms in the daemon. Every address gets at least one line:
 * DESIGN.md section 1, point 2.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "jit_files.h"
#include "kernel_debug.h"
#include "object.h"
#include "sample.h"

struct symbolizer;
struct pool;

struct symbolizer_options {
	struct pool *pool;
	uint64_t memory_bytes; /* budget of the answers kept */
	/* Opens a debug file for an object: path beneath the root that the object came from, under the
	 * rules of docs/security.md 2. A descriptor that becomes the symbolizer's, or a negative errno. NULL:
	 * debug files are not looked for. */
	int (*open_debug)(void *arg, struct object *object, const char *path);
	void *open_debug_arg;
	/* The files with names for the code of an OBJECT_JIT; they stay the object's. NULL: such code
	 * has no names. */
	void (*open_jit)(void *arg, const struct object *object, struct jit_fds *ret);
	void *open_jit_arg;
	/* A debug file by its build-id from elsewhere: a descriptor that becomes the symbolizer's;
	 * -EINPROGRESS: symbolizer_fetched() will be called; or another error. NULL: there is none. */
	int (*fetch)(void *arg, const uint8_t *build_id, size_t bytes);
	void *fetch_arg;
	uint64_t fetch_wait_ns;    /* how long names wait for it */
	const char *kallsyms_path; /* NULL: /proc/kallsyms */
	struct kernel_debug_paths
		kernel;           /* where debug files of the kernel are looked for; the caller's */
	const char *store_folder; /* where answers are kept over a restart, NULL nowhere */
	uint64_t store_bytes;     /* at most, on disk */
};

struct symbol_line {
	const char *name;        /* demangled, UTF-8 */
	const char *system_name; /* linkage name, UTF-8 */
	const char *file;        /* "" unknown */
	uint32_t line, column, start_line;
};

struct location {
	uint32_t n_lines; /* at least 1; innermost first */
	bool synthetic;   /* no symbol: the name is "[libfoo.so+0x1230]" */
	struct symbol_line lines[];
};

/* What the profile's mapping needs to know of an object. */
struct object_symbols {
	const char *build_id; /* lowercase hex or "" */
	bool has_names, has_lines, has_inlines;
	bool debug_missing;
};

int symbolizer_new(struct symbolizer **ret, sd_event *event,
		   const struct symbolizer_options *options);
/* Cancels all requests. Before the pool is freed, and not from a request's `done`. */
struct symbolizer *symbolizer_free(struct symbolizer *s);

enum symbols_mode { SYMBOLS_FAST, SYMBOLS_FULL };

struct symbols_request;
/* Looks up all frames (any order, duplicates allowed, copied; objects are referenced). short_names:
 * without template arguments and parameters; these are kept apart from the others. `done` runs
 * in the event loop, never inside this call. During `done` symbolizer_lookup() finds every frame. */
int symbolizer_request(struct symbolizer *s, const struct frame *frames, size_t n_frames,
		       enum symbols_mode mode, bool short_names, void (*done)(void *arg), void *arg,
		       struct symbols_request **ret);
struct symbols_request *symbols_request_cancel(struct symbols_request *r);
/* Of all objects that it asks for, how many have their answers. */
void symbols_request_progress(const struct symbols_request *r, uint64_t *ret_done,
			      uint64_t *ret_all);

/* Valid until the event loop runs again; never NULL inside `done`. */
const struct location *symbolizer_lookup(struct symbolizer *s, const struct frame *frame,
					 bool short_names);
void symbolizer_object(struct symbolizer *s, struct object *object, bool short_names,
		       struct object_symbols *ret);

/* What was being fetched has come, or will not. */
void symbolizer_fetched(struct symbolizer *s, const uint8_t *build_id, size_t bytes);

/* Kernel addresses: raw instruction pointer → link-time one, slide removed. */
uint64_t symbolizer_kernel_link_address(struct symbolizer *s, uint64_t ip);
/* kallsyms_is_entry() */
bool symbolizer_kernel_entry(const struct symbolizer *s, uint64_t ip);
/* False when kptr_restrict or a missing capability hides kallsyms: the frames read
 * `[kernel+0x...]` and status says so. */
bool symbolizer_kernel_names(struct symbolizer *s);

struct symbolizer_stats {
	uint64_t lookups, hits, jobs, failed_files, unnamed;
	uint64_t jit_named, jit_unnamed; /* addresses of JIT code */
	uint64_t fetch_late;             /* files whose names went without a debug file in time */
	uint64_t bytes, kernel_bytes;
	/* answers that came from disk; bytes on disk; files there that were broken or made from another
	 * debug file, and could not be written */
	uint64_t store_hits, store_bytes, store_bad, store_stale, store_errors;
};
void symbolizer_stats(const struct symbolizer *s, struct symbolizer_stats *ret);
/* The bad files: calls for each (bounded list that expires). */
void symbolizer_each_failure(struct symbolizer *s,
			     void (*fn)(void *arg, const char *path, const char *why), void *arg);
