/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of Go functions, from the depth of the stack that .gopclntab gives for each instruction. The
 * assembler saves rbp right below the return address in every function with a frame, by a push or,
 * before Go 1.21, by a store after the frame was made; assembly without a frame may not.
 */
#include <string.h>

#include "gopclntab.h"
#include "table_build.h"
#include "x86.h"

struct go_rows {
	struct build *b;
	const struct extent *e;
	bool framed;   /* the first depth has been met */
	bool saved;    /* rbp is at CFA - 16 */
	bool switches; /* the stack pointer is written: rbp leads back */
};

static bool is_name(const char *name, const char *want)
{
	size_t n = strlen(want);

	return strncmp(name, want, n) == 0 && (name[n] == 0 || strcmp(name + n, ".abi0") == 0);
}

static bool is_root(const struct gopclntab_function *f, const char *name)
{
	static const char *const roots[] = {
		"runtime.goexit",   "runtime.mstart", "runtime.rt0_go",
		"_rt0_amd64_linux", "_rt0_amd64",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(roots); i++)
		if (is_name(name, roots[i]))
			return true;
	/* the signal handler is a root for Go's own tracebacks; its caller is the signal frame */
	return (f->flags & GOPCLNTAB_TOPFRAME) && strncmp(name, "runtime.sig", 11) != 0;
}

static bool switches_stacks(const struct gopclntab_function *f, const char *name)
{
	static const char *const names[] = { "runtime.systemstack", "runtime.asmcgocall",
					     "runtime.cgocallback" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (is_name(name, names[i]))
			return true;
	return f->flags & GOPCLNTAB_SPWRITE;
}

/* They switch to the system stack for good: from there on they are its root, as for runtime/pprof. */
static bool leaves_for_good(const char *name)
{
	return is_name(name, "runtime.mcall") || is_name(name, "runtime.morestack");
}

/* Where rsp has been given to another stack, or where the system call is; 0 not found. */
static uint64_t find_point(struct build *b, const struct extent *e, bool syscall)
{
	uint8_t code[512];
	size_t bytes = MIN(e->limit - e->start, sizeof(code)), at = 0;
	struct x86_insn i;

	if (elf_file_read_vaddr(b->elf, e->start, code, bytes) < 0)
		return 0;
	while (at < bytes && x86_decode(code + at, bytes - at, e->start + at, &i) > 0) {
		if (syscall && at + 2 <= bytes && code[at] == 0x0f && code[at + 1] == 0x05)
			return e->start + at;
		at += i.bytes;
		if (!syscall && i.stack == X86_LOST)
			return e->start + at;
	}
	return 0;
}

/* Whether the code that ends or begins at addr, where the frame appears, saves rbp. */
static bool saves_rbp(struct build *b, uint64_t addr)
{
	uint8_t code[5];

	if (addr == 0 || elf_file_read_vaddr(b->elf, addr - 1, code, sizeof(code)) < 0)
		return false;
	return code[0] == 0x55 || (code[1] == 0x48 && code[2] == 0x89 &&
				   (code[3] == 0x6c || code[3] == 0xac) && code[4] == 0x24);
}

static uint16_t depth_rule(struct go_rows *g, int32_t depth)
{
	const bool saved = g->saved && depth >= 8;
	struct cprof_rule rule = {
		.cfa_kind = CPROF_CFA_REG,
		.cfa_reg = CFI_RSP,
		.ra_kind = CPROF_SAVE_CFA,
		.bp_kind = saved ? CPROF_SAVE_CFA : CPROF_SAVE_SAME,
		.cfa_off = depth + 8,
		.ra_off = -8,
		.bp_off = saved ? -16 : 0,
		.bx_kind_off = CPROF_SAVE_UNDEFINED,
	};

	if (depth < 0 || depth % 8 != 0 || depth > INT32_MAX - 8) {
		table_writer_cut(g->b->writer, 1);
		return CPROF_RULE_NONE;
	}
	if (depth / 8 + 1 > 0x3ff)
		return table_writer_rule(g->b->writer, &rule);
	return (uint16_t)(depth / 8 + 1) | (saved ? 1 << CPROF_RULE_RBP_SHIFT : 0);
}

static void depth_row(void *arg, uint64_t addr, int32_t depth)
{
	struct go_rows *g = arg;
	uint16_t rule;

	if (addr >= g->e->limit)
		return;
	if (depth >= 8 && !g->framed) {
		g->framed = true;
		g->saved = saves_rbp(g->b, addr);
	}
	if (g->switches && depth >= 8)
		rule = CPROF_RULE_INDEXED | CPROF_RULE_FP;
	else
		rule = depth_rule(g, depth);
	table_writer_row(g->b->writer, MAX(addr, g->e->start), rule);
}

static void has_depth(void *arg, uint64_t addr, int32_t depth)
{
	(void)addr;
	if (depth >= 8)
		*(bool *)arg = true;
}

/* Rows as depths say them up to an address, and from there on one rule. */
static void rows_up_to(struct build *b, const struct extent *e, const struct gopclntab_function *f,
		       uint64_t at, uint16_t rule)
{
	const struct extent before = { .start = e->start, .limit = at };
	struct go_rows g = { .b = b, .e = &before };

	gopclntab_depths(b->go, f, depth_row, &g);
	table_writer_row(b->writer, at, rule);
}

void table_go_rows(struct build *b, const struct extent *e)
{
	struct go_rows g = { .b = b, .e = e };
	struct gopclntab_function f;
	const char *name;
	bool framed = false;
	uint64_t at, call;

	b->n_functions++;
	if (!gopclntab_function(b->go, e->index, &f))
		return;
	name = gopclntab_name(b->go, &f);
	if (!name)
		name = "";
	if (is_root(&f, name)) {
		table_writer_row(b->writer, e->start, CPROF_RULE_INDEXED | CPROF_RULE_END);
		return;
	}

	if (leaves_for_good(name)) {
		at = find_point(b, e, false);
		rows_up_to(b, e, &f, at ? at : e->start, CPROF_RULE_INDEXED | CPROF_RULE_END);
		return;
	}
	call = is_name(name, "runtime.clone") ? find_point(b, e, true) : 0;
	if (call) {
		rows_up_to(b, e, &f, call, CPROF_RULE_INDEXED | CPROF_RULE_CLONE);
		/* the child goes to its own stack at once */
		at = find_point(b, e, false);
		if (at > call)
			table_writer_row(b->writer, at, CPROF_RULE_INDEXED | CPROF_RULE_END);
		return;
	}

	g.switches = switches_stacks(&f, name);
	if (g.switches) {
		gopclntab_depths(b->go, &f, has_depth, &framed);
		if (!framed) {
			table_writer_row(b->writer, e->start, CPROF_RULE_INDEXED | CPROF_RULE_FP);
			return;
		}
	}
	table_writer_row(b->writer, e->start, CPROF_RULE_NONE);
	if (gopclntab_depths(b->go, &f, depth_row, &g) < 0)
		table_writer_cut(b->writer, 1);
}

static bool is_sigreturn(const struct build *b, const struct gopclntab_function *f)
{
	const char *name = gopclntab_name(b->go, f);

	return name && strncmp(name, "runtime.sigreturn", 17) == 0;
}

int table_go_extents(struct build *b)
{
	_cleanup_free_ struct extent *list = NULL;
	struct gopclntab_function f;
	size_t n = 0, overlaps, count;
	int r;

	r = gopclntab_new(&b->go, b->elf);
	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		b->n_cut++;
		return r == -ENOMEM ? r : 0;
	}

	count = gopclntab_count(b->go);
	list = reallocarray(NULL, count, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct extent e = { .index = (uint32_t)i, .source = EXTENT_GO };

		if (!gopclntab_function(b->go, i, &f)) {
			b->n_cut++;
			continue;
		}
		e.start = f.start;
		e.limit = f.limit;
		if (!table_clip_text(b, &e.start, &e.limit) ||
		    (n > 0 && e.start < list[n - 1].limit)) {
			b->n_cut++;
			continue;
		}
		if (is_sigreturn(b, &f)) {
			/* looked up by its start - 1, which is padding of the function before */
			if (n > 0 && list[n - 1].limit == e.start &&
			    --list[n - 1].limit == list[n - 1].start)
				n--;
			e.start--;
			e.index = CPROF_RULE_INDEXED | CPROF_RULE_SIGFRAME;
			e.source = EXTENT_RULE;
		}
		list[n++] = e;
	}
	b->flags |= CPROF_TABLE_GO;
	return extents_add(&b->extents, list, n, &overlaps);
}
