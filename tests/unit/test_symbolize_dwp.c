/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .dwp files of each packager that Debian has, of many units: for every byte of the program's text the same
 * answer as without splitting. Needs gcc, clang, their dwp, rustc.
 */
#include "symbolize_harness.h"

#define N_UNITS 12 /* the index is a hash: some of them are not where they would be first */

static char folder[] = "/tmp/cprof-dwp-XXXXXX";

/* Calls whose code has holes, functions in two parts, types that go to units of their own. */
static const char shared_h[] =
	"#include <stdio.h>\n#include <stdlib.h>\n"
	"#define SQUARE(x) ((x) * (x))\n"
	"struct box {\n"
	"	int value;\n" /* 5 */
	"	__attribute__((noinline)) int get(int n) { return checked(n) + SQUARE(value); }\n"
	"	static inline __attribute__((always_inline)) int checked(int n)\n"
	"	{\n"
	"		if (__builtin_expect(n < 0, 0)) {\n"
	"			puts(\"negative\");\n" /* 10 */
	"			abort();\n"
	"		}\n"
	"		return n * 3;\n" /* 13 */
	"	}\n"
	"};\n";

static const char unit_cc[] =
	"#include \"shared.h\"\n"
	"template <class T, int K> inline __attribute__((always_inline)) int twice(T &b, int n)\n"
	"{\n"
	"	return b.get(n) + T::checked(n + K);\n"
	"}\n" /* 5 */
	"#define NAME2(n) unit_##n\n"
	"#define NAME(n)  NAME2(n)\n"
	"extern \"C\" __attribute__((noinline)) int NAME(N)(int n)\n"
	"{\n"
	"	box b = { N };\n" /* 10 */
	"	return twice<box, N>(b, n) + N;\n"
	"}\n";

/* dwp of binutils 2.40 knows no DWARF 5, and llvm-dwp (14 to 22) looks for the unit's abbreviation without knowing that
 * DW_FORM_implicit_const has a value: so this one comes first in what gcc wrote. */
static const char reorder_awk[] =
	"/^\\t\\.section/ { end(); inside = /debug_abbrev\\.dwo/; print; next }\n"
	"inside && /abbrev code/ { take() }\n"
	"inside && /DW_TAG_compile_unit/ { is_unit = 1 }\n"
	"inside && !/^\\.L/ { one = one $0 \"\\n\"; next }\n"
	"{ print }\n"
	"function take() { if (is_unit) unit = one; else rest = rest one; one = \"\"; is_unit = 0 "
	"}\n"
	"function end() { if (!inside) return;\n"
	"	printf \"%s%s%s\", unit, rest, one; unit = rest = one = \"\" }\n";

static const char main_rs[] =
	"use std::collections::HashMap;\n"
	"#[inline(always)] fn inner(x: u64) -> u64 { unsafe { std::ptr::read_volatile(&x) } }\n"
	"#[inline(never)] fn work(n: u64) -> u64 {\n"
	"	let mut m = HashMap::new();\n"
	"	for i in 0..n { m.insert(\n" /* 5 */
	"		inner(i), i); }\n"
	"	m.len() as u64\n"
	"}\n"
	"fn main() { println!(\"{}\", work(std::env::args().count() as u64)); }\n";

static int setup(void **state _unused_)
{
	assert_non_null(mkdtemp(folder));
	write_file(folder, "shared.h", shared_h);
	write_file(folder, "unit.cc", unit_cc);
	write_file(folder, "main.rs", main_rs);
	write_file(folder, "reorder.awk", reorder_awk);
	sh("cd %s && { for i in $(seq 0 %d); do echo \"int unit_$i(int);\"; done; "
	   "echo 'int main(int n, char **argv) { (void)argv; return 0'; "
	   "for i in $(seq 0 %d); do echo \"+ unit_$i(n)\"; done; echo ';}'; } >main.c",
	   folder, N_UNITS - 1, N_UNITS - 1);
	return 0;
}

static int teardown(void **state _unused_)
{
	sh("rm -r %s", folder);
	return 0;
}

/* NAME-0.o and so on, with .dwo files where the flags say so. */
static void compile_units(const char *name, const char *compiler, const char *flags)
{
	sh("cd %s && for i in $(seq 0 %d); do "
	   "%s -O2 -g %s -fno-exceptions -DN=$i -c -x c++ unit.cc -o %s-$i.o || exit 1; done && "
	   "%s -O2 -g %s -c main.c -o %s-main.o && %s -o %s %s-*.o",
	   folder, N_UNITS - 1, compiler, flags, name, compiler, flags, name, compiler, name, name);
}

static void symbolize_text(struct symbolized *ret, const char *name)
{
	char path[256];
	_cleanup_close_ int fd = -1;
	_cleanup_(elf_file_freep) struct elf_file *elf = NULL;
	const struct elf_section *text;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(elf_file_new(&elf, fd), 0);
	text = elf_file_section(elf, ".text");
	assert_non_null(text);
	symbolize_range(ret, path, SYMBOLIZE_DWARF, text->addr, text->bytes, 1);
}

/* What is compared is what the test is about. */
static void check_chains(const struct symbolized *s)
{
	for (unsigned i = 0; i < N_UNITS; i++) {
		char text[160];

		snprintf(
			text, sizeof(text),
			"box::checked(int) shared.h:13 < int twice<box, %u>(box&, int) unit.cc:4 < "
			"unit_%u unit.cc:11",
			i, i);
		symbolized_expect(s, text);
	}
}

static void check_rust_chains(const struct symbolized *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += strstr(s->text[i], "::inner main.rs:2 < ") != NULL;
	assert_true(n > 0);
}

static void expect_version(const char *version)
{
	char line[64];

	sh_line(line, sizeof(line),
		"cd %s && objcopy -O binary --only-section .debug_cu_index --set-section-flags "
		".debug_cu_index=alloc split.dwp index && xxd -p -l 4 index",
		folder);
	assert_string_equal(line, version);
}

/* `split` and its split.dwp as `whole`; and the package it is where that comes from. */
static void compare(const char *version, void (*check)(const struct symbolized *s))
{
	struct symbolized whole, split;

	expect_version(version);
	sh("cd %s && rm -f *.dwo", folder);
	symbolize_text(&whole, "whole");
	check(&whole);
	symbolize_text(&split, "split");
	assert_int_equal(split.a.head.debug_missing, 0);
	assert_int_equal(split.a.head.debug_broken, 0);
	assert_int_equal(split.n, whole.n);
	for (size_t i = 0; i < whole.n; i++)
		assert_string_equal(split.text[i], whole.text[i]);
	symbolized_done(&split);
	symbolized_done(&whole);

	sh("cd %s && rm split.dwp", folder);
	symbolize_text(&split, "split");
	assert_int_equal(split.a.head.debug_missing, 1);
	symbolized_done(&split);
}

static void check_c(const char *compiler, const char *flags, const char *packer,
		    const char *version)
{
	char split_flags[128];

	compile_units("whole", compiler, flags);
	snprintf(split_flags, sizeof(split_flags), "%s -gsplit-dwarf", flags);
	compile_units("split", compiler, split_flags);
	sh("cd %s && %s split-*.dwo -o split.dwp", folder, packer);
	compare(version, check_chains);
}

#define VERSION_2 "02000000"
#define VERSION_5 "05000000"

/* Macros have a part of their own, under the number that ranges have in DWARF 5. */
static void test_dwarf4(void **state _unused_)
{
	check_c("gcc", "-gdwarf-4 -g3 -fdebug-types-section", "dwp", VERSION_2);
}

static void test_dwarf5(void **state _unused_)
{
	check_c("clang", "-gdwarf-5 -ffunction-sections -fdebug-types-section", "llvm-dwp",
		VERSION_5);
}

static void test_dwarf5_gcc(void **state _unused_)
{
	const char *flags = "-O2 -g -gdwarf-5 -g3 -fdebug-types-section -fno-exceptions";

	compile_units("whole", "gcc", flags);
	sh("cd %s && for i in $(seq 0 %d); do "
	   "gcc %s -gsplit-dwarf -dA -DN=$i -S -x c++ unit.cc -o in.s && "
	   "awk -f reorder.awk in.s >out.s && gcc -gsplit-dwarf -c out.s -o split-$i.o || exit 1; "
	   "done && gcc -O2 -g -gdwarf-5 -c main.c -o split-main.o && gcc -o split split-*.o && "
	   "llvm-dwp split-*.dwo -o split.dwp",
	   folder, N_UNITS - 1, flags);
	compare(VERSION_5, check_chains);
}

/* rustc's own packager. */
static void test_rust(void **state _unused_)
{
	/* 1.63 takes the last option only so, and newer ones name symbols after the first two */
	const char *rustc = "RUSTC_BOOTSTRAP=1 rustc -O -g -Zunstable-options --crate-name p";

	sh("cd %s && %s main.rs -o whole && %s -Csplit-debuginfo=packed main.rs -o split", folder,
	   rustc, rustc);
	compare(VERSION_2, check_rust_chains);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dwarf4),
		cmocka_unit_test(test_dwarf5),
		cmocka_unit_test(test_dwarf5_gcc),
		cmocka_unit_test(test_rust),
	};

	return cmocka_run_group_tests_name("symbolize_dwp", tests, setup, teardown);
}
