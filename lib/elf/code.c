/* SPDX-License-Identifier: Apache-2.0 */
#include "code.h"

#include "cleanup.h"
#include "x86.h"

#define ENTRY_DEPTH 8
#define MAX_DEPTH   (1 << 20)
#define NO_FUNCTION 0

/* Of the instruction that begins at a byte; function NO_FUNCTION: none is known to. */
struct state {
	uint32_t function;
	int32_t depth;   /* CFA - rsp */
	int32_t bp;      /* CFA - where rbp is saved, 0: it is not */
	int32_t frame;   /* rbp = CFA - frame; 0: it is not */
	bool depth_lost; /* only rbp knows */
};

struct follow {
	const uint8_t *code;
	size_t bytes;
	uint64_t addr;
	const uint64_t *starts; /* of functions, sorted */
	size_t n_starts;
	struct state *states; /* one a byte */
	uint32_t *queue;      /* offsets yet to be followed */
	size_t n_queue, allocated_queue;
	bool *bad; /* by function */
	uint32_t n_functions, allocated_bad;
	struct state away; /* at the last jump through a register */
	bool has_away;
	bool ends, returns; /* of the function at hand: a path was seen to end; by a return */
	int error;
};

void code_rows_done(struct code_rows *r)
{
	free(r->rows);
	*r = (struct code_rows){};
}

static void *grow(struct follow *f, void *p, size_t n, size_t size)
{
	void *q = reallocarray(p, n, size);

	if (!q)
		f->error = -ENOMEM;
	return q;
}

static void blame(struct follow *f, uint32_t function)
{
	f->bad[function] = true;
}

static bool agree(const struct state *a, const struct state *b)
{
	return a->depth_lost == b->depth_lost && (a->depth_lost || a->depth == b->depth) &&
	       a->bp == b->bp && a->frame == b->frame;
}

/* The state with which an instruction is reached; true when it is new. */
static bool reach(struct follow *f, size_t at, const struct state *s)
{
	struct state *known = &f->states[at];

	if (known->function == NO_FUNCTION) {
		*known = *s;
		return true;
	}
	if (!agree(known, s)) {
		blame(f, known->function);
		blame(f, s->function);
	} else if (f->bad[known->function]) {
		blame(f, s->function);
	} else {
		f->ends = true; /* joins what has been found to end */
	}
	return false;
}

static void enqueue(struct follow *f, size_t at)
{
	if (f->n_queue == f->allocated_queue) {
		size_t n = MAX((size_t)64, f->allocated_queue * 2);
		uint32_t *q = grow(f, f->queue, n, sizeof(*q));

		if (!q)
			return;
		f->queue = q;
		f->allocated_queue = n;
	}
	f->queue[f->n_queue++] = (uint32_t)at;
}

static void sp_is(struct state *s, int64_t depth)
{
	if (depth < 0 || depth > MAX_DEPTH) {
		s->depth_lost = true;
		return;
	}
	s->depth = (int32_t)depth;
	s->depth_lost = false;
}

/* What the instruction does to the stack. */
static void effect(const struct x86_insn *i, struct state *s)
{
	const int64_t depth = s->depth;

	switch (i->stack) {
	case X86_ADJUST:
		if (!s->depth_lost)
			sp_is(s, depth - i->value);
		break;
	case X86_PUSH_BP:
		if (s->depth_lost)
			break;
		sp_is(s, depth + 8);
		if (!s->bp && !s->frame)
			s->bp = s->depth;
		break;
	case X86_SAVE_BP:
		if (!s->depth_lost && !s->bp && !s->frame && depth - i->value > ENTRY_DEPTH)
			s->bp = (int32_t)(depth - i->value);
		break;
	case X86_POP_BP:
	case X86_LOAD_BP:
		if (!s->depth_lost && s->bp == (i->stack == X86_POP_BP ? depth : depth - i->value))
			s->bp = 0;
		s->frame = 0;
		if (i->stack == X86_POP_BP && !s->depth_lost)
			sp_is(s, depth - 8);
		break;
	case X86_SP_TO_BP:
		s->frame = s->depth_lost || depth - i->value <= 0 ? 0 : (int32_t)(depth - i->value);
		break;
	case X86_BP_TO_SP:
		if (s->frame)
			sp_is(s, (int64_t)s->frame - i->value);
		else
			s->depth_lost = true;
		break;
	case X86_LEAVE:
		if (s->frame)
			sp_is(s, (int64_t)s->frame - 8);
		else
			s->depth_lost = true;
		if (s->bp == s->frame)
			s->bp = 0;
		s->frame = 0;
		break;
	case X86_WRITE_BP:
		s->frame = 0;
		break;
	case X86_LOST:
		s->depth_lost = true;
		break;
	}
}

static bool known(const struct state *s)
{
	return !s->depth_lost || s->frame;
}

/* A function that saved rbp and took another way out may not have had to load it again. */
static bool as_at_entry(const struct state *s)
{
	return !s->depth_lost && s->depth == ENTRY_DEPTH;
}

/* Goes to an address with this state: more to follow, or the end of this path. */
static void go(struct follow *f, uint64_t target, const struct state *s)
{
	if (target - f->addr < f->bytes) {
		if (reach(f, target - f->addr, s))
			enqueue(f, target - f->addr);
	} else if (as_at_entry(s)) {
		f->ends = true;
	} else {
		blame(f, s->function);
	}
}

static bool is_padding(const uint8_t *p, const struct x86_insn *i)
{
	/* nop in all lengths: 90, 66 90, 0f 1f, with prefixes; int3 */
	for (unsigned k = 0; k < i->bytes; k++) {
		if (p[k] == 0x66 || p[k] == 0x2e)
			continue;
		return p[k] == 0x90 || p[k] == 0xcc ||
		       (p[k] == 0x0f && k + 1U < i->bytes && p[k + 1] == 0x1f);
	}
	return false;
}

static bool is_start(const struct follow *f, size_t at)
{
	size_t lo = 0, hi = f->n_starts;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (f->starts[mid] < f->addr + at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < f->n_starts && f->starts[lo] == f->addr + at;
}

/* A call at the very end of a function does not return: the next one begins behind it. */
static bool comes_back(const struct follow *f, size_t at)
{
	struct x86_insn i;

	while (at < f->bytes) {
		if (is_start(f, at))
			return false;
		if (x86_decode(f->code + at, f->bytes - at, f->addr + at, &i) < 0 ||
		    !is_padding(f->code + at, &i))
			return true;
		at += i.bytes;
	}
	return false;
}

/* One instruction; false: the path ends here. *at moves on. */
static bool follow_one(struct follow *f, size_t *at)
{
	struct state s = f->states[*at];
	struct x86_insn i;

	if (x86_decode(f->code + *at, f->bytes - *at, f->addr + *at, &i) < 0) {
		blame(f, s.function);
		return false;
	}
	effect(&i, &s);
	if (!known(&s)) {
		blame(f, s.function);
		return false;
	}

	switch (i.flow) {
	case X86_RETURN:
		if (!as_at_entry(&s))
			blame(f, s.function);
		f->ends = f->returns = true;
		return false;
	case X86_STOP:
		f->ends = true;
		return false;
	case X86_AWAY:
		f->away = s;
		f->has_away = true;
		f->ends = true;
		return false;
	case X86_JUMP:
		go(f, i.target, &s);
		return false;
	case X86_BRANCH:
		go(f, i.target, &s);
		break;
	case X86_CALL:
		if (comes_back(f, *at + i.bytes))
			break;
		f->ends = true;
		return false;
	}

	*at += i.bytes;
	if (*at >= f->bytes) {
		blame(f, s.function);
		return false;
	}
	return reach(f, *at, &s);
}

static void follow_from(struct follow *f, size_t at, const struct state *s)
{
	if (f->states[at].function != NO_FUNCTION)
		return;
	f->states[at] = *s;
	f->ends = f->returns = false;
	enqueue(f, at);
	while (f->n_queue > 0 && !f->error) {
		at = f->queue[--f->n_queue];
		while (follow_one(f, &at) && !f->error)
			continue;
	}
	if (!f->ends)
		blame(f, s->function);
}

static uint32_t new_function(struct follow *f)
{
	uint32_t n = ++f->n_functions;

	if (n >= f->allocated_bad) {
		uint32_t allocated = MAX(64U, f->allocated_bad * 2);
		bool *p = grow(f, f->bad, allocated, sizeof(*p));

		if (!p)
			return NO_FUNCTION;
		f->bad = p;
		f->allocated_bad = allocated;
	}
	f->bad[n] = false;
	return n;
}

/* Follows a function, or (with `as`) a part of one that is reached with that state. */
static void function_at(struct follow *f, size_t at, const struct state *as)
{
	struct state s = { .depth = ENTRY_DEPTH };

	if (as)
		s = *as;
	s.function = new_function(f);
	if (s.function != NO_FUNCTION)
		follow_from(f, at, &s);
}

/* Where no symbol says that a function begins, one must return to be one: C++ landing pads, which are
 * entered as deep as their function, jump elsewhere. */
static void nameless_at(struct follow *f, size_t at)
{
	function_at(f, at, NULL);
	if (!f->returns && f->states[at].function == f->n_functions)
		blame(f, f->n_functions);
}

/* What no path has led to: cases behind a jump through a register, or functions without a symbol. */
static void sweep(struct follow *f, size_t from, size_t to)
{
	struct x86_insn i;

	for (size_t at = from; at < to && !f->error; at += i.bytes) {
		int r = x86_decode(f->code + at, f->bytes - at, f->addr + at, &i);

		if (r < 0)
			i.bytes = 1;
		if (f->states[at].function != NO_FUNCTION || r < 0 || is_padding(f->code + at, &i))
			continue;
		if (f->has_away)
			function_at(f, at, &f->away);
		else if ((f->addr + at) % 16 == 0)
			nameless_at(f, at);
	}
}

static int put_row(struct code_rows *r, const struct code_row *row)
{
	const struct code_row *last = r->n ? &r->rows[r->n - 1] : NULL;

	if (last && last->cfa == row->cfa && last->bp == row->bp &&
	    last->cfa_in_bp == row->cfa_in_bp)
		return 0;
	if (r->n == r->allocated) {
		size_t n = MAX((size_t)256, r->allocated * 2);
		struct code_row *p = reallocarray(r->rows, n, sizeof(*p));

		if (!p)
			return -ENOMEM;
		r->rows = p;
		r->allocated = n;
	}
	r->rows[r->n++] = *row;
	return 0;
}

static int put_rows(const struct follow *f, struct code_rows *r)
{
	struct x86_insn i;
	int e = 0;

	for (size_t at = 0; at < f->bytes && e == 0; at += i.bytes) {
		const struct state *s = &f->states[at];
		struct code_row row = { .addr = f->addr + at };

		if (x86_decode(f->code + at, f->bytes - at, f->addr + at, &i) < 0)
			i.bytes = 1;
		if (s->function != NO_FUNCTION && !f->bad[s->function]) {
			row.cfa_in_bp = s->depth_lost;
			row.cfa = s->depth_lost ? s->frame : s->depth;
			row.bp = s->bp;
		} else {
			/* in the middle of what was followed from elsewhere, or not at all */
			i.bytes = 1;
		}
		e = put_row(r, &row);
	}
	if (e == 0)
		e = put_row(r, &(struct code_row){ .addr = f->addr + f->bytes });
	return e;
}

static void follow_done(struct follow *f)
{
	free(f->states);
	free(f->queue);
	free(f->bad);
}

int code_rows_add(struct code_rows *r, const uint8_t *code, size_t bytes, uint64_t addr,
		  const uint64_t *starts, size_t n_starts)
{
	_cleanup_(follow_done) struct follow f = {
		.code = code,
		.bytes = bytes,
		.addr = addr,
		.starts = starts,
		.n_starts = n_starts,
	};

	f.states = calloc(bytes, sizeof(*f.states));
	if (!f.states)
		return -ENOMEM;
	if (n_starts == 0 || starts[0] > addr)
		sweep(&f, 0, n_starts ? starts[0] - addr : bytes);
	for (size_t i = 0; i < n_starts && !f.error; i++) {
		f.has_away = false;
		function_at(&f, starts[i] - addr, NULL);
		sweep(&f, starts[i] - addr, i + 1 < n_starts ? starts[i + 1] - addr : bytes);
	}
	return f.error ? f.error : put_rows(&f, r);
}
