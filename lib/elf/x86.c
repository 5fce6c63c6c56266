/* SPDX-License-Identifier: Apache-2.0 */
#include "x86.h"

#include <stdbool.h>

#include "bytes.h"
#include "cleanup.h"

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };
enum { SP = 4, BP = 5 };

/* What follows an opcode. */
enum {
	M = 1,    /* ModRM */
	I1 = 2,   /* an immediate of 1 byte */
	I2 = 4,   /* of 2 */
	IZ = 8,   /* of 4, or 2 with the operand size prefix */
	BAD = 16, /* not in 64-bit mode, or a prefix */
};

static const uint8_t one_byte[256] = {
#define ALU M, M, M, M, I1, IZ
	[0x00] = ALU,
	BAD,
	BAD,
	ALU,
	BAD,
	BAD,
	ALU,
	BAD,
	BAD,
	ALU,
	BAD,
	BAD,
	ALU,
	BAD,
	BAD,
	ALU,
	BAD,
	BAD,
	ALU,
	BAD,
	BAD,
	ALU,
	BAD,
	BAD,
#undef ALU
	[0x60] = BAD,
	BAD,
	BAD,
	M,
	BAD,
	BAD,
	BAD,
	BAD,
	[0x68] = IZ,
	M | IZ,
	I1,
	M | I1,
	[0x70 ... 0x7f] = I1,
	[0x80] = M | I1,
	M | IZ,
	BAD,
	M | I1,
	[0x84 ... 0x8f] = M,
	[0x9a] = BAD,
	[0xa8] = I1,
	IZ,
	[0xb0 ... 0xb7] = I1,
	[0xb8 ... 0xbf] = IZ,
	[0xc0] = M | I1,
	M | I1,
	I2,
	[0xc4] = BAD,
	BAD,
	M | I1,
	M | IZ,
	[0xc8] = I2 | I1,
	[0xca] = I2,
	[0xcd] = I1,
	BAD,
	[0xd0 ... 0xd3] = M,
	[0xd4 ... 0xd6] = BAD,
	[0xd8 ... 0xdf] = M,
	[0xe0 ... 0xe7] = I1,
	[0xe8] = IZ,
	IZ,
	BAD,
	I1,
	[0xf0] = BAD,
	[0xf2] = BAD,
	BAD,
	[0xf6] = M,
	M,
	[0xfe] = M,
	M,
};

static bool two_byte_modrm(uint8_t op)
{
	switch (op) {
	case 0x04 ... 0x0c:
	case 0x0e:
	case 0x30 ... 0x37:
	case 0x77:
	case 0x80 ... 0x8f:
	case 0xa0 ... 0xa2:
	case 0xa8 ... 0xaa:
	case 0xc8 ... 0xcf:
		return false;
	default:
		return true;
	}
}

static bool two_byte_imm8(uint8_t op)
{
	switch (op) {
	case 0x0f:
	case 0x70 ... 0x73:
	case 0xa4:
	case 0xac:
	case 0xba:
	case 0xc2:
	case 0xc4 ... 0xc6:
		return true;
	default:
		return false;
	}
}

struct decode {
	struct bytes b;
	uint8_t rex, map, op; /* map 0: one byte, 1: 0f, 2: 0f 38, 3: 0f 3a */
	bool operand16, vex;
	bool has_modrm;
	uint8_t mod, reg, rm;     /* with REX bits */
	bool has_base, has_index; /* of a memory operand */
	uint8_t base;
	int32_t disp;
	int64_t imm;
};

static int prefixes(struct decode *d)
{
	uint8_t c;

	for (;;) {
		c = bytes_u8(&d->b);
		switch (c) {
		case 0x66:
			d->operand16 = true;
			continue;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
		case 0x64:
		case 0x65:
		case 0x67:
		case 0xf0:
		case 0xf2:
		case 0xf3:
			continue;
		}
		break;
	}
	if ((c & 0xf0) == 0x40) {
		d->rex = c & 15;
		c = bytes_u8(&d->b);
	}
	d->op = c;
	return d->b.failed ? -EBADMSG : 0;
}

/* The opcode behind a VEX or EVEX prefix, whose first byte has been read. */
static int vector_opcode(struct decode *d)
{
	const uint8_t kind = d->op, p = bytes_u8(&d->b);

	d->vex = true;
	d->map = 1;
	if (kind == 0xc4) {
		d->map = p & 0x1f;
		bytes_u8(&d->b);
	} else if (kind == 0x62) {
		d->map = p & 7;
		bytes_skip(&d->b, 2);
	}
	d->op = bytes_u8(&d->b);
	return d->map == 0 || d->map > 6 || d->map == 4 ? -EBADMSG : 0;
}

static int opcode(struct decode *d)
{
	int r = prefixes(d);

	if (r < 0)
		return r;
	if (d->op == 0xc4 || d->op == 0xc5 || d->op == 0x62)
		return vector_opcode(d);
	if (d->op != 0x0f)
		return 0;
	d->map = 1;
	d->op = bytes_u8(&d->b);
	if (d->op != 0x38 && d->op != 0x3a)
		return 0;
	d->map = d->op == 0x38 ? 2 : 3;
	d->op = bytes_u8(&d->b);
	return 0;
}

static unsigned what_follows(const struct decode *d)
{
	unsigned w;

	switch (d->map) {
	case 0:
		return one_byte[d->op];
	case 1:
		if (d->vex)
			w = d->op == 0x77 ? 0 : M;
		else
			w = two_byte_modrm(d->op) ? M : 0;
		if (two_byte_imm8(d->op))
			w |= I1;
		if (!d->vex && d->op >= 0x80 && d->op <= 0x8f)
			w |= IZ;
		return w;
	case 3:
		return M | I1;
	default:
		return M;
	}
}

static void modrm(struct decode *d)
{
	uint8_t m = bytes_u8(&d->b), sib;

	d->has_modrm = true;
	d->mod = m >> 6;
	d->reg = (uint8_t)((m >> 3 & 7) | (d->rex & REX_R ? 8 : 0));
	d->rm = (uint8_t)((m & 7) | (d->rex & REX_B ? 8 : 0));
	if (d->mod == 3)
		return;

	d->has_base = true;
	d->base = d->rm;
	if ((m & 7) == 4) {
		sib = bytes_u8(&d->b);
		d->base = (uint8_t)((sib & 7) | (d->rex & REX_B ? 8 : 0));
		d->has_index = (sib >> 3 & 7) != 4 || (d->rex & REX_X);
		d->has_base = d->mod != 0 || (sib & 7) != 5;
	} else if (d->mod == 0 && (m & 7) == 5) {
		d->has_base = false; /* rip */
	}
	if (d->mod == 1)
		d->disp = (int8_t)bytes_u8(&d->b);
	else if (d->mod == 2 || !d->has_base)
		d->disp = (int32_t)bytes_u32(&d->b);
}

static void immediate(struct decode *d, unsigned w)
{
	const bool wide = d->rex & REX_W;

	if (d->map == 0 && (d->op == 0xf6 || d->op == 0xf7) && (d->reg & 7) < 2)
		w |= d->op == 0xf6 ? I1 : IZ; /* test */
	if (d->map == 0 && d->op >= 0xa0 && d->op <= 0xa3)
		bytes_u64(&d->b);
	if (w & I2)
		bytes_u16(&d->b);
	if (w & I1)
		d->imm = (int8_t)bytes_u8(&d->b);
	if (!(w & IZ))
		return;
	if (d->map == 0 && d->op >= 0xb8 && d->op <= 0xbf && wide)
		d->imm = (int64_t)bytes_u64(&d->b);
	/* near branches have 32 bits whatever the prefix */
	else if (d->operand16 && !wide && d->map == 0 && d->op != 0xe8 && d->op != 0xe9)
		d->imm = (int16_t)bytes_u16(&d->b);
	else
		d->imm = (int32_t)bytes_u32(&d->b);
}

static void flow(const struct decode *d, uint64_t next, struct x86_insn *ret)
{
	if (d->vex || d->map > 1)
		return;
	if (d->map == 1) {
		if (d->op >= 0x80 && d->op <= 0x8f)
			ret->flow = X86_BRANCH;
		else if (d->op == 0x0b)
			ret->flow = X86_STOP;
	} else {
		switch (d->op) {
		case 0x70 ... 0x7f:
		case 0xe0 ... 0xe3:
			ret->flow = X86_BRANCH;
			break;
		case 0xe8:
			ret->flow = X86_CALL;
			break;
		case 0xe9:
		case 0xeb:
			ret->flow = X86_JUMP;
			break;
		case 0xc2:
		case 0xc3:
		case 0xca:
		case 0xcb:
		case 0xcf:
			ret->flow = X86_RETURN;
			return;
		case 0xcc:
		case 0xf4:
			ret->flow = X86_STOP;
			return;
		case 0xff:
			if ((d->reg & 7) == 2 || (d->reg & 7) == 3)
				ret->flow = X86_CALL;
			else if ((d->reg & 7) == 4 || (d->reg & 7) == 5)
				ret->flow = X86_AWAY;
			return;
		}
	}
	if (ret->flow == X86_BRANCH || ret->flow == X86_CALL || ret->flow == X86_JUMP)
		ret->target = next + (uint64_t)d->imm;
}

static void stack_is(struct x86_insn *ret, enum x86_stack kind, int64_t value)
{
	ret->stack = value == (int32_t)value ? kind : X86_LOST;
	ret->value = (int32_t)value;
}

/* Register `reg` gets something that is not followed. */
static void writes(struct x86_insn *ret, uint8_t reg)
{
	if (reg == SP)
		ret->stack = X86_LOST;
	else if (reg == BP)
		ret->stack = X86_WRITE_BP;
}

static bool is_register(const struct decode *d)
{
	return d->has_modrm && d->mod == 3;
}

static bool at_sp(const struct decode *d)
{
	return d->has_modrm && d->mod != 3 && d->has_base && d->base == SP && !d->has_index;
}

/* mov between registers, or with memory: 89 stores reg, 8b loads it. */
static void move(const struct decode *d, struct x86_insn *ret)
{
	const bool load = d->op == 0x8b, wide = d->rex & REX_W;
	const uint8_t to = load ? d->reg : d->rm, from = load ? d->rm : d->reg;

	if (is_register(d)) {
		if (wide && to == BP && from == SP)
			stack_is(ret, X86_SP_TO_BP, 0);
		else if (wide && to == SP && from == BP)
			stack_is(ret, X86_BP_TO_SP, 0);
		else
			writes(ret, to);
	} else if (load) {
		if (wide && to == BP && at_sp(d))
			stack_is(ret, X86_LOAD_BP, d->disp);
		else
			writes(ret, to);
	} else if (wide && from == BP && at_sp(d)) {
		stack_is(ret, X86_SAVE_BP, d->disp);
	}
}

static void lea(const struct decode *d, struct x86_insn *ret)
{
	if (d->reg != SP && d->reg != BP)
		return;
	if (!(d->rex & REX_W) || d->has_index || !d->has_base) {
		writes(ret, d->reg);
	} else if (d->reg == SP) {
		if (d->base == SP)
			stack_is(ret, X86_ADJUST, d->disp);
		else if (d->base == BP)
			stack_is(ret, X86_BP_TO_SP, d->disp);
		else
			ret->stack = X86_LOST;
	} else {
		if (d->base == SP)
			stack_is(ret, X86_SP_TO_BP, d->disp);
		else
			ret->stack = X86_WRITE_BP;
	}
}

/* 80, 81, 83: add, or, adc, sbb, and, sub, xor, cmp with an immediate. */
static void arithmetic(const struct decode *d, struct x86_insn *ret)
{
	const uint8_t what = d->reg & 7;

	if (!is_register(d) || what == 7)
		return;
	if (d->rm == SP && (d->rex & REX_W) && (what == 0 || what == 5))
		stack_is(ret, X86_ADJUST, what == 0 ? d->imm : -d->imm);
	else
		writes(ret, d->rm);
}

static void push_pop(const struct decode *d, struct x86_insn *ret)
{
	const uint8_t reg = (uint8_t)((d->op & 7) | (d->rex & REX_B ? 8 : 0));
	const bool push = d->op < 0x58;

	if (d->operand16)
		ret->stack = X86_LOST;
	else if (reg == BP)
		ret->stack = push ? X86_PUSH_BP : X86_POP_BP;
	else if (reg == SP && !push)
		ret->stack = X86_LOST;
	else
		stack_is(ret, X86_ADJUST, push ? -8 : 8);
}

static void stack_one_byte(const struct decode *d, struct x86_insn *ret)
{
	switch (d->op) {
	case 0x50 ... 0x5f:
		push_pop(d, ret);
		break;
	case 0x68:
	case 0x6a:
	case 0x9c:
		stack_is(ret, X86_ADJUST, -8);
		break;
	case 0x9d:
		stack_is(ret, X86_ADJUST, 8);
		break;
	case 0x80:
	case 0x81:
	case 0x83:
		arithmetic(d, ret);
		break;
	case 0x89:
	case 0x8b:
		move(d, ret);
		break;
	case 0x8d:
		lea(d, ret);
		break;
	case 0x8f:
		stack_is(ret, X86_ADJUST, 8);
		break;
	case 0xc8:
		ret->stack = X86_LOST;
		break;
	case 0xc9:
		ret->stack = X86_LEAVE;
		break;
	case 0x91 ... 0x97: /* xchg with rax */
	case 0xb8 ... 0xbf:
		writes(ret, (uint8_t)((d->op & 7) | (d->rex & REX_B ? 8 : 0)));
		break;
	case 0xff:
		if ((d->reg & 7) == 6)
			stack_is(ret, X86_ADJUST, -8);
		else if (is_register(d) && (d->reg & 7) < 2)
			writes(ret, d->rm);
		break;
	case 0xc1:
	case 0xc7:
	case 0xd1:
	case 0xd3:
		if (is_register(d))
			writes(ret, d->rm);
		break;
	case 0xf7:
		if (is_register(d) && (d->reg & 7) >= 2 && (d->reg & 7) <= 3)
			writes(ret, d->rm);
		break;
	case 0x63:
	case 0x69:
	case 0x6b:
		writes(ret, d->reg);
		break;
	case 0x87:
		writes(ret, d->reg);
		if (is_register(d))
			writes(ret, d->rm);
		break;
	default:
		/* the eight of arithmetic, but cmp */
		if (d->op < 0x38 && (d->op & 7) == 1 && is_register(d))
			writes(ret, d->rm);
		else if (d->op < 0x38 && (d->op & 7) == 3)
			writes(ret, d->reg);
	}
}

static void stack(const struct decode *d, struct x86_insn *ret)
{
	if (d->vex)
		return;
	if (d->map == 0)
		stack_one_byte(d, ret);
	else if (d->map == 1 && ((d->op >= 0x40 && d->op <= 0x4f) || d->op == 0xaf ||
				 d->op == 0xb6 || d->op == 0xb7 || d->op == 0xbe || d->op == 0xbf))
		writes(ret, d->reg);
}

int x86_decode(const uint8_t *p, size_t bytes, uint64_t addr, struct x86_insn *ret)
{
	struct decode d = { .b = { .at = p, .end = p + MIN(bytes, (size_t)15) } };
	unsigned w;

	if (opcode(&d) < 0)
		return -EBADMSG;
	w = what_follows(&d);
	if (w & BAD)
		return -EBADMSG;
	if (w & M)
		modrm(&d);
	immediate(&d, w);
	if (d.b.failed)
		return -EBADMSG;

	*ret = (struct x86_insn){ .bytes = (uint8_t)(d.b.at - p) };
	flow(&d, addr + ret->bytes, ret);
	stack(&d, ret);
	return ret->bytes;
}
