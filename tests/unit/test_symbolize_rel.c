/* SPDX-License-Identifier: Apache-2.0 */
/* Object files and kernel modules: code without addresses, debug sections with relocations. */
#include "object_source.h"
#include "symbolize_harness.h"

#define OUTER "inner r.c:4 < outer r.c:9"
#define RARE  "inner r.c:4 < rare r.c:14"
#define SETUP "inner r.c:4 < setup r.c:21"

#define TEXT 0xffffffffc0000000ULL
#define INIT 0xffffffffc0400000ULL

static const struct symbolize_section loaded[] = {
	{ TEXT, ".text" },
	{ INIT, ".init.text" },
	{ TEXT + 0x100000, ".text.elsewhere" },
};

static char folder[] = "/tmp/cprof-rel-XXXXXX";

static int setup(void **state _unused_)
{
	assert_non_null(mkdtemp(folder));
	write_file(folder, "r.c", object_source);
	return 0;
}

static int teardown(void **state _unused_)
{
	sh("rm -r %s", folder);
	return 0;
}

/* The addresses [start, start + bytes) of a file; an error that it has is returned. */
static int ask(struct symbolized *ret, const char *name, const struct symbolize_section *sections,
	       size_t n_sections, uint64_t start, size_t bytes)
{
	char path[512];
	struct opener o = { .object_path = path };
	_cleanup_close_ int fd = -1;
	struct symbolize_request request = {
		.flags = SYMBOLIZE_DWARF | SYMBOLIZE_VADDR,
		.sections = sections,
		.n_sections = n_sections,
		.open = harness_open,
		.arg = &o,
	};
	struct symanswer_cursor cursor = { 0 };
	int r;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	*ret = (struct symbolized){ .answer = BUF_INIT(1 << 30) };
	snprintf(ret->path, sizeof(ret->path), "%s", path);
	ret->offsets = calloc(bytes + 1, sizeof(*ret->offsets));
	for (size_t i = 0; i < bytes; i++)
		ret->offsets[i] = start + i;
	request.fd = fd;
	request.offsets = ret->offsets;
	request.n_offsets = bytes;

	r = symbolize_file(&request, &ret->answer);
	debug_paths_done(&o.paths);
	if (r < 0)
		return r;
	assert_int_equal(symanswer_check_vaddrs(ret->answer.data, ret->answer.size, ret->offsets,
						bytes, &ret->a),
			 0);
	ret->n = bytes;
	ret->locations = calloc(bytes, sizeof(*ret->locations));
	ret->text = calloc(bytes, sizeof(*ret->text));
	for (size_t i = 0; i < bytes; i++) {
		const char *lines;

		symanswer_next(&ret->a, &cursor, &ret->locations[i], &lines);
		ret->text[i] = harness_text(&ret->a, &ret->locations[i], lines);
	}
	return 0;
}

static void expect(const char *name, const struct symbolize_section *sections, size_t n_sections,
		   uint64_t start, const char *text)
{
	struct symbolized s;

	assert_int_equal(ask(&s, name, sections, n_sections, start, 16), 0);
	symbolized_expect(&s, text);
	assert_int_equal(s.a.head.debug_broken, 0);
	assert_int_equal(s.locations[0].vaddr, start);
	assert_int_equal(s.locations[0].function, start);
	symbolized_done(&s);
}

static void expect_all(const char *name)
{
	static const struct symbolize_section rare = { 0, ".text.unlikely" };
	static const struct symbolize_section init = { 0, ".init.text" };

	expect(name, NULL, 0, 0, OUTER);
	expect(name, &init, 1, 0, SETUP);
	expect(name, &rare, 1, 0, RARE);
	expect(name, loaded, ARRAY_SIZE(loaded), TEXT, OUTER);
	expect(name, loaded, ARRAY_SIZE(loaded), INIT, SETUP);
}

static void test_compilers(void **state _unused_)
{
	static const char *const flags[] = {
		"-gdwarf-2",     "-gdwarf-3",           "-gdwarf-4",
		"-gdwarf-5",     "-gdwarf-5 -gdwarf64", "-gdwarf-4 -fdebug-types-section",
		"-gdwarf-4 -gz", "-gdwarf-5 -gz=zlib",  "-gdwarf-5 -fdebug-types-section",
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		sh("cd %s && gcc -O2 -fcf-protection=none %s -c r.c -o r.o", folder, flags[i]);
		expect_all("r.o");
	}
	/* what it marks cold has no section of its own */
	sh("cd %s && clang -O2 -gdwarf-5 -c r.c -o c.o", folder);
	expect("c.o", NULL, 0, 0, OUTER);
	expect("c.o", loaded, ARRAY_SIZE(loaded), INIT, SETUP);
	sh("cd %s && gcc -O2 -g -gsplit-dwarf -fcf-protection=none -c r.c -o split.o", folder);
	expect_all("split.o");
}

/* As modules are made: several object files in one, with a build-id. */
static void test_module(void **state _unused_)
{
	sh("cd %s && gcc -O2 -g -fcf-protection=none -c r.c -o r.o && echo 'int other(int n);"
	   " int other(int n) { return n / 3; }' >o.c && gcc -O2 -g -c o.c && "
	   "ld -r --build-id=0xabcdef00 -o m.ko r.o o.o",
	   folder);
	expect_all("m.ko");

	/* stripped, with its debug file by build-id, and by name */
	sh("cd %s && objcopy --only-keep-debug m.ko m.ko.debug && strip --strip-debug m.ko -o s.ko "
	   "&& "
	   "mkdir -p usr/lib/debug/.build-id/ab && "
	   "cp m.ko.debug usr/lib/debug/.build-id/ab/cdef00.debug",
	   folder);
	expect_all("m.ko.debug");
	debug_root = folder;
	expect_all("s.ko");
	debug_root = NULL;
	sh("cd %s && rm -r usr && objcopy --add-gnu-debuglink=m.ko.debug s.ko", folder);
	expect_all("s.ko");
	sh("cd %s && rm m.ko.debug", folder);
	expect("s.ko", NULL, 0, 0, "outer ?:0");
}

/* What is asked is an offset in the first section that is long enough, as addr2line has it. */
static void test_first_section(void **state _unused_)
{
	struct symbolized s;
	size_t i = 0;

	sh("cd %s && gcc -O2 -g -fcf-protection=none -c r.c -o r.o", folder);
	assert_int_equal(ask(&s, "r.o", NULL, 0, 0, 4096), 0);
	while (i < s.n && strstr(s.text[i], "outer"))
		i++;
	assert_true(i > 8);
	assert_non_null(strstr(s.text[i], "rare"));
	while (i < s.n && strstr(s.text[i], "rare"))
		i++;
	assert_non_null(strstr(s.text[i], "setup"));
	assert_string_equal(s.text[4095], "??");
	assert_int_equal(s.locations[4095].vaddr, UINT64_MAX);
	symbolized_done(&s);
}

static void test_errors(void **state _unused_)
{
	static const struct symbolize_section none = { 0, ".data" };
	struct symbolize_section unended = { 0 };
	_cleanup_(buf_done) struct buf answer = BUF_INIT(1 << 20);
	char path[512];
	_cleanup_close_ int fd = -1;
	struct symbolize_request request = { 0 };
	struct symbolized s;

	sh("cd %s && gcc -O2 -g -c r.c -o r.o && echo 'int main(void) { return 0; }' | "
	   "gcc -x c -o linked -",
	   folder);
	assert_int_equal(ask(&s, "r.o", &none, 1, 0, 16), -ENOENT);
	symbolized_done(&s);
	assert_int_equal(ask(&s, "linked", loaded, 1, 0, 16), -EINVAL);
	symbolized_done(&s);
	memset(unended.name, 'x', sizeof(unended.name));
	assert_int_equal(ask(&s, "r.o", &unended, 1, 0, 16), -EINVAL);
	symbolized_done(&s);

	/* by file offsets */
	snprintf(path, sizeof(path), "%s/r.o", folder);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	request.fd = fd;
	assert_int_equal(symbolize_file(&request, &answer), -EOPNOTSUPP);
}

static void change_relocations(const char *from, const char *to,
			       void (*change)(Elf64_Rela *r, size_t i, struct elf_file *f))
{
	char path[512];
	_cleanup_(elf_file_freep) struct elf_file *f = NULL;
	_cleanup_close_ int fd = -1;

	sh("cp %s/%s %s/%s", folder, from, folder, to);
	snprintf(path, sizeof(path), "%s/%s", folder, to);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(elf_file_new(&f, fd), 0);
	for (size_t i = 0; i < f->n_sections; i++) {
		const struct elf_section *s = &f->sections[i];

		if (s->type != SHT_RELA || strncmp(s->name, ".rela.debug_", 12) != 0)
			continue;
		for (size_t j = 0; j < s->bytes / sizeof(Elf64_Rela); j++) {
			off_t at = (off_t)(s->offset + j * sizeof(Elf64_Rela));
			Elf64_Rela r;

			assert_int_equal(pread(fd, &r, sizeof(r), at), sizeof(r));
			change(&r, j, f);
			assert_int_equal(pwrite(fd, &r, sizeof(r), at), sizeof(r));
		}
	}
}

static void far_offset(Elf64_Rela *r, size_t i, struct elf_file *f _unused_)
{
	r->r_offset = i % 2 ? UINT64_MAX - i % 8 : r->r_offset + (1 << 20);
}

static void far_symbol(Elf64_Rela *r, size_t i _unused_, struct elf_file *f _unused_)
{
	r->r_info = ELF64_R_INFO(0xffffffffULL, ELF64_R_TYPE(r->r_info));
}

static void far_addend(Elf64_Rela *r, size_t i, struct elf_file *f _unused_)
{
	r->r_addend = i % 2 ? INT64_MIN + 1 : INT64_MAX;
}

static void odd_type(Elf64_Rela *r, size_t i _unused_, struct elf_file *f _unused_)
{
	r->r_info = ELF64_R_INFO(ELF64_R_SYM(r->r_info), 99);
}

/* Names that remain, and broken debug information. */
static void test_broken(void **state _unused_)
{
	void (*const changes[])(Elf64_Rela *, size_t, struct elf_file *) = {
		far_offset,
		far_symbol,
		far_addend,
		odd_type,
	};

	sh("cd %s && gcc -O2 -g -fcf-protection=none -c r.c -o r.o", folder);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct symbolized s;

		change_relocations("r.o", "b.o", changes[i]);
		assert_int_equal(ask(&s, "b.o", NULL, 0, 0, 64), 0);
		assert_int_equal(s.a.head.debug_broken, 1);
		symbolized_expect(&s, "outer ?:0");
		symbolized_done(&s);
	}
	/* the tables are gone: there is no line that is not of the right place */
	sh("cd %s && objcopy -R .rela.debug_info -R .rela.debug_line -R .rela.debug_aranges "
	   "-R .rela.debug_rnglists r.o n.o",
	   folder);
	expect("n.o", NULL, 0, 0, "outer ?:0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compilers),     cmocka_unit_test(test_module),
		cmocka_unit_test(test_first_section), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_broken),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
