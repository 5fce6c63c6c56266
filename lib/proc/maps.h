/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Lines of /proc/PID/maps, as proc_pid_maps(5) documents them. The path is the rest of the line:
 * raw bytes, in which the kernel wrote a newline as \012; a file that was named so itself cannot
 * be told apart.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct maps_entry {
	uint64_t start, limit; /* [start, limit), start < limit */
	uint64_t offset;
	uint64_t inode; /* 0: no file */
	uint32_t major, minor;
	bool readable, writable, executable, shared;
	const char *path; /* points into the line, not NUL-terminated; "" none */
	size_t path_bytes;
};

/* Takes one line without its newline. -EBADMSG, *ret untouched, when it is none. */
int maps_parse_line(const char *line, size_t size, struct maps_entry *ret);

/* Calls fn for each line of a whole file until it returns other than 0, and returns that; lines
 * that are none are skipped and counted in *ret_bad (may be NULL). */
int maps_each(const char *text, size_t size, int (*fn)(void *arg, const struct maps_entry *entry),
	      void *arg, uint64_t *ret_bad);
