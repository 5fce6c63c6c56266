/* SPDX-License-Identifier: Apache-2.0 */
/* Linkage names of C++, Rust and D, whole and short; and those that are made to hurt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cprof/symbolize.h"
#include "demangle.h"

static const struct {
	const char *linkage, *full, *brief;
} names[] = {
	{ "main", "main", "main" },
	{ "memcpy.isra.0", "memcpy", "memcpy" },
	{ "work.constprop.0.cold", "work", "work" },
	{ "work.llvm.1234567", "work", "work" },
	{ "my.name", "my.name", "my.name" },
	{ "_ZN4shop5totalEi", "shop::total(int)", "shop::total" },
	{ "_ZN4shop5totalEi.part.3", "shop::total(int)", "shop::total" },
	{ "_ZNK4shop6BasketImLi512EE5totalERKm",
	  "shop::Basket<unsigned long, 512>::total(unsigned long const&) const",
	  "shop::Basket::total" },
	{ "_ZStlsISt11char_traitsIcEERSt13basic_ostreamIcT_ES5_PKc",
	  "std::basic_ostream<char, std::char_traits<char> >& std::operator<< "
	  "<std::char_traits<char> >(std::basic_ostream<char, std::char_traits<char> >&, char "
	  "const*)",
	  "std::operator<<" },
	{ "_ZN1AltERKS_", "A::operator<(A const&)", "A::operator<" },
	{ "_ZN1AptEv", "A::operator->()", "A::operator->" },
	{ "_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()(int) const", NULL },
	{ "_ZN4work4shop5total17h0123456789abcdefE", "work::shop::total", "work::shop::total" },
	{ "_RNvNtCs123_4work4shop5total", "work::shop::total", "work::shop::total" },
	{ "_D3std5stdio7writelnFAyaZv", "std.stdio.writeln(immutable(char)[])",
	  "std.stdio.writeln" },
	{ "_Dmain", "D main", "D main" },
	{ "_Dangerous", "_Dangerous", "_Dangerous" },
	{ "_Z", "_Z", "_Z" },
	{ "_ZN", "_ZN", "_ZN" },
	{ "_R", "_R", "_R" },
	{ "", "", "" },
};

static void check(const char *linkage, bool short_form, const char *want)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);

	assert_true(demangle(linkage, short_form, &out) >= 0);
	buf_append(&out, "", 1);
	if (want)
		assert_string_equal(out.data, want);
}

static void test_names(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		check(names[i].linkage, false, names[i].full);
		check(names[i].linkage, true, names[i].brief);
	}
}

/* Each substitution doubles what is written. */
static void test_bombs(void **state _unused_)
{
	_cleanup_(buf_done) struct buf s = BUF_INIT(1 << 16), out = BUF_INIT(1 << 20);

	buf_puts(&s, "_Z1fI1AE");
	for (int i = 0; i < 60; i++)
		buf_printf(&s, "1BIS%c_S%c_E", i < 10 ? '0' + i : 'A' + (i - 10) % 26,
			   i < 10 ? '0' + i : 'A' + (i - 10) % 26);
	buf_append(&s, "", 1);
	assert_true(demangle(s.data, false, &out) >= 0);
	assert_true(out.size <= 2 * SYMBOLIZE_MAX_NAME_BYTES);

	buf_reset(&s);
	buf_reset(&out);
	buf_puts(&s, "_D1aF");
	for (int i = 0; i < 500; i++)
		buf_puts(&s, "S1bQdQg");
	buf_append(&s, "Zv", 3);
	assert_true(demangle(s.data, false, &out) >= 0);

	buf_reset(&s);
	buf_reset(&out);
	buf_puts(&s, "_Z1f");
	for (int i = 0; i < 8000; i++)
		buf_putc(&s, 'P');
	buf_append(&s, "i", 2);
	assert_true(demangle(s.data, false, &out) >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bombs),
	};

	return cmocka_run_group_tests_name("demangle", tests, NULL, NULL);
}
