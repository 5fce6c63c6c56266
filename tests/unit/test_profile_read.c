/* SPDX-License-Identifier: Apache-2.0 */
/* The reader, against protobuf-c's own writer and against what no writer would write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <zlib.h>

#include "profile.pb-c.h"
#include "profile_sample.h"

typedef Perftools__Profiles__Profile Pb;

static void plain_of(const struct buf *gz, struct buf *plain)
{
	z_stream z = { .next_in = (unsigned char *)gz->data, .avail_in = (uInt)gz->size };

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_out = buf_reserve(plain, 1 << 20);
	z.avail_out = 1 << 20;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	plain->size = z.total_out;
	inflateEnd(&z);
}

static void test_round_trip(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile(), *q = NULL, *s = NULL;
	_cleanup_(buf_done) struct buf a = BUF_INIT(1 << 20), b = BUF_INIT(1 << 20),
				       plain = BUF_INIT(1 << 21);

	(void)state;
	assert_int_equal(profile_write(p, &a), 0);
	assert_int_equal(profile_read(&q, a.data, a.size), 0);
	assert_int_equal(profile_n_samples(q), profile_n_samples(p));
	assert_int_equal(profile_n_locations(q), profile_n_locations(p));
	assert_int_equal(profile_n_functions(q), profile_n_functions(p));
	assert_int_equal(profile_n_mappings(q), profile_n_mappings(p));
	assert_int_equal(profile_time_ns(q), profile_time_ns(p));
	assert_int_equal(profile_duration_ns(q), profile_duration_ns(p));
	assert_int_equal(profile_find_type(q, NULL), 1);
	assert_int_equal(profile_find_type(q, "samples"), 0);
	assert_int_equal(profile_find_type(q, "space"), -ENOENT);
	assert_string_equal(profile_get_comment(q, 0), "cprofd on host");

	/* the strings were all used and are in their order: the same bytes again */
	assert_int_equal(profile_write(q, &b), 0);
	assert_int_equal(a.size, b.size);
	assert_memory_equal(a.data, b.data, a.size);

	/* uncompressed is fine too */
	plain_of(&a, &plain);
	assert_int_equal(profile_read(&s, plain.data, plain.size), 0);
	assert_int_equal(profile_n_samples(s), profile_n_samples(p));
}

static void test_walk(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	struct profile_function f;
	struct profile_location l;
	struct profile_line line;
	struct profile_sample s;
	struct profile_label label;

	(void)state;
	assert_true(profile_get_sample(p, 3, &s));
	assert_int_equal(s.n_locations, 4);
	assert_int_equal(s.values[0], 5);
	assert_true(profile_get_location(p, s.locations[2], &l));
	assert_int_equal(l.address, 0x401200);
	assert_int_equal(l.n_lines, 2);
	assert_int_equal(profile_get_mapping(p, l.mapping)->start, 0x400000);
	assert_true(profile_get_line(p, s.locations[2], 1, &line));
	assert_true(profile_get_function(p, line.function, &f));
	assert_string_equal(f.name, "parse");
	assert_false(profile_get_line(p, s.locations[2], 2, &line));
	assert_true(profile_get_label(p, 3, 0, &label));
	assert_int_equal(label.num, 101);
	assert_false(profile_get_label(p, 3, 2, &label));
	assert_false(profile_get_sample(p, 5, &s));
	assert_false(profile_get_location(p, 0, &l));
	assert_false(profile_get_function(p, 100, &f));
}

/* Locations before functions, ids that are no row numbers, strings last, unpacked numbers. */
static const unsigned char foreign[] = {
	0x0a, 4,  0x08, 1,  0x10, 2,                         /* sample_type { 1 2 } */
	0x12, 8,  0x08, 77, 0x08, 78,   0x10, 5,    0x78, 1, /* sample { 77 78: 5 }, field 15 */
	0x22, 11, 0x08, 77, 0x18, 0x80, 0x20, 0x22, 4,    0x08, 99,  0x10,
	7,                           /* location 77 { line } */
	0x22, 4,  0x08, 78, 0x18, 3, /* location 78 without lines */
	0x2a, 4,  0x08, 99, 0x10, 3, /* function 99 */
	0x32, 0,  0x32, 1,  's',  0x32, 1,    'c',  0x32, 2,    'f', 0xff, /* strings */
};

static void test_foreign_order(void **state)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	struct profile_function f;
	struct profile_sample s;
	struct profile_line line;

	(void)state;
	assert_int_equal(profile_read(&p, foreign, sizeof(foreign)), 0);
	assert_true(profile_get_sample(p, 0, &s));
	assert_int_equal(s.n_locations, 2);
	assert_int_equal(s.values[0], 5);
	assert_true(profile_get_line(p, s.locations[0], 0, &line));
	assert_int_equal(line.line, 7);
	assert_true(profile_get_function(p, line.function, &f));
	assert_string_equal(f.name, "f\xef\xbf\xbd");
	assert_false(profile_get_line(p, s.locations[1], 0, &line));
}

/* Writes pb with protobuf-c and reads it with ours. */
static int read_pb(const Pb *pb)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	unsigned char bytes[4096];
	size_t size = perftools__profiles__profile__pack(pb, bytes);

	return profile_read(&p, bytes, size);
}

static void test_refuses_bad_references(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_(buf_done) struct buf gz = BUF_INIT(1 << 20), plain = BUF_INIT(1 << 21);
	Pb *pb;

	(void)state;
	assert_int_equal(profile_write(p, &gz), 0);
	plain_of(&gz, &plain);
	pb = perftools__profiles__profile__unpack(NULL, plain.size, (unsigned char *)plain.data);
	assert_non_null(pb);
	assert_int_equal(read_pb(pb), 0);

#define BREAKS(field, bad)                               \
	do {                                             \
		__typeof__(field) saved = field;         \
		field = (bad);                           \
		assert_int_equal(read_pb(pb), -EBADMSG); \
		field = saved;                           \
		assert_int_equal(read_pb(pb), 0);        \
	} while (0)
	BREAKS(pb->sample_type[0]->type, 1000);
	BREAKS(pb->sample_type[0]->unit, -1);
	BREAKS(pb->sample[0]->location_id[0], 0);
	BREAKS(pb->sample[0]->location_id[0], 99);
	BREAKS(pb->sample[0]->n_value, 1);
	BREAKS(pb->sample[0]->n_value, 0);
	BREAKS(pb->sample[0]->label[0]->key, 1000);
	BREAKS(pb->sample[0]->label[0]->num_unit, 1000);
	BREAKS(pb->sample[0]->label[1]->str, 1000);
	BREAKS(pb->mapping[1]->id, 1);
	BREAKS(pb->mapping[1]->id, 0);
	BREAKS(pb->mapping[1]->filename, 1000);
	BREAKS(pb->mapping[1]->build_id, 1000);
	BREAKS(pb->location[1]->id, 1);
	BREAKS(pb->location[1]->id, 0);
	BREAKS(pb->location[1]->mapping_id, 4);
	BREAKS(pb->location[1]->line[0]->function_id, 99);
	BREAKS(pb->function[1]->id, 1);
	BREAKS(pb->function[1]->id, 0);
	BREAKS(pb->function[1]->name, 1000);
	BREAKS(pb->function[1]->system_name, 1000);
	BREAKS(pb->function[1]->filename, 1000);
	BREAKS(pb->period_type->type, 1000);
	BREAKS(pb->comment[0], 1000);
	BREAKS(pb->default_sample_type, 1000);
	BREAKS(pb->drop_frames, 1000);
	BREAKS(pb->n_sample_type, 1);
	BREAKS(pb->string_table[0], (char *)"x");
#undef BREAKS
	perftools__profiles__profile__free_unpacked(pb, NULL);
}

static void test_refuses_torn(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile(), *q = NULL;
	_cleanup_(buf_done) struct buf gz = BUF_INIT(1 << 20), two = BUF_INIT(1 << 20);

	(void)state;
	assert_int_equal(profile_write(p, &gz), 0);
	for (size_t n = 0; n < gz.size; n++)
		assert_int_equal(profile_read(&q, gz.data, n), -EBADMSG);
	assert_null(q);

	/* bytes behind the end; and two members, which is one file: everything twice, ids included */
	buf_append(&two, gz.data, gz.size);
	buf_puts(&two, "tail");
	assert_int_equal(profile_read(&q, two.data, two.size), -EBADMSG);
	buf_reset(&two);
	buf_append(&two, gz.data, gz.size);
	buf_append(&two, gz.data, gz.size);
	assert_int_equal(profile_read(&q, two.data, two.size), -EBADMSG);
	assert_int_equal(profile_read(&q, "not a profile", 13), -EBADMSG);
}

/* More than PROFILE_MAX_BYTES of zeroes, in one megabyte. */
static void test_refuses_bomb(void **state)
{
	_cleanup_(buf_done) struct buf gz = BUF_INIT(4 << 20);
	_cleanup_(profile_freep) struct profile *p = NULL;
	static unsigned char zeroes[1 << 20];
	z_stream z = {};

	(void)state;
	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_out = buf_reserve(&gz, 4 << 20);
	assert_non_null(z.next_out);
	z.avail_out = 4 << 20;
	/* one megabyte repeated as members would do as well; as one stream it is what attackers send */
	for (unsigned i = 0; i < 64; i++) {
		z.next_in = zeroes;
		z.avail_in = sizeof(zeroes);
		assert_int_equal(deflate(&z, i == 63 ? Z_FINISH : Z_NO_FLUSH),
				 i == 63 ? Z_STREAM_END : Z_OK);
	}
	gz.size = z.total_out;
	deflateEnd(&z);
	/* 64 MB of field number 0 */
	assert_int_equal(profile_read(&p, gz.data, gz.size), -EBADMSG);

	{
		_cleanup_(buf_done) struct buf many = BUF_INIT(8 << 20);

		for (unsigned i = 0; i < 17; i++)
			assert_int_equal(buf_append(&many, gz.data, gz.size), 0);
		assert_int_equal(profile_read(&p, many.data, many.size), -ENOSPC);
	}
}

static void test_refuses_deep(void **state)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
	_cleanup_(profile_freep) struct profile *p = NULL;
	unsigned char head[] = { 0x0a, 0, 0x32, 0, 0x22, 2, 0x08, 1 };
	unsigned depth[] = { PROFILE_MAX_DEPTH, PROFILE_MAX_DEPTH + 1 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		unsigned n = depth[i], inner = 3 + n + 2;
		unsigned char sample[] = {
			0x12, (unsigned char)(inner | 0x80), (unsigned char)(inner >> 7),
			0x0a, (unsigned char)(n | 0x80),     (unsigned char)(n >> 7)
		};

		buf_reset(&b);
		buf_append(&b, head, sizeof(head));
		buf_append(&b, sample, sizeof(sample));
		for (unsigned j = 0; j < n; j++)
			buf_putc(&b, 1);
		buf_append(&b, "\x10\x01", 2);
		p = profile_free(p);
		assert_int_equal(profile_read(&p, b.data, b.size), i == 0 ? 0 : -ENOSPC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_walk),
		cmocka_unit_test(test_foreign_order), cmocka_unit_test(test_refuses_bad_references),
		cmocka_unit_test(test_refuses_torn),  cmocka_unit_test(test_refuses_bomb),
		cmocka_unit_test(test_refuses_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
