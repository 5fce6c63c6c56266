/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DWARF expressions in CFI, read as what they mean: a register plus an offset, perhaps plus eight times
 * another register, perhaps a load from there, perhaps an offset after that. Everything that compilers, linkers and the assembly of libc
 * and OpenSSL write is one of these forms, or the linkers' expression for PLT entries.
 */
#include "cfi_program.h"

#include "cfi_codes.h"

/* DW_OP_breg7 8; DW_OP_breg16 0; lit15; and; litN; ge; lit3; shl; plus */
static bool is_plt(struct bytes e, int32_t *ret_n)
{
	static const uint8_t head[] = { 0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a };
	static const uint8_t tail[] = { 0x2a, 0x33, 0x24, 0x22 };
	uint8_t n;

	if (bytes_left(&e) != sizeof(head) + 1 + sizeof(tail) ||
	    memcmp(e.at, head, sizeof(head)) != 0 ||
	    memcmp(e.at + sizeof(head) + 1, tail, sizeof(tail)) != 0)
		return false;
	n = e.at[sizeof(head)];
	if (n < DW_OP_lit0 || n > DW_OP_lit15)
		return false;

	*ret_n = n - DW_OP_lit0;
	return true;
}

struct term {
	bool has_reg, deref;
	bool has_index; /* 8 * register index is added before the load */
	uint8_t reg, index;
	int64_t off, off2; /* before and after the load; a constant is in off */
};

#define MAX_TERMS  4
#define MAX_OFFSET (1LL << 40)

static bool term_add(struct term *t, int64_t n)
{
	int64_t *off = t->deref ? &t->off2 : &t->off;

	if (n > MAX_OFFSET || n < -MAX_OFFSET || *off > MAX_OFFSET || *off < -MAX_OFFSET)
		return false;
	*off += n;
	return true;
}

static bool push(struct term *stack, unsigned *n, struct term t)
{
	if (*n == MAX_TERMS)
		return false;
	stack[(*n)++] = t;
	return true;
}

static bool plus(struct term *stack, unsigned *n, bool minus)
{
	struct term a, b;

	if (*n < 2)
		return false;
	a = stack[*n - 2];
	b = stack[*n - 1];
	if (!minus && !a.has_reg && b.has_reg) {
		struct term t = a;

		a = b;
		b = t;
	}
	if (b.has_reg || (b.has_index && (minus || a.has_index || a.deref)) ||
	    !term_add(&a, minus ? -b.off : b.off))
		return false;
	if (b.has_index) {
		a.has_index = true;
		a.index = b.index;
	}

	(*n)--;
	stack[*n - 1] = a;
	return true;
}

/* A register times eight becomes an index, with no register of its own. */
static bool scale(struct term *stack, unsigned *n, int64_t by)
{
	const struct term *a, *b;

	if (*n < 2)
		return false;
	a = &stack[*n - 2];
	b = &stack[*n - 1];
	if (!a->has_reg || a->deref || a->has_index || a->off != 0 || b->has_reg || b->has_index ||
	    b->off != by)
		return false;

	stack[*n - 2] = (struct term){ .has_index = true, .index = a->reg };
	(*n)--;
	return true;
}

static bool constant(uint8_t op, struct bytes *e, int64_t *ret)
{
	if (op >= DW_OP_lit0 && op <= DW_OP_lit31) {
		*ret = op - DW_OP_lit0;
		return true;
	}

	switch (op) {
	case DW_OP_const1u:
		*ret = bytes_u8(e);
		return true;
	case DW_OP_const1s:
		*ret = (int8_t)bytes_u8(e);
		return true;
	case DW_OP_const2u:
		*ret = bytes_u16(e);
		return true;
	case DW_OP_const2s:
		*ret = (int16_t)bytes_u16(e);
		return true;
	case DW_OP_const4u:
		*ret = bytes_u32(e);
		return true;
	case DW_OP_const4s:
		*ret = (int32_t)bytes_u32(e);
		return true;
	case DW_OP_constu:
		*ret = (int64_t)(bytes_uleb(e) & INT64_MAX);
		return true;
	case DW_OP_consts:
		*ret = bytes_sleb(e);
		return *ret != INT64_MIN;
	default:
		return false;
	}
}

static bool step(uint8_t op, struct bytes *e, struct term *stack, unsigned *n)
{
	struct term t = {};

	if (op >= DW_OP_breg0 && op <= DW_OP_breg15) {
		t = (struct term){ .has_reg = true, .reg = op - DW_OP_breg0 };
		return term_add(&t, bytes_sleb(e)) && push(stack, n, t);
	}
	if (constant(op, e, &t.off))
		return push(stack, n, t);

	switch (op) {
	case DW_OP_nop:
		return true;
	case DW_OP_bregx:
		t.has_reg = true;
		t.off2 = (int64_t)(bytes_uleb(e) & INT64_MAX);
		if (t.off2 > 15)
			return false;
		t.reg = (uint8_t)t.off2;
		t.off2 = 0;
		return term_add(&t, bytes_sleb(e)) && push(stack, n, t);
	case DW_OP_plus_uconst:
		return *n > 0 && term_add(&stack[*n - 1], (int64_t)(bytes_uleb(e) & INT64_MAX));
	case DW_OP_plus:
		return plus(stack, n, false);
	case DW_OP_minus:
		return plus(stack, n, true);
	case DW_OP_deref:
		if (*n == 0 || !stack[*n - 1].has_reg || stack[*n - 1].deref)
			return false;
		stack[*n - 1].deref = true;
		return true;
	case DW_OP_mul:
		return scale(stack, n, 8);
	case DW_OP_shl:
		return scale(stack, n, 3);
	default:
		return false;
	}
}

static bool evaluate(struct bytes e, struct term *ret)
{
	struct term stack[MAX_TERMS];
	unsigned n = 0;

	while (e.at < e.end)
		if (!step(bytes_u8(&e), &e, stack, &n) || e.failed)
			return false;
	if (n == 0 || !stack[n - 1].has_reg)
		return false;

	*ret = stack[n - 1];
	return ret->off == (int32_t)ret->off && ret->off2 == (int32_t)ret->off2;
}

struct cfi_cfa cfi_expr_cfa(struct bytes expr)
{
	struct cfi_cfa cfa = {};
	struct term t;

	if (is_plt(expr, &cfa.off))
		cfa.kind = CFI_CFA_PLT;
	else if (evaluate(expr, &t) && (t.deref || !t.has_index))
		cfa = (struct cfi_cfa){
			.kind = t.has_index ? CFI_CFA_INDEX
				: t.deref   ? CFI_CFA_DEREF
					    : CFI_CFA_REG,
			.reg = t.reg,
			.index = t.index,
			.off = (int32_t)t.off,
			.off2 = (int32_t)t.off2,
		};
	return cfa;
}

struct cfi_value cfi_expr_value(struct bytes expr)
{
	struct cfi_value v = { .kind = CFI_UNKNOWN };
	struct term t;

	if (evaluate(expr, &t) && !t.deref && !t.has_index &&
	    (t.reg == CFI_RBP || t.reg == CFI_RSP))
		v = (struct cfi_value){
			.kind = t.reg == CFI_RBP ? CFI_AT_BP : CFI_AT_SP,
			.off = (int32_t)t.off,
		};
	return v;
}
