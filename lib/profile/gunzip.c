/* SPDX-License-Identifier: Apache-2.0 */
#include "gunzip.h"

#include <libdeflate.h>

/* RFC 1952: the last four bytes are the size modulo 2^32, the least member has 18. */
#define GUNZIP_LEAST_BYTES 18
#define GUNZIP_FIRST_BYTES 65536
/* deflate cannot do better than 1032:1 */
#define GUNZIP_MAX_RATIO 1032ULL

void gunzip_done(struct gunzip *g)
{
	if (g->z)
		libdeflate_free_decompressor(g->z);
	g->z = NULL;
	buf_done(&g->plain);
}

bool gunzip_is_gzip(const void *data, size_t size)
{
	const uint8_t *b = data;

	return size >= 2 && b[0] == 0x1f && b[1] == 0x8b;
}

/* What the file says about its size is believed as far as it can be true. */
static size_t gunzip_expected(const uint8_t *b, size_t size)
{
	uint64_t said;

	if (size < GUNZIP_LEAST_BYTES)
		return GUNZIP_FIRST_BYTES;
	said = b[size - 4] | (uint64_t)b[size - 3] << 8 | (uint64_t)b[size - 2] << 16 |
	       (uint64_t)b[size - 1] << 24;
	/* one byte more, so that an empty rest is not mistaken for too little room */
	return (size_t)MIN(said + 1, size * GUNZIP_MAX_RATIO + 1);
}

/* One member; *used of data's bytes are its own. */
static int gunzip_member(struct gunzip *g, const uint8_t *data, size_t size, size_t *used)
{
	size_t room = gunzip_expected(data, size), made;
	enum libdeflate_result result;
	void *to;

	for (;;) {
		room = MIN(room, g->plain.max - g->plain.size);
		to = buf_reserve(&g->plain, room);
		if (!to)
			return g->plain.error;

		result = libdeflate_gzip_decompress_ex(g->z, data, size, to, room, used, &made);
		if (result == LIBDEFLATE_SUCCESS)
			break;
		if (result != LIBDEFLATE_INSUFFICIENT_SPACE)
			return -EBADMSG;
		if (room == g->plain.max - g->plain.size)
			return -ENOSPC;
		room = MAX(room * 2, (size_t)GUNZIP_FIRST_BYTES);
	}
	g->plain.size += made;
	g->plain.data[g->plain.size] = '\0';
	return 0;
}

int gunzip(struct gunzip *g, const void *data, size_t size)
{
	const uint8_t *p = data;
	size_t used;
	int r;

	if (!g->z)
		g->z = libdeflate_alloc_decompressor();
	if (!g->z)
		return -ENOMEM;

	buf_reset(&g->plain);
	do {
		r = gunzip_member(g, p, size, &used);
		if (r < 0)
			return r;
		p += used;
		size -= used;
	} while (size > 0);
	return 0;
}
