/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DWARF 2 to 5 as gcc and clang write it, whole, stripped into other files, compressed, taken apart
 * by dwz, split: always the same answer. Needs gcc, clang, binutils, dwz, xz.
 */
#include "symbolize_harness.h"

static const char inl_h[] = "static inline __attribute__((always_inline)) unsigned long\n"
			    "innermost(volatile unsigned long *s, unsigned long n)\n"
			    "{\n"
			    "	for (unsigned long i = 0; i < n; i++)\n"
			    "		*s += i ^ *s;\n" /* 5 */
			    "	return *s;\n"
			    "}\n";

static const char inl_c[] =
	"#include \"inl.h\"\n"
	"volatile unsigned long sink;\n"
	"static inline __attribute__((always_inline)) unsigned long middle(unsigned long n)\n"
	"{\n"
	"	return innermost(&sink, n) + 1;\n" /* 5 */
	"}\n"
	"unsigned long outermost(unsigned long n);\n"
	"__attribute__((noinline)) unsigned long outermost(unsigned long n)\n"
	"{\n"
	"	return middle(n) * 3;\n" /* 10 */
	"}\n";

static const char main_c[] = "unsigned long outermost(unsigned long n);\n"
			     "int main(int argc, char **argv)\n"
			     "{\n"
			     "	(void)argv;\n"
			     "	return (int)outermost((unsigned long)argc * 1000);\n"
			     "}\n";

#define CHAIN "innermost inl.h:5 < middle inl.c:5 < outermost inl.c:10"

static char folder[] = "/tmp/cprof-dwarf-XXXXXX";

static int setup(void **state _unused_)
{
	assert_non_null(mkdtemp(folder));
	write_file(folder, "inl.h", inl_h);
	write_file(folder, "inl.c", inl_c);
	write_file(folder, "main.c", main_c);
	return 0;
}

static int teardown(void **state _unused_)
{
	sh("rm -r %s", folder);
	return 0;
}

/* folder/name from inl.c and main.c, without the symbols of `stripped` when there is one. */
static void build(const char *name, const char *compiler, const char *flags)
{
	sh("cd %s && for f in inl main; do %s -O2 -g %s -c $f.c -o %s-$f.o || exit 1; done && "
	   "%s -O2 %s -o %s %s-inl.o %s-main.o 2>/dev/null",
	   folder, compiler, flags, name, compiler, flags, name, name, name);
}

static void check_file(const char *name, const char *symbols, const char *what)
{
	char path[256], full[256];
	struct symbolized s;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	snprintf(full, sizeof(full), "%s/%s", folder, symbols);
	symbolize_function(&s, path, full, "outermost", SYMBOLIZE_DWARF);
	if (!symbolized_has(&s, CHAIN))
		fprintf(stderr, "%s %s\n", name, what);
	symbolized_expect(&s, CHAIN);
	assert_int_equal(s.a.head.debug_broken, 0);
	assert_int_equal(s.a.head.debug_missing, 0);
	symbolized_done(&s);

	symbolize_function(&s, path, full, "main", SYMBOLIZE_DWARF);
	symbolized_expect(&s, "main main.c:5");
	symbolized_done(&s);
}

static void test_versions(void **state _unused_)
{
	static const char *const compilers[] = { "gcc", "clang" };
	static const char *const flags[] = {
		"-gdwarf-2",
		"-gdwarf-3",
		"-gdwarf-4",
		"-gdwarf-5",
		"-gdwarf-4 -fdebug-types-section",
		"-gdwarf-5 -fdebug-types-section",
		"-gdwarf-5 -ffunction-sections",
		"-gdwarf-4 -gz",
		"-gdwarf-5 -gz=zlib",
		"-gdwarf-5 -fno-pie",
	};

	for (size_t c = 0; c < ARRAY_SIZE(compilers); c++)
		for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
			build("v", compilers[c], flags[i]);
			check_file("v", "v", flags[i]);
		}
	build("v", "gcc", "-gdwarf-5 -flto");
	check_file("v", "v", "lto");
	build("v", "gcc", "-gdwarf-5 -gdwarf64");
	check_file("v", "v", "dwarf64");
	build("v", "gcc", "-gdwarf-4 -gdwarf64");
	check_file("v", "v", "dwarf64");
}

static void test_columns(void **state _unused_)
{
	char path[256];
	struct symbolized s;
	bool seen = false;

	build("columns", "gcc", "");
	snprintf(path, sizeof(path), "%s/columns", folder);
	symbolize_function(&s, path, path, "outermost", SYMBOLIZE_DWARF);
	for (size_t i = 0; i < s.n && !seen; i++) {
		struct symbolize_location l;
		struct symanswer_cursor cursor = { 0 };
		struct symbolize_line line;
		const char *lines = NULL;

		for (size_t j = 0; j <= i; j++)
			symanswer_next(&s.a, &cursor, &l, &lines);
		if (l.n_lines != 3)
			continue;
		symanswer_line(lines, 1, &line);
		/* `return innermost(...)`: the call; `middle` begins in line 3 */
		seen = line.line == 5 && line.column == 9 && line.start_line == 3;
	}
	assert_true(seen);
	symbolized_done(&s);
}

/* One file has one path, by whatever way the compiler was told it. */
static void test_paths(void **state _unused_)
{
	static const char *const compilers[] = { "gcc -gdwarf-4", "gcc -gdwarf-5",
						 "clang -gdwarf-4", "clang -gdwarf-5" };
	char path[256], want_c[256], want_h[256];

	snprintf(path, sizeof(path), "%s/paths", folder);
	snprintf(want_c, sizeof(want_c), "%s/inl.c", folder);
	snprintf(want_h, sizeof(want_h), "%s/inl.h", folder);
	for (size_t c = 0; c < ARRAY_SIZE(compilers); c++) {
		struct symbolized s;
		struct symanswer_cursor cursor = { 0 };

		sh("cd %s && mkdir -p sub && cd sub && %s -O2 -c ./../sub/..//inl.c -o ../p.o && "
		   "cd .. && "
		   "%s -O2 p.o main.c -o paths",
		   folder, compilers[c], compilers[c]);
		symbolize_function(&s, path, path, "outermost", SYMBOLIZE_DWARF);
		for (size_t i = 0; i < s.n; i++) {
			struct symbolize_location l;
			const char *lines;

			symanswer_next(&s.a, &cursor, &l, &lines);
			for (uint32_t j = 0; j < l.n_lines; j++) {
				struct symbolize_line line;
				const char *file;

				symanswer_line(lines, j, &line);
				file = s.a.strings + line.file;
				if (strcmp(file, want_c) != 0)
					assert_string_equal(file, want_h);
			}
		}
		symbolized_expect(&s, CHAIN);
		symbolized_done(&s);
	}
}

static void test_debuglink(void **state _unused_)
{
	char path[256];

	build("link", "gcc", "-Wl,--build-id=none");
	sh("cd %s && cp link link.full && objcopy --only-keep-debug link.full link.debug && "
	   "strip link -o link.tmp && objcopy --add-gnu-debuglink=link.debug link.tmp link",
	   folder);
	check_file("link", "link.full", "beside the file");
	sh("cd %s && mkdir -p .debug && mv link.debug .debug/", folder);
	check_file("link", "link.full", "in .debug");
	sh("cd %s && mkdir -p root/usr/lib/debug%s && mv .debug/link.debug root/usr/lib/debug%s/",
	   folder, folder, folder);
	snprintf(path, sizeof(path), "%s/root", folder);
	debug_root = path;
	check_file("link", "link.full", "/usr/lib/debug by path");
	debug_root = NULL;

	sh("rm -r %s/root", folder);
}

static void test_wrong_debuglink(void **state _unused_)
{
	char path[256], full[256];
	struct symbolized s;

	build("wrong", "gcc", "-Wl,--build-id=none");
	sh("cd %s && cp wrong wrong.full && objcopy --only-keep-debug wrong.full wrong.debug && "
	   "strip wrong -o wrong.tmp && objcopy --add-gnu-debuglink=wrong.debug wrong.tmp wrong && "
	   "printf x | dd of=wrong.debug bs=1 seek=100 conv=notrunc status=none",
	   folder);
	snprintf(path, sizeof(path), "%s/wrong", folder);
	snprintf(full, sizeof(full), "%s/wrong.full", folder);
	symbolize_function(&s, path, full, "outermost", SYMBOLIZE_DWARF);
	assert_int_equal(s.a.head.debug_missing, 1);
	assert_int_equal(symbolized_count(&s, "outermost"), 0);
	symbolized_done(&s);
}

static void test_build_id(void **state _unused_)
{
	char path[256], id[128];

	build("id", "gcc", "-Wl,--build-id=sha1");
	sh_line(id, sizeof(id), "readelf -n %s/id | sed -n 's/.*Build ID: //p'", folder);
	assert_int_equal(strlen(id), 40);
	sh("cd %s && d=root/usr/lib/debug/.build-id/%.2s && mkdir -p $d && cp id id.full && "
	   "objcopy --only-keep-debug --compress-debug-sections=zlib id.full $d/%s.debug && strip "
	   "id",
	   folder, id, id + 2);
	snprintf(path, sizeof(path), "%s/root", folder);
	debug_root = path;
	check_file("id", "id.full", "build-id");
	debug_root = NULL;
	/* zstd, which elfutils 0.188 cannot read */
	sh("cd %s && objcopy --compress-debug-sections=zstd id.full zstd && "
	   "readelf -tW zstd | grep -q ZSTD",
	   folder);
	check_file("zstd", "zstd", "zstd");
	sh("rm -r %s/root", folder);
}

/* Two programs whose common parts dwz(1) puts into a third file, by a relative and an absolute name. */
static void test_dwz(void **state _unused_)
{
	build("one", "gcc", "");
	sh("cd %s && cp one two && cp one full && dwz -m common.debug -r one two 2>/dev/null && "
	   "readelf -SW one | grep -q gnu_debugaltlink",
	   folder);
	check_file("one", "full", "dwz");
	check_file("two", "full", "dwz");
	/* and in a debug file, next to which the common file is */
	sh("cd %s && mkdir -p .debug && objcopy --only-keep-debug one one.debug && "
	   "strip one -o one.tmp && objcopy --add-gnu-debuglink=one.debug one.tmp one && "
	   "mv one.debug common.debug .debug/",
	   folder);
	check_file("one", "full", "dwz and debuglink");
	sh("rm -r %s/.debug", folder);
}

/* Names may be all that two files have in common; without that file symbols have them. */
static void test_dwz_strings(void **state _unused_)
{
	char path[256], full[256];
	struct symbolized s;

	write_file(folder, "lone.c",
		   "int function_of_that_name(int n);\n"
		   "int function_of_that_name(int n)\n"
		   "{\n"
		   "	return n * 3;\n"
		   "}\n"
		   "int main(int n, char **v) { (void)v; return function_of_that_name(n); }\n");
	sh("cd %s && gcc -g -o lone lone.c && cp lone lone.full && cp lone lone.two && "
	   "dwz -m lone.common -r lone lone.two && "
	   "readelf -SW lone.common | grep -q debug_str && "
	   "! readelf -SW lone.common | grep -q debug_info",
	   folder);
	snprintf(path, sizeof(path), "%s/lone", folder);
	snprintf(full, sizeof(full), "%s/lone.full", folder);
	symbolize_function(&s, path, full, "function_of_that_name", SYMBOLIZE_DWARF);
	symbolized_expect(&s, "function_of_that_name lone.c:4");
	assert_int_equal(s.locations[0].source, SYMBOLIZE_SOURCE_DWARF);
	assert_int_equal(s.a.head.debug_missing, 0);
	symbolized_done(&s);

	sh("rm %s/lone.common", folder);
	symbolize_function(&s, path, full, "function_of_that_name", SYMBOLIZE_DWARF);
	symbolized_expect(&s, "function_of_that_name lone.c:4");
	assert_int_equal(s.locations[0].source, SYMBOLIZE_SOURCE_SYMTAB);
	assert_int_equal(s.a.head.debug_missing, 1);
	symbolized_done(&s);
}

static void test_debugdata(void **state _unused_)
{
	char path[256], full[256];
	struct symbolized s;

	build("mini", "gcc", "-fno-inline");
	sh("cd %s && cp mini mini.full && "
	   "objcopy --only-keep-debug mini.full mini.sym && objcopy --strip-debug mini.sym && "
	   "xz -f mini.sym && strip mini -o mini.tmp && "
	   "objcopy --add-section .gnu_debugdata=mini.sym.xz mini.tmp mini",
	   folder);
	snprintf(path, sizeof(path), "%s/mini", folder);
	snprintf(full, sizeof(full), "%s/mini.full", folder);
	symbolize_function(&s, path, full, "outermost", SYMBOLIZE_DWARF);
	assert_int_equal(symbolized_count(&s, "outermost ?:0"), s.n);
	assert_int_equal(s.locations[0].source, SYMBOLIZE_SOURCE_DEBUGDATA);
	symbolized_done(&s);
}

static void expect_missing(const char *name)
{
	char path[256];
	struct symbolized s;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	symbolize_function(&s, path, path, "outermost", SYMBOLIZE_DWARF);
	assert_int_equal(s.a.head.debug_missing, 1);
	assert_int_equal(s.a.head.debug_broken, 0);
	/* the line table and the symbols are still there */
	symbolized_expect(&s, "outermost inl.h:5");
	symbolized_done(&s);
}

/* Entries in .dwo files: where the compiler wrote them, beside a program that was moved, in a .dwp. */
static void check_split(const char *compiler, const char *flags, const char *packer)
{
	build("split", compiler, flags);
	check_file("split", "split", flags);
	assert_true(harness_opens > 0);

	sh("cd %s && mkdir -p moved && mv split-inl.dwo split-main.dwo moved/ && cp split moved/",
	   folder);
	expect_missing("split");
	check_file("moved/split", "moved/split", "beside the program");

	if (packer) {
		sh("cd %s && %s moved/split-inl.dwo moved/split-main.dwo -o split.dwp && rm "
		   "moved/*.dwo",
		   folder, packer);
		check_file("split", "split", packer);
		sh("cd %s && cp split moved/split && objcopy --compress-debug-sections=zlib "
		   "split.dwp "
		   "moved/split.dwp && "
		   "rm split.dwp",
		   folder);
		check_file("moved/split", "moved/split", "compressed");
		expect_missing("split");
	}
	sh("rm -r %s/moved", folder);
}

static void test_split(void **state _unused_)
{
	check_split("gcc", "-gsplit-dwarf -gdwarf-4", "dwp");
	/* of these nothing makes a .dwp without help: test_symbolize_dwp.c */
	check_split("gcc", "-gsplit-dwarf -gdwarf-5", NULL);
	check_split("clang", "-gsplit-dwarf -gdwarf-4", "dwp");
	check_split("clang", "-gsplit-dwarf -gdwarf-5", "llvm-dwp");
	check_split("gcc", "-gsplit-dwarf -gdwarf-4 -fdebug-types-section", "dwp");
	check_split("clang", "-gsplit-dwarf -gdwarf-5 -fdebug-types-section", "llvm-dwp");
	check_split("clang", "-gsplit-dwarf -gdwarf-4 -ffunction-sections", "llvm-dwp");
	check_split("gcc", "-gsplit-dwarf -gdwarf-5 -fdebug-types-section", NULL);
}

/* Calls whose code has holes, and functions in two parts: ranges of .dwo files. */
static void test_split_ranges(void **state _unused_)
{
	static const char *const flags[] = { "gcc -gdwarf-4", "gcc -gdwarf-5", "clang -gdwarf-4",
					     "clang -gdwarf-5" };

	write_file(
		folder, "holes.c",
		"#include <stdio.h>\n#include <stdlib.h>\n"
		"static inline __attribute__((always_inline)) int checked(int n)\n"
		"{\n"
		"	if (__builtin_expect(n < 0, 0)) {\n"
		"		puts(\"negative\");\n" /* 6 */
		"		abort();\n"
		"	}\n"
		"	return n * 3;\n"
		"}\n"
		"__attribute__((noinline)) int work(int a, int b)\n"
		"{\n"
		"	return checked(a) + checked(b);\n" /* 13 */
		"}\n"
		"int main(int argc, char **argv) { (void)argv; return work(argc, argc + 1); }\n");
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		char path[256];
		struct symbolized whole, split;

		sh("cd %s && %s -O2 -g holes.c -o holes && %s -O2 -g -gsplit-dwarf -c holes.c -o "
		   "holes.o && "
		   "%s -O2 holes.o -o holes-split",
		   folder, flags[i], flags[i], flags[i]);
		snprintf(path, sizeof(path), "%s/holes", folder);
		symbolize_function(&whole, path, path, "work", SYMBOLIZE_DWARF);
		symbolized_expect(&whole, "checked holes.c:5 < work holes.c:13");
		snprintf(path, sizeof(path), "%s/holes-split", folder);
		symbolize_function(&split, path, path, "work", SYMBOLIZE_DWARF);
		assert_int_equal(split.a.head.debug_missing, 0);
		assert_int_equal(split.n, whole.n);
		for (size_t j = 0; j < whole.n; j++)
			assert_string_equal(split.text[j], whole.text[j]);
		symbolized_done(&whole);
		symbolized_done(&split);
	}
}

/* A .dwo file of another build does not speak for this one. */
static void test_split_stale(void **state _unused_)
{
	build("stale", "gcc", "-gsplit-dwarf");
	sh("cd %s && cp inl.c saved.c && sed -i 's/middle/changed/; s/return middle/return "
	   "changed/' inl.c && "
	   "gcc -O2 -g -gsplit-dwarf -c inl.c -o stale-inl.o && mv saved.c inl.c",
	   folder);
	expect_missing("stale");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_debuglink),
		cmocka_unit_test(test_wrong_debuglink),
		cmocka_unit_test(test_build_id),
		cmocka_unit_test(test_dwz),
		cmocka_unit_test(test_dwz_strings),
		cmocka_unit_test(test_debugdata),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_split_ranges),
		cmocka_unit_test(test_split_stale),
	};

	return cmocka_run_group_tests_name("symbolize_dwarf", tests, setup, teardown);
}
