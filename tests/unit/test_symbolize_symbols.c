/* SPDX-License-Identifier: Apache-2.0 */
/* Names without debug information: symbol tables, PLT stubs, the entry point, .eh_frame. */
#include "symbolize_harness.h"

static char folder[] = "/tmp/cprof-symbols-XXXXXX";

static const char *in_folder(char *path, const char *name)
{
	snprintf(path, 256, "%s/%s", folder, name);
	return path;
}

static int setup(void **state _unused_)
{
	assert_non_null(mkdtemp(folder));
	return 0;
}

static int teardown(void **state _unused_)
{
	sh("rm -r %s", folder);
	return 0;
}

/* All of a function has this one name. */
static void expect_name(const char *path, const char *symbols, const char *symbol, const char *text)
{
	struct symbolized s;

	symbolize_function(&s, path, symbols, symbol, SYMBOLIZE_DWARF);
	symbolized_expect(&s, text);
	assert_int_equal(symbolized_count(&s, text), s.n);
	symbolized_done(&s);
}

static void test_sizes(void **state _unused_)
{
	char path[256];
	struct symbolized s;

	write_file(folder, "sizes.s",
		   ".text\n"
		   ".globl first\n"
		   ".type first,@function\n"
		   "first: nop; nop; nop; nop\n" /* no size: reaches to the next */
		   "inner$label: nop; nop; nop; nop\n"
		   ".type local,@function\n"
		   "local: nop; nop; nop; nop\n" /* local, with a size */
		   ".size local,4\n"
		   ".skip 4, 0x90\n" /* padding: no function */
		   ".globl untyped\n"
		   "untyped: nop; nop; nop; nop\n" /* hand-written code: NOTYPE, global */
		   ".globl main\n"
		   ".type main,@function\n"
		   "main: ret\n"
		   ".size main,.-main\n"
		   ".section .note.GNU-stack,\"\"\n");
	sh("cd %s && gcc -Wl,--build-id=none -o sizes sizes.s", folder);
	in_folder(path, "sizes");
	symbolize_range(&s, path, 0, symbol_address(path, "first", NULL), 21, 1);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(s.text[i], "first ?:0");
	for (size_t i = 8; i < 12; i++)
		assert_string_equal(s.text[i], "local ?:0");
	for (size_t i = 12; i < 16; i++)
		assert_string_equal(s.text[i], "??");
	for (size_t i = 16; i < 20; i++)
		assert_string_equal(s.text[i], "untyped ?:0");
	assert_string_equal(s.text[20], "main ?:0");
	symbolized_done(&s);
}

static void test_aliases(void **state _unused_)
{
	char path[256];

	write_file(folder, "alias.c",
		   "int __real_work(int n);\n"
		   "__attribute__((noinline)) int __real_work(int n) { return n * 3 + 1; }\n"
		   "extern int work(int) __attribute__((weak, alias(\"__real_work\")));\n"
		   "extern int _work_2(int) __attribute__((alias(\"__real_work\")));\n"
		   "static __attribute__((noinline, used)) int hidden(int n) { return n * 7; }\n"
		   "int main(int argc, char **argv) { (void)argv; return work(argc) + "
		   "hidden(argc); }\n");
	sh("cd %s && gcc -O1 -o alias alias.c", folder);
	in_folder(path, "alias");
	/* a global one rather than a weak one; of equals the one with fewer underscores */
	expect_name(path, path, "__real_work", "_work_2 ?:0");
	expect_name(path, path, "hidden", "hidden ?:0");
}

static void test_ifunc(void **state _unused_)
{
	char path[256];

	write_file(folder, "ifunc.c",
		   "static __attribute__((noinline)) int fast(int n) { return n * 5; }\n"
		   "static int (*pick(void))(int) { return fast; }\n"
		   "int chosen(int n) __attribute__((ifunc(\"pick\")));\n"
		   "int main(int argc, char **argv) { (void)argv; return chosen(argc); }\n");
	sh("cd %s && gcc -O1 -o ifunc ifunc.c && gcc -static -O1 -o ifunc-static ifunc.c", folder);
	expect_name(in_folder(path, "ifunc"), path, "fast", "fast ?:0");
	/* the resolver has two names, of which one is what people call */
	expect_name(path, path, "pick", "chosen ?:0");
	expect_name(in_folder(path, "ifunc-static"), path, "fast", "fast ?:0");
}

/* Every PLT stub of a section has a name; the names that are expected are among them. */
static void expect_plt(const char *path, const char *section, const char *const *names, size_t n)
{
	char line[256];
	unsigned long long address, bytes;
	struct symbolized s;

	sh_line(line, sizeof(line),
		"readelf -SW %s | sed 's/^ *\\[ *[0-9]*\\]//' | awk '$1 == \"%s\" {print $3, $5}'",
		path, section);
	if (sscanf(line, "%llx %llx", &address, &bytes) != 2)
		fail_msg("%s has no %s", path, section);
	symbolize_range(&s, path, 0, address, bytes, 1);
	for (size_t i = 0; i < n; i++)
		symbolized_expect(&s, names[i]);
	/* .plt itself begins with a stub that belongs to nobody */
	for (size_t i = strcmp(section, ".plt") == 0 ? 16 : 0; i < s.n; i++)
		if (!strstr(s.text[i], "@plt"))
			fail_msg("%s: stub at %s+0x%zx: %s", path, section, i, s.text[i]);
	symbolized_done(&s);
}

static void test_plt(void **state _unused_)
{
	static const char *const names[] = { "puts@plt ?:0", "getenv@plt ?:0" };
	static const struct {
		const char *command, *section;
	} ways[] = {
		{ "gcc -O1 -fcf-protection=none -Wl,-z,lazy", ".plt" },
		{ "gcc -O1 -fcf-protection=none -Wl,-z,now -fno-pie -no-pie", ".plt" },
		{ "gcc -O1 -fcf-protection=full -Wl,-z,ibtplt -Wl,-z,lazy", ".plt.sec" },
		{ "gcc -O1 -fcf-protection=full -Wl,-z,ibtplt -Wl,-z,now", ".plt.sec" },
		{ "gcc -O1 -fuse-ld=gold -Wl,-z,lazy", ".plt" },
		{ "clang -O1 -Wl,-z,lazy", ".plt" },
	};
	char path[256];

	write_file(folder, "plt.c",
		   "#include <stdio.h>\n#include <stdlib.h>\n"
		   "int main(int argc, char **argv) { puts(argv[0]); return "
		   "getenv(argv[argc - 1]) != NULL; }\n");
	in_folder(path, "plt");
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		sh("cd %s && %s -o plt plt.c", folder, ways[i].command);
		expect_plt(path, ways[i].section, names, ARRAY_SIZE(names));
		sh("cd %s && strip plt", folder);
		expect_plt(path, ways[i].section, names, ARRAY_SIZE(names));
	}
	/* __cxa_finalize, taken by its address: .plt.got */
	sh("cd %s && gcc -O1 -Wl,-z,lazy -o plt plt.c", folder);
	expect_plt(path, ".plt.got", (const char *const[]){ "__cxa_finalize@plt ?:0" }, 1);
}

static void test_cxx_plt(void **state _unused_)
{
	static const char *const names[] = { "shop::total(int)@plt ?:0" };
	char path[256];

	write_file(folder, "lib.cc", "namespace shop { int total(int n) { return n * 3; } }\n");
	write_file(folder, "use.cc",
		   "namespace shop { int total(int); }\nint main() { return shop::total(4); }\n");
	sh("cd %s && g++ -shared -fPIC -o libshop.so lib.cc && g++ -Wl,-z,lazy -o use use.cc -L. "
	   "-lshop",
	   folder);
	expect_plt(in_folder(path, "use"), ".plt", names, 1);
}

static void test_versions(void **state _unused_)
{
	char path[256], full[256];

	write_file(folder, "version.c",
		   "__asm__(\".symver old_api,api@V1\");\n__asm__(\".symver new_api,api@@V2\");\n"
		   "int old_api(void), new_api(void);\n"
		   "int old_api(void) { return 1; }\nint new_api(void) { return 2; }\n");
	write_file(folder, "version.map",
		   "V1 { global: api; local: *; };\nV2 { global: api; } V1;\n");
	sh("cd %s && gcc -shared -fPIC -O1 -Wl,--version-script=version.map -o libversion.so "
	   "version.c && "
	   "cp libversion.so full.so && strip libversion.so",
	   folder);
	in_folder(path, "libversion.so");
	in_folder(full, "full.so");
	expect_name(path, full, "old_api", "api ?:0");
	expect_name(path, full, "new_api", "api ?:0");
}

/* A stripped program: the entry is _start, and what has no name has the start of its function. */
static void test_stripped(void **state _unused_)
{
	char path[256], full[256];
	uint64_t work, bytes;
	struct symbolized s;

	write_file(folder, "bare.c",
		   "static __attribute__((noinline)) int work(int n) { int s = 0; for (int i = 0; "
		   "i < n; i++) s += i * s + 1; return s; }\n"
		   "int main(int argc, char **argv) { (void)argv; return work(argc); }\n");
	sh("cd %s && gcc -O1 -o bare.full bare.c && strip bare.full -o bare", folder);
	in_folder(path, "bare");
	in_folder(full, "bare.full");
	expect_name(path, full, "_start", "_start ?:0");

	work = symbol_address(full, "work", &bytes);
	symbolize_function(&s, path, full, "work", SYMBOLIZE_DWARF);
	for (size_t i = 0; i < s.n; i++) {
		assert_int_equal(s.locations[i].n_lines, 0);
		assert_true(s.locations[i].function == work);
	}
	symbolized_done(&s);
}

/* Two functions with the same code that the link editor made one: DWARF's name of that place. */
static void test_folded(void **state _unused_)
{
	char path[256];
	struct symbolized s;
	size_t n = 0;

	write_file(folder, "fold.c",
		   "__attribute__((noinline)) int kept(int n) { return n * 77 + 3; }\n"
		   "__attribute__((noinline)) int folded(int n) { return n * 77 + 3; }\n"
		   "int main(int argc, char **argv) { (void)argv; return kept(argc) + "
		   "folded(argc); }\n");
	sh("cd %s && gcc -g -O1 -fno-ipa-icf -ffunction-sections -fuse-ld=gold -Wl,--icf=all -o "
	   "fold fold.c",
	   folder);
	in_folder(path, "fold");
	assert_true(symbol_address(path, "kept", NULL) == symbol_address(path, "folded", NULL));
	symbolize_function(&s, path, path, "kept", SYMBOLIZE_DWARF);
	n = symbolized_count(&s, "kept fold.c:1") + symbolized_count(&s, "folded fold.c:2");
	assert_int_equal(n, s.n);
	symbolized_done(&s);
}

static void patch(const char *path, uint64_t at, const void *data, size_t bytes)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, bytes, (off_t)at), bytes);
}

static void read_at(const char *path, uint64_t at, void *data, size_t bytes)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, data, bytes, (off_t)at), bytes);
}

/* Where the section header of that name is; its own offset where there is none by name. */
static uint64_t section_header(const char *path, const char *name)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(elf_file_freep) struct elf_file *elf = NULL;
	Elf64_Ehdr h;

	assert_true(fd >= 0);
	assert_int_equal(elf_file_new(&elf, fd), 0);
	assert_false(elf->sections_broken);
	read_at(path, 0, &h, sizeof(h));
	for (size_t i = 0; i < elf->n_sections; i++)
		if (strcmp(elf->sections[i].name, name) == 0)
			return h.e_shoff + i * sizeof(Elf64_Shdr);
	fail_msg("%s: no %s", path, name);
	return 0;
}

/* `main` of prog, copied to `patched` and there written over in one place. */
static void check_patched(uint64_t at, const void *data, size_t bytes, const char *text,
			  bool broken)
{
	char path[256], symbols[256];
	struct symbolized s;

	sh("cd %s && cp prog patched", folder);
	in_folder(path, "patched");
	in_folder(symbols, "prog");
	patch(path, at, data, bytes);
	symbolize_function(&s, path, symbols, "main", SYMBOLIZE_DWARF);
	symbolized_expect(&s, text);
	assert_int_equal(s.a.head.debug_broken, broken);
	symbolized_done(&s);
}

/* Section names that lead nowhere are a broken file, not one without debug information; what does not
 * depend on them is there. */
static void test_broken_names(void **state _unused_)
{
	const uint16_t no_section = 0x7fff, no_names = 1, small = 3, none = 0;
	const uint32_t no_name = 0x7ffffff0;
	const uint64_t nowhere = 1ULL << 40;
	char path[256];
	uint64_t names;

	write_file(folder, "prog.c", "int main(void) { return 0; }\n");
	sh("cd %s && gcc -g -o prog prog.c", folder);
	in_folder(path, "prog");
	names = section_header(path, ".shstrtab");
	check_patched(offsetof(Elf64_Ehdr, e_shstrndx), &no_section, 2, "main ?:0", true);
	check_patched(offsetof(Elf64_Ehdr, e_shstrndx), &no_names, 2, "main ?:0", true);
	check_patched(names + offsetof(Elf64_Shdr, sh_offset), &nowhere, 8, "main ?:0", true);
	check_patched(section_header(path, ".debug_info") + offsetof(Elf64_Shdr, sh_name), &no_name,
		      4, "main ?:0", true);
	/* another one's name takes nothing away */
	check_patched(section_header(path, ".comment") + offsetof(Elf64_Shdr, sh_name), &no_name, 4,
		      "main prog.c:1", true);
	/* without any section there are those of .dynsym: main is none of them */
	check_patched(offsetof(Elf64_Ehdr, e_shoff), &nowhere, 8, "??", true);
	check_patched(offsetof(Elf64_Ehdr, e_shentsize), &small, 2, "??", true);

	/* a file may say that it has no names */
	check_patched(offsetof(Elf64_Ehdr, e_shstrndx), &none, 2, "main ?:0", false);
}

/* A debug file of that kind, and the names that the program has without it. */
static void test_broken_debug_file(void **state _unused_)
{
	const uint16_t no_section = 0x7fff;
	char path[256], debug[256], full[256];
	struct symbolized s;

	write_file(folder, "lib.c", "int shown(int n);\nint shown(int n) { return n; }\n");
	sh("cd %s && gcc -g -shared -fPIC -Wl,--build-id=sha1 -o lib.full lib.c && "
	   "objcopy --only-keep-debug lib.full lib.debug && strip -o lib.bare lib.full && "
	   "objcopy --add-gnu-debuglink=lib.debug lib.bare lib.so",
	   folder);
	in_folder(path, "lib.so");
	in_folder(full, "lib.full");
	symbolize_function(&s, path, full, "shown", SYMBOLIZE_DWARF);
	symbolized_expect(&s, "shown lib.c:2");
	assert_int_equal(s.a.head.debug_broken, 0);
	symbolized_done(&s);

	patch(in_folder(debug, "lib.debug"), offsetof(Elf64_Ehdr, e_shstrndx), &no_section, 2);
	symbolize_function(&s, path, full, "shown", SYMBOLIZE_DWARF);
	symbolized_expect(&s, "shown ?:0");
	assert_int_equal(s.locations[0].source, SYMBOLIZE_SOURCE_DYNSYM);
	assert_int_equal(s.a.head.debug_broken, 1);
	symbolized_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),        cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_ifunc),        cmocka_unit_test(test_plt),
		cmocka_unit_test(test_cxx_plt),      cmocka_unit_test(test_versions),
		cmocka_unit_test(test_stripped),     cmocka_unit_test(test_folded),
		cmocka_unit_test(test_broken_names), cmocka_unit_test(test_broken_debug_file),
	};

	return cmocka_run_group_tests_name("symbolize_symbols", tests, setup, teardown);
}
