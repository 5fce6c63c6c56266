/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug files that are written to, or replaced, between two questions to one session: what was read of the old one
 * is not mixed with the new one. Needs gcc, binutils, dwz.
 */
#include "symbolize_harness.h"

static char folder[] = "/tmp/cprof-changing-XXXXXX";

struct session {
	char path[256];
	int fd;
	struct opener opener;
	struct symbolize *s;
};

static int setup(void **state _unused_)
{
	assert_non_null(mkdtemp(folder));
	sh("cd %s && for name in first second; do "
	   "printf 'int %%s(int n);\\nint %%s(int n)\\n{\\n\\treturn n * 3;\\n}\\n' $name $name "
	   ">$name.c; done && "
	   "printf 'int first(int), second(int);\\nint main(int n, char **argv)\\n"
	   "{\\n\\t(void)argv;\\n\\treturn first(n) + second(n);\\n}\\n' >main.c",
	   folder);
	return 0;
}

static int teardown(void **state _unused_)
{
	sh("rm -r %s", folder);
	return 0;
}

/* prog and its symbols in prog.full; files of an old time, so that a write shows. */
static void build(const char *flags, const char *then)
{
	sh("cd %s && rm -rf prog* *.dwo *.dwp common .debug && "
	   "gcc -g %s -o prog first.c second.c main.c && cp prog prog.full && %s && "
	   "find . -type f -exec touch -d 2001-01-01 {} +",
	   folder, flags, then);
}

static void session_open(struct session *s)
{
	struct symbolize_request request = {
		.flags = SYMBOLIZE_DWARF | SYMBOLIZE_VADDR,
		.open = harness_open,
		.arg = &s->opener,
	};

	*s = (struct session){ 0 };
	snprintf(s->path, sizeof(s->path), "%s/prog", folder);
	s->opener.object_path = s->path;
	s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
	assert_true(s->fd >= 0);
	request.fd = s->fd;
	assert_int_equal(symbolize_new(&s->s, &request), 0);
}

static void session_close(struct session *s)
{
	symbolize_free(s->s);
	debug_paths_done(&s->opener.paths);
	safe_close(s->fd);
}

/* Where the function begins: its name, file and line; or the error. */
static int session_ask(struct session *s, const char *name, const char *expected)
{
	_cleanup_(buf_done) struct buf answer = BUF_INIT(1 << 20);
	struct symanswer_cursor cursor = { 0 };
	struct symbolize_location location;
	struct symanswer a;
	const char *lines;
	char full[300], *text;
	uint64_t address;
	int r;

	snprintf(full, sizeof(full), "%s.full", s->path);
	address = symbol_address(full, name, NULL);
	r = symbolize_ask(s->s, &address, 1, &answer);
	if (r < 0)
		return r;
	assert_int_equal(symanswer_check_vaddrs(answer.data, answer.size, &address, 1, &a), 0);
	symanswer_next(&a, &cursor, &location, &lines);
	text = harness_text(&a, &location, lines);
	assert_string_equal(text, expected);
	free(text);
	return 0;
}

/* `file` has the lines of first(), and its name is `other`'s in another version of it. */
static void check(const char *what, const char *file)
{
	struct session s;

	fprintf(stderr, "%s\n", what);
	session_open(&s);
	assert_int_equal(session_ask(&s, "first", "first first.c:3"), 0);
	assert_int_equal(session_ask(&s, "second", "second second.c:3"), 0);
	/* a file in its place is not this one */
	sh("cd %s && cp %s new && printf x >>new && mv %s kept && mv new %s", folder, file, file,
	   file);
	assert_int_equal(session_ask(&s, "first", "first first.c:3"), 0);
	/* one byte at its end, which means nothing: but who knows that */
	sh("cd %s && mv kept %s && printf x >>%s", folder, file, file);
	assert_int_equal(session_ask(&s, "first", ""), -ETXTBSY);
	session_close(&s);
}

static void check_again(const char *file)
{
	struct session s;

	sh("cd %s && touch -d 2001-01-01 %s", folder, file);
	session_open(&s);
	assert_int_equal(session_ask(&s, "first", "first first.c:3"), 0);
	sh("cd %s && printf x | dd of=%s bs=1 seek=8 conv=notrunc status=none", folder, file);
	assert_int_equal(session_ask(&s, "first", ""), -ETXTBSY);
	session_close(&s);
}

static void test_debug_file(void **state _unused_)
{
	char id[128], root[256], file[512];

	build("-Wl,--build-id=sha1",
	      "objcopy --only-keep-debug prog prog.debug && strip prog -o tmp && "
	      "objcopy --add-gnu-debuglink=prog.debug tmp prog");
	check("by .gnu_debuglink", "prog.debug");
	check_again("prog.debug");

	sh_line(id, sizeof(id), "readelf -n %s/prog | sed -n 's/.*Build ID: //p'", folder);
	snprintf(root, sizeof(root), "%s/root", folder);
	snprintf(file, sizeof(file), "root/usr/lib/debug/.build-id/%.2s/%s.debug", id, id + 2);
	sh("cd %s && mkdir -p $(dirname %s) && objcopy --only-keep-debug prog.full %s && "
	   "rm prog.debug && touch -d 2001-01-01 %s",
	   folder, file, file, file);
	debug_root = root;
	check("by build-id", file);
	debug_root = NULL;
}

static void test_dwz(void **state _unused_)
{
	build("", "cp prog two && dwz -m common -r prog two 2>/dev/null && "
		  "readelf -SW prog | grep -q gnu_debugaltlink");
	check("common part", "common");
}

static void test_dwo(void **state _unused_)
{
	struct session s;

	build("-gsplit-dwarf", "ls prog-first.dwo prog-second.dwo >/dev/null");
	check(".dwo", "prog-first.dwo");
	check_again("prog-first.dwo");

	/* one that is not asked for may change */
	build("-gsplit-dwarf", "true");
	session_open(&s);
	assert_int_equal(session_ask(&s, "first", "first first.c:3"), 0);
	assert_int_equal(session_ask(&s, "second", "second second.c:3"), 0);
	sh("cd %s && printf x >>prog-first.dwo", folder);
	assert_int_equal(session_ask(&s, "second", "second second.c:3"), 0);
	assert_int_equal(session_ask(&s, "first", ""), -ETXTBSY);
	session_close(&s);
}

static void test_dwp(void **state _unused_)
{
	build("-gsplit-dwarf -gdwarf-4", "dwp -e prog -o prog.dwp && rm *.dwo");
	check(".dwp", "prog.dwp");
	check_again("prog.dwp");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_debug_file),
		cmocka_unit_test(test_dwz),
		cmocka_unit_test(test_dwo),
		cmocka_unit_test(test_dwp),
	};

	return cmocka_run_group_tests_name("symbolize_changing", tests, setup, teardown);
}
