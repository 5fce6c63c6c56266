/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer of profile.proto into gzip. What fits into WRITE_WHOLE_BYTES (every window of a store) is
 * compressed at once by libdeflate, which is twice as fast as zlib and packs tighter; of what does not, no
 * more than that is ever in memory uncompressed. Fields are written in the order of their numbers, zero fields are left out, as proto3
 * writers do.
 */
#include "model.h"
#include "wire.h"

#include <libdeflate.h>
#include <string.h>
#include <zlib.h>

#define WRITE_CHUNK_BYTES 65536
#define WRITE_WHOLE_BYTES (32U << 20)
#define VARINT_MAX_BYTES  10
/* A label or a line: five fields at most. Their lengths stay below 128, one byte. */
#define SMALL_MESSAGE_MAX_BYTES 64

/* Windows are compressed once and kept for days. Beyond this level time grows, size hardly falls. */
#define WRITE_WHOLE_LEVEL 6
/* Somebody waits for a large one. */
#define WRITE_STREAM_LEVEL 2

struct writer {
	z_stream z;
	bool streaming; /* z is in use */
	struct buf *out;
	struct buf message; /* the top-level field being built */
	struct buf plain;   /* what waits to be compressed */
};

static size_t write_varint(unsigned char *to, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		to[n++] = (unsigned char)(v | 0x80);
	to[n++] = (unsigned char)v;
	return n;
}

static size_t write_field(unsigned char *to, unsigned field, uint64_t v)
{
	if (v == 0)
		return 0;
	to[0] = (unsigned char)(field << 3 | WIRE_VARINT);
	return 1 + write_varint(to + 1, v);
}

static size_t varint_size(uint64_t v)
{
	return 1 + (63 - (size_t)__builtin_clzll(v | 1)) / 7;
}

/* Compresses what waits; all of it with Z_FINISH. */
static int writer_stream(struct writer *w, int mode)
{
	/* 15 bits of window, 16: a gzip header, with no time and no name in it */
	if (!w->streaming && deflateInit2(&w->z, WRITE_STREAM_LEVEL, Z_DEFLATED, 15 + 16, 8,
					  Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	w->streaming = true;
	w->z.next_in = (unsigned char *)w->plain.data;
	w->z.avail_in = (uInt)w->plain.size;

	do {
		unsigned char *room = buf_reserve(w->out, WRITE_CHUNK_BYTES);

		if (!room)
			return w->out->error;
		w->z.next_out = room;
		w->z.avail_out = WRITE_CHUNK_BYTES;
		if (deflate(&w->z, mode) == Z_STREAM_ERROR)
			return -EINVAL;
		w->out->size += WRITE_CHUNK_BYTES - w->z.avail_out;
	} while (w->z.avail_out == 0);

	w->out->data[w->out->size] = '\0';
	buf_reset(&w->plain);
	return 0;
}

static int writer_whole(struct writer *w)
{
	struct libdeflate_compressor *c = libdeflate_alloc_compressor(WRITE_WHOLE_LEVEL);
	size_t bound, size = 0;
	void *room;

	if (!c)
		return -ENOMEM;
	bound = libdeflate_gzip_compress_bound(c, w->plain.size);
	/* a buffer that cannot take the worst case may take this one */
	bound = MIN(bound, w->out->max - w->out->size);
	room = buf_reserve(w->out, bound);
	if (room)
		size = libdeflate_gzip_compress(c, w->plain.data ? w->plain.data : "",
						w->plain.size, room, bound);
	libdeflate_free_compressor(c);
	if (!room)
		return w->out->error;
	if (size == 0)
		return -ENOSPC;

	w->out->size += size;
	w->out->data[w->out->size] = '\0';
	return 0;
}

static int writer_finish(struct writer *w)
{
	return w->streaming ? writer_stream(w, Z_FINISH) : writer_whole(w);
}

static int writer_put(struct writer *w, const void *data, size_t size)
{
	int r = 0;

	if (w->plain.size > 0 && size + w->plain.size > WRITE_WHOLE_BYTES)
		r = writer_stream(w, Z_NO_FLUSH);
	return r < 0 ? r : buf_append(&w->plain, data, size);
}

static int writer_bytes(struct writer *w, unsigned field, const void *data, size_t size)
{
	unsigned char head[1 + VARINT_MAX_BYTES];
	int r;

	head[0] = (unsigned char)(field << 3 | WIRE_BYTES);
	r = writer_put(w, head, 1 + write_varint(head + 1, size));
	return r < 0 ? r : writer_put(w, data, size);
}

static int writer_number(struct writer *w, unsigned field, uint64_t v)
{
	unsigned char bytes[1 + VARINT_MAX_BYTES];

	return writer_put(w, bytes, write_field(bytes, field, v));
}

static int write_value_type(struct writer *w, unsigned field, const struct model_type *t)
{
	unsigned char m[SMALL_MESSAGE_MAX_BYTES];
	size_t n = write_field(m, 1, t->type);

	n += write_field(m + n, 2, t->unit);
	return writer_bytes(w, field, m, n);
}

static int write_packed(struct buf *m, unsigned field, size_t n,
			uint64_t (*at)(const void *, size_t), const void *items)
{
	size_t size = 0;
	unsigned char *to;

	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		size += varint_size(at(items, i));

	to = buf_reserve(m, 1 + VARINT_MAX_BYTES + size);
	if (!to)
		return m->error;
	*to++ = (unsigned char)(field << 3 | WIRE_BYTES);
	to += write_varint(to, size);
	for (size_t i = 0; i < n; i++)
		to += write_varint(to, at(items, i));
	m->size = (size_t)((char *)to - m->data);
	return 0;
}

static uint64_t at_u32(const void *items, size_t i)
{
	return ((const uint32_t *)items)[i];
}

static uint64_t at_i64(const void *items, size_t i)
{
	return (uint64_t)((const int64_t *)items)[i];
}

static int write_small(struct buf *m, unsigned field, const unsigned char *bytes, size_t n)
{
	unsigned char head[2] = { (unsigned char)(field << 3 | WIRE_BYTES), (unsigned char)n };

	buf_append(m, head, sizeof(head));
	return buf_append(m, bytes, n);
}

static int write_sample(struct writer *w, const struct profile *p, uint32_t i)
{
	const struct model_sample *s = model_sample_at(p, i);
	const struct model_run *stack = model_stack_at(p, s->stack),
			       *labels = model_labels_at(p, s->labels);
	struct buf *m = &w->message;

	buf_reset(m);
	if (stack->n > 0)
		write_packed(m, 1, stack->n, at_u32, model_stack_entries(p, stack));
	write_packed(m, 2, p->n_types, at_i64, model_values_of(p, i));
	for (uint32_t j = 0; j < labels->n; j++) {
		const struct model_label *l = &model_label_entries(p, labels)[j];
		unsigned char bytes[SMALL_MESSAGE_MAX_BYTES];
		size_t n = write_field(bytes, 1, l->key);

		n += write_field(bytes + n, 2, l->str);
		n += write_field(bytes + n, 3, (uint64_t)l->num);
		n += write_field(bytes + n, 4, l->num_unit);
		write_small(m, 3, bytes, n);
	}
	return m->error ? m->error : writer_bytes(w, 2, m->data, m->size);
}

static int write_mapping(struct writer *w, const struct profile_mapping *m, uint32_t id)
{
	unsigned char bytes[SMALL_MESSAGE_MAX_BYTES * 2];
	size_t n = write_field(bytes, 1, id);

	n += write_field(bytes + n, 2, m->start);
	n += write_field(bytes + n, 3, m->limit);
	n += write_field(bytes + n, 4, m->offset);
	n += write_field(bytes + n, 5, m->filename);
	n += write_field(bytes + n, 6, m->build_id);
	n += write_field(bytes + n, 7, m->has_functions);
	n += write_field(bytes + n, 8, m->has_filenames);
	n += write_field(bytes + n, 9, m->has_line_numbers);
	n += write_field(bytes + n, 10, m->has_inline_frames);
	return writer_bytes(w, 3, bytes, n);
}

static int write_location(struct writer *w, const struct profile *p, uint32_t id)
{
	const struct model_location *l = model_location_at(p, id);
	unsigned char bytes[SMALL_MESSAGE_MAX_BYTES];
	struct buf *m = &w->message;
	size_t n = write_field(bytes, 1, id);

	n += write_field(bytes + n, 2, l->mapping);
	n += write_field(bytes + n, 3, l->address);
	buf_reset(m);
	buf_append(m, bytes, n);
	for (uint32_t i = 0; i < l->n; i++) {
		const struct model_line *line = &model_lines_of(p, l)[i];

		n = write_field(bytes, 1, line->function);
		n += write_field(bytes + n, 2, (uint64_t)line->line);
		n += write_field(bytes + n, 3, line->column);
		write_small(m, 4, bytes, n);
	}
	buf_append(m, bytes, write_field(bytes, 5, l->folded));
	return m->error ? m->error : writer_bytes(w, 4, m->data, m->size);
}

static int write_function(struct writer *w, const struct model_function *f, uint32_t id)
{
	unsigned char bytes[SMALL_MESSAGE_MAX_BYTES];
	size_t n = write_field(bytes, 1, id);

	n += write_field(bytes + n, 2, f->name);
	n += write_field(bytes + n, 3, f->system_name);
	n += write_field(bytes + n, 4, f->filename);
	n += write_field(bytes + n, 5, (uint64_t)f->start_line);
	return writer_bytes(w, 5, bytes, n);
}

static int write_tables(struct writer *w, const struct profile *p)
{
	int r = 0;

	for (size_t i = 0; i < p->n_types && r == 0; i++)
		r = write_value_type(w, 1, &p->types[i]);
	for (uint32_t i = 0; i < p->samples.n && r == 0; i++)
		r = write_sample(w, p, i);
	for (uint32_t i = 1; i <= p->mappings.n && r == 0; i++)
		r = write_mapping(w, model_mapping_at(p, i), i);
	for (uint32_t i = 1; i <= p->locations.n && r == 0; i++)
		r = write_location(w, p, i);
	for (uint32_t i = 1; i <= p->functions.n && r == 0; i++)
		r = write_function(w, model_function_at(p, i), i);
	for (uint32_t i = 0; i < p->strings.n && r == 0; i++)
		r = writer_bytes(w, 6, model_string_at(p, i)->s, model_string_at(p, i)->size);
	return r;
}

static int write_header(struct writer *w, const struct profile *p)
{
	int r;

	if ((r = writer_number(w, 7, p->drop_frames)) < 0 ||
	    (r = writer_number(w, 8, p->keep_frames)) < 0 ||
	    (r = writer_number(w, 9, (uint64_t)p->time_ns)) < 0 ||
	    (r = writer_number(w, 10, (uint64_t)p->duration_ns)) < 0)
		return r;

	if (p->period_type.type || p->period_type.unit) {
		r = write_value_type(w, 11, &p->period_type);
		if (r < 0)
			return r;
	}
	r = writer_number(w, 12, (uint64_t)p->period);
	if (r < 0)
		return r;

	if (p->comments.n > 0) {
		buf_reset(&w->message);
		r = write_packed(&w->message, 13, p->comments.n, at_u32, p->comments.items);
		if (r == 0)
			r = writer_put(w, w->message.data, w->message.size);
		if (r < 0)
			return r;
	}
	return writer_number(w, 14, p->default_type);
}

int profile_write(const struct profile *p, struct buf *out)
{
	_cleanup_free_ struct writer *w = calloc(1, sizeof(*w));
	size_t before = out->size;
	int r;

	if (!w)
		return -ENOMEM;
	w->out = out;
	w->message = BUF_INIT(PROFILE_MAX_BYTES);
	/* one message may be larger than what is kept together */
	w->plain = BUF_INIT(PROFILE_MAX_BYTES);

	r = write_tables(w, p);
	if (r == 0)
		r = write_header(w, p);
	if (r == 0)
		r = writer_finish(w);

	if (w->streaming)
		deflateEnd(&w->z);
	buf_done(&w->message);
	buf_done(&w->plain);
	if (r < 0) {
		out->size = before;
		if (out->data)
			out->data[before] = '\0';
	}
	return r;
}
