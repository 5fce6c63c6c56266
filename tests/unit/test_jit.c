/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "jit.h"
#include "symanswer.h"

static int file_of(const void *data, size_t size)
{
	int fd = memfd_create("jit", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	return fd;
}

struct result {
	struct buf answer;
	struct symanswer a;
	struct symanswer_cursor cursor;
};

static void ask(struct result *r, const struct jit_request *q)
{
	*r = (struct result){ .answer = BUF_INIT(JIT_MAX_ANSWER_BYTES) };
	assert_int_equal(jit_names(q, &r->answer), 0);
	assert_int_equal(symanswer_check(r->answer.data, r->answer.size, q->addresses,
					 q->n_addresses, &r->a),
			 0);
}

/* name NULL: none. */
static void expect(struct result *r, const char *name, const char *file, unsigned line,
		   unsigned start_line)
{
	struct symbolize_location l;
	struct symbolize_line sl;
	const char *lines;

	symanswer_next(&r->a, &r->cursor, &l, &lines);
	assert_int_equal(l.n_lines, name ? 1 : 0);
	if (!name)
		return;
	assert_int_equal(l.source, SYMBOLIZE_SOURCE_JIT);
	symanswer_line(lines, 0, &sl);
	assert_string_equal(r->a.strings + sl.name, name);
	assert_string_equal(r->a.strings + sl.system_name, name);
	assert_string_equal(r->a.strings + sl.file, file);
	assert_int_equal(sl.line, line);
	assert_int_equal(sl.start_line, start_line);
}

static void test_line(void **state)
{
	static const char *const bad[] = { "",
					   "10",
					   "10 ",
					   "10 20",
					   "10 20 ",
					   "g 20 x",
					   "10 0 x",
					   "ffffffffffffffff 2 x",
					   "11111111111111111 2 x",
					   "10  20 x",
					   "0x 20 x" };
	const char *name;
	uint64_t start, size;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(
			perf_map_parse_line(bad[i], strlen(bad[i]), &start, &size, &name, &n),
			-EBADMSG);
	assert_int_equal(perf_map_parse_line("0x00007fAb 0x10 a b\r", 20, &start, &size, &name, &n),
			 0);
	assert_int_equal(start, 0x7fab);
	assert_int_equal(size, 0x10);
	assert_int_equal(n, 3);
	assert_memory_equal(name, "a b", 3);
}

static void test_perf_map(void **state)
{
	static const char text[] = "1000 100 old\n"
				   "nonsense\n"
				   "1010 10 JS:*fib /srv/my app.js:3:14\n"
				   "1080 8 \xff\xfe\n"
				   "1090 8 JS:~ node:internal/x:7:1\n"
				   "2000 10 void W.run(int)\n"
				   "2008 8 unfinished";
	static const uint64_t addresses[] = { 0xfff,  0x1000, 0x1010, 0x1018, 0x1020,
					      0x1080, 0x1090, 0x10ff, 0x1100, 0x2008 };
	struct jit_request q = { .parent_map_fd = -1,
				 .map_fd = file_of(text, sizeof(text) - 1),
				 .dump_fd = -1,
				 .until_ns = UINT64_MAX,
				 .addresses = addresses,
				 .n_addresses = ARRAY_SIZE(addresses) };
	struct result r;

	(void)state;
	ask(&r, &q);
	expect(&r, NULL, "", 0, 0);
	expect(&r, "old", "", 0, 0);
	expect(&r, "JS:*fib /srv/my app.js:3:14", "/srv/my app.js", 0, 3);
	expect(&r, "JS:*fib /srv/my app.js:3:14", "/srv/my app.js", 0, 3);
	expect(&r, "old", "", 0, 0);
	expect(&r, "\xef\xbf\xbd\xef\xbf\xbd", "", 0, 0);
	expect(&r, "JS:~ node:internal/x:7:1", "node:internal/x", 0, 7);
	expect(&r, "old", "", 0, 0);
	expect(&r, NULL, "", 0, 0);
	expect(&r, "void W.run(int)", "", 0, 0);
	buf_done(&r.answer);
	close(q.map_fd);
}

/* Names of any length, over the reader's own chunks. */
static void test_perf_map_long(void **state)
{
	static const uint64_t addresses[] = { 0x1000, 0x2000, 0x3000 };
	_cleanup_(buf_done) struct buf text = BUF_INIT(1 << 20);
	struct symbolize_location l;
	struct symbolize_line sl;
	struct jit_request q = { .parent_map_fd = -1,
				 .dump_fd = -1,
				 .until_ns = UINT64_MAX,
				 .addresses = addresses,
				 .n_addresses = ARRAY_SIZE(addresses) };
	const char *lines;
	struct result r;

	(void)state;
	buf_puts(&text, "1000 10 first\n2000 10 ");
	for (unsigned i = 0; i < 200000; i++)
		buf_putc(&text, 'n');
	buf_puts(&text, "\n3000 10 last\n");
	q.map_fd = file_of(text.data, text.size);
	ask(&r, &q);
	expect(&r, "first", "", 0, 0);
	symanswer_next(&r.a, &r.cursor, &l, &lines);
	symanswer_line(lines, 0, &sl);
	assert_int_equal(strlen(r.a.strings + sl.name), SYMBOLIZE_MAX_NAME_BYTES);
	expect(&r, "last", "", 0, 0);
	buf_done(&r.answer);
	close(q.map_fd);
}

/* --- jitdump ------------------------------------------------------------- */

static void put32(struct buf *b, uint32_t v)
{
	buf_append(b, &v, sizeof(v));
}

static void put64(struct buf *b, uint64_t v)
{
	buf_append(b, &v, sizeof(v));
}

static void dump_header(struct buf *b, uint64_t flags)
{
	put32(b, 0x4A695444);
	put32(b, 1);
	put32(b, 40);
	put32(b, 62);
	put32(b, 0);
	put32(b, 1234);
	put64(b, 0);
	put64(b, flags);
}

static void dump_load(struct buf *b, uint64_t time, uint64_t addr, uint64_t size, uint64_t index,
		      const char *name)
{
	put32(b, 0);
	put32(b, (uint32_t)(16 + 40 + strlen(name) + 1 + size));
	put64(b, time);
	put32(b, 1234);
	put32(b, 1234);
	put64(b, addr);
	put64(b, addr);
	put64(b, size);
	put64(b, index);
	buf_append(b, name, strlen(name) + 1);
	for (uint64_t i = 0; i < size; i++)
		buf_putc(b, '\xcc');
}

static void dump_move(struct buf *b, uint64_t time, uint64_t from, uint64_t to, uint64_t size,
		      uint64_t index)
{
	put32(b, 1);
	put32(b, 16 + 48);
	put64(b, time);
	put32(b, 1234);
	put32(b, 1234);
	put64(b, to);
	put64(b, from);
	put64(b, to);
	put64(b, size);
	put64(b, index);
}

/* last: three bytes, the file of the third entry. */
static void dump_debug(struct buf *b, uint64_t addr, uint64_t shift, const char *last)
{
	put32(b, 2);
	put32(b, 16 + 16 + 3 * 16 + 4 + 2 + 4);
	put64(b, 0);
	put64(b, addr);
	put64(b, 3);
	put64(b, addr + shift);
	put32(b, 10);
	put32(b, 0);
	buf_append(b, "a.c", 4);
	put64(b, addr + shift + 4);
	put32(b, 11);
	put32(b, 0);
	buf_append(b, "\xff", 2);
	put64(b, addr + shift + 8);
	put32(b, 90);
	put32(b, 0);
	buf_append(b, last, 4);
}

static void test_jitdump(void **state)
{
	static const uint64_t addresses[] = { 0x1000, 0x1005, 0x100f, 0x2000,
					      0x3008, 0x4000, 0x5004, 0x6000 };
	_cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
	struct jit_request q = { .parent_map_fd = -1,
				 .map_fd = -1,
				 .until_ns = 150,
				 .addresses = addresses,
				 .n_addresses = ARRAY_SIZE(addresses) };
	struct result r;

	(void)state;
	dump_header(&b, 0);
	dump_debug(&b, 0x1000, 0, "b.c");
	dump_load(&b, 100, 0x1000, 16, 1, "early");
	dump_load(&b, 200, 0x1000, 16, 2, "late");
	dump_load(&b, 300, 0x2000, 16, 3, "after");
	dump_move(&b, 120, 0x1000, 0x3000, 16, 1);
	put32(&b, 77); /* a kind of the future */
	put32(&b, 16);
	put64(&b, 0);
	dump_debug(&b, 0x5000, 0x40, "b.c");
	dump_load(&b, 100, 0x5000, 16, 5, "JS:*f a.js:1:1");
	dump_debug(&b, 0x6000, 0, "\x03\xd1\xb6");
	dump_load(&b, 100, 0x6000, 16, 6, "broken");
	put32(&b, 0); /* cut short */
	put32(&b, 4000);
	q.dump_fd = file_of(b.data, b.size);
	ask(&r, &q);
	expect(&r, "early", "a.c", 10, 0);
	expect(&r, "early", "a.c", 11, 0);
	expect(&r, "early", "b.c", 90, 0);
	expect(&r, "after", "", 0, 0); /* nothing was there before */
	expect(&r, "early", "", 0, 0); /* moved */
	expect(&r, NULL, "", 0, 0);
	expect(&r, "JS:*f a.js:1:1", "a.c", 11, 1); /* V8's shift */
	expect(&r, "broken", "", 0, 0); /* where one name is none, no line is believed */
	buf_done(&r.answer);

	q.until_ns = 250;
	ask(&r, &q);
	expect(&r, "late", "", 0, 0);
	buf_done(&r.answer);

	/* times that are not of this clock say nothing: the last one */
	buf_reset(&b);
	dump_header(&b, 1);
	dump_load(&b, 1ULL << 60, 0x1000, 16, 1, "one");
	dump_load(&b, 2, 0x1000, 16, 2, "two");
	close(q.dump_fd);
	q.dump_fd = file_of(b.data, b.size);
	q.until_ns = 50;
	ask(&r, &q);
	expect(&r, "two", "", 0, 0);
	buf_done(&r.answer);
	close(q.dump_fd);
}

/* What the dump has stands before what the map says. */
static void test_both(void **state)
{
	static const char text[] = "1000 10 from the map\n2000 10 only there\n";
	static const uint64_t addresses[] = { 0x1000, 0x2000 };
	_cleanup_(buf_done) struct buf b = BUF_INIT(4096);
	struct jit_request q = { .parent_map_fd = -1,
				 .map_fd = file_of(text, sizeof(text) - 1),
				 .until_ns = UINT64_MAX,
				 .addresses = addresses,
				 .n_addresses = ARRAY_SIZE(addresses) };
	struct result r;

	(void)state;
	dump_header(&b, 0);
	dump_load(&b, 1, 0x1000, 16, 1, "from the dump");
	q.dump_fd = file_of(b.data, b.size);
	ask(&r, &q);
	expect(&r, "from the dump", "", 0, 0);
	expect(&r, "only there", "", 0, 0);
	buf_done(&r.answer);
	close(q.map_fd);
	close(q.dump_fd);
}

/* A forked child's own map stands before its parent's, whatever the order of their lines. */
static void test_parent(void **state)
{
	static const char before[] = "1000 10 of the parent\n2000 10 of the parent\n";
	static const char own[] = "2000 10 of the child\n";
	static const uint64_t addresses[] = { 0x1000, 0x2000 };
	struct jit_request q = { .parent_map_fd = file_of(before, sizeof(before) - 1),
				 .map_fd = file_of(own, sizeof(own) - 1),
				 .dump_fd = -1,
				 .until_ns = UINT64_MAX,
				 .addresses = addresses,
				 .n_addresses = ARRAY_SIZE(addresses) };
	struct result r;

	(void)state;
	ask(&r, &q);
	expect(&r, "of the parent", "", 0, 0);
	expect(&r, "of the child", "", 0, 0);
	buf_done(&r.answer);
	close(q.parent_map_fd);
	close(q.map_fd);
}

static void test_input(void **state)
{
	struct {
		struct jit_input head;
		uint64_t addresses[2];
	} in = { { JIT_INPUT_MAP, 2, 7 }, { 1, 2 } };
	struct jit_request q = { 0 };

	(void)state;
	assert_int_equal(jit_parse_input(&in, sizeof(in), &q), 0);
	assert_int_equal(q.n_addresses, 2);
	assert_int_equal(q.until_ns, 7);
	assert_int_equal(jit_parse_input(&in, sizeof(in) - 1, &q), -EBADMSG);
	assert_int_equal(jit_parse_input(NULL, 0, &q), -EBADMSG);
	in.addresses[1] = 1;
	assert_int_equal(jit_parse_input(&in, sizeof(in), &q), -EBADMSG);
	in.addresses[1] = 2;
	in.head.files = 8;
	assert_int_equal(jit_parse_input(&in, sizeof(in), &q), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),          cmocka_unit_test(test_perf_map),
		cmocka_unit_test(test_perf_map_long), cmocka_unit_test(test_jitdump),
		cmocka_unit_test(test_both),          cmocka_unit_test(test_parent),
		cmocka_unit_test(test_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
