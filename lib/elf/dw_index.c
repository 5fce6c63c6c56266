/* SPDX-License-Identifier: Apache-2.0 */
#include "dw_index.h"

#include "dw_functions.h"
#include "dw_ranges.h"
#include "dw_rows.h"
#include "dw_split.h"

#define FORGET_AFTER_BYTES (4U << 20)

struct dw_index {
	struct dw_file main, alt;
	struct dw_ranges ranges;
	struct dw_splits *splits; /* NULL: none are opened */
	uint64_t clock, max_bytes, evictions;
	uint64_t read_bytes; /* of units, since pages were given back */
};

DEFINE_CLEANUP(struct dw_index *, dw_index_free)

struct dw_index *dw_index_free(struct dw_index *x)
{
	if (x) {
		dw_splits_free(x->splits);
		dw_ranges_done(&x->ranges);
		dw_file_done(&x->main);
		dw_file_done(&x->alt);
		free(x);
	}
	return NULL;
}

static uint64_t index_text_start(const struct elf_file *elf)
{
	uint64_t start = UINT64_MAX;

	/* the segments of a debug file say where, too, though they are empty */
	for (size_t i = 0; i < elf->n_segments; i++)
		if (elf->segments[i].type == PT_LOAD && elf->segments[i].flags & PF_X)
			start = MIN(start, elf->segments[i].vaddr);
	return start == UINT64_MAX ? 0 : start;
}

int dw_index_new(struct dw_index **ret, const struct elf_file *elf, const struct elf_file *alt,
		 uint64_t max_bytes)
{
	_cleanup_(dw_index_freep) struct dw_index *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return -ENOMEM;
	x->max_bytes = max_bytes;
	r = dw_file_init(&x->main, elf);
	if (r < 0)
		return r;
	x->main.text_start = index_text_start(elf);
	if (alt) {
		r = dw_file_init_alt(&x->alt, alt);
		if (r == -ENOMEM)
			return r;
		if (r == 0)
			x->main.alt = &x->alt;
	}
	r = dw_ranges_init(&x->ranges, &x->main);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(x);
	return 0;
}

int dw_index_open_splits(struct dw_index *x, symbolize_open_t open, void *arg)
{
	return dw_splits_new(&x->splits, &x->main, open, arg);
}

static struct dw_unit *file_oldest(struct dw_file *f, struct dw_unit *oldest)
{
	for (size_t i = 0; i < f->n_units; i++)
		if (f->units[i].bytes > 0 && (!oldest || f->units[i].used < oldest->used))
			oldest = &f->units[i];
	return oldest;
}

/* Drops the units that were not used for longest, down to three quarters of the budget. */
static void index_trim(struct dw_index *x)
{
	uint64_t bytes = x->main.unit_bytes + x->alt.unit_bytes;

	if (bytes <= x->max_bytes)
		return;
	while (bytes > x->max_bytes / 4 * 3) {
		struct dw_unit *u = file_oldest(&x->alt, file_oldest(&x->main, NULL));

		if (!u || u->used == x->clock)
			return;
		bytes -= u->bytes;
		dw_unit_drop(u);
		x->evictions++;
	}
}

/* Before another large unit is read: what names and lists of the last ones were found in can be
 * had from the file again. */
static void index_forget(struct dw_index *x, const struct dw_unit *u)
{
	if (u->functions)
		return;
	x->read_bytes += u->unit_bytes;
	if (x->read_bytes < FORGET_AFTER_BYTES)
		return;
	x->read_bytes = 0;
	dw_file_forget(&x->main, x->main.map, x->main.map + x->main.map_bytes);
}

struct resolving {
	struct dw_index *x;
	struct address *p;
	struct symbol_names *names;
	struct dwarf_lines *lines;
	struct dw_unit *last;
	uint32_t row_unit; /* knows the address, but no function; plus 1 */
};

struct place {
	uint32_t file, line, column;
};

static int resolving_add(struct resolving *g, const struct dw_name *name, const struct place *at)
{
	struct symbolize_line *line = dwarf_lines_add(g->lines);

	if (!line)
		return -ENOMEM;
	*line = (struct symbolize_line){
		.name = name ? name->name : 0,
		.system_name = name ? name->system_name : 0,
		.file = at->file,
		.line = at->line,
		.column = at->column,
		.start_line = name ? name->start_line : 0,
	};
	g->p->n_lines++;
	return 0;
}

static int resolving_row(struct resolving *g, struct dw_unit *u, uint64_t low, struct place *ret,
			 bool *ret_found)
{
	const struct dw_row *row;
	struct dw_rows *rows;
	int r = dw_rows_get(u, &rows);

	*ret = (struct place){ 0 };
	*ret_found = false;
	if (r < 0)
		return r;
	row = dw_rows_find(u, rows, g->p->vaddr, low);
	if (row) {
		*ret = (struct place){
			.file = dw_rows_path(u, rows, row->file, g->names),
			.line = row->line,
			.column = row->column,
		};
		*ret_found = true;
	}
	return 0;
}

/* The lines of one address: the row that it is in, and then call by call outwards. */
static int resolving_lines(struct resolving *g, struct dw_unit *u, struct dw_unit *body,
			   struct dw_function *f, uint64_t low)
{
	uint32_t number = dw_function_call(f, g->p->vaddr);
	const struct dw_name *outermost;
	struct place place;
	bool found;
	int r;

	g->p->first_line = (uint32_t)g->lines->n;
	g->p->n_lines = 0;
	r = resolving_row(g, u, low, &place, &found);
	while (r == 0 && number != 0) {
		struct dw_call *call = &f->calls[number];
		const struct dw_name *name = dw_call_name(body, call, g->names);

		if (name->name && g->p->n_lines < SYMBOLIZE_MAX_LINES - 1)
			r = resolving_add(g, name, &place);
		place = (struct place){
			.file = dw_rows_path(u, u->rows, call->file, g->names),
			.line = call->line,
			.column = call->column,
		};
		number = call->parent;
	}
	if (r < 0)
		return r;
	g->p->function = low;
	outermost = dw_call_name(body, &f->calls[0], g->names);
	/* it may be in a file that is missing: then it is for symbols to say */
	if (outermost->name)
		g->p->source = SYMBOLIZE_SOURCE_DWARF;
	return resolving_add(g, outermost, &place);
}

/* Of functions that a link editor folded into one, the one whose line the line table tells. */
static int resolving_unfold(struct resolving *g, struct dw_unit *u, struct dw_unit *body,
			    const struct dw_interval **i)
{
	const struct dw_functions *all = body->functions;
	const struct dw_interval *best = *i, *last = all->intervals + all->n;
	uint32_t best_line = 0;
	struct place place;
	bool found;
	int r;

	if (*i + 1 == last || (*i)[1].low != (*i)->low || (*i)[1].bytes != (*i)->bytes)
		return 0;
	r = resolving_row(g, u, (*i)->low, &place, &found);
	for (const struct dw_interval *p = *i;
	     r == 0 && p < last && p->low == (*i)->low && p->bytes == (*i)->bytes; p++) {
		struct dw_function *f;
		uint32_t line;

		r = dw_functions_detail(body, p->function, &f);
		if (r < 0)
			break;
		line = dw_call_name(body, &f->calls[0], g->names)->start_line;
		if (line > best_line && line <= place.line) {
			best = p;
			best_line = line;
		}
	}
	*i = best;
	return r == -ENOMEM ? r : 0;
}

/* The unit with the entries of a skeleton; NULL: the line table is all there is. */
static int resolving_split(struct resolving *g, struct dw_unit *skeleton, struct dw_unit **ret)
{
	int r;

	*ret = NULL;
	if (!g->x->splits)
		return 0;
	r = dw_splits_get(g->x->splits, skeleton, ret);
	if (r == 0)
		dw_splits_trim(g->x->splits, g->x->max_bytes, *ret);
	return r;
}

/* 1: this unit has the function. */
static int resolving_unit(void *arg, uint32_t number)
{
	struct resolving *g = arg;
	struct dw_unit *u = &g->x->main.units[number], *body;
	const struct dw_interval *interval;
	struct dw_function *f;
	int r;

	r = dw_unit_open(u);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	if (u != g->last) {
		u->used = ++g->x->clock;
		g->last = u;
		index_trim(g->x);
		index_forget(g->x, u);
	}

	body = u;
	if (u->is_split) {
		r = resolving_split(g, u, &body);
		if (r < 0)
			return r;
	}
	interval = NULL;
	r = body ? dw_functions_find(body, g->p->vaddr, &interval) : 0;
	if (r < 0)
		return r;
	if (!interval) {
		g->row_unit = number + 1;
		return 0;
	}
	r = resolving_unfold(g, u, body, &interval);
	if (r == 0)
		r = dw_functions_detail(body, interval->function, &f);
	if (r == 0)
		r = resolving_lines(g, u, body, f, interval->low);
	return r < 0 ? (r == -ENOMEM ? r : 0) : 1;
}

/* Assembly: there is a row, but no function. */
static int resolving_bare_row(struct resolving *g)
{
	struct dw_unit *u = &g->x->main.units[g->row_unit - 1];
	struct place place;
	bool found;
	int r;

	r = resolving_row(g, u, 0, &place, &found);
	if (r < 0 || !found)
		return r;
	g->p->first_line = (uint32_t)g->lines->n;
	return resolving_add(g, NULL, &place);
}

static int resolving_address(struct resolving *g)
{
	int r;

	g->row_unit = 0;
	r = dw_ranges_each(&g->x->ranges, g->p->vaddr, resolving_unit, g);
	if (r == 0 && g->row_unit == 0 && !g->x->ranges.complete) {
		r = dw_ranges_complete(&g->x->ranges, &g->x->main);
		if (r == 0)
			r = dw_ranges_each(&g->x->ranges, g->p->vaddr, resolving_unit, g);
	}
	if (r == 0 && g->row_unit != 0)
		r = resolving_bare_row(g);
	return r < 0 ? r : 0;
}

int dw_index_resolve(struct dw_index *x, struct addresses *a, struct symbol_names *names,
		     struct dwarf_lines *lines)
{
	struct resolving g = { .x = x, .names = names, .lines = lines };

	for (size_t i = 0; i < a->n; i++) {
		int r;

		g.p = &a->items[i];
		if (g.p->vaddr == ADDRESS_NONE)
			break;
		if (g.p->n_lines > 0)
			continue;
		r = resolving_address(&g);
		if (r < 0)
			return r;
	}
	return 0;
}

bool dw_index_changed(struct dw_index *x)
{
	return x->splits && dw_splits_changed(x->splits);
}

void dw_index_reset(struct dw_index *x)
{
	for (size_t i = 0; i < x->main.n_units; i++)
		dw_unit_drop(&x->main.units[i]);
	for (size_t i = 0; i < x->alt.n_units; i++)
		dw_unit_drop(&x->alt.units[i]);
	if (x->splits)
		dw_splits_reset(x->splits);
}

void dw_index_stats(const struct dw_index *x, struct dw_index_stats *ret)
{
	struct dw_splits_stats splits = { 0 };

	if (x->splits)
		dw_splits_stats(x->splits, &splits);
	*ret = (struct dw_index_stats){
		.bytes = x->main.bytes + x->alt.bytes + x->main.unit_bytes + x->alt.unit_bytes +
			 x->ranges.allocated * sizeof(*x->ranges.items) + splits.bytes,
		.evictions = x->evictions,
		.broken = x->main.broken || x->alt.broken || splits.broken,
		.missing = splits.missing,
	};
}
