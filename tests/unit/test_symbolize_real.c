/* SPDX-License-Identifier: Apache-2.0 */
/* Debian's own files whole: libc6 with libc6-dbg, python3.11 with python3.11-dbg. */
#include "symbolize_harness.h"

static bool text_section(const char *path, uint64_t *ret_start, uint64_t *ret_bytes)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(elf_file_freep) struct elf_file *elf = NULL;
	const struct elf_section *s;

	if (fd < 0 || elf_file_new(&elf, fd) < 0)
		return false;
	s = elf_file_section(elf, ".text");
	if (!s)
		return false;
	*ret_start = s->addr;
	*ret_bytes = s->bytes;
	return true;
}

static bool has_debug_file(const char *path)
{
	char line[256];

	sh_line(line, sizeof(line),
		"id=$(readelf -n %s | sed -n 's/.*Build ID: //p'); "
		"ls /usr/lib/debug/.build-id/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-).debug "
		"2>/dev/null",
		path);
	return line[0] != '\0';
}

struct shares {
	size_t n, named, lines, inlined, leftovers;
};

/* `work.c.51f5cdde`: what LTO leaves in symbol tables. */
static bool is_leftover(const char *text)
{
	const char *dot = strstr(text, ".c.");

	return dot && strspn(dot + 3, "0123456789abcdef") == 8;
}

static void count_shares(const struct symbolized *s, struct shares *ret)
{
	*ret = (struct shares){ .n = s->n };
	for (size_t i = 0; i < s->n; i++) {
		const char *text = s->text[i];

		ret->named += strcmp(text, "??") != 0;
		ret->lines += strcmp(text, "??") != 0 && !strstr(text, " ?:0");
		ret->inlined += strstr(text, " < ") != NULL;
		ret->leftovers += is_leftover(text);
	}
}

static void check_whole(const char *path, unsigned named_per_mille, unsigned lines_per_mille,
			unsigned inlined_per_mille)
{
	uint64_t start = 0, bytes = 0;
	struct symbolized s;
	struct shares shares;

	if (!text_section(path, &start, &bytes) || !has_debug_file(path))
		skip();
	symbolize_range(&s, path, SYMBOLIZE_DWARF, start, bytes, 32);
	count_shares(&s, &shares);
	print_message("%s: %zu addresses, %.2f %% named, %.2f %% with lines, %.2f %% inlined\n",
		      path, shares.n, 100.0 * (double)shares.named / (double)shares.n,
		      100.0 * (double)shares.lines / (double)shares.n,
		      100.0 * (double)shares.inlined / (double)shares.n);
	assert_int_equal(s.a.head.debug_broken, 0);
	assert_int_equal(s.a.head.debug_missing, 0);
	assert_int_equal(shares.leftovers, 0);
	/* what is not named is padding */
	assert_true(shares.named * 1000 >= shares.n * named_per_mille);
	assert_true(shares.lines * 1000 >= shares.n * lines_per_mille);
	assert_true(shares.inlined * 1000 >= shares.n * inlined_per_mille);
	symbolized_done(&s);
}

static void test_libc(void **state _unused_)
{
	check_whole("/lib/x86_64-linux-gnu/libc.so.6", 998, 980, 150);
}

static void test_python(void **state _unused_)
{
	check_whole("/usr/bin/python3.11", 999, 995, 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libc),
		cmocka_unit_test(test_python),
	};

	return cmocka_run_group_tests_name("symbolize_real", tests, NULL, NULL);
}
