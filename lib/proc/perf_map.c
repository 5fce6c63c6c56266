/* SPDX-License-Identifier: Apache-2.0 */
/* perf-PID.map: jit.h */
#include <string.h>

#include "jit.h"

#define PERF_MAP_CHUNK_BYTES 65536

/* A hexadecimal number, with or without 0x, and the blank after it. */
static const char *perf_map_number(const char *p, const char *end, uint64_t *ret)
{
	uint64_t value = 0;
	const char *first;

	if (end - p >= 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
		p += 2;
	for (first = p; p < end && *p != ' '; p++) {
		unsigned digit = *p >= '0' && *p <= '9'   ? (unsigned)(*p - '0')
				 : *p >= 'a' && *p <= 'f' ? (unsigned)(*p - 'a') + 10
				 : *p >= 'A' && *p <= 'F' ? (unsigned)(*p - 'A') + 10
							  : 16;

		if (digit == 16 || value >> 60)
			return NULL;
		value = value << 4 | digit;
	}
	if (p == first || p == end)
		return NULL;
	*ret = value;
	return p + 1;
}

int perf_map_parse_line(const char *line, size_t size, uint64_t *ret_start, uint64_t *ret_bytes,
			const char **ret_name, size_t *ret_name_bytes)
{
	const char *end = line + size, *p;
	uint64_t start, bytes;

	p = perf_map_number(line, end, &start);
	p = p ? perf_map_number(p, end, &bytes) : NULL;
	if (!p || p == end || bytes == 0 || bytes > UINT64_MAX - start)
		return -EBADMSG;
	if (end[-1] == '\r')
		end--;

	*ret_start = start;
	*ret_bytes = bytes;
	*ret_name = p;
	*ret_name_bytes = (size_t)(end - p);
	return 0;
}

static int perf_map_line(const struct jit_request *request, struct jit_found *found,
			 const char *line, size_t size)
{
	uint64_t start, bytes;
	const char *name;
	size_t name_bytes, first, n;

	if (perf_map_parse_line(line, size, &start, &bytes, &name, &name_bytes) < 0)
		return 0;

	n = jit_find(request, start, bytes, &first);
	for (size_t i = first; i < first + n; i++) {
		/* up to a NUL, if there is one */
		char *copy = strndup(name, MIN(name_bytes, (size_t)SYMBOLIZE_MAX_NAME_BYTES));

		if (!copy)
			return -ENOMEM;
		jit_found_clear(&found[i]);
		found[i].name = copy;
		found[i].start = start;
	}
	return 0;
}

int perf_map_read(const struct jit_request *request, int fd, struct jit_found *found)
{
	_cleanup_free_ char *chunk = malloc(PERF_MAP_CHUNK_BYTES);
	bool skip = false; /* the rest of a line that is too long */
	size_t have = 0;
	uint64_t at = 0;

	if (!chunk)
		return -ENOMEM;
	while (at < JIT_MAX_MAP_BYTES) {
		ssize_t n = pread(fd, chunk + have, PERF_MAP_CHUNK_BYTES - have, (off_t)at);
		const char *p = chunk, *newline;
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		at += (uint64_t)n;
		have += (size_t)n;

		/* a line without its end is still being written */
		while ((newline = memchr(p, '\n', have - (size_t)(p - chunk)))) {
			r = skip ? 0 : perf_map_line(request, found, p, (size_t)(newline - p));
			if (r < 0)
				return r;
			skip = false;
			p = newline + 1;
		}
		have -= (size_t)(p - chunk);
		memmove(chunk, p, have);
		if (have == PERF_MAP_CHUNK_BYTES) {
			r = skip ? 0 : perf_map_line(request, found, chunk, have);
			if (r < 0)
				return r;
			skip = true;
			have = 0;
		}
	}
	return 0;
}
