/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over a file's bytes that notes where each row lies, and reads only ids. */
#include "merger_file.h"

#include <string.h>

static void file_table_init(struct file_table *t, uint32_t max)
{
	idmap_init(&t->ids, max);
	vec_init(&t->rows, sizeof(struct file_row), max);
}

static void file_table_reset(struct file_table *t)
{
	idmap_reset(&t->ids);
	t->rows.n = 0;
}

static void file_table_done(struct merger_file *f, struct file_table *t)
{
	idmap_done(&t->ids, &f->bytes);
	vec_done(&t->rows);
}

void file_init(struct merger_file *f)
{
	vec_init(&f->strings, sizeof(struct file_string), PROFILE_MAX_STRINGS);
	vec_init(&f->comments, sizeof(uint64_t), PROFILE_MAX_COMMENTS);
	file_table_init(&f->mappings, PROFILE_MAX_MAPPINGS);
	file_table_init(&f->functions, PROFILE_MAX_STRINGS);
	file_table_init(&f->locations, PROFILE_MAX_STRINGS);
	vec_init(&f->labels, sizeof(struct file_labels), PROFILE_MAX_SAMPLES);
	vec_init(&f->samples, sizeof(struct file_sample), PROFILE_MAX_SAMPLES);
	vec_init(&f->values, sizeof(int64_t), PROFILE_MAX_SAMPLES * PROFILE_MAX_TYPES);
}

void file_done(struct merger_file *f)
{
	vec_done(&f->strings);
	vec_done(&f->comments);
	file_table_done(f, &f->mappings);
	file_table_done(f, &f->functions);
	file_table_done(f, &f->locations);
	vec_done(&f->labels);
	index_done(&f->label_index);
	vec_done(&f->samples);
	vec_done(&f->values);
	file_forget(f);
}

void file_forget(struct merger_file *f)
{
	free(f->guesses.slots);
	f->guesses = (struct file_guesses){};
}

static void file_reset(struct merger_file *f)
{
	f->header = (struct file_header){};
	f->strings.n = f->comments.n = f->labels.n = f->samples.n = f->values.n = 0;
	file_table_reset(&f->mappings);
	file_table_reset(&f->functions);
	file_table_reset(&f->locations);
	index_reset(&f->label_index);
}

static int scan_string(struct merger_file *f, struct wire w)
{
	struct file_string *s;
	int r = vec_reserve(&f->strings, 1, &f->bytes);

	if (r < 0)
		return r;
	/* entry 0 is "" by definition; a file that says otherwise counts its strings differently */
	if (f->strings.n == 0 && w.p != w.end)
		return -EBADMSG;
	if (w.end - w.p > PROFILE_MAX_STRING)
		return -ENOSPC;

	s = &MODEL_AT(struct file_string, f->strings, f->strings.n++);
	*s = (struct file_string){ .s = (const char *)w.p, .size = (uint32_t)(w.end - w.p) };
	return 0;
}

/* Writers put the id first; where it comes twice, the last one counts. */
static int scan_id(struct wire w, uint64_t *ret)
{
	struct wire_field field = {};
	uint64_t id = 0;
	int r;

	if (w.end - w.p >= 2 && w.p[0] == (1 << 3 | WIRE_VARINT)) {
		w.p++;
		if (!wire_varint(&w, &id))
			return -EBADMSG;
		/* the fields come in order: there is no other */
		if (w.p == w.end || w.p[0] >> 3 != 1) {
			*ret = id;
			return 0;
		}
	}
	while ((r = wire_next(&w, &field)) > 0)
		if (field.number == 1) {
			if (field.type != WIRE_VARINT)
				return -EBADMSG;
			id = field.value;
		}
	*ret = id;
	return r;
}

static int scan_row(struct merger_file *f, struct file_table *t, struct wire w)
{
	uint64_t id = 0;
	int r = scan_id(w, &id);

	if (r == 0)
		r = idmap_add(&t->ids, id, f->sum->seed, &f->bytes);
	if (r == 0)
		r = vec_reserve(&t->rows, 1, &f->bytes);
	if (r < 0)
		return r;
	MODEL_AT(struct file_row, t->rows, t->rows.n++) = (struct file_row){ .message = w };
	return 0;
}

static int scan_comments(struct merger_file *f, const struct wire_field *field)
{
	struct wire w = field->bytes;
	uint64_t v = field->value;

	if (field->type == WIRE_VARINT)
		return vec_append(&f->comments, &v, 1, &f->bytes);
	while (w.p < w.end) {
		int r = wire_varint(&w, &v) ? vec_append(&f->comments, &v, 1, &f->bytes) : -EBADMSG;

		if (r < 0)
			return r;
	}
	return 0;
}

static int scan_type(struct merger_file *f, struct wire w)
{
	if (f->header.n_types == PROFILE_MAX_TYPES)
		return -ENOSPC;
	f->header.types[f->header.n_types++] = w;
	return 0;
}

/* What is no message. */
static int scan_number(struct merger_file *f, const struct wire_field *field)
{
	if (field->number == 13)
		return field->type == WIRE_VARINT || field->type == WIRE_BYTES
			       ? scan_comments(f, field)
			       : -EBADMSG;
	if (field->type != WIRE_VARINT)
		return -EBADMSG;

	switch (field->number) {
	case 9:
		f->header.time_ns = (int64_t)field->value;
		break;
	case 10:
		f->header.duration_ns = (int64_t)field->value;
		break;
	case 12:
		f->header.period = (int64_t)field->value;
		break;
	case 14:
		f->header.default_type = field->value;
		break;
	}
	return 0;
}

static int scan_field(struct merger_file *f, const struct wire_field *field)
{
	if (field->number >= 7 && field->number <= 14 && field->number != 11)
		return scan_number(f, field);
	if (field->number > 11)
		return 0;
	if (field->type != WIRE_BYTES)
		return -EBADMSG;

	switch (field->number) {
	case 1:
		return scan_type(f, field->bytes);
	case 3:
		return scan_row(f, &f->mappings, field->bytes);
	case 4:
		return scan_row(f, &f->locations, field->bytes);
	case 5:
		return scan_row(f, &f->functions, field->bytes);
	case 6:
		return scan_string(f, field->bytes);
	case 11:
		f->header.has_period_type = true;
		f->header.period_type = field->bytes;
		return 0;
	default: /* samples: their turn comes when all else is known */
		return 0;
	}
}

int file_scan(struct merger_file *f, struct wire whole)
{
	struct wire_field field = {};
	int r;

	file_reset(f);
	if (whole.p == whole.end)
		return -EBADMSG;
	while ((r = wire_next(&whole, &field)) > 0) {
		r = scan_field(f, &field);
		if (r < 0)
			return r;
	}
	return r;
}

bool file_string(const struct merger_file *f, uint64_t index, const char **ret_s, size_t *ret_size)
{
	const struct file_string *s;

	if (index >= f->strings.n) {
		*ret_s = "";
		*ret_size = 0;
		return index == 0;
	}
	s = &MODEL_AT(const struct file_string, f->strings, index);
	*ret_s = s->s;
	*ret_size = s->size;
	return true;
}
