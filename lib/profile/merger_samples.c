/* SPDX-License-Identifier: Apache-2.0 */
/* The samples of a file: first their labels, which say whether they are wanted, then their stacks. */
#include "merger_file.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct raw_label {
	uint64_t key, str, num, num_unit; /* the file's string indices, and the number */
};

static int read_label(struct wire w, struct raw_label *ret)
{
	struct wire_field field;
	int r;

	*ret = (struct raw_label){};
	while ((r = wire_next(&w, &field)) > 0) {
		if (field.number > 4)
			continue;
		if (field.type != WIRE_VARINT)
			return -EBADMSG;
		(&ret->key)[field.number - 1] = field.value;
	}
	return r;
}

static int label_text(const struct merger_file *f, uint64_t index, struct filter_text *ret)
{
	return file_string(f, index, &ret->s, &ret->size) ? 0 : -EBADMSG;
}

/* fields: a run of label messages, between which others may be. */
static int labels_wanted(struct merger_file *f, struct wire fields)
{
	struct filter_labels labels = {};
	struct filter_text key, str;
	struct wire_field field;
	struct raw_label raw;
	int r;

	while ((r = wire_next(&fields, &field)) > 0) {
		if (field.number != 3)
			continue;
		r = read_label(field.bytes, &raw);
		if (r == 0)
			r = label_text(f, raw.key, &key);
		if (r == 0)
			r = label_text(f, raw.str, &str);
		if (r < 0)
			return r;
		filter_label(&labels, key, str, (int64_t)raw.num);
	}
	return r < 0 ? r : filter_wants(f->filter, &labels);
}

static int own_label(struct merger_file *f, struct wire w, struct model_label *ret)
{
	struct raw_label raw;
	int r = read_label(w, &raw);

	*ret = (struct model_label){ .num = (int64_t)raw.num };
	if (r == 0)
		r = file_own_string(f, raw.key, &ret->key);
	if (r == 0)
		r = file_own_string(f, raw.str, &ret->str);
	if (r == 0)
		r = file_own_string(f, raw.num_unit, &ret->num_unit);
	return r;
}

static int own_base_label(struct merger_file *f, struct model_label *ret)
{
	int r;

	*ret = (struct model_label){};
	r = model_string(f->sum, PROFILE_BASE_KEY, strlen(PROFILE_BASE_KEY), &ret->key);
	return r < 0 ? r
		     : model_string(f->sum, PROFILE_BASE_VALUE, strlen(PROFILE_BASE_VALUE),
				    &ret->str);
}

static int own_labels(struct merger_file *f, struct wire fields, uint32_t *ret)
{
	struct wire_field field;
	uint32_t n = 0;
	int r;

	while ((r = wire_next(&fields, &field)) > 0) {
		if (field.number != 3)
			continue;
		if (n == PROFILE_MAX_LABELS)
			return -ENOSPC;
		r = own_label(f, field.bytes, &f->label_set[n++]);
		if (r < 0)
			return r;
	}
	if (r == 0 && f->filter && f->filter->base)
		r = n < PROFILE_MAX_LABELS ? own_base_label(f, &f->label_set[n++]) : -ENOSPC;
	return r < 0 ? r : model_labels(f->sum, f->label_set, n, ret);
}

/* The set that this run of bytes stands for: read once a file. */
static int find_labels(struct merger_file *f, struct wire fields, uint32_t *ret)
{
	size_t size = (size_t)(fields.end - fields.p);
	uint64_t hash = XXH3_64bits_withSeed(fields.p, size, f->sum->seed);
	struct file_labels labels = { .bytes = fields };
	struct index_walk w;
	int r = 1;

	for (int64_t i = index_first(&f->label_index, hash, &w); i >= 0;
	     i = index_next(&f->label_index, &w)) {
		const struct file_labels *have = &MODEL_AT(const struct file_labels, f->labels, i);

		if ((size_t)(have->bytes.end - have->bytes.p) == size &&
		    memcmp(have->bytes.p, fields.p, size) == 0) {
			*ret = have->own;
			return 0;
		}
	}

	if (f->filter)
		r = labels_wanted(f, fields);
	if (r == 0) {
		labels.own = FILE_UNWANTED;
	} else if (r > 0) {
		r = own_labels(f, fields, &labels.own);
		labels.own++;
	}
	if (r == 0)
		r = index_reserve(&f->label_index, &f->bytes);
	if (r == 0)
		r = vec_append(&f->labels, &labels, 1, &f->bytes);
	if (r < 0)
		return r;
	index_insert(&f->label_index, hash, f->labels.n - 1);
	*ret = labels.own;
	return 0;
}

static int add_location(struct merger_file *f, uint64_t id, struct file_stack *s)
{
	int64_t i = idmap_find(&f->locations.ids, id, f->sum->seed);
	struct file_row *row;
	int r;

	if (i < 0)
		return -EBADMSG;
	if (s->n == PROFILE_MAX_DEPTH)
		return -ENOSPC;

	row = &MODEL_AT(struct file_row, f->locations.rows, i);
	r = row->own ? 0 : file_own_location(f, row);
	if (r < 0)
		return r;
	f->stack_ids[s->first + s->n++] = row->own;
	return 0;
}

static int add_locations(struct merger_file *f, const struct wire_field *field,
			 struct file_stack *s)
{
	struct wire w = field->bytes;
	uint64_t id;
	int r = 0;

	if (field->type == WIRE_VARINT)
		return add_location(f, field->value, s);
	if (field->type != WIRE_BYTES)
		return -EBADMSG;
	while (w.p < w.end && r == 0)
		r = wire_varint(&w, &id) ? add_location(f, id, s) : -EBADMSG;
	return r;
}

/* The stacks that wait find their places. */
static int own_stacks(struct merger_file *f)
{
	struct profile *sum = f->sum;
	struct file_sample sample;
	uint32_t at[FILE_BATCH];
	int r = vec_reserve(&f->samples, f->n_stacks, &f->bytes);

	for (uint32_t i = 0; i < f->n_stacks; i++) {
		at[i] = model_guess_stack(sum, f->stacks[i].hash);
		if (at[i] != UINT32_MAX)
			__builtin_prefetch(model_stack_at(sum, at[i]));
	}
	for (uint32_t i = 0; i < f->n_stacks; i++)
		if (at[i] != UINT32_MAX)
			__builtin_prefetch(model_stack_entries(sum, model_stack_at(sum, at[i])));
	for (uint32_t i = 0; i < f->n_stacks && r == 0; i++) {
		const struct file_stack *s = &f->stacks[i];

		sample.labels = s->labels;
		r = model_stack_hashed(sum, f->stack_ids + s->first, s->n, s->hash, &sample.stack);
		if (r == 0)
			r = vec_append(&f->samples, &sample, 1, &f->bytes);
	}
	f->n_stacks = f->n_stack_ids = 0;
	return r;
}

static int add_stack(struct merger_file *f, struct wire w, uint32_t labels)
{
	struct file_stack *s = &f->stacks[f->n_stacks];
	struct wire_field field;
	int r;

	*s = (struct file_stack){ .first = f->n_stack_ids, .labels = labels };
	while ((r = wire_next(&w, &field)) > 0) {
		r = field.number == 1 ? add_locations(f, &field, s) : 0;
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;

	s->hash = model_hash_stack(f->sum, f->stack_ids + s->first, s->n);
	model_fetch_stack(f->sum, s->hash);
	f->n_stack_ids += s->n;
	f->n_stacks++;
	return f->n_stacks == FILE_BATCH || f->n_stack_ids > PROFILE_MAX_DEPTH ? own_stacks(f) : 0;
}

static int64_t negated(int64_t v)
{
	return v == INT64_MIN ? INT64_MAX : -v;
}

/* To the end of f->values; *n of them so far. */
static int add_values(struct merger_file *f, const struct wire_field *field, uint32_t *n)
{
	bool base = f->filter && f->filter->base;
	struct wire w = field->bytes;
	uint64_t v = field->value;

	if (field->type != WIRE_VARINT && field->type != WIRE_BYTES)
		return -EBADMSG;
	do {
		int64_t signed_v;
		int r;

		if (field->type == WIRE_BYTES && (w.p == w.end || !wire_varint(&w, &v)))
			return w.p == w.end ? 0 : -EBADMSG;
		if ((*n)++ == f->header.n_types)
			return -EBADMSG;
		signed_v = base ? negated((int64_t)v) : (int64_t)v;
		r = vec_append(&f->values, &signed_v, 1, &f->bytes);
		if (r < 0)
			return r;
	} while (field->type == WIRE_BYTES && w.p < w.end);
	return 0;
}

/* Values at once; of the labels, from the first to the end of the last. */
static int scan_sample(struct merger_file *f, struct wire w, struct wire *ret_labels)
{
	struct wire labels = { w.end, w.end };
	uint32_t n = 0;
	struct wire_field field;
	const uint8_t *at = w.p;
	int r;

	for (; (r = wire_next(&w, &field)) > 0; at = w.p) {
		if (field.number == 2) {
			r = add_values(f, &field, &n);
		} else if (field.number == 3) {
			r = field.type == WIRE_BYTES ? 0 : -EBADMSG;
			if (labels.p == labels.end)
				labels.p = at;
			labels.end = w.p;
		}
		if (r < 0)
			return r;
	}
	*ret_labels = labels;
	return r < 0 ? r : n > 0 && n == f->header.n_types ? 0 : -EBADMSG;
}

static int read_sample(struct merger_file *f, struct wire w)
{
	uint32_t before = f->values.n, set;
	struct wire labels;
	int r = scan_sample(f, w, &labels);

	if (r == 0)
		r = find_labels(f, labels, &set);
	if (r < 0)
		return r;
	if (set == FILE_UNWANTED) {
		f->values.n = before;
		return 0;
	}
	return add_stack(f, w, set - 1);
}

int file_samples(struct merger_file *f, struct wire whole)
{
	struct wire_field field;
	int r;

	f->n_stacks = f->n_stack_ids = 0;
	while ((r = wire_next(&whole, &field)) > 0) {
		r = field.number == 2 ? read_sample(f, field.bytes) : 0;
		if (r < 0)
			return r;
	}
	return r < 0 ? r : own_stacks(f);
}
