/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of profile.proto. The bytes are foreign: they are gone through in place, table by table
 * (strings, mappings, functions, locations, samples: each refers to those before it only, in
 * whatever order the file has them), so that memory grows with what is kept and not with what a
 * message tree would cost.
 */
#include "gunzip.h"
#include "idmap.h"
#include "model.h"
#include "wire.h"

#include <string.h>

/* Ids of the file → ids of the model. */
struct idtable {
	struct idmap ids;
	struct vec own; /* by position */
};

struct reader {
	struct profile *p;
	struct wire whole;
	struct vec strings; /* the file's string index → the model's */
	struct idtable mappings, functions, locations;
	uint32_t n_comments;
	uint32_t stack[PROFILE_MAX_DEPTH];
	struct model_line lines[PROFILE_MAX_LINES];
	struct model_label labels[PROFILE_MAX_LABELS];
	int64_t values[PROFILE_MAX_TYPES];
};

DEFINE_CLEANUP(struct profile *, profile_free);

static int idtable_add(struct reader *r, struct idtable *t, uint64_t id, uint32_t own)
{
	int rc = idmap_add(&t->ids, id, r->p->seed, &r->p->bytes);

	return rc < 0 ? rc : vec_append(&t->own, &own, 1, &r->p->bytes);
}

static int idtable_get(const struct reader *r, const struct idtable *t, uint64_t id, uint32_t *ret)
{
	int64_t i = idmap_find(&t->ids, id, r->p->seed);

	if (i < 0)
		return -EBADMSG;
	*ret = MODEL_AT(const uint32_t, t->own, i);
	return 0;
}

static int read_number(const struct wire_field *f, uint64_t *ret)
{
	if (f->type != WIRE_VARINT)
		return -EBADMSG;
	*ret = f->value;
	return 0;
}

/* The model's index of the string that f names. */
static int read_string_ref(const struct reader *r, const struct wire_field *f, uint32_t *ret)
{
	if (f->type != WIRE_VARINT)
		return -EBADMSG;
	if (f->value >= r->strings.n) {
		*ret = 0;
		return f->value == 0 ? 0 : -EBADMSG;
	}
	*ret = MODEL_AT(const uint32_t, r->strings, f->value);
	return 0;
}

/* The numbers of a repeated field, packed or not; add() for each. */
static int read_numbers(struct reader *r, const struct wire_field *f,
			int (*add)(struct reader *, uint64_t, uint32_t *), uint32_t *n)
{
	struct wire w = f->bytes;
	uint64_t v;
	int rc;

	if (f->type == WIRE_VARINT)
		return add(r, f->value, n);
	if (f->type != WIRE_BYTES)
		return -EBADMSG;
	while (w.p < w.end) {
		if (!wire_varint(&w, &v))
			return -EBADMSG;
		rc = add(r, v, n);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Hands each top-level message with that number to read(). */
static int read_each(struct reader *r, uint32_t number, int (*read)(struct reader *, struct wire))
{
	struct wire w = r->whole;
	struct wire_field f;
	int rc;

	while ((rc = wire_next(&w, &f)) > 0) {
		if (f.number != number)
			continue;
		rc = f.type == WIRE_BYTES ? read(r, f.bytes) : -EBADMSG;
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int read_string(struct reader *r, struct wire w)
{
	uint64_t index;
	uint32_t own;
	int rc;

	/* entry 0 is "" by definition; a file that says otherwise counts its strings differently */
	if (r->strings.n == 0 && w.p != w.end)
		return -EBADMSG;

	rc = profile_string_n(r->p, (const char *)w.p, (size_t)(w.end - w.p), &index);
	if (rc < 0)
		return rc;
	own = (uint32_t)index;
	return vec_append(&r->strings, &own, 1, &r->p->bytes);
}

static int read_value_type(struct reader *r, struct wire w, struct model_type *ret)
{
	struct model_type t = {};
	struct wire_field f;
	int rc;

	while ((rc = wire_next(&w, &f)) > 0) {
		if (f.number == 1)
			rc = read_string_ref(r, &f, &t.type);
		else if (f.number == 2)
			rc = read_string_ref(r, &f, &t.unit);
		if (rc < 0)
			return rc;
	}
	*ret = t;
	return rc;
}

static int read_sample_type(struct reader *r, struct wire w)
{
	if (r->p->n_types == PROFILE_MAX_TYPES)
		return -ENOSPC;
	return read_value_type(r, w, &r->p->types[r->p->n_types++]);
}

static int read_period_type(struct reader *r, struct wire w)
{
	return read_value_type(r, w, &r->p->period_type);
}

static int read_mapping(struct reader *r, struct wire w)
{
	struct profile_mapping m = {};
	uint32_t filename = 0, build_id = 0;
	uint64_t id = 0, own, v = 0;
	struct wire_field f;
	int rc;

	while ((rc = wire_next(&w, &f)) > 0) {
		if (f.number > 10)
			continue;
		rc = read_number(&f, &v);
		if (rc < 0)
			return rc;
		switch (f.number) {
		case 1:
			id = v;
			break;
		case 2:
			m.start = v;
			break;
		case 3:
			m.limit = v;
			break;
		case 4:
			m.offset = v;
			break;
		case 5:
			rc = read_string_ref(r, &f, &filename);
			break;
		case 6:
			rc = read_string_ref(r, &f, &build_id);
			break;
		case 7:
			m.has_functions = v;
			break;
		case 8:
			m.has_filenames = v;
			break;
		case 9:
			m.has_line_numbers = v;
			break;
		case 10:
			m.has_inline_frames = v;
			break;
		}
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;

	m.filename = filename;
	m.build_id = build_id;
	rc = profile_add_mapping(r->p, &m, &own);
	return rc < 0 ? rc : idtable_add(r, &r->mappings, id, (uint32_t)own);
}

static int read_function(struct reader *r, struct wire w)
{
	struct model_function fn = {};
	struct wire_field f;
	uint64_t id = 0, v;
	uint32_t own;
	int rc;

	while ((rc = wire_next(&w, &f)) > 0) {
		if (f.number == 1)
			rc = read_number(&f, &id);
		else if (f.number == 2)
			rc = read_string_ref(r, &f, &fn.name);
		else if (f.number == 3)
			rc = read_string_ref(r, &f, &fn.system_name);
		else if (f.number == 4)
			rc = read_string_ref(r, &f, &fn.filename);
		else if (f.number == 5 && (rc = read_number(&f, &v)) == 0)
			fn.start_line = (int64_t)v;
		if (rc < 0)
			return rc;
	}
	if (rc == 0)
		rc = model_function(r->p, &fn, &own);
	return rc < 0 ? rc : idtable_add(r, &r->functions, id, own);
}

static int read_line(struct reader *r, struct wire w, uint32_t *n)
{
	struct model_line line = {};
	uint64_t function = 0, v;
	struct wire_field f;
	int rc;

	while ((rc = wire_next(&w, &f)) > 0) {
		if (f.number == 1)
			rc = read_number(&f, &function);
		else if (f.number == 2 && (rc = read_number(&f, &v)) == 0)
			line.line = (int64_t)v;
		else if (f.number == 3 && (rc = read_number(&f, &v)) == 0)
			line.column = (int64_t)v < 0 ? 0 : (uint32_t)MIN(v, (uint64_t)UINT32_MAX);
		if (rc < 0)
			return rc;
	}
	/* a line without a function names nothing: as if it were not there */
	if (rc < 0 || function == 0)
		return rc;

	rc = idtable_get(r, &r->functions, function, &line.function);
	if (rc < 0)
		return rc;
	if (*n == PROFILE_MAX_LINES)
		return -ENOSPC;
	r->lines[(*n)++] = line;
	return 0;
}

static int read_location(struct reader *r, struct wire w)
{
	struct model_location l = {};
	uint64_t id = 0, mapping = 0, v;
	struct wire_field f;
	uint32_t own;
	int rc;

	while ((rc = wire_next(&w, &f)) > 0) {
		if (f.number == 1)
			rc = read_number(&f, &id);
		else if (f.number == 2)
			rc = read_number(&f, &mapping);
		else if (f.number == 3)
			rc = read_number(&f, &l.address);
		else if (f.number == 4)
			rc = f.type == WIRE_BYTES ? read_line(r, f.bytes, &l.n) : -EBADMSG;
		else if (f.number == 5 && (rc = read_number(&f, &v)) == 0)
			l.folded = v != 0;
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && mapping != 0)
		rc = idtable_get(r, &r->mappings, mapping, &l.mapping);
	if (rc == 0)
		rc = model_location(r->p, &l, r->lines, &own);
	return rc < 0 ? rc : idtable_add(r, &r->locations, id, own);
}

static int read_label(struct reader *r, struct wire w, uint32_t *n)
{
	struct model_label l = {};
	struct wire_field f;
	uint64_t v;
	int rc;

	while ((rc = wire_next(&w, &f)) > 0) {
		if (f.number == 1)
			rc = read_string_ref(r, &f, &l.key);
		else if (f.number == 2)
			rc = read_string_ref(r, &f, &l.str);
		else if (f.number == 3 && (rc = read_number(&f, &v)) == 0)
			l.num = (int64_t)v;
		else if (f.number == 4)
			rc = read_string_ref(r, &f, &l.num_unit);
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	if (*n == PROFILE_MAX_LABELS)
		return -ENOSPC;
	r->labels[(*n)++] = l;
	return 0;
}

static int add_location(struct reader *r, uint64_t id, uint32_t *n)
{
	if (*n == PROFILE_MAX_DEPTH)
		return -ENOSPC;
	return idtable_get(r, &r->locations, id, &r->stack[(*n)++]);
}

static int add_value(struct reader *r, uint64_t v, uint32_t *n)
{
	if (*n == r->p->n_types)
		return -EBADMSG;
	r->values[(*n)++] = (int64_t)v;
	return 0;
}

static int read_sample(struct reader *r, struct wire w)
{
	uint32_t depth = 0, n_values = 0, n_labels = 0, stack, labels;
	struct wire_field f;
	int rc;

	while ((rc = wire_next(&w, &f)) > 0) {
		if (f.number == 1)
			rc = read_numbers(r, &f, add_location, &depth);
		else if (f.number == 2)
			rc = read_numbers(r, &f, add_value, &n_values);
		else if (f.number == 3)
			rc = f.type == WIRE_BYTES ? read_label(r, f.bytes, &n_labels) : -EBADMSG;
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	if (n_values == 0 || n_values != r->p->n_types)
		return -EBADMSG;

	rc = model_stack(r->p, r->stack, depth, &stack);
	if (rc == 0)
		rc = model_labels(r->p, r->labels, n_labels, &labels);
	return rc < 0 ? rc : model_sample(r->p, stack, labels, r->values);
}

static int add_comment(struct reader *r, uint64_t v, uint32_t *n)
{
	struct wire_field f = { .type = WIRE_VARINT, .value = v };
	uint32_t s;
	int rc;

	if ((*n)++ == PROFILE_MAX_COMMENTS)
		return -ENOSPC;
	rc = read_string_ref(r, &f, &s);
	return rc < 0 ? rc : model_comment(r->p, s);
}

static int read_header(struct reader *r)
{
	struct profile *p = r->p;
	struct wire w = r->whole;
	struct wire_field f;
	uint64_t v;
	int rc;

	while ((rc = wire_next(&w, &f)) > 0) {
		switch (f.number) {
		case 7:
			rc = read_string_ref(r, &f, &p->drop_frames);
			break;
		case 8:
			rc = read_string_ref(r, &f, &p->keep_frames);
			break;
		case 9:
			rc = read_number(&f, &v);
			p->time_ns = rc < 0 ? 0 : (int64_t)v;
			break;
		case 10:
			rc = read_number(&f, &v);
			p->duration_ns = rc < 0 ? 0 : (int64_t)v;
			break;
		case 12:
			rc = read_number(&f, &v);
			p->period = rc < 0 ? 0 : (int64_t)v;
			break;
		case 13:
			rc = read_numbers(r, &f, add_comment, &r->n_comments);
			break;
		case 14:
			rc = read_string_ref(r, &f, &p->default_type);
			break;
		}
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int read_all(struct reader *r)
{
	static const struct {
		uint32_t number;
		int (*read)(struct reader *, struct wire);
	} passes[] = {
		{ 6, read_string },       { 1, read_sample_type }, { 3, read_mapping },
		{ 5, read_function },     { 4, read_location },    { 2, read_sample },
		{ 11, read_period_type },
	};

	for (size_t i = 0; i < ARRAY_SIZE(passes); i++) {
		int rc = read_each(r, passes[i].number, passes[i].read);

		if (rc < 0)
			return rc;
	}
	return read_header(r);
}

static void reader_vec_done(struct reader *r, struct vec *v)
{
	r->p->bytes -= (uint64_t)v->allocated * v->item_bytes;
	vec_done(v);
}

static void reader_done(struct reader *r)
{
	struct idtable *tables[] = { &r->mappings, &r->functions, &r->locations };

	reader_vec_done(r, &r->strings);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		reader_vec_done(r, &tables[i]->own);
		idmap_done(&tables[i]->ids, &r->p->bytes);
	}
}

static void idtable_init(struct idtable *t, uint32_t max)
{
	idmap_init(&t->ids, max);
	vec_init(&t->own, sizeof(uint32_t), max);
}

static int read_plain(struct profile **ret, const void *data, size_t size)
{
	_cleanup_free_ struct reader *r = calloc(1, sizeof(*r));
	_cleanup_(profile_freep) struct profile *p = NULL;
	int rc;

	if (size == 0)
		return -EBADMSG;
	if (!r)
		return -ENOMEM;
	rc = profile_new(&p, NULL, 0);
	if (rc < 0)
		return rc;

	r->p = p;
	r->whole = (struct wire){ data, (const uint8_t *)data + size };
	vec_init(&r->strings, sizeof(uint32_t), PROFILE_MAX_STRINGS);
	idtable_init(&r->mappings, PROFILE_MAX_MAPPINGS);
	idtable_init(&r->functions, PROFILE_MAX_STRINGS);
	idtable_init(&r->locations, PROFILE_MAX_STRINGS);

	rc = read_all(r);
	reader_done(r);
	if (rc < 0)
		return rc;
	*ret = TAKE_PTR(p);
	return 0;
}

int profile_read(struct profile **ret, const void *data, size_t size)
{
	_cleanup_(gunzip_done) struct gunzip g = GUNZIP_INIT(PROFILE_MAX_BYTES);
	int rc;

	if (size > PROFILE_MAX_BYTES)
		return -ENOSPC;
	if (!gunzip_is_gzip(data, size))
		return read_plain(ret, data, size);

	rc = gunzip(&g, data, size);
	return rc < 0 ? rc : read_plain(ret, g.plain.data, g.plain.size);
}
