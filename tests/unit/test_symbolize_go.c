/* SPDX-License-Identifier: Apache-2.0 */
/* Go programs without symbols and DWARF, of every Go that is installed. */
#include "symbolize_harness.h"

static const char program[] = "package main\n"
			      "\n"
			      "var seed uint64 = 3\n"
			      "\n"
			      "func innermost(n uint64) uint64 {\n"
			      "	s := uint64(0)\n"
			      "	for i := uint64(0); i < n; i++ {\n"
			      "		s += i ^ s\n" /* 8 */
			      "	}\n"
			      "	return s\n"
			      "}\n"
			      "\n"
			      "func middle(n uint64) uint64 {\n"
			      "	return innermost(n) + 1\n" /* 14 */
			      "}\n"
			      "\n"
			      "//go:noinline\n"
			      "func outermost(n uint64) uint64 {\n"
			      "	return middle(n) * 3\n" /* 19 */
			      "}\n"
			      "\n"
			      "func main() {\n"
			      "	println(outermost(seed))\n"
			      "}\n";

static char folder[] = "/tmp/cprof-go-XXXXXX";

static int setup(void **state _unused_)
{
	char path[256];
	FILE *f;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/inl.go", folder);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(program, f);
	fclose(f);
	return 0;
}

static int teardown(void **state _unused_)
{
	sh("chmod -R u+w %s && rm -r %s", folder, folder);
	return 0;
}

static void check_build(const char *go, const char *mode)
{
	char full[256], stripped[256];
	struct symbolized s;

	snprintf(full, sizeof(full), "%s/full", folder);
	snprintf(stripped, sizeof(stripped), "%s/stripped", folder);
	sh("cd %s && export HOME=%s GOTOOLCHAIN=local GO111MODULE=off GOCACHE=%s/cache && "
	   "%s build -buildmode=%s -o full inl.go && %s build -buildmode=%s -ldflags='-s -w' -o "
	   "stripped inl.go",
	   folder, folder, folder, go, mode, go, mode);

	symbolize_function(&s, stripped, full, "main.outermost", SYMBOLIZE_DWARF);
	symbolized_expect(
		&s, "main.innermost inl.go:8 < main.middle inl.go:14 < main.outermost inl.go:19");
	for (size_t i = 0; i < s.n; i++)
		assert_int_equal(s.locations[i].source, SYMBOLIZE_SOURCE_GO);
	assert_int_equal(s.a.head.debug_broken, 0);
	symbolized_done(&s);

	/* the same as its DWARF says */
	symbolize_function(&s, full, full, "main.outermost", SYMBOLIZE_DWARF);
	symbolized_expect(
		&s, "main.innermost inl.go:8 < main.middle inl.go:14 < main.outermost inl.go:19");
	assert_int_equal(s.locations[0].source, SYMBOLIZE_SOURCE_DWARF);
	symbolized_done(&s);

	/* names alone */
	symbolize_function(&s, stripped, full, "main.outermost", 0);
	symbolized_expect(&s, "main.outermost ?:0");
	symbolized_done(&s);
}

static void test_stripped(void **state _unused_)
{
	static const char *const places[] = { "/usr/lib/go-1.*/bin/go", "/usr/local/go/bin/go" };
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char go[256];

		sh_line(go, sizeof(go), "ls -d %s 2>/dev/null", places[i]);
		if (!go[0])
			continue;
		n++;
		check_build(go, "exe");
		check_build(go, "pie");
	}
	if (n == 0)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stripped),
	};

	return cmocka_run_group_tests_name("symbolize_go", tests, setup, teardown);
}
