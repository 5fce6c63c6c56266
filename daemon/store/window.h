/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is known of one stored window besides its profile: when, how much, and who used how much of
 * it. It travels with the profile's file, as a trailer behind the pprof, so that the index can be
 * made again from the files alone.
 *
 * A file is a gzip-compressed pprof of one or more members, followed by members that hold no data but
 * carry the trailer in their headers' extra field (RFC 1952, 2.3.1.1): every reader of gzip passes
 * over them. The last one has a fixed size and tells where the pprof ends, so that a file that was
 * cut or is foreign is known by its end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define WINDOW_VERSION        1
#define WINDOW_MAX_META_BYTES (64U << 20) /* uncompressed */
#define WINDOW_MAX_PROCESSES  (1U << 20)
#define WINDOW_MAX_STRING     4096
#define WINDOW_END_BYTES      82 /* of the last member */
#define WINDOW_BOOT_ID_BYTES  32
#define WINDOW_MAX_NAME       64 /* of a file, without its suffix, NUL included */

/* Strings are offsets into `strings`; 0 is "". */
struct window_process {
	uint32_t pid, uid;
	uint32_t comm, exe, build_id, unit, container;
	uint32_t reserved;
	uint64_t samples, cpu_ns;
};
_Static_assert(sizeof(struct window_process) == 48, "stored layout");

struct window {
	int64_t start_ns;     /* CLOCK_REALTIME */
	uint64_t duration_ns; /* that samples were taken for */
	uint64_t samples, cpu_ns;
	uint64_t lost, truncated;
	uint32_t hz;     /* the lowest during it */
	uint32_t merged; /* windows that it was made of, 0: as it was taken */
	uint32_t level;  /* of compaction, 0: none */
	/* The store's own clock at its start (store.h), filled in by the store. */
	uint64_t age_ns;
	char boot_id[WINDOW_BOOT_ID_BYTES + 1];
	uint64_t boot_ns; /* CLOCK_BOOTTIME when it was written */

	struct window_process *processes;
	size_t n_processes, max_processes;
	struct buf strings;
	uint32_t *string_slots, *process_slots; /* hash tables while it is being made */
	size_t n_strings, n_string_slots, n_process_slots;
	/* Names of the files that this one stands for, separated by '\n'. */
	struct buf replaces;
};

void window_init(struct window *w);
void window_done(struct window *w);
/* On the heap; NULL is fine, and NULL without memory. */
struct window *window_new(void);
struct window *window_free(struct window *w);
/* Adds to the row of this process; an equal one (all but the numbers) is the same row. Strings may
 * be NULL; longer ones are cut. -ENOMEM, -ENOSPC. */
int window_add(struct window *w, uint32_t pid, uint32_t uid, const char *comm, const char *exe,
	       const char *build_id, const char *unit, const char *container, uint64_t samples,
	       uint64_t cpu_ns);
/* Adds all of src: rows, sums, the earlier start. The duration is the sum. */
int window_merge(struct window *dst, const struct window *src);
const char *window_string(const struct window *w, uint32_t offset);

/* Appends the trailer for a pprof of payload_bytes that goes before it. */
int window_write(const struct window *w, uint64_t payload_bytes, struct buf *out);
/*
 * From a file. -EBADMSG when it does not end in a trailer, or is not as long as that says, -EPROTO
 * when a newer version wrote it; -EIO and others from reading. The pprof itself is not looked at.
 */
int window_read(int fd, uint64_t file_bytes, struct window *ret, uint64_t *ret_payload_bytes);
