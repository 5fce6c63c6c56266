/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A cursor over foreign bytes: little endian, DWARF's variable-length numbers. A read past the end
 * gives 0 and sets `failed`, which stays set: a parser may read a whole record and look once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *at, *end;
	bool failed;
};

static inline size_t bytes_left(const struct bytes *b)
{
	return (size_t)(b->end - b->at);
}

static inline const uint8_t *bytes_skip(struct bytes *b, uint64_t n)
{
	const uint8_t *p = b->at;

	if (n > bytes_left(b)) {
		b->failed = true;
		b->at = b->end;
		return NULL;
	}
	b->at += n;
	return p;
}

#define BYTES_READ(name, type)                                  \
	static inline type bytes_##name(struct bytes *b)        \
	{                                                       \
		const uint8_t *p = bytes_skip(b, sizeof(type)); \
		type v = 0;                                     \
                                                                \
		if (p)                                          \
			memcpy(&v, p, sizeof(v));               \
		return v;                                       \
	}
BYTES_READ(u8, uint8_t)
BYTES_READ(u16, uint16_t)
BYTES_READ(u32, uint32_t)
BYTES_READ(u64, uint64_t)
#undef BYTES_READ

/* Bits past the 64th are lost, as in every other reader. */
static inline uint64_t bytes_uleb(struct bytes *b)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t c;

	do {
		if (b->at == b->end) {
			b->failed = true;
			return 0;
		}
		c = *b->at++;
		if (shift < 64)
			v |= (uint64_t)(c & 0x7f) << shift;
		shift += 7;
	} while (c & 0x80);
	return v;
}

static inline int64_t bytes_sleb(struct bytes *b)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t c;

	do {
		if (b->at == b->end) {
			b->failed = true;
			return 0;
		}
		c = *b->at++;
		if (shift < 64)
			v |= (uint64_t)(c & 0x7f) << shift;
		shift += 7;
	} while (c & 0x80);
	if (shift < 64 && (c & 0x40))
		v |= ~0ULL << shift;
	return (int64_t)v;
}
