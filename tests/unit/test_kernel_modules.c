/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of kernel modules from their debug files: small ones, with /sys/module and kallsyms made up. */
#include "kernel_harness.h"
#include "object_source.h"

#define BUILD_ID "00112233445566778899aabbccddeeff00112233"
#define TEXT     0xffffffffc0123000ULL /* where .text is loaded */
#define UNLIKELY (TEXT + 0x800)
#define INIT     0xffffffffc0200000ULL
#define OTHER    0xffffffffc0300000ULL

#define OUTER "inner [my_mod] m.c:4 < outer [my_mod] m.c:9"
#define RARE  "inner [my_mod] m.c:4 < rare [my_mod] m.c:14"
#define SETUP "inner [my_mod] m.c:4 < setup [my_mod] m.c:21"

static const char assembly[] = ".globl entry\nentry:\n\tnop\n\tnop\n\tret\n"
			       ".size entry, . - entry\n.section .note.GNU-stack,\"\"\n";

static const char places[][96] = {
	"usr/lib/debug/.build-id/00/112233445566778899aabbccddeeff00112233.debug",
	"usr/lib/debug/lib/modules/1.2/kernel/fs/my-mod.ko.debug",
	"usr/lib/debug/lib/modules/1.2/kernel/fs/my-mod.ko",
	"usr/lib/debug/usr/lib/modules/1.2/kernel/fs/my-mod.ko.debug",
	"lib/modules/1.2/kernel/fs/my-mod.ko",
};

static uint64_t entry_offset;

static void write_section(const char *module, const char *section, uint64_t address)
{
	char name[128], text[32];

	snprintf(name, sizeof(name), "sys/%s/sections/%s", module, section);
	snprintf(text, sizeof(text), "0x%016llx\n", (unsigned long long)address);
	write_file(folder, name, text);
}

static void write_sys(void)
{
	sh("cd %s && mkdir -p sys/my_mod/sections sys/my_mod/notes sys/other/sections "
	   "sys/other/notes",
	   folder);
	write_section("my_mod", ".text", TEXT);
	write_section("my_mod", ".text.unlikely", UNLIKELY);
	write_section("my_mod", ".init.text", INIT);
	write_section("my_mod", ".data", TEXT + 0x5000);
	write_section("other", ".text", OTHER);
	write_notes("sys/my_mod/notes/.note.gnu.build-id", BUILD_ID);
	write_notes("sys/other/notes/.note.gnu.build-id",
		    "ff112233445566778899aabbccddeeff00112233");
}

static void write_kallsyms(void)
{
	sh("cd %s && { printf '%llx T _text\\n%llx T _end\\n' && "
	   "printf '%llx t %s\\t[my_mod]\\n' && printf '%llx t %s\\t[my_mod]\\n' && "
	   "printf '%llx t %s\\t[my_mod]\\n' && printf '%llx t %s\\t[my_mod]\\n' && "
	   "printf '%llx t %s\\t[my_mod]\\n' && printf '%llx t %s\\t[my_mod]\\n' && "
	   "printf '%llx t outer\\t[other]\\n'; } >kallsyms",
	   folder, KALLSYMS_TEXT, KALLSYMS_TEXT + 0x1000, TEXT, "outer", TEXT + entry_offset,
	   "entry", TEXT + entry_offset + 3, "behind", UNLIKELY, "rare", UNLIKELY + 0x100,
	   "unlikely_end", INIT, "setup", OTHER);
}

static int group_setup(void **state _unused_)
{
	char line[128];

	assert_non_null(mkdtemp(folder));
	write_file(folder, "m.c", object_source);
	write_file(folder, "e.S", assembly);
	sh("cd %s && mkdir -p usr/lib/debug/.build-id/00 usr/lib/debug/lib/modules/1.2/kernel/fs "
	   "usr/lib/debug/usr/lib/modules/1.2/kernel/fs lib/modules/1.2/kernel/fs && "
	   "gcc -g -O2 -fcf-protection=none -ffreestanding -mcmodel=kernel -fno-pic -c m.c && "
	   "gcc -g -c e.S && ld -r --build-id=0x" BUILD_ID " -o my-mod.ko m.o e.o && "
	   "ld -r --build-id=0xff112233445566778899aabbccddeeff00112233 -o other.ko m.o",
	   folder);
	entry_offset = strtoull(
		sh_line(line, sizeof(line), "nm %s/my-mod.ko | grep ' entry$'", folder), NULL, 16);
	assert_in_range(entry_offset, 1, 0x7ff);
	write_notes("notes", "aa112233445566778899aabbccddeeff00112233");
	write_file(folder, "lib/modules/1.2/modules.dep",
		   "kernel/fs/not-my-mod.ko:\n"
		   "kernel/fs/my-mod.ko: kernel/lib/x.ko\n"
		   "kernel/fs/my-mod.ko.xz:\n"
		   "extra/other.ko.xz: kernel/fs/my-mod.ko\n");
	write_sys();
	write_kallsyms();
	return 0;
}

static int group_teardown(void **state _unused_)
{
	sh("rm -r %s", folder);
	return 0;
}

static const uint64_t ips[] = { TEXT, UNLIKELY, INIT, OTHER };

static void ask(struct fixture *f, enum symbols_mode mode)
{
	struct frame frames[5];

	for (size_t i = 0; i < 5; i++)
		frames[i] = (struct frame){
			.object = f->kernel,
			.address = symbolizer_kernel_link_address(
				f->symbolizer, i < 4 ? ips[i] : TEXT + entry_offset + 1),
		};
	f->done = false;
	assert_int_equal(
		symbolizer_request(f->symbolizer, frames, 5, mode, false, on_done, f, NULL), 0);
	while (!f->done)
		assert_true(sd_event_run(f->event, 20000000) > 0);
}

static void expect(struct fixture *f, uint64_t ip, const char *text)
{
	describe(f, ip);
	assert_string_equal(f->names, text);
}

static void expect_names(struct fixture *f)
{
	expect(f, TEXT, "outer [my_mod] :0");
	expect(f, UNLIKELY, "rare [my_mod] :0");
	expect(f, INIT, "setup [my_mod] :0");
	expect(f, TEXT + entry_offset + 1, "entry [my_mod] :0");
}

static void expect_lines(struct fixture *f)
{
	expect(f, TEXT, OUTER);
	expect(f, UNLIKELY, RARE);
	expect(f, INIT, SETUP);
	expect(f, TEXT + entry_offset + 1, "entry [my_mod] e.S:4");
	expect(f, OTHER, "outer [other] :0");
}

static void test_places(void **state _unused_)
{
	struct object_symbols symbols;
	struct fixture f;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		sh("cp %s/my-mod.ko %s/%s", folder, folder, places[i]);
		start(&f);
		ask(&f, SYMBOLS_FULL);
		expect_lines(&f);
		symbolizer_object(f.symbolizer, f.kernel, false, &symbols);
		assert_true(symbols.has_lines && symbols.has_inlines);
		assert_string_equal(symbols.build_id, "");
		stop(&f);
		assert_int_equal(f.stats.jobs, 1);
		assert_int_equal(f.n_failures, 0);
		sh("rm %s/%s", folder, places[i]);
	}
}

/* Each module has its own file, and vmlinux none. */
static void test_two(void **state _unused_)
{
	struct fixture f;

	sh("cd %s && cp my-mod.ko %s && mkdir -p usr/lib/debug/lib/modules/1.2/extra && "
	   "cp other.ko usr/lib/debug/lib/modules/1.2/extra/other.ko.debug",
	   folder, places[2]);
	start(&f);
	ask(&f, SYMBOLS_FAST);
	expect_names(&f);
	ask(&f, SYMBOLS_FULL);
	expect(&f, TEXT, OUTER);
	expect(&f, OTHER, "inner [other] m.c:4 < outer [other] m.c:9");
	stop(&f);
	assert_int_equal(f.stats.jobs, 2);
	sh("cd %s && rm %s usr/lib/debug/lib/modules/1.2/extra/other.ko.debug", folder, places[2]);
}

/* The module as it was installed, with its debug file as the build-id has it; and without one. */
static void test_stripped(void **state _unused_)
{
	struct fixture f;

	sh("cd %s && strip --strip-debug my-mod.ko -o %s", folder, places[4]);
	start(&f);
	ask(&f, SYMBOLS_FULL);
	expect_names(&f);
	stop(&f);
	assert_int_equal(f.stats.jobs, 1);
	assert_int_equal(f.n_failures, 0);
	sh("cd %s && objcopy --only-keep-debug my-mod.ko %s", folder, places[0]);
	start(&f);
	ask(&f, SYMBOLS_FULL);
	expect_lines(&f);
	stop(&f);
	sh("cd %s && rm %s %s", folder, places[0], places[4]);
}

static void test_other_build_id(void **state _unused_)
{
	struct fixture f;

	sh("cd %s && cp other.ko %s && cp my-mod.ko %s", folder, places[1], places[2]);
	start(&f);
	ask(&f, SYMBOLS_FULL);
	expect_lines(&f);
	stop(&f);
	assert_int_equal(f.stats.jobs, 2);
	assert_int_equal(f.n_failures, 1);
	assert_non_null(strstr(f.failure, "not of the running kernel: build-ids differ"));

	/* another module was loaded in its place, without notes */
	sh("cd %s && rm %s && mv sys/my_mod/notes n", folder, places[1]);
	start(&f);
	ask(&f, SYMBOLS_FULL);
	expect_names(&f);
	stop(&f);
	assert_int_equal(f.stats.jobs, 0);
	sh("cd %s && mv n sys/my_mod/notes && rm %s", folder, places[2]);
}

/* Nothing is believed about a module that has moved, or whose place is not known. */
static void test_sections(void **state _unused_)
{
	struct fixture f;

	sh("cp %s/my-mod.ko %s/%s", folder, folder, places[0]);
	write_section("my_mod", ".text", TEXT - 0x10);
	write_section("my_mod", ".text.unlikely", 0);
	start(&f);
	ask(&f, SYMBOLS_FULL);
	expect(&f, TEXT, "outer [my_mod] :0");
	expect(&f, UNLIKELY, "rare [my_mod] :0");
	expect(&f, INIT, SETUP);
	stop(&f);
	sh("rm %s/sys/my_mod/sections/.*text*", folder);
	start(&f);
	ask(&f, SYMBOLS_FULL);
	expect_names(&f);
	stop(&f);
	assert_int_equal(f.stats.jobs, 0);
	write_sys();
	sh("rm %s/%s", folder, places[0]);
}

/* A sandbox may hide /lib/modules: its debug files are found in their own trees, under whatever folder. */
static void test_no_list(void **state _unused_)
{
	static const char *const found[] = {
		"usr/lib/debug/lib/modules/1.2/updates/dkms/my_mod.ko.debug",
		"usr/lib/debug/lib/modules/1.2/my-mod.ko",
		"usr/lib/debug/usr/lib/modules/1.2/kernel/my-mod.ko.debug",
		"usr/lib/debug/.build-id/00/112233445566778899aabbccddeeff00112233.debug",
	};
	struct fixture f;

	sh("cd %s && mv lib/modules/1.2/modules.dep m && cp my-mod.ko %s && "
	   "mkdir -p usr/lib/debug/lib/modules/1.2/updates/dkms && "
	   "cp other.ko usr/lib/debug/lib/modules/1.2/my-mod2.ko",
	   folder, places[4]);
	start(&f);
	ask(&f, SYMBOLS_FULL);
	expect_names(&f);
	stop(&f);
	assert_int_equal(f.stats.jobs, 0);
	for (size_t i = 0; i < ARRAY_SIZE(found); i++) {
		sh("cp %s/my-mod.ko %s/%s", folder, folder, found[i]);
		start(&f);
		ask(&f, SYMBOLS_FULL);
		expect_lines(&f);
		stop(&f);
		sh("rm %s/%s", folder, found[i]);
	}
	sh("cd %s && mv m lib/modules/1.2/modules.dep && rm %s "
	   "usr/lib/debug/lib/modules/1.2/my-mod2.ko",
	   folder, places[4]);
}

/* A broken file costs its lines, once. */
static void test_broken(void **state _unused_)
{
	struct fixture f;

	sh("cd %s && head -c 700 my-mod.ko >%s", folder, places[1]);
	start(&f);
	ask(&f, SYMBOLS_FULL);
	expect_names(&f);
	stop(&f);
	assert_int_equal(f.n_failures, 1);
	sh("rm %s/%s", folder, places[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),   cmocka_unit_test(test_two),
		cmocka_unit_test(test_stripped), cmocka_unit_test(test_other_build_id),
		cmocka_unit_test(test_sections), cmocka_unit_test(test_no_list),
		cmocka_unit_test(test_broken),
	};

	find_worker();
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
