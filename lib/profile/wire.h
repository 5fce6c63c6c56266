/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Protocol buffers' wire format (protobuf.dev/programming-guides/encoding) over foreign bytes: a
 * cursor that hands out one field at a time and never leaves its range. Groups, which proto3 does not
 * have, and field number 0 are malformed.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire {
	const uint8_t *p, *end;
};

struct wire_field {
	uint32_t number;
	enum wire_type type;
	uint64_t value;    /* of WIRE_VARINT */
	struct wire bytes; /* of WIRE_BYTES */
};

static inline bool wire_varint(struct wire *w, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70 && w->p < w->end; shift += 7) {
		uint8_t b = *w->p++;

		v |= shift < 64 ? (uint64_t)(b & 0x7f) << shift : 0;
		if (!(b & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/* 1: a field in *ret, 0: the end, -EBADMSG. */
static inline int wire_next(struct wire *w, struct wire_field *ret)
{
	uint64_t tag, size;

	if (w->p == w->end)
		return 0;
	if (!wire_varint(w, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
		return -EBADMSG;

	ret->number = (uint32_t)(tag >> 3);
	ret->type = (enum wire_type)(tag & 7);
	switch (ret->type) {
	case WIRE_VARINT:
		return wire_varint(w, &ret->value) ? 1 : -EBADMSG;
	case WIRE_BYTES:
		if (!wire_varint(w, &size))
			return -EBADMSG;
		break;
	case WIRE_FIXED64:
		size = 8;
		break;
	case WIRE_FIXED32:
		size = 4;
		break;
	default:
		return -EBADMSG;
	}

	if (size > (uint64_t)(w->end - w->p))
		return -EBADMSG;
	ret->bytes = (struct wire){ w->p, w->p + size };
	w->p += size;
	return 1;
}
