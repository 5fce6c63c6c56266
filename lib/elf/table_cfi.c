/* SPDX-License-Identifier: Apache-2.0 */
/* CFI states as rules and rows. */
#include <string.h>

#include "table_build.h"

#define OFF_MASK 0x3ff

/* A rule with everything in 16 bits, or CPROF_RULE_NONE when this one does not fit. */
static uint16_t inline_rule(const struct cfi_state *s)
{
	uint32_t rule, slot;

	if (s->cfa.kind != CFI_CFA_REG || (s->cfa.reg != CFI_RSP && s->cfa.reg != CFI_RBP) ||
	    s->cfa.off < 0 || s->cfa.off % 8 != 0 || s->cfa.off / 8 > OFF_MASK ||
	    s->ra.kind != CFI_AT_CFA || s->ra.off != -8)
		return CPROF_RULE_NONE;

	rule = (uint32_t)s->cfa.off / 8;
	if (s->cfa.reg == CFI_RBP)
		rule |= CPROF_RULE_CFA_RBP;
	if (s->bp.kind == CFI_SAME)
		return (uint16_t)rule;

	/* slot n is at CFA - 8 * (n + 1) */
	if (s->bp.kind != CFI_AT_CFA || s->bp.off > -16 || s->bp.off < -128 || s->bp.off % 8 != 0)
		return CPROF_RULE_NONE;
	slot = (uint32_t)(-s->bp.off / 8 - 1);
	return (uint16_t)(rule | slot << CPROF_RULE_RBP_SHIFT);
}

static uint8_t save_kind(const struct cfi_value *v)
{
	switch (v->kind) {
	case CFI_SAME:
		return CPROF_SAVE_SAME;
	case CFI_AT_CFA:
		return CPROF_SAVE_CFA;
	case CFI_IN_REG:
		return v->off >= 0 && v->off <= 15 ? CPROF_SAVE_REG : CPROF_SAVE_UNDEFINED;
	case CFI_AT_BP:
		return CPROF_SAVE_BP;
	case CFI_AT_SP:
		return CPROF_SAVE_SP;
	default:
		return CPROF_SAVE_UNDEFINED;
	}
}

static bool has_offset(uint8_t kind)
{
	return kind != CPROF_SAVE_SAME && kind != CPROF_SAVE_UNDEFINED;
}

static uint32_t bx_rule(const struct build *b, const struct cfi_value *v)
{
	uint8_t kind = save_kind(v);

	if (!b->bx || (has_offset(kind) && (v->off >= 1 << 23 || v->off < -(1 << 23))))
		return CPROF_SAVE_UNDEFINED;
	return kind | (has_offset(kind) ? (uint32_t)v->off << 8 : 0);
}

static uint8_t cfa_kind(const struct cfi_cfa *cfa)
{
	switch (cfa->kind) {
	case CFI_CFA_DEREF:
		return CPROF_CFA_REG_DEREF;
	case CFI_CFA_INDEX:
		return CPROF_CFA_INDEX_DEREF;
	default:
		return CPROF_CFA_REG;
	}
}

/* longjmp has loaded all that it returns to into registers, the caller's rsp as well. */
static bool all_in_registers(const struct cfi_state *s)
{
	return s->sp.kind == CFI_IN_REG && s->sp.off >= 0 && s->sp.off <= 15 &&
	       s->ra.kind == CFI_IN_REG && s->bp.kind != CFI_AT_CFA;
}

static uint16_t indexed_rule(struct build *b, const struct cfi_state *s)
{
	uint8_t ra = save_kind(&s->ra), bp = save_kind(&s->bp);
	struct cprof_rule rule = {
		.cfa_kind = cfa_kind(&s->cfa),
		.cfa_reg = s->cfa.kind == CFI_CFA_INDEX ? (uint8_t)(s->cfa.reg | s->cfa.index << 4)
							: s->cfa.reg,
		.ra_kind = ra,
		.bp_kind = bp,
		.cfa_off = s->cfa.off,
		.cfa_off2 = s->cfa.kind == CFI_CFA_REG ? 0 : s->cfa.off2,
		.ra_off = has_offset(ra) ? s->ra.off : 0,
		.bp_off = has_offset(bp) ? s->bp.off : 0,
		.bx_kind_off = bx_rule(b, &s->bx),
	};

	if (ra == CPROF_SAVE_SAME || ra == CPROF_SAVE_UNDEFINED) {
		table_writer_cut(b->writer, 1);
		return CPROF_RULE_NONE;
	}
	return table_writer_rule(b->writer, &rule);
}

/* An rt_sigframe, as the kernel makes it: the interrupted rsp is at rsp + 160 when the handler has
 * returned to the trampoline. */
static bool is_sigframe(const struct cfi_state *s)
{
	return s->signal && s->cfa.kind == CFI_CFA_DEREF && s->cfa.reg == CFI_RSP &&
	       s->cfa.off == 160 && s->cfa.off2 == 0;
}

uint16_t table_state_rule(struct build *b, const struct cfi_state *s)
{
	uint16_t rule;

	if (s->ra.kind == CFI_UNDEFINED)
		return CPROF_RULE_INDEXED | CPROF_RULE_END;
	if (is_sigframe(s))
		return CPROF_RULE_INDEXED | CPROF_RULE_SIGFRAME;
	if (all_in_registers(s)) {
		struct cfi_state to = *s;

		to.cfa = (struct cfi_cfa){ .kind = CFI_CFA_REG, .reg = (uint8_t)s->sp.off };
		return indexed_rule(b, &to);
	}
	/* any other caller's rsp that is not the CFA is what no rule can say */
	if (s->sp.kind == CFI_SAME && (s->cfa.kind == CFI_CFA_REG || s->cfa.kind == CFI_CFA_DEREF ||
				       s->cfa.kind == CFI_CFA_INDEX)) {
		if (s->cfa.reg == CFI_RBX)
			b->bx_used = true;
		rule = b->bx ? CPROF_RULE_NONE : inline_rule(s);
		return rule != CPROF_RULE_NONE ? rule : indexed_rule(b, s);
	}
	if (s->cfa.kind == CFI_CFA_PLT && s->cfa.off == 11)
		return CPROF_RULE_INDEXED | CPROF_RULE_PLT11;
	if (s->cfa.kind == CFI_CFA_PLT && s->cfa.off == 10)
		return CPROF_RULE_INDEXED | CPROF_RULE_PLT10;

	table_writer_cut(b->writer, 1);
	return CPROF_RULE_NONE;
}

/* PLT entries of another shape than the two that have a rule of their own. */
static void plt_rows(struct build *b, uint64_t start, uint64_t limit, uint32_t push_at)
{
	for (uint64_t entry = start & ~15ULL; entry < limit; entry += 16) {
		uint64_t pushed = entry + push_at;

		if (entry + 16 > start && pushed > start)
			table_writer_row(b->writer, MAX(entry, start), 1);
		if (pushed < limit)
			table_writer_row(b->writer, MAX(pushed, start), 2);
	}
}

/* What returns to nobody may itself be entered by a return to its first byte, as glibc's
 * __start_context is: that is looked up one byte before. */
static void state_row(struct build *b, uint64_t addr, uint16_t rule)
{
	if (addr == b->extent->start && addr > b->before &&
	    rule == (CPROF_RULE_INDEXED | CPROF_RULE_END))
		table_writer_row(b->writer, addr - 1, rule);
	table_writer_row(b->writer, addr, rule);
}

static void cfi_row(void *arg, uint64_t addr, const struct cfi_state *s)
{
	struct build *b = arg;
	const struct extent *e = b->extent;

	if (addr >= e->limit)
		return;
	addr = MAX(addr, e->start);

	if (s->cfa.kind == CFI_CFA_PLT && s->cfa.off != 11 && s->cfa.off != 10 && s->cfa.off > 0 &&
	    s->ra.kind == CFI_AT_CFA && s->ra.off == -8)
		plt_rows(b, addr, e->limit, (uint32_t)s->cfa.off);
	else
		state_row(b, addr, table_state_rule(b, s));
}

static const struct cfi_fde *extent_fde(const struct build *b, const struct extent *e)
{
	size_t n;

	return cfi_fdes(b->cfi, e->source == EXTENT_CFI ? CFI_EH_FRAME : CFI_DEBUG_FRAME, &n) +
	       e->index;
}

/* glibc's __start_context, to which the function of a coroutine returns: its FDE says nothing but
 * what holds for all. mov %rbx,%rsp; mov (%rsp),%rdi; test %rdi,%rdi. */
static bool is_coroutine_start(const struct build *b, const struct cfi_fde *fde)
{
	static const uint8_t want[] = {
		0x48, 0x89, 0xdc, 0x48, 0x8b, 0x3c, 0x24, 0x48, 0x85, 0xff
	};
	uint8_t code[sizeof(want)];

	return fde->program_bytes < 8 && fde->limit - fde->start <= 64 &&
	       elf_file_read_vaddr(b->elf, fde->start, code, sizeof(code)) == 0 &&
	       memcmp(code, want, sizeof(want)) == 0;
}

/* OpenSSL's bn_gather5, whose FDE says nothing but what holds at its first instruction: rsp is kept in
 * r10 (lea (%rsp),%r10) until the last but one (lea (%r10),%rsp; repz ret). */
static bool keeps_rsp_in_r10(const struct build *b, const struct cfi_fde *fde)
{
	static const uint8_t first[] = { 0x4c, 0x8d, 0x14, 0x24 };
	static const uint8_t last[] = { 0x49, 0x8d, 0x22, 0xf3, 0xc3 };
	uint8_t code[sizeof(last)];

	return fde->program_bytes < 8 && fde->limit - fde->start >= sizeof(first) + sizeof(last) &&
	       elf_file_read_vaddr(b->elf, fde->start, code, sizeof(first)) == 0 &&
	       memcmp(code, first, sizeof(first)) == 0 &&
	       elf_file_read_vaddr(b->elf, fde->limit - sizeof(last), code, sizeof(last)) == 0 &&
	       memcmp(code, last, sizeof(last)) == 0;
}

static void r10_rows(struct build *b, const struct extent *e)
{
	const struct cprof_rule rule = {
		.cfa_kind = CPROF_CFA_REG,
		.cfa_reg = 10,
		.ra_kind = CPROF_SAVE_CFA,
		.bp_kind = CPROF_SAVE_SAME,
		.cfa_off = 8,
		.ra_off = -8,
		.bx_kind_off = CPROF_SAVE_SAME,
	};

	table_writer_row(b->writer, e->start, 1);
	table_writer_row(b->writer, e->start + 4, table_writer_rule(b->writer, &rule));
	table_writer_row(b->writer, e->limit - 2, 1);
}

void table_cfi_rows(struct build *b, const struct extent *e)
{
	b->extent = e;
	if (is_coroutine_start(b, extent_fde(b, e))) {
		state_row(b, e->start, CPROF_RULE_INDEXED | CPROF_RULE_END);
		b->n_functions++;
		return;
	}
	if (e->limit == extent_fde(b, e)->limit && e->start == extent_fde(b, e)->start &&
	    keeps_rsp_in_r10(b, extent_fde(b, e))) {
		r10_rows(b, e);
		b->n_functions++;
		return;
	}
	if (cfi_run(b->cfi, extent_fde(b, e), cfi_row, b) < 0)
		table_writer_cut(b->writer, 1);
	b->n_functions++;
}

void table_plt_rows(struct build *b, const struct extent *e)
{
	plt_rows(b, e->start, e->limit, e->index);
}

struct rule_at {
	struct build *b;
	uint64_t addr;
	uint16_t rule;
};

static void find_row(void *arg, uint64_t addr, const struct cfi_state *s)
{
	struct rule_at *f = arg;

	if (addr <= f->addr)
		f->rule = s->ra.kind == CFI_UNDEFINED ? CPROF_RULE_INDEXED | CPROF_RULE_END
						      : inline_rule(s);
}

uint16_t table_rule_at(struct build *b, const struct extent *e, uint64_t addr)
{
	struct rule_at f = { .b = b, .addr = addr };

	if (e->source == EXTENT_RULE)
		return (uint16_t)e->index;
	if (e->source == EXTENT_CFI || e->source == EXTENT_CFI_DEBUG)
		cfi_run(b->cfi, extent_fde(b, e), find_row, &f);
	return f.rule;
}

int table_cfi_extents(struct build *b, enum cfi_source source)
{
	_cleanup_free_ struct extent *list = NULL;
	size_t n_fdes, n = 0, overlaps;
	const struct cfi_fde *fdes = cfi_fdes(b->cfi, source, &n_fdes);
	int r;

	if (n_fdes == 0)
		return 0;
	list = reallocarray(NULL, n_fdes, sizeof(*list));
	if (!list)
		return -ENOMEM;

	for (size_t i = 0; i < n_fdes; i++) {
		struct extent e = {
			.start = fdes[i].start,
			.limit = fdes[i].limit,
			.index = (uint32_t)i,
			.source = source == CFI_EH_FRAME ? EXTENT_CFI : EXTENT_CFI_DEBUG,
		};

		/* functions that the linker threw away are left at address 0 */
		if (table_clip_text(b, &e.start, &e.limit))
			list[n++] = e;
		else if (source == CFI_EH_FRAME)
			b->n_cut++;
	}

	r = extents_add(&b->extents, list, n, &overlaps);
	if (r == 0)
		b->n_cut += (uint32_t)overlaps;
	return r;
}
