/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Raw instruction pointers to (object, address) pairs, against the mappings of the sample's time.
 */

#include <stddef.h>
#include <stdint.h>

#include "mapset.h"
#include "sample.h"

/* Kernel frames, a mark that the kernel's stack was cut, user frames, the root. */
#define NORMALIZE_MAX_FRAMES (CPROF_MAX_KERNEL_FRAMES + 1 + CPROF_MAX_USER_FRAMES + 1)

struct normalizer;

struct normalizer_options {
	/* raw kernel address to link-time one; NULL: left as it is */
	uint64_t (*kernel_address)(void *arg, uint64_t ip);
	/* what lies below such a frame was interrupted, and did not call; NULL: none is one */
	bool (*kernel_entry)(void *arg, uint64_t ip);
	void *kernel_arg;
	/* a user frame lies in this source's object; may be NULL */
	void (*used)(void *arg, struct source *source);
	void *used_arg;
	/* the object for executable memory without a file, or NULL for the common one */
	struct object *(*anon)(void *arg);
	void *anon_arg;
};
int normalizer_new(struct normalizer **ret, struct object_table *objects,
		   const struct normalizer_options *options);
struct normalizer *normalizer_free(struct normalizer *n);

/* The frames of a record. */
const __u64 *record_kernel_frames(const struct cprof_sample *r);
const __u64 *record_user_frames(const struct cprof_sample *r);

/* Bytes that the record's frames, registers and stack must take; what the kernel side wrote is
 * checked once, where it comes in. */
int record_check(const struct cprof_sample *r);

/* User instruction pointer number i of a stack, as it is to be looked up: 1 subtracted from what is
 * a return address. flags: enum cprof_sample_flags. */
uint64_t normalize_user_ip(uint64_t ip, size_t i, unsigned flags);

/*
 * Fills frames (room for NORMALIZE_MAX_FRAMES; objects are not referenced, maps and the normalizer
 * hold them) and returns how many; *ret_n_kernel of them are the kernel's. more: user frames that
 * follow the record's. end: what the stack ended with. maps may be NULL.
 */
size_t normalize(struct normalizer *n, const struct cprof_sample *r, const uint64_t *more,
		 size_t n_more, enum cprof_end end, const struct mapset *maps, struct frame *frames,
		 size_t *ret_n_kernel);
