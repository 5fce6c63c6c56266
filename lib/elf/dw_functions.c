/* SPDX-License-Identifier: Apache-2.0 */
#include "dw_functions.h"

#include <dwarf.h>
#include <string.h>

#include "demangle.h"

#define MAX_DEPTH     1024       /* of entries below a function */
#define MAX_INTERVALS (1U << 24) /* of a unit */
#define MAX_CALLS     (1U << 22) /* of a function */
#define MAX_ORIGINS   16         /* from an entry to what it comes from */
#define NO_CALL       UINT32_MAX
#define ALIGNMENT     16 /* less than this between functions is padding */

static void *grow(void *items, size_t n, size_t *allocated, size_t item_bytes, size_t first)
{
	size_t more = *allocated ? *allocated * 2 : first;
	void *p;

	if (n < *allocated)
		return items;
	p = reallocarray(items, more, item_bytes);
	if (p)
		*allocated = more;
	return p;
}

/* Link editors leave the entries of code that they threw away, at address 0 or 1: no code of ours. */
static bool is_code(const struct dw_unit *u, uint64_t low, uint64_t high)
{
	return low > 1 && low < high && low >= u->file->text_start && high - low < UINT32_MAX;
}

struct pass {
	struct dw_unit *unit;
	struct dw_functions *f;
	bool has_code; /* the entry at hand */
};

static int pass_add(void *arg, uint64_t low, uint64_t high)
{
	struct pass *p = arg;
	struct dw_functions *f = p->f;
	struct dw_interval *i;

	if (!is_code(p->unit, low, high))
		return 0;
	if (f->n >= MAX_INTERVALS)
		return -EBADMSG;
	i = grow(f->intervals, f->n, &f->allocated, sizeof(*i), 64);
	if (!i)
		return -ENOMEM;
	f->intervals = i;
	i[f->n++] = (struct dw_interval){
		.low = low,
		.bytes = (uint32_t)(high - low),
		.function = (uint32_t)f->n_functions,
	};
	p->has_code = true;
	return 0;
}

static int pass_function(struct pass *p, const uint8_t *start, struct dw_entry *e)
{
	struct dw_functions *f = p->f;
	uint32_t *entries;
	int r;

	if (dw_entry_read(p->unit, start, e) != 0)
		return -EBADMSG;
	p->has_code = false;
	r = dw_entry_ranges(p->unit, e, pass_add, p);
	if (r == -ENOMEM)
		return r;
	p->unit->file->broken |= r < 0;
	if (!p->has_code)
		return 0;

	entries = grow(f->entries, f->n_functions, &f->allocated_functions, sizeof(*entries), 64);
	if (!entries)
		return -ENOMEM;
	f->entries = entries;
	entries[f->n_functions++] = (uint32_t)(start - dw_unit_start(p->unit));
	return 0;
}

/* Where the next entry begins when what is below `a` is not looked at. */
static const uint8_t *pass_over(const struct pass *p, const struct dw_abbrev *a, const uint8_t *at)
{
	if (p->f->deep || !a->children || !a->over || !a->sibling_bytes)
		return NULL;
	return dw_entry_sibling(p->unit, a, at);
}

static int functions_pass(struct dw_unit *u, struct dw_functions *f)
{
	const uint8_t *at = dw_unit_start(u) + u->header_bytes, *end = dw_unit_end(u), *to;
	struct pass p = { .unit = u, .f = f };
	struct dw_entry e;
	int r;

	while (at < end) {
		const uint8_t *start = at;
		bool is_end;
		const struct dw_abbrev *a = dw_entry_abbrev(u, &at, &is_end);

		if (!a && is_end)
			continue;
		if (!a)
			return -EBADMSG;
		if (a->code && a->tag == DW_TAG_subprogram) {
			r = pass_function(&p, start, &e);
			if (r < 0)
				return r;
			at = e.next;
			to = NULL;
			if (!f->deep && a->children && dw_entry_has(&e, DW_SLOT_SIBLING) &&
			    e.values[DW_SLOT_SIBLING].n < u->unit_bytes &&
			    dw_unit_start(u) + e.values[DW_SLOT_SIBLING].n > at)
				to = dw_unit_start(u) + e.values[DW_SLOT_SIBLING].n;
		} else {
			to = pass_over(&p, a, at);
			if (!to && !dw_entry_skip(u, a, &at))
				return -EBADMSG;
		}
		if (to) {
			at = to;
			f->skipped = true;
		}
	}
	return 0;
}

static int interval_compare(const void *a, const void *b)
{
	const struct dw_interval *x = a, *y = b;

	if (x->low != y->low)
		return x->low < y->low ? -1 : 1;
	return x->function < y->function ? -1 : x->function > y->function;
}

static void functions_sort(struct dw_functions *f)
{
	uint64_t reach = 0;
	uint32_t group = 0;

	if (f->n > 0)
		qsort(f->intervals, f->n, sizeof(*f->intervals), interval_compare);
	for (size_t i = 0; i < f->n; i++) {
		struct dw_interval *p = &f->intervals[i];

		if (p->low >= reach)
			group = (uint32_t)i;
		p->group = group;
		reach = MAX(reach, p->low + p->bytes);
	}
}

static int functions_make(struct dw_unit *u, bool deep, struct dw_functions **ret)
{
	struct dw_functions *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->deep = deep;
	r = functions_pass(u, f);
	dw_file_forget(u->file, dw_unit_start(u), dw_unit_end(u));
	if (r != -ENOMEM) {
		u->file->broken |= r < 0;
		functions_sort(f);
		f->details = calloc(f->n_functions + 1, sizeof(*f->details));
	}
	if (r == -ENOMEM || !f->details) {
		dw_functions_free(f);
		return -ENOMEM;
	}
	dw_unit_account(u, sizeof(*f) + f->allocated * sizeof(*f->intervals) +
				   f->allocated_functions * sizeof(*f->entries) +
				   f->n_functions * sizeof(*f->details));
	*ret = f;
	return 0;
}

static int functions_get(struct dw_unit *u, bool deep)
{
	struct dw_functions *f;
	int r;

	if (u->functions && (!deep || u->functions->deep || !u->functions->skipped))
		return 0;
	r = functions_make(u, deep, &f);
	if (r < 0)
		return r;
	/* what the first pass took is soon forgotten: the account may stand too high until then */
	dw_functions_free(u->functions);
	u->functions = f;
	return 0;
}

/* The number of intervals that start at or before vaddr. */
static size_t functions_count(const struct dw_functions *f, uint64_t vaddr)
{
	size_t low = 0, high = f->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (f->intervals[middle].low <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Of functions that overlap the shorter is the more particular one, of those that were folded into one
 * the first. */
static const struct dw_interval *functions_search(const struct dw_functions *f, uint64_t vaddr)
{
	const struct dw_interval *best = NULL;
	size_t n = functions_count(f, vaddr);

	if (n == 0)
		return NULL;
	for (size_t i = n; i-- > f->intervals[n - 1].group;) {
		const struct dw_interval *p = &f->intervals[i];

		if (vaddr - p->low < p->bytes && (!best || p->bytes <= best->bytes))
			best = p;
	}
	return best;
}

/* Too little room before the next function for another one: padding. */
static bool functions_is_padding(const struct dw_functions *f, uint64_t vaddr)
{
	size_t n = functions_count(f, vaddr);

	return n > 0 && n < f->n && f->intervals[n].low % ALIGNMENT == 0 &&
	       f->intervals[n].low - (f->intervals[n - 1].low + f->intervals[n - 1].bytes) <
		       ALIGNMENT;
}

int dw_functions_find(struct dw_unit *u, uint64_t vaddr, const struct dw_interval **ret)
{
	int r = functions_get(u, false);

	if (r < 0)
		return r;
	*ret = functions_search(u->functions, vaddr);
	if (*ret || u->functions->deep || !u->functions->skipped ||
	    functions_is_padding(u->functions, vaddr))
		return 0;
	r = functions_get(u, true);
	if (r < 0)
		return r;
	*ret = functions_search(u->functions, vaddr);
	return 0;
}

int dw_functions_all(struct dw_unit *u, const struct dw_functions **ret)
{
	int r = functions_get(u, true);

	if (r == 0)
		*ret = u->functions;
	return r;
}

static struct dw_function *function_free(struct dw_function *f)
{
	if (f) {
		free(f->calls);
		free(f->pieces);
		free(f);
	}
	return NULL;
}

struct dw_functions *dw_functions_free(struct dw_functions *f)
{
	if (!f)
		return NULL;
	for (size_t i = 0; f->details && i < f->n_functions; i++)
		function_free(f->details[i]);
	free(f->details);
	free(f->intervals);
	free(f->entries);
	free(f);
	return NULL;
}

/* The code of the calls, in the order of the entries: a call comes after the one that it is in. */
struct stretch {
	uint64_t low, high;
	uint32_t call;
};

struct body {
	struct dw_unit *unit;
	struct dw_function *f;
	size_t allocated_calls;
	struct stretch *stretches;
	size_t n, allocated;
	uint32_t call; /* the one at hand */
};

static int body_add_stretch(void *arg, uint64_t low, uint64_t high)
{
	struct body *b = arg;
	struct stretch *s;

	if (!is_code(b->unit, low, high))
		return 0;
	s = grow(b->stretches, b->n, &b->allocated, sizeof(*s), 16);
	if (!s)
		return -ENOMEM;
	b->stretches = s;
	s[b->n++] = (struct stretch){ low, high, b->call };
	return b->n >= MAX_CALLS ? -EBADMSG : 0;
}

static int body_add_call(struct body *b, const struct dw_entry *e, uint32_t parent)
{
	struct dw_function *f = b->f;
	struct dw_call *calls;
	int r;

	calls = grow(f->calls, f->n_calls, &b->allocated_calls, sizeof(*calls), 8);
	if (!calls)
		return -ENOMEM;
	f->calls = calls;
	b->call = (uint32_t)f->n_calls;
	calls[f->n_calls] = (struct dw_call){
		.entry = (uint32_t)(e->start - dw_unit_start(b->unit)),
		.parent = parent,
		.name.name = DW_NAME_UNKNOWN,
	};
	if (dw_entry_has(e, DW_SLOT_CALL_FILE))
		calls[f->n_calls].file = dw_value_u32(&e->values[DW_SLOT_CALL_FILE]);
	if (dw_entry_has(e, DW_SLOT_CALL_LINE))
		calls[f->n_calls].line = dw_value_u32(&e->values[DW_SLOT_CALL_LINE]);
	if (dw_entry_has(e, DW_SLOT_CALL_COLUMN))
		calls[f->n_calls].column = dw_value_u32(&e->values[DW_SLOT_CALL_COLUMN]);
	f->n_calls++;

	r = dw_entry_ranges(b->unit, e, body_add_stretch, b);
	if (r < 0 && r != -ENOMEM)
		b->unit->file->broken = true;
	return r == -ENOMEM ? r : 0;
}

static bool tag_holds_calls(unsigned tag)
{
	return tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
	       tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
}

/* Reads what is below the function. Each level of entries remembers which call it is below. */
static int body_read_calls(struct body *b, const uint8_t *at)
{
	uint32_t below[MAX_DEPTH + 1] = { 0 };
	struct dw_unit *u = b->unit;
	struct dw_entry e;
	size_t depth = 1;
	int r;

	while (at < dw_unit_end(u) && depth > 0) {
		uint32_t call = below[depth];
		const uint8_t *start = at, *to = NULL;
		bool is_end;
		const struct dw_abbrev *a = dw_entry_abbrev(u, &at, &is_end);

		if (!a && is_end) {
			depth--;
			continue;
		}
		if (!a)
			return -EBADMSG;
		if (a->tag == DW_TAG_inlined_subroutine && a->code && call != NO_CALL) {
			if (dw_entry_read(u, start, &e) != 0 || b->f->n_calls >= MAX_CALLS)
				return -EBADMSG;
			r = body_add_call(b, &e, call);
			if (r < 0)
				return r;
			call = b->call;
			at = e.next;
		} else {
			if (a->children && !tag_holds_calls(a->tag) && a->sibling_bytes)
				to = dw_entry_sibling(u, a, at);
			if (!to && !dw_entry_skip(u, a, &at))
				return -EBADMSG;
		}
		if (to)
			at = to;
		else if (a->children) {
			if (depth == MAX_DEPTH)
				return -EBADMSG;
			below[++depth] = tag_holds_calls(a->tag) ? call : NO_CALL;
		}
	}
	return 0;
}

static int u64_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static size_t bound_find(const uint64_t *bounds, size_t n, uint64_t v)
{
	size_t low = 0;

	while (low < n) {
		size_t middle = low + (n - low) / 2;

		if (bounds[middle] < v)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

/* The stretches become pieces that do not overlap: inner calls are painted over outer ones. */
static int body_make_pieces(struct body *b, uint64_t *bounds, uint32_t *calls)
{
	struct dw_function *f = b->f;
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		bounds[2 * i] = b->stretches[i].low;
		bounds[2 * i + 1] = b->stretches[i].high;
	}
	qsort(bounds, 2 * b->n, sizeof(*bounds), u64_compare);
	for (size_t i = 0; i < 2 * b->n; i++)
		if (n == 0 || bounds[i] != bounds[n - 1])
			bounds[n++] = bounds[i];

	for (size_t i = 0; i < b->n; i++)
		for (size_t j = bound_find(bounds, n, b->stretches[i].low);
		     j < n && bounds[j] < b->stretches[i].high; j++)
			calls[j] = b->stretches[i].call;

	f->base = bounds[0];
	f->pieces = calloc(n, sizeof(*f->pieces));
	if (!f->pieces)
		return -ENOMEM;
	for (size_t i = 0; i < n && bounds[i] - f->base < UINT32_MAX; i++)
		if (f->n_pieces == 0 || calls[i] != f->pieces[f->n_pieces - 1].call)
			f->pieces[f->n_pieces++] = (struct dw_piece){
				.start = (uint32_t)(bounds[i] - f->base),
				.call = calls[i],
			};
	return 0;
}

static int body_finish(struct body *b)
{
	_cleanup_free_ uint64_t *bounds = NULL;
	_cleanup_free_ uint32_t *calls = NULL;

	if (b->n == 0)
		return 0;
	bounds = calloc(2 * b->n, sizeof(*bounds));
	calls = calloc(2 * b->n, sizeof(*calls));
	if (!bounds || !calls)
		return -ENOMEM;
	return body_make_pieces(b, bounds, calls);
}

static int body_read(struct body *b, uint32_t entry)
{
	struct dw_entry e;
	int r;

	if (dw_entry_read(b->unit, dw_unit_start(b->unit) + entry, &e) != 0)
		return -EBADMSG;
	b->f->calls = calloc(8, sizeof(*b->f->calls));
	if (!b->f->calls)
		return -ENOMEM;
	b->allocated_calls = 8;
	b->f->calls[b->f->n_calls++] = (struct dw_call){
		.entry = entry,
		.name.name = DW_NAME_UNKNOWN,
	};
	if (e.abbrev->children) {
		r = body_read_calls(b, e.next);
		if (r == -ENOMEM)
			return r;
		b->unit->file->broken |= r < 0;
	}
	return body_finish(b);
}

int dw_functions_detail(struct dw_unit *u, uint32_t function, struct dw_function **ret)
{
	struct dw_function **slot = &u->functions->details[function];
	struct body b = { .unit = u };
	int r;

	if (*slot) {
		*ret = *slot;
		return 0;
	}
	b.f = calloc(1, sizeof(*b.f));
	if (!b.f)
		return -ENOMEM;
	r = body_read(&b, u->functions->entries[function]);
	free(b.stretches);
	if (r < 0) {
		function_free(b.f);
		return r;
	}
	dw_unit_account(u, sizeof(*b.f) + b.allocated_calls * sizeof(*b.f->calls) +
				   b.f->n_pieces * sizeof(*b.f->pieces));
	*ret = *slot = b.f;
	return 0;
}

uint32_t dw_function_call(const struct dw_function *f, uint64_t vaddr)
{
	size_t low = 0, high = f->n_pieces;

	if (high == 0 || vaddr < f->base)
		return 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (f->pieces[middle].start <= vaddr - f->base)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? f->pieces[low - 1].call : 0;
}

static void name_finish(struct dw_name *n, struct symbol_names *names, const char *name,
			const char *linkage)
{
	if (linkage)
		n->system_name = symbol_names_add(names, linkage, strlen(linkage));
	if (linkage && demangle_is_mangled(linkage)) {
		n->name = symbol_names_demangled(names, n->system_name);
		return;
	}
	n->name = name ? symbol_names_add(names, name, strlen(name)) : n->system_name;
	if (!n->system_name)
		n->system_name = n->name;
}

const struct dw_name *dw_call_name(struct dw_unit *u, struct dw_call *call,
				   struct symbol_names *names)
{
	const uint8_t *at = dw_unit_start(u) + call->entry;
	const char *name = NULL, *linkage = NULL;
	struct dw_name *n = &call->name;
	struct dw_entry e;

	if (n->name != DW_NAME_UNKNOWN)
		return n;
	*n = (struct dw_name){ 0 };
	for (unsigned i = 0; i < MAX_ORIGINS && at && dw_entry_read(u, at, &e) == 0; i++) {
		if (!linkage && dw_entry_has(&e, DW_SLOT_LINKAGE))
			linkage = dw_value_string(u, &e.values[DW_SLOT_LINKAGE]);
		if (!name && dw_entry_has(&e, DW_SLOT_NAME))
			name = dw_value_string(u, &e.values[DW_SLOT_NAME]);
		if (!n->start_line && dw_entry_has(&e, DW_SLOT_DECL_LINE))
			n->start_line = dw_value_u32(&e.values[DW_SLOT_DECL_LINE]);
		at = dw_entry_has(&e, DW_SLOT_ORIGIN)
			     ? dw_value_entry(u, &e.values[DW_SLOT_ORIGIN], &u)
			     : NULL;
	}
	name_finish(n, names, name, linkage);
	return n;
}
