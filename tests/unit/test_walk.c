/* SPDX-License-Identifier: Apache-2.0 */
/* The walker of bpf/walk.h over stacks that are made here, by tables that are made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"
#include "run.h"
#include "table.h"
#include "table_write.h"

#define BIAS  0x400000ULL
#define SP    0x7fff00001000ULL
#define START (SP - CPROF_RED_ZONE_BYTES)
#define END   (CPROF_RULE_INDEXED | CPROF_RULE_END)

/* Functions of the table, a page each. */
enum { ROOT = 0x1000, NEXT = 0x2000, LEAF = 0x3000, LAST = 0x4000 };
#define IN(function) (BIAS + (function) + 0x10)

struct stage {
	struct table_writer *writer;
	struct buf blob;
	uint64_t stack[4096];
	struct walk_run run;
	struct walk_mapping mapping;
	const void *tables[1];
	uint64_t frames[CPROF_MAX_USER_FRAMES];
	struct walk_answer answer;
};

static uint64_t *at(struct stage *s, uint64_t addr)
{
	return &s->stack[(addr - START) / 8];
}

static int setup(void **state)
{
	static struct stage s;

	memset(&s, 0, sizeof(s));
	s.blob = BUF_INIT(1 << 20);
	s.run.from.regs.valid = 0xffff | CPROF_REGS_EXACT;
	s.run.from.regs.r[7] = SP;
	s.run.from.regs.ip = IN(LEAF);
	s.run.stack = (const uint8_t *)s.stack;
	s.run.stack_bytes = s.run.from.own_bytes = sizeof(s.stack);
	s.run.n_frames = 1;
	s.mapping = (struct walk_mapping){ BIAS, BIAS + 0x10000, BIAS, 0, 0 };
	s.run.mappings = &s.mapping;
	s.run.n_mappings = 1;
	s.run.tables = s.tables;
	s.run.n_tables = 1;
	*state = &s;
	return table_writer_new(&s.writer);
}

static int teardown(void **state)
{
	struct stage *s = *state;

	table_writer_free(s->writer);
	buf_done(&s->blob);
	return 0;
}

/* The leaf's rule, then the next one's, then a root. */
static void walk(struct stage *s, uint16_t leaf, uint16_t next)
{
	table_writer_row(s->writer, ROOT, END);
	table_writer_row(s->writer, NEXT, next);
	table_writer_row(s->writer, LEAF, leaf);
	table_writer_row(s->writer, LAST, CPROF_RULE_NONE);
	assert_int_equal(table_writer_finish(s->writer, 0, NULL, 0, &s->blob), 0);
	assert_int_equal(table_check(s->blob.data, s->blob.size), 0);
	s->tables[0] = s->blob.data;
	walk_run(&s->run, s->frames, &s->answer);
}

static uint16_t rule(struct stage *s, struct cprof_rule r)
{
	r.bx_kind_off = CPROF_SAVE_UNDEFINED;
	return table_writer_rule(s->writer, &r);
}

static void assert_chain(const struct stage *s, enum cprof_end end, unsigned n, uint64_t last)
{
	assert_int_equal(s->answer.end, end);
	assert_int_equal(s->answer.n_frames, n);
	if (n)
		assert_int_equal(s->frames[n - 1], last);
}

static void simple_rules(void **state)
{
	struct stage *s = *state;

	*at(s, SP + 8) = IN(NEXT);
	s->run.from.regs.r[6] = SP + 0x100; /* rbp of the next one */
	*at(s, SP + 0x108) = IN(ROOT);
	walk(s, 2, CPROF_RULE_CFA_RBP | 2 | 1 << CPROF_RULE_RBP_SHIFT);
	assert_chain(s, CPROF_END_COMPLETE, 2, IN(ROOT));
	assert_int_equal(s->frames[0], IN(NEXT));
}

/* Only what is above the leaf may move down. */
static void broken_rule(void **state)
{
	struct stage *s = *state;

	s->run.from.regs.r[6] = SP - 64;
	walk(s, CPROF_RULE_CFA_RBP | 2, 1);
	assert_chain(s, CPROF_END_BROKEN_CFI, 0, 0);
}

static void no_address(void **state)
{
	struct stage *s = *state;

	*at(s, SP) = 5;
	walk(s, 1, 1);
	assert_chain(s, CPROF_END_BROKEN_CFI, 0, 0);
}

static void beyond_the_copy(void **state)
{
	struct stage *s = *state;
	struct walk_answer a;

	*at(s, SP) = IN(NEXT);
	s->run.stack_bytes = s->run.from.own_bytes = CPROF_RED_ZONE_BYTES + 16;
	walk(s, 1, 0x3ff);
	assert_chain(s, CPROF_END_UNREADABLE, 1, IN(NEXT));
	s->run.stack_cut = true;
	walk_run(&s->run, s->frames, &a);
	assert_int_equal(a.end, CPROF_END_BUDGET);
}

/* CFA = *(rsp + 16 + 8 * r9) + 8, as in bn_mul_mont. */
static void index_register(void **state)
{
	struct stage *s = *state;

	s->run.from.regs.r[9] = 5;
	*at(s, SP + 16 + 40) = SP + 0x200;
	*at(s, SP + 0x200) = IN(ROOT);
	walk(s,
	     rule(s, (struct cprof_rule){ .cfa_kind = CPROF_CFA_INDEX_DEREF,
					  .cfa_reg = 7 | 9 << 4,
					  .cfa_off = 16,
					  .cfa_off2 = 8,
					  .ra_kind = CPROF_SAVE_CFA,
					  .ra_off = -8 }),
	     1);
	assert_chain(s, CPROF_END_COMPLETE, 1, IN(ROOT));
}

/* The CFA of the caller is in rax, which its helper has left alone. */
static void scratch_register(void **state)
{
	struct stage *s = *state;

	s->run.from.regs.r[0] = SP + 0x80;
	*at(s, SP) = IN(NEXT);
	*at(s, SP + 0x80) = IN(ROOT);
	walk(s, 1,
	     rule(s,
		  (struct cprof_rule){
			  .cfa_reg = 0, .cfa_off = 8, .ra_kind = CPROF_SAVE_CFA, .ra_off = -8 }));
	assert_chain(s, CPROF_END_COMPLETE, 2, IN(ROOT));
}

/* A register that callees save is not known any more after a step that does not speak of it. */
static void unknown_register(void **state)
{
	struct stage *s = *state;

	s->run.from.regs.r[12] = SP + 0x80;
	*at(s, SP) = IN(NEXT);
	walk(s, 1,
	     rule(s,
		  (struct cprof_rule){
			  .cfa_reg = 12, .cfa_off = 8, .ra_kind = CPROF_SAVE_CFA, .ra_off = -8 }));
	assert_chain(s, CPROF_END_BROKEN_CFI, 1, IN(NEXT));
}

/* Behind the system call of clone: the child's stack begins here, whatever its memory says. */
static void clone_child(void **state)
{
	struct stage *s = *state;

	*at(s, SP) = IN(NEXT);
	s->run.from.regs.r[0] = 0;
	walk(s, CPROF_RULE_INDEXED | CPROF_RULE_CLONE, 1);
	assert_chain(s, CPROF_END_COMPLETE, 0, 0);
}

/* The parent has the child's id there, or still -ENOSYS. */
static void clone_parent(void **state)
{
	struct stage *s = *state;

	*at(s, SP) = IN(NEXT);
	*at(s, SP + 8) = IN(ROOT);
	s->run.from.regs.r[0] = (uint64_t)-38;
	walk(s, CPROF_RULE_INDEXED | CPROF_RULE_CLONE, 1);
	assert_chain(s, CPROF_END_COMPLETE, 2, IN(ROOT));
}

/* The interrupted registers come back, on another stack, and the address is exact. */
static void signal_frame(void **state)
{
	struct stage *s = *state;
	uint64_t context = SP + 40;

	*at(s, context + 15 * 8) = SP + 0x400;
	*at(s, context + 16 * 8) = BIAS + NEXT; /* the first byte of a function */
	*at(s, SP + 0x400) = IN(ROOT);
	walk(s, CPROF_RULE_INDEXED | CPROF_RULE_SIGFRAME, 1);
	assert_chain(s, CPROF_END_COMPLETE, 2, IN(ROOT));
}

/* By frame pointer to where nothing is mapped: taken back. */
static void wrong_guess(void **state)
{
	struct stage *s = *state;

	s->run.from.regs.ip = BIAS + LAST + 0x10;
	s->run.from.regs.r[6] = SP + 0x40;
	*at(s, SP + 0x40) = SP + 0x80;
	*at(s, SP + 0x48) = 0x7000000;
	walk(s, 1, 1);
	assert_chain(s, CPROF_END_NO_UNWIND_INFO, 0, 0);
}

static void right_guess(void **state)
{
	struct stage *s = *state;

	s->run.from.regs.ip = BIAS + LAST + 0x10;
	s->run.from.regs.r[6] = SP + 0x40;
	*at(s, SP + 0x40) = 0;
	*at(s, SP + 0x48) = IN(ROOT);
	walk(s, 1, 1);
	assert_chain(s, CPROF_END_COMPLETE, 1, IN(ROOT));
}

static void too_deep(void **state)
{
	struct stage *s = *state;

	for (uint64_t i = 0; i < 2000; i++)
		*at(s, SP + 8 * i) = IN(LEAF);
	walk(s, 1, 1);
	assert_chain(s, CPROF_END_DEPTH, CPROF_MAX_USER_FRAMES - 1, IN(LEAF));
}

#define OTHER 0xc000001000ULL

/* As Go's systemstack: the frame pointer leads to another stack, of which there is a part as well. */
static void other_stack(void **state)
{
	struct stage *s = *state;
	struct walk_answer a;

	s->run.from.other_start = OTHER;
	s->run.from.own_bytes = 256;
	s->run.stack_bytes = 256 + 16;
	*at(s, SP) = IN(NEXT);
	s->run.from.regs.r[6] = OTHER;
	s->stack[256 / 8] = 0;
	s->stack[256 / 8 + 1] = IN(ROOT);
	walk(s, 1, CPROF_RULE_INDEXED | CPROF_RULE_FP);
	assert_chain(s, CPROF_END_COMPLETE, 2, IN(ROOT));

	s->run.stack_bytes = 256 + 8;
	walk_run(&s->run, s->frames, &a);
	assert_int_equal(a.end, CPROF_END_UNREADABLE);
	s->run.from.other_start = OTHER + 16;
	walk_run(&s->run, s->frames, &a);
	assert_int_equal(a.end, CPROF_END_UNREADABLE);
}

static void jit(void **state)
{
	struct stage *s = *state;

	s->mapping.table = WALK_JIT;
	walk(s, 1, 1);
	assert_chain(s, CPROF_END_JIT, 0, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(simple_rules),     TEST(broken_rule),    TEST(no_address),
		TEST(beyond_the_copy),  TEST(index_register), TEST(scratch_register),
		TEST(unknown_register), TEST(signal_frame),   TEST(wrong_guess),
		TEST(right_guess),      TEST(too_deep),       TEST(jit),
		TEST(clone_child),      TEST(clone_parent),   TEST(other_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
