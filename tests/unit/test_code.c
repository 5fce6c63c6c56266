/* SPDX-License-Identifier: Apache-2.0 */
/* Stack depths found in machine code (lib/elf/code.c), and the decoder under it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "cfi.h"
#include "code.h"
#include "elf_file.h"
#include "x86.h"

#define CODE(...) ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })

static void assert_insn(const uint8_t *code, size_t bytes, unsigned flow, unsigned stack,
			int32_t value, uint64_t target)
{
	struct x86_insn i;

	assert_int_equal(x86_decode(code, bytes, 0x1000, &i), (int)bytes);
	assert_int_equal(i.flow, flow);
	assert_int_equal(i.stack, stack);
	assert_int_equal(i.value, value);
	assert_int_equal(i.target, target);
	/* an instruction that is cut short is none */
	for (size_t n = 0; n < bytes; n++)
		if (x86_decode(code, n, 0x1000, &i) > 0)
			assert_true(i.bytes <= n);
}

static void decodes(void **state)
{
	struct x86_insn i;

	(void)state;
	assert_insn(CODE(0x55), X86_NEXT, X86_PUSH_BP, 0, 0);
	assert_insn(CODE(0x41, 0x55), X86_NEXT, X86_ADJUST, -8, 0);
	assert_insn(CODE(0x5d), X86_NEXT, X86_POP_BP, 0, 0);
	assert_insn(CODE(0x48, 0x89, 0xe5), X86_NEXT, X86_SP_TO_BP, 0, 0);
	assert_insn(CODE(0x48, 0x8b, 0xec), X86_NEXT, X86_SP_TO_BP, 0, 0);
	assert_insn(CODE(0x48, 0x89, 0xec), X86_NEXT, X86_BP_TO_SP, 0, 0);
	assert_insn(CODE(0x48, 0x8d, 0x65, 0xf0), X86_NEXT, X86_BP_TO_SP, -16, 0);
	assert_insn(CODE(0x48, 0x83, 0xec, 0x28), X86_NEXT, X86_ADJUST, -40, 0);
	assert_insn(CODE(0x48, 0x81, 0xc4, 0x00, 0x10, 0, 0), X86_NEXT, X86_ADJUST, 4096, 0);
	assert_insn(CODE(0x48, 0x83, 0xe4, 0xf0), X86_NEXT, X86_LOST, 0, 0);
	assert_insn(CODE(0x48, 0x89, 0x6c, 0x24, 0x10), X86_NEXT, X86_SAVE_BP, 16, 0);
	assert_insn(CODE(0xc9), X86_NEXT, X86_LEAVE, 0, 0);
	assert_insn(CODE(0xc3), X86_RETURN, X86_KEEP, 0, 0);
	assert_insn(CODE(0xf3, 0xc3), X86_RETURN, X86_KEEP, 0, 0);
	assert_insn(CODE(0xeb, 0xfe), X86_JUMP, X86_KEEP, 0, 0x1000);
	assert_insn(CODE(0x0f, 0x84, 0x10, 0, 0, 0), X86_BRANCH, X86_KEEP, 0, 0x1016);
	assert_insn(CODE(0xe8, 0xfb, 0xff, 0xff, 0xff), X86_CALL, X86_KEEP, 0, 0x1000);
	assert_insn(CODE(0xff, 0xe0), X86_AWAY, X86_KEEP, 0, 0);
	assert_insn(CODE(0x0f, 0x0b), X86_STOP, X86_KEEP, 0, 0);
	/* movabs; vmovdqu with VEX; vpaddq with EVEX and a compressed displacement; crc32 */
	assert_insn(CODE(0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8), X86_NEXT, X86_KEEP, 0, 0);
	assert_insn(CODE(0xc4, 0xc1, 0x7a, 0x6f, 0x08), X86_NEXT, X86_KEEP, 0, 0);
	assert_insn(CODE(0x62, 0xf1, 0xfd, 0x48, 0xd4, 0x45, 0x01), X86_NEXT, X86_KEEP, 0, 0);
	assert_insn(CODE(0xf2, 0x48, 0x0f, 0x38, 0xf1, 0xc1), X86_NEXT, X86_KEEP, 0, 0);
	/* 32-bit writes of esp lose it; pop into memory; a call through memory */
	assert_insn(CODE(0x89, 0xc4), X86_NEXT, X86_LOST, 0, 0);
	assert_insn(CODE(0xff, 0x15, 0, 0, 0, 0), X86_CALL, X86_KEEP, 0, 0);

	assert_int_equal(x86_decode((const uint8_t[]){ 0x06 }, 1, 0, &i), -EBADMSG);
	assert_int_equal(x86_decode((const uint8_t[16]){ [0 ... 15] = 0x66 }, 16, 0, &i), -EBADMSG);
}

static const struct code_row *row_at(const struct code_rows *r, uint64_t addr)
{
	const struct code_row *found = NULL;

	for (size_t i = 0; i < r->n && r->rows[i].addr <= addr; i++)
		found = &r->rows[i];
	assert_non_null(found);
	return found;
}

static void rows_of(struct code_rows *r, const uint8_t *code, size_t bytes)
{
	*r = (struct code_rows){};
	assert_int_equal(code_rows_add(r, code, bytes, 0x1000, (const uint64_t[]){ 0x1000 }, 1), 0);
}

static void follows(void **state)
{
	struct code_rows r;

	(void)state;
	/* push rbp; push rbx; sub $8,rsp; test; je +1; nop; add $8,rsp; pop rbx; pop rbp; ret */
	rows_of(&r, CODE(0x55, 0x53, 0x48, 0x83, 0xec, 0x08, 0x85, 0xff, 0x74, 0x01, 0x90, 0x48,
			 0x83, 0xc4, 0x08, 0x5b, 0x5d, 0xc3));
	assert_int_equal(row_at(&r, 0x1000)->cfa, 8);
	assert_int_equal(row_at(&r, 0x1001)->cfa, 16);
	assert_int_equal(row_at(&r, 0x1001)->bp, 16);
	assert_int_equal(row_at(&r, 0x100a)->cfa, 32);
	assert_int_equal(row_at(&r, 0x1010)->cfa, 16);
	assert_int_equal(row_at(&r, 0x1011)->bp, 0);
	assert_int_equal(row_at(&r, 0x1012)->cfa, 0);
	code_rows_done(&r);

	/* push rbp; mov rsp,rbp; and $-16,rsp; leave; ret */
	rows_of(&r, CODE(0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xf0, 0xc9, 0xc3));
	assert_true(row_at(&r, 0x1008)->cfa_in_bp);
	assert_int_equal(row_at(&r, 0x1008)->cfa, 16);
	assert_int_equal(row_at(&r, 0x1009)->cfa, 8);
	code_rows_done(&r);

	/* push rbx; jmp *rax; then a case: pop rbx; ret */
	rows_of(&r, CODE(0x53, 0xff, 0xe0, 0x5b, 0xc3));
	assert_int_equal(row_at(&r, 0x1003)->cfa, 16);
	assert_int_equal(row_at(&r, 0x1004)->cfa, 8);
	code_rows_done(&r);
}

static void refuses(void **state)
{
	struct code_rows r;

	(void)state;
	/* returns with a push left; paths that disagree; bytes that are no code; runs off the end */
	rows_of(&r, CODE(0x53, 0xc3));
	assert_int_equal(row_at(&r, 0x1000)->cfa, 0);
	code_rows_done(&r);
	rows_of(&r, CODE(0x74, 0x01, 0x53, 0x90, 0xc3));
	assert_int_equal(row_at(&r, 0x1000)->cfa, 0);
	code_rows_done(&r);
	rows_of(&r, CODE(0x90, 0x06, 0xc3));
	assert_int_equal(row_at(&r, 0x1000)->cfa, 0);
	code_rows_done(&r);
	rows_of(&r, CODE(0x90, 0x90));
	assert_int_equal(row_at(&r, 0x1000)->cfa, 0);
	code_rows_done(&r);
	/* mov rax,rsp: nobody knows */
	rows_of(&r, CODE(0x48, 0x89, 0xc4, 0xc3));
	assert_int_equal(row_at(&r, 0x1000)->cfa, 0);
	code_rows_done(&r);
}

/* Where compilers have said it in CFI, what the code says is the same. */

struct compare {
	struct code_rows rows;
	unsigned long same, different;
	uint64_t limit;
	bool entry; /* the function begins as functions do, not as a cold part of one */
	const struct cfi_fde *fde;
};

static void compare_row(void *arg, uint64_t addr, const struct cfi_state *s)
{
	struct compare *c = arg;
	const struct code_row *row;

	if (addr == c->fde->start)
		c->entry = s->cfa.kind == CFI_CFA_REG && s->cfa.reg == CFI_RSP && s->cfa.off == 8;
	if (!c->entry || addr >= c->limit || s->cfa.kind != CFI_CFA_REG)
		return;
	row = row_at(&c->rows, addr);
	if (row->cfa == 0 || row->cfa_in_bp != (s->cfa.reg == CFI_RBP))
		return; /* not said, or said by the other register */
	if (row->cfa == s->cfa.off &&
	    (row->bp == 0 || s->bp.kind != CFI_AT_CFA || row->bp == -s->bp.off))
		c->same++;
	else
		c->different++;
}

static void agrees_with_cfi(void **state)
{
	static const char *const paths[] = { "/lib/x86_64-linux-gnu/libc.so.6",
					     "/lib/x86_64-linux-gnu/libm.so.6",
					     "/lib/x86_64-linux-gnu/libz.so.1" };
	static uint8_t code[CODE_MAX_BYTES];
	struct compare c = {};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup_close_ int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
		_cleanup_(elf_file_freep) struct elf_file *f = NULL;
		_cleanup_(cfi_freep) struct cfi *cfi = NULL;
		const struct cfi_fde *fdes;
		size_t n;

		assert_int_equal(elf_file_new(&f, fd), 0);
		assert_int_equal(cfi_new(&cfi, f), 0);
		fdes = cfi_fdes(cfi, CFI_EH_FRAME, &n);
		for (size_t j = 0; j < n; j++) {
			size_t bytes = fdes[j].limit - fdes[j].start;

			if (bytes > sizeof(code) ||
			    elf_file_read_vaddr(f, fdes[j].start, code, bytes) < 0)
				continue;
			c.rows = (struct code_rows){};
			assert_int_equal(code_rows_add(&c.rows, code, bytes, fdes[j].start,
						       &fdes[j].start, 1),
					 0);
			c.limit = fdes[j].limit;
			c.fde = &fdes[j];
			cfi_run(cfi, &fdes[j], compare_row, &c);
			code_rows_done(&c.rows);
		}
	}
	print_message("%lu rows the same, %lu different\n", c.same, c.different);
	assert_true(c.same > 10000);
	assert_true(c.different * 10000 < c.same);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes),
		cmocka_unit_test(follows),
		cmocka_unit_test(refuses),
		cmocka_unit_test(agrees_with_cfi),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
