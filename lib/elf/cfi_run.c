/* SPDX-License-Identifier: Apache-2.0 */
/* DW_CFA_* instructions, DWARF 5 section 6.4.2, with GNU's additions. */
#include "cfi_program.h"

#include "cfi_codes.h"

/* Compilers nest two deep. */
#define MAX_REMEMBERED 32

struct run {
	const struct cfi_cie *cie;
	struct bytes p;
	uint64_t at, limit;
	struct cfi_state *state;
	cfi_row_t row;
	void *arg;
	unsigned n_remembered;
	struct cfi_state remembered[MAX_REMEMBERED];
};

static struct cfi_value *register_value(struct cfi_state *s, const struct cfi_cie *cie,
					uint64_t reg)
{
	if (reg == cie->ra_register)
		return &s->ra;
	if (reg == CFI_RBP)
		return &s->bp;
	if (reg == CFI_RBX)
		return &s->bx;
	return reg == CFI_RSP ? &s->sp : NULL;
}

static void set_value(struct run *r, uint64_t reg, enum cfi_value_kind kind, int64_t off)
{
	struct cfi_value *v = register_value(r->state, r->cie, reg);

	if (!v)
		return;
	v->kind = off == (int32_t)off ? kind : CFI_UNKNOWN;
	v->off = (int32_t)off;
}

static void set_offset(struct run *r, uint64_t reg, int64_t factored)
{
	int64_t off;

	if (__builtin_mul_overflow(factored, r->cie->data_align, &off))
		off = INT64_MAX;
	set_value(r, reg, CFI_AT_CFA, off);
}

static void set_cfa_offset(struct run *r, int64_t off)
{
	struct cfi_cfa *cfa = &r->state->cfa;

	/* an offset alone has no meaning after an expression */
	if (cfa->kind != CFI_CFA_REG || off != (int32_t)off) {
		*cfa = (struct cfi_cfa){};
		return;
	}
	cfa->off = (int32_t)off;
}

static void set_cfa(struct run *r, uint64_t reg, int64_t off)
{
	struct cfi_cfa *cfa = &r->state->cfa;

	*cfa = (struct cfi_cfa){};
	if (reg > 15 || off != (int32_t)off)
		return;
	*cfa = (struct cfi_cfa){ .kind = CFI_CFA_REG, .reg = (uint8_t)reg, .off = (int32_t)off };
}

static int64_t factored(struct run *r)
{
	int64_t n;

	if (__builtin_mul_overflow(bytes_sleb(&r->p), r->cie->data_align, &n))
		return INT64_MAX;
	return n;
}

static void restore(struct run *r, uint64_t reg)
{
	struct cfi_state initial = r->cie->initial;
	struct cfi_value *v = register_value(r->state, r->cie, reg);

	if (v)
		*v = *register_value(&initial, r->cie, reg);
}

static struct bytes block(struct run *r)
{
	uint64_t n = bytes_uleb(&r->p);
	const uint8_t *at = bytes_skip(&r->p, n);

	return at ? (struct bytes){ .at = at, .end = at + n } : (struct bytes){ .failed = true };
}

static void expression(struct run *r)
{
	struct cfi_value *v = register_value(r->state, r->cie, bytes_uleb(&r->p));
	struct bytes e = block(r);

	if (v)
		*v = cfi_expr_value(e);
}

/* Gives the row that ends here and moves on. False: the function ends here. */
static bool advance(struct run *r, uint64_t to)
{
	if (!r->row)
		return true;
	if (to <= r->at)
		return to == r->at;

	r->row(r->arg, r->at, r->state);
	r->at = to;
	return to < r->limit;
}

static bool advance_by(struct run *r, uint64_t delta)
{
	uint64_t to;

	if (__builtin_mul_overflow(delta, r->cie->code_align, &to) ||
	    __builtin_add_overflow(r->at, to, &to))
		to = UINT64_MAX;
	return advance(r, to);
}

static bool run_register(struct run *r, uint8_t op)
{
	struct bytes *p = &r->p;
	uint64_t reg = bytes_uleb(p);

	switch (op) {
	case DW_CFA_offset_extended:
		set_offset(r, reg, (int64_t)bytes_uleb(p));
		return true;
	case DW_CFA_offset_extended_sf:
		set_offset(r, reg, bytes_sleb(p));
		return true;
	case DW_CFA_GNU_negative_offset_extended:
		set_offset(r, reg, -(int64_t)(bytes_uleb(p) & INT64_MAX));
		return true;
	case DW_CFA_restore_extended:
		restore(r, reg);
		return true;
	case DW_CFA_undefined:
		set_value(r, reg, CFI_UNDEFINED, 0);
		return true;
	case DW_CFA_same_value:
		set_value(r, reg, CFI_SAME, 0);
		return true;
	case DW_CFA_register:
		set_value(r, reg, CFI_IN_REG, (int64_t)(bytes_uleb(p) & INT64_MAX));
		return true;
	case DW_CFA_val_offset:
		bytes_uleb(p);
		set_value(r, reg, CFI_UNKNOWN, 0);
		return true;
	case DW_CFA_val_offset_sf:
		bytes_sleb(p);
		set_value(r, reg, CFI_UNKNOWN, 0);
		return true;
	case DW_CFA_val_expression:
		block(r);
		set_value(r, reg, CFI_UNKNOWN, 0);
		return true;
	default:
		return false;
	}
}

static bool run_cfa(struct run *r, uint8_t op)
{
	struct bytes *p = &r->p;
	uint64_t reg;

	switch (op) {
	case DW_CFA_def_cfa:
		reg = bytes_uleb(p);
		set_cfa(r, reg, (int64_t)(bytes_uleb(p) & INT64_MAX));
		return true;
	case DW_CFA_def_cfa_sf:
		reg = bytes_uleb(p);
		set_cfa(r, reg, factored(r));
		return true;
	case DW_CFA_def_cfa_register:
		reg = bytes_uleb(p);
		if (r->state->cfa.kind == CFI_CFA_REG)
			set_cfa(r, reg, r->state->cfa.off);
		else
			r->state->cfa = (struct cfi_cfa){};
		return true;
	case DW_CFA_def_cfa_offset:
		set_cfa_offset(r, (int64_t)(bytes_uleb(p) & INT64_MAX));
		return true;
	case DW_CFA_def_cfa_offset_sf:
		set_cfa_offset(r, factored(r));
		return true;
	case DW_CFA_def_cfa_expression:
		r->state->cfa = cfi_expr_cfa(block(r));
		return true;
	default:
		return false;
	}
}

static bool remember(struct run *r)
{
	if (r->n_remembered == MAX_REMEMBERED)
		return false;
	r->remembered[r->n_remembered++] = *r->state;
	return true;
}

static bool recall(struct run *r)
{
	if (r->n_remembered == 0)
		return false;
	*r->state = r->remembered[--r->n_remembered];
	return true;
}

enum outcome { BROKEN = -1, FINISHED = 0, MORE = 1 };

static enum outcome moved(bool more)
{
	return more ? MORE : FINISHED;
}

static enum outcome run_one(struct run *r)
{
	uint8_t op = bytes_u8(&r->p), low = op & 0x3f;

	switch (op & 0xc0) {
	case DW_CFA_advance_loc:
		return moved(advance_by(r, low));
	case DW_CFA_offset:
		set_offset(r, low, (int64_t)bytes_uleb(&r->p));
		return MORE;
	case DW_CFA_restore:
		restore(r, low);
		return MORE;
	}

	switch (op) {
	case DW_CFA_nop:
		return MORE;
	case DW_CFA_advance_loc1:
		return moved(advance_by(r, bytes_u8(&r->p)));
	case DW_CFA_advance_loc2:
		return moved(advance_by(r, bytes_u16(&r->p)));
	case DW_CFA_advance_loc4:
		return moved(advance_by(r, bytes_u32(&r->p)));
	case DW_CFA_MIPS_advance_loc8:
		return moved(advance_by(r, bytes_u64(&r->p)));
	case DW_CFA_remember_state:
		return remember(r) ? MORE : BROKEN;
	case DW_CFA_restore_state:
		return recall(r) ? MORE : BROKEN;
	case DW_CFA_expression:
		expression(r);
		return MORE;
	case DW_CFA_GNU_args_size:
		bytes_uleb(&r->p);
		return MORE;
	}
	/* DW_CFA_set_loc, which no x86-64 tool writes, ends here as well */
	return run_cfa(r, op) || run_register(r, op) ? MORE : BROKEN;
}

int cfi_run_program(const struct cfi_cie *cie, struct bytes program, uint64_t start, uint64_t limit,
		    struct cfi_state *state, cfi_row_t row, void *arg)
{
	enum outcome o = MORE;
	struct run r;

	/* the remembered states are written before they are read: no need to clear two kilobytes */
	r.cie = cie;
	r.p = program;
	r.at = start;
	r.limit = limit;
	r.state = state;
	r.row = row;
	r.arg = arg;
	r.n_remembered = 0;

	while (r.p.at < r.p.end && o == MORE) {
		o = run_one(&r);
		if (r.p.failed)
			o = BROKEN;
	}
	if (o == BROKEN)
		state->cfa = (struct cfi_cfa){};

	if (row && r.at < limit)
		row(arg, r.at, state);
	return o == BROKEN ? -EBADMSG : 0;
}
