/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the kernel from a vmlinux with debug information: a small one, with notes and kallsyms made up. */

#include "kernel_harness.h"

#define BUILD_ID "00112233445566778899aabbccddeeff00112233"
#define SLIDE    0x12000000ULL

static uint64_t outer_address; /* of the inlined code, as linked */
static uint64_t entry_address; /* of assembly */

static const char program[] = "volatile int x;\\n"
			      "static inline __attribute__((always_inline)) void inner(void)\\n"
			      "{\\n"
			      "\\tx++;\\n"
			      "}\\n"
			      "void outer(void)\\n"
			      "{\\n"
			      "\\tinner();\\n"
			      "}\\n"
			      "void _start(void) { outer(); }\\n";

/* No function as DWARF has them; the name within is kallsyms' alone. */
static const char assembly[] = ".globl entry\\nentry:\\n\\tnop\\n\\tnop\\n\\tret\\n"
			       ".size entry, . - entry\\n.section .note.GNU-stack,\"\"\\n";

static int group_setup(void **state _unused_)
{
	char line[128];

	assert_non_null(mkdtemp(folder));
	sh("cd %s && mkdir -p boot usr/lib/debug/boot usr/lib/debug/lib/modules/1.2 "
	   "usr/lib/debug/.build-id/00 && printf '%s' > v.c && printf '%s' > entry.S && "
	   "gcc -g -O2 -fno-inline-functions -fcf-protection=none -ffreestanding -nostdlib -static "
	   "-mcmodel=kernel -fno-pic -no-pie "
	   "-fno-reorder-functions -Wl,-Ttext=0x%llx -Wl,--build-id=0x" BUILD_ID
	   " -o vmlinux v.c entry.S && "
	   "gcc -g -O2 -ffreestanding -nostdlib -static -mcmodel=kernel -fno-pic -no-pie "
	   "-Wl,-Ttext=0x%llx -Wl,--build-id=0xff112233 -o other v.c",
	   folder, program, assembly, (unsigned long long)KALLSYMS_TEXT,
	   (unsigned long long)KALLSYMS_TEXT);
	outer_address = strtoull(
		sh_line(line, sizeof(line), "nm %s/vmlinux | grep ' outer$'", folder), NULL, 16);
	assert_in_range(outer_address, KALLSYMS_TEXT, KALLSYMS_REGIONS - 1);
	entry_address = strtoull(
		sh_line(line, sizeof(line), "nm %s/vmlinux | grep ' entry$'", folder), NULL, 16);
	assert_true(entry_address > outer_address);
	sh("printf '%llx T _text\\n%llx T outer\\n%llx T entry\\n%llx T within_entry\\n%llx T "
	   "_etext\\n"
	   "%llx T __entry_text_start\\n%llx T __entry_text_end\\n"
	   "%llx T _end\\n%llx t modf\\t[mod]\\n' > %s/kallsyms",
	   (unsigned long long)(KALLSYMS_TEXT + SLIDE), (unsigned long long)(outer_address + SLIDE),
	   (unsigned long long)(entry_address + SLIDE),
	   (unsigned long long)(entry_address + 1 + SLIDE),
	   (unsigned long long)(KALLSYMS_TEXT + SLIDE + 0x1000),
	   (unsigned long long)(entry_address + SLIDE),
	   (unsigned long long)(KALLSYMS_TEXT + SLIDE + 0x1000),
	   (unsigned long long)(KALLSYMS_TEXT + SLIDE + 0x1000), 0xffffffffc0123000ULL, folder);
	write_notes("notes", BUILD_ID);
	return 0;
}

static int group_teardown(void **state _unused_)
{
	sh("rm -r %s", folder);
	return 0;
}

/* The frames of one address in vmlinux, innermost first, into f->names. */
static void ask(struct fixture *f, enum symbols_mode mode)
{
	uint64_t ips[] = { outer_address + SLIDE, outer_address + SLIDE + 1, 0xffffffffc0123004ULL,
			   entry_address + SLIDE + 1 };
	struct frame frames[4];

	for (size_t i = 0; i < 4; i++)
		frames[i] = (struct frame){
			.object = f->kernel,
			.address = symbolizer_kernel_link_address(f->symbolizer, ips[i]),
		};
	f->done = false;
	assert_int_equal(
		symbolizer_request(f->symbolizer, frames, 4, mode, false, on_done, f, NULL), 0);
	while (!f->done)
		assert_true(sd_event_run(f->event, 20000000) > 0);
	describe(f, ips[2]);
	assert_string_equal(f->names, "modf [mod] :0");
	describe(f, ips[3]);
	snprintf(f->within, sizeof(f->within), "%s", f->names);
	describe(f, ips[0]);
}

static void once(struct fixture *f)
{
	struct object_symbols symbols;

	start(f);
	ask(f, SYMBOLS_FULL);
	symbolizer_object(f->symbolizer, f->kernel, false, &symbols);
	assert_true(symbols.has_names);
	assert_int_equal(symbols.has_lines, strstr(f->names, "v.c") != NULL);
	assert_string_equal(symbols.build_id, "");
	stop(f);
}

static const char *const places[] = {
	"usr/lib/debug/.build-id/00/112233445566778899aabbccddeeff00112233.debug",
	"usr/lib/debug/boot/vmlinux-1.2",
	"usr/lib/debug/lib/modules/1.2/vmlinux",
	"boot/vmlinux-1.2",
};

static void test_places(void **state _unused_)
{
	struct fixture f;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		sh("cp %s/vmlinux %s/%s", folder, folder, places[i]);
		once(&f);
		assert_string_equal(f.names, "inner v.c:4 < outer v.c:8");
		assert_string_equal(f.within, "within_entry entry.S:4");
		assert_int_equal(f.stats.jobs, 1);
		assert_int_equal(f.n_failures, 0);
		sh("rm %s/%s", folder, places[i]);
	}
}

/* The running kernel's vmlinux, whose debug information is elsewhere beneath the root. */
static void expect_lines(const char *setup, const char *cleanup)
{
	struct fixture f;

	sh("cd %s && %s", folder, setup);
	once(&f);
	assert_string_equal(f.names, "inner v.c:4 < outer v.c:8");
	assert_int_equal(f.stats.jobs, 1);
	assert_int_equal(f.n_failures, 0);
	sh("cd %s && %s", folder, cleanup);
}

static void test_debug_files(void **state _unused_)
{
	char line[512];

	/* .gnu_debuglink: beside it, and in .debug */
	sh("cd %s && objcopy --only-keep-debug vmlinux v.debug && strip -o bare vmlinux && "
	   "objcopy --add-gnu-debuglink=v.debug bare linked",
	   folder);
	expect_lines("cp linked boot/vmlinux-1.2 && cp v.debug boot/", "rm boot/*");
	expect_lines(
		"cp linked boot/vmlinux-1.2 && mkdir -p boot/.debug && mv v.debug boot/.debug/",
		"rm -r boot/* boot/.debug");

	/* what dwz(1) took out of it */
	expect_lines("cp vmlinux boot/vmlinux-1.2 && cp other boot/two && cd boot && "
		     "dwz -m common -r vmlinux-1.2 two 2>/dev/null && "
		     "readelf -SW vmlinux-1.2 | grep -q gnu_debugaltlink && rm two",
		     "rm boot/*");

	/* .dwo files where the compiler wrote them, and all in one */
	snprintf(line, sizeof(line),
		 "gcc -g -gdwarf-4 -gsplit-dwarf -O2 -fno-inline-functions -fcf-protection=none "
		 "-ffreestanding -nostdlib -static -mcmodel=kernel -fno-pic -no-pie "
		 "-fno-reorder-functions -Wl,-Ttext=0x%llx -Wl,--build-id=0x" BUILD_ID
		 " -o boot/vmlinux-1.2 v.c",
		 (unsigned long long)KALLSYMS_TEXT);
	expect_lines(
		line,
		"dwp -e boot/vmlinux-1.2 -o boot/vmlinux-1.2.dwp && find . -name '*.dwo' -delete");
	expect_lines("true", "rm boot/*");
}

static void test_without(void **state _unused_)
{
	struct fixture f;

	once(&f);
	assert_string_equal(f.names, "outer :0");
	assert_string_equal(f.within, "within_entry :0");
	assert_int_equal(f.stats.jobs, 0);
	assert_int_equal(f.n_failures, 0);
}

/* What interrupts enter by, from kallsyms. */
static void test_entry(void **state _unused_)
{
	struct fixture f;

	start(&f);
	assert_true(symbolizer_kernel_entry(f.symbolizer, entry_address + SLIDE));
	assert_true(symbolizer_kernel_entry(f.symbolizer, KALLSYMS_TEXT + SLIDE + 0xfff));
	assert_false(symbolizer_kernel_entry(f.symbolizer, KALLSYMS_TEXT + SLIDE + 0x1000));
	assert_false(symbolizer_kernel_entry(f.symbolizer, outer_address + SLIDE));
	stop(&f);
}

static void test_other_build_id(void **state _unused_)
{
	struct fixture f;

	sh("cp %s/other %s/%s", folder, folder, places[1]);
	once(&f);
	assert_string_equal(f.names, "outer :0");
	assert_int_equal(f.stats.jobs, 1);
	assert_int_equal(f.n_failures, 1);
	assert_string_equal(f.failure,
			    "/usr/lib/debug/boot/vmlinux-1.2: not of the running kernel: "
			    "build-ids differ");

	/* the next place has the right one */
	sh("cp %s/vmlinux %s/%s", folder, folder, places[3]);
	once(&f);
	assert_string_equal(f.names, "inner v.c:4 < outer v.c:8");
	assert_int_equal(f.stats.jobs, 2);
	sh("rm %s/%s %s/%s", folder, places[1], folder, places[3]);
}

static void test_no_elf_file(void **state _unused_)
{
	struct fixture f;

	sh("cp %s/v.c %s/%s && mkfifo %s/%s", folder, folder, places[1], folder, places[2]);
	once(&f);
	assert_string_equal(f.names, "outer :0");
	assert_int_equal(f.n_failures, 1);
	sh("rm %s/%s %s/%s", folder, places[1], folder, places[2]);
}

/* Fast names are kallsyms' own, and keep nobody from lines. */
static void test_fast(void **state _unused_)
{
	struct fixture f;

	sh("cp %s/vmlinux %s/%s", folder, folder, places[1]);
	start(&f);
	ask(&f, SYMBOLS_FAST);
	assert_string_equal(f.names, "outer :0");
	ask(&f, SYMBOLS_FULL);
	assert_string_equal(f.names, "inner v.c:4 < outer v.c:8");
	ask(&f, SYMBOLS_FAST);
	assert_string_equal(f.names, "inner v.c:4 < outer v.c:8");
	stop(&f);
	assert_int_equal(f.stats.jobs, 1);
	sh("rm %s/%s", folder, places[1]);
}

static void test_notes(void **state _unused_)
{
	struct fixture f;

	sh("cp %s/vmlinux %s/%s", folder, folder, places[1]);
	sh("head -c 40 %s/notes > %s/short && mv %s/short %s/notes", folder, folder, folder,
	   folder);
	once(&f);
	assert_string_equal(f.names, "outer :0");
	assert_int_equal(f.stats.jobs, 0);
	sh("rm %s/notes", folder);
	once(&f);
	assert_int_equal(f.stats.jobs, 0);
	write_notes("notes", BUILD_ID);
	once(&f);
	assert_int_equal(f.stats.jobs, 1);
	sh("rm %s/%s", folder, places[1]);
}

/* Where the kernel lies is not known: no address of vmlinux either. */
static void test_hidden(void **state _unused_)
{
	struct fixture f;

	sh("cp %s/vmlinux %s/%s && cp %s/kallsyms %s/k && sed -i 's/^[0-9a-f]*/0000000000000000/' "
	   "%s/kallsyms",
	   folder, folder, places[1], folder, folder, folder);
	start(&f);
	assert_false(symbolizer_kernel_names(f.symbolizer));
	stop(&f);
	assert_int_equal(f.stats.jobs, 0);
	sh("mv %s/k %s/kallsyms; rm %s/%s", folder, folder, folder, places[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),      cmocka_unit_test(test_without),
		cmocka_unit_test(test_entry),       cmocka_unit_test(test_other_build_id),
		cmocka_unit_test(test_no_elf_file), cmocka_unit_test(test_fast),
		cmocka_unit_test(test_notes),       cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_debug_files),
	};

	find_worker();
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
