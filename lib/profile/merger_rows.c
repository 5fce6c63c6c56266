/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a file, each put into the sum when the first sample that passed needs it. */
#include "merger_file.h"

#include <string.h>

#define GUESS_FIRST_SLOTS 1024U

int file_own_string(struct merger_file *f, uint64_t index, uint32_t *ret)
{
	struct file_string *s;
	uint32_t own;
	int r;

	if (index >= f->strings.n) {
		*ret = 0;
		return index == 0 ? 0 : -EBADMSG;
	}

	s = &MODEL_AT(struct file_string, f->strings, index);
	if (!s->own) {
		r = model_string(f->sum, s->s, s->size, &own);
		if (r < 0)
			return r;
		s->own = own + 1;
	}
	*ret = s->own - 1;
	return 0;
}

static int own_string_field(struct merger_file *f, const struct wire_field *field, uint32_t *ret)
{
	return field->type == WIRE_VARINT ? file_own_string(f, field->value, ret) : -EBADMSG;
}

static int number_field(const struct wire_field *field, uint64_t *ret)
{
	if (field->type != WIRE_VARINT)
		return -EBADMSG;
	*ret = field->value;
	return 0;
}

static int read_mapping(struct merger_file *f, struct wire w, struct profile_mapping *ret)
{
	uint32_t filename = 0, build_id = 0;
	struct wire_field field;
	uint64_t flags[4] = {};
	int r;

	while ((r = wire_next(&w, &field)) > 0) {
		if (field.number == 2)
			r = number_field(&field, &ret->start);
		else if (field.number == 3)
			r = number_field(&field, &ret->limit);
		else if (field.number == 4)
			r = number_field(&field, &ret->offset);
		else if (field.number == 5)
			r = own_string_field(f, &field, &filename);
		else if (field.number == 6)
			r = own_string_field(f, &field, &build_id);
		else if (field.number >= 7 && field.number <= 10)
			r = number_field(&field, &flags[field.number - 7]);
		if (r < 0)
			return r;
	}
	ret->filename = filename;
	ret->build_id = build_id;
	ret->has_functions = flags[0];
	ret->has_filenames = flags[1];
	ret->has_line_numbers = flags[2];
	ret->has_inline_frames = flags[3];
	return r;
}

int file_own_mapping(struct merger_file *f, struct file_row *row, uint32_t *ret)
{
	struct profile_mapping m = {};
	uint64_t start;
	int r;

	if (!row->own) {
		r = read_mapping(f, row->message, &m);
		start = m.start;
		if (r == 0)
			r = places_mapping(f->places, &m, &row->own);
		if (r < 0)
			return r;
		row->moved = model_mapping_at(f->sum, row->own)->start - start;
	}
	*ret = row->own;
	return 0;
}

struct raw_function {
	uint64_t name, system_name, filename; /* the file's string indices */
	uint64_t start_line;
};

static int read_function(struct wire w, struct raw_function *ret)
{
	struct wire_field field;
	int r;

	*ret = (struct raw_function){};
	while ((r = wire_next(&w, &field)) > 0) {
		if (field.number < 2 || field.number > 5)
			continue;
		if (field.type != WIRE_VARINT)
			return -EBADMSG;
		(&ret->name)[field.number - 2] = field.value;
	}
	return r;
}

static int own_function(struct merger_file *f, struct file_row *row)
{
	struct model_function fn = {};
	struct raw_function raw;
	int r = read_function(row->message, &raw);

	if (r == 0)
		r = file_own_string(f, raw.name, &fn.name);
	if (r == 0)
		r = file_own_string(f, raw.system_name, &fn.system_name);
	if (r == 0)
		r = file_own_string(f, raw.filename, &fn.filename);
	fn.start_line = (int64_t)raw.start_line;
	return r < 0 ? r : model_function(f->sum, &fn, &row->own);
}

/* Whether the file's string is that one of the sum; then its place is known. */
static bool is_string(struct merger_file *f, uint64_t index, uint32_t own)
{
	const struct model_string *have;
	struct file_string *s;

	if (index >= f->strings.n)
		return false;
	s = &MODEL_AT(struct file_string, f->strings, index);
	if (s->own)
		return s->own - 1 == own;

	have = model_string_at(f->sum, own);
	if (have->size != s->size || memcmp(have->s, s->s, s->size) != 0)
		return false;
	s->own = own + 1;
	return true;
}

static bool is_function(struct merger_file *f, struct file_row *row, uint32_t own)
{
	const struct model_function *have;
	struct raw_function raw;

	if (row->own)
		return row->own == own;

	have = model_function_at(f->sum, own);
	if (read_function(row->message, &raw) < 0 || (int64_t)raw.start_line != have->start_line ||
	    !is_string(f, raw.name, have->name) ||
	    !is_string(f, raw.system_name, have->system_name) ||
	    !is_string(f, raw.filename, have->filename))
		return false;
	row->own = own;
	return true;
}

/* The line's function is to be known later: f->line_rows gets the position of its row. */
static int read_line(struct merger_file *f, struct wire w, struct model_location *l)
{
	uint64_t function = 0, number = 0, column = 0;
	struct wire_field field;
	int64_t i;
	int r;

	while ((r = wire_next(&w, &field)) > 0) {
		if (field.number == 1)
			r = number_field(&field, &function);
		else if (field.number == 2)
			r = number_field(&field, &number);
		else if (field.number == 3)
			r = number_field(&field, &column);
		if (r < 0)
			return r;
	}
	/* a line without a function names nothing: as if it were not there */
	if (r < 0 || function == 0)
		return r;
	if (l->n == PROFILE_MAX_LINES)
		return -ENOSPC;

	i = idmap_find(&f->functions.ids, function, f->sum->seed);
	if (i < 0)
		return -EBADMSG;
	l->n++;
	f->line_rows[f->n_lines] = (uint32_t)i;
	f->lines[f->n_lines++] = (struct model_line){
		.line = (int64_t)number,
		.column = (int64_t)column < 0 ? 0 : (uint32_t)MIN(column, (uint64_t)UINT32_MAX)
	};
	return 0;
}

static int own_mapping_of(struct merger_file *f, uint64_t id, struct model_location *l)
{
	int64_t i = idmap_find(&f->mappings.ids, id, f->sum->seed);
	struct file_row *row;
	int r;

	if (i < 0)
		return -EBADMSG;
	row = &MODEL_AT(struct file_row, f->mappings.rows, i);
	r = file_own_mapping(f, row, &l->mapping);
	l->address += row->moved;
	return r;
}

static int read_location(struct merger_file *f, struct wire w, struct model_location *ret)
{
	uint64_t mapping = 0, folded = 0;
	struct wire_field field;
	int r;

	*ret = (struct model_location){ .first = f->n_lines };
	while ((r = wire_next(&w, &field)) > 0) {
		if (field.number == 2)
			r = number_field(&field, &mapping);
		else if (field.number == 3)
			r = number_field(&field, &ret->address);
		else if (field.number == 4)
			r = field.type == WIRE_BYTES ? read_line(f, field.bytes, ret) : -EBADMSG;
		else if (field.number == 5)
			r = number_field(&field, &folded);
		if (r < 0)
			return r;
	}
	ret->folded = folded != 0;
	return r == 0 && mapping != 0 ? own_mapping_of(f, mapping, ret) : r;
}

static uint32_t guess_slot(const struct file_guesses *g, const struct model_location *l)
{
	uint64_t key = (l->address + ((uint64_t)l->mapping << 40)) * 0x9e3779b97f4a7c15ULL;

	return (uint32_t)(key >> 32) & g->mask;
}

/* Twice as many slots as locations at least; without memory for more, guesses are wrong more often. */
static void guesses_grow(struct merger_file *f)
{
	struct file_guesses *g = &f->guesses, more = { .mask = GUESS_FIRST_SLOTS - 1 };

	if (g->slots && f->sum->locations.n < g->mask / 2)
		return;
	while (more.mask / 4 < f->sum->locations.n)
		more.mask = more.mask * 2 + 1;
	more.slots = calloc((size_t)more.mask + 1, sizeof(*more.slots));
	if (!more.slots)
		return;
	for (uint32_t id = 1; id <= f->sum->locations.n; id++)
		more.slots[guess_slot(&more, model_location_at(f->sum, id))] = id;
	free(g->slots);
	*g = more;
}

static struct file_row *function_row(struct merger_file *f, uint32_t line)
{
	return &MODEL_AT(struct file_row, f->functions.rows, f->line_rows[line]);
}

/* Whether the guess, of the same mapping and address, has the same lines. */
static bool guess_holds(struct merger_file *f, const struct file_location *b)
{
	const struct model_location *have;

	if (!b->guess)
		return false;
	have = model_location_at(f->sum, b->guess);
	for (uint32_t i = 0; i < b->l.n; i++) {
		const struct model_line *line = &model_lines_of(f->sum, have)[i],
					*here = &f->lines[b->l.first + i];

		if (line->line != here->line || line->column != here->column ||
		    !is_function(f, function_row(f, b->l.first + i), line->function))
			return false;
	}
	return true;
}

static int add_batched(struct merger_file *f, struct file_location *b)
{
	int r = 0;

	for (uint32_t i = b->l.first; i < b->l.first + b->l.n && r == 0; i++) {
		struct file_row *row = function_row(f, i);

		r = row->own ? 0 : own_function(f, row);
		f->lines[i].function = row->own;
	}
	if (r == 0)
		r = model_location(f->sum, &b->l, f->lines + b->l.first, &b->row->own);
	if (r < 0)
		return r;

	guesses_grow(f);
	if (f->guesses.slots)
		f->guesses.slots[guess_slot(&f->guesses, &b->l)] = b->row->own;
	return 0;
}

static void fetch_guesses(struct merger_file *f)
{
	if (!f->guesses.slots)
		return;
	for (uint32_t i = 0; i < f->n_batch; i++) {
		struct file_location *b = &f->batch[i];

		b->guess = f->guesses.slots[guess_slot(&f->guesses, &b->l)];
		if (b->guess)
			__builtin_prefetch(model_location_at(f->sum, b->guess));
	}
	for (uint32_t i = 0; i < f->n_batch; i++) {
		struct file_location *b = &f->batch[i];
		const struct model_location *have;

		if (!b->guess)
			continue;
		have = model_location_at(f->sum, b->guess);
		if (have->address == b->l.address && have->mapping == b->l.mapping &&
		    have->n == b->l.n && have->folded == b->l.folded)
			__builtin_prefetch(model_lines_of(f->sum, have));
		else
			b->guess = 0;
	}
}

/* Hands each function of a guess that a function of the file has yet to be compared with to fetch(). */
static void each_function(struct merger_file *f,
			  void (*fetch)(const struct profile *, const struct model_function *))
{
	for (uint32_t i = 0; i < f->n_batch; i++) {
		const struct file_location *b = &f->batch[i];
		const struct model_line *lines;

		if (!b->guess)
			continue;
		lines = model_lines_of(f->sum, model_location_at(f->sum, b->guess));
		for (uint32_t j = 0; j < b->l.n; j++)
			if (!function_row(f, b->l.first + j)->own)
				fetch(f->sum, model_function_at(f->sum, lines[j].function));
	}
}

static void fetch_row(const struct profile *p, const struct model_function *fn)
{
	(void)p;
	__builtin_prefetch(fn);
}

static void fetch_strings(const struct profile *p, const struct model_function *fn)
{
	__builtin_prefetch(model_string_at(p, fn->name));
	__builtin_prefetch(model_string_at(p, fn->system_name));
	__builtin_prefetch(model_string_at(p, fn->filename));
}

static void fetch_bytes(const struct profile *p, const struct model_function *fn)
{
	__builtin_prefetch(model_string_at(p, fn->name)->s);
	__builtin_prefetch(model_string_at(p, fn->system_name)->s);
	__builtin_prefetch(model_string_at(p, fn->filename)->s);
}

static int own_batch(struct merger_file *f)
{
	int r = 0;

	fetch_guesses(f);
	each_function(f, fetch_row);
	each_function(f, fetch_strings);
	each_function(f, fetch_bytes);
	for (uint32_t i = 0; i < f->n_batch && r == 0; i++) {
		struct file_location *b = &f->batch[i];

		if (guess_holds(f, b))
			b->row->own = b->guess;
		else
			r = add_batched(f, b);
	}
	f->n_batch = f->n_lines = 0;
	return r;
}

static int batch_location(struct merger_file *f, struct file_row *row)
{
	struct file_location *b = &f->batch[f->n_batch];
	int r;

	*b = (struct file_location){ .row = row };
	r = read_location(f, row->message, &b->l);
	if (r < 0)
		return r;
	f->n_batch++;
	if (f->guesses.slots)
		__builtin_prefetch(&f->guesses.slots[guess_slot(&f->guesses, &b->l)]);
	return 0;
}

int file_own_location(struct merger_file *f, struct file_row *row)
{
	int r;

	f->n_batch = f->n_lines = 0;
	r = batch_location(f, row);
	return r < 0 ? r : own_batch(f);
}

int file_own_locations(struct merger_file *f)
{
	struct file_row *rows = f->locations.rows.items;
	int r = 0;

	f->n_batch = f->n_lines = 0;
	for (uint32_t i = 0; i < f->locations.rows.n && r == 0; i++) {
		r = batch_location(f, &rows[i]);
		if (r == 0 && (f->n_batch == FILE_BATCH || f->n_lines > PROFILE_MAX_LINES))
			r = own_batch(f);
	}
	return r < 0 ? r : own_batch(f);
}
