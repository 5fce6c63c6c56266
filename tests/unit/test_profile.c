/* SPDX-License-Identifier: Apache-2.0 */
/* The model and the writer, against protobuf-c's own reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <zlib.h>

#include "profile.pb-c.h"
#include "profile_sample.h"

typedef Perftools__Profiles__Profile Pb;

static Pb *unpack(const struct buf *gz)
{
	static unsigned char plain[1 << 20];
	z_stream z = { .next_in = (unsigned char *)gz->data,
		       .avail_in = (uInt)gz->size,
		       .next_out = plain,
		       .avail_out = sizeof(plain) };
	Pb *pb;

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	pb = perftools__profiles__profile__unpack(NULL, z.total_out, plain);
	inflateEnd(&z);
	assert_non_null(pb);
	return pb;
}

static void test_unifies(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	uint64_t a, b;

	(void)state;
	assert_int_equal(profile_n_samples(p), 5);
	assert_int_equal(profile_n_functions(p), 6);
	assert_int_equal(profile_n_locations(p), 5);
	assert_int_equal(profile_n_mappings(p), 3);

	assert_int_equal(profile_string(p, "main", &a), 0);
	assert_int_equal(profile_string_n(p, "mainly", 4, &b), 0);
	assert_int_equal(a, b);
	assert_string_equal(profile_get_string(p, a), "main");
	assert_string_equal(profile_get_string(p, 1 << 20), "");
	assert_int_equal(profile_string(p, "", &a), 0);
	assert_int_equal(a, 0);

	/* the same stack and labels: no new row; another pid: a new one */
	assert_int_equal(sample_add(p, (uint64_t[]){ 2, 1 }, 2, 1, 100, "prog"), 0);
	assert_int_equal(profile_n_samples(p), 5);
	assert_int_equal(sample_add(p, (uint64_t[]){ 2, 1 }, 2, 1, 102, "prog"), 0);
	assert_int_equal(profile_n_samples(p), 6);
}

static void test_many_strings(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_empty();
	uint64_t first = 0, i, id;
	char name[32];

	(void)state;
	for (i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "function_%u", (unsigned)i);
		assert_int_equal(profile_string(p, name, &id), 0);
		if (i == 0)
			first = id;
		assert_int_equal(id, first + i);
	}
	for (i = 0; i < 100000; i += 777) {
		snprintf(name, sizeof(name), "function_%u", (unsigned)i);
		assert_int_equal(profile_string(p, name, &id), 0);
		assert_int_equal(id, first + i);
		assert_string_equal(profile_get_string(p, id), name);
	}
}

static void test_refuses(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	static uint64_t deep[PROFILE_MAX_DEPTH + 1];
	struct profile_line line = { .function = 99 };
	struct profile_mapping m = { .filename = 9999 };
	struct profile_label label = { .key = 9999 };
	int64_t values[2] = { 1, 1 };
	uint64_t id;

	(void)state;
	assert_int_equal(profile_add_location(p, 1, 1, &line, 1, &id), -EINVAL);
	line.function = 0;
	assert_int_equal(profile_add_location(p, 1, 1, &line, 1, &id), -EINVAL);
	line.function = 1;
	assert_int_equal(profile_add_location(p, 4, 1, &line, 1, &id), -EINVAL);
	assert_int_equal(profile_add_mapping(p, &m, &id), -EINVAL);
	assert_int_equal(profile_add_sample(p, (uint64_t[]){ 6 }, 1, values, NULL, 0), -EINVAL);
	assert_int_equal(profile_add_sample(p, (uint64_t[]){ 0 }, 1, values, NULL, 0), -EINVAL);
	assert_int_equal(profile_add_sample(p, (uint64_t[]){ 1 }, 1, values, &label, 1), -EINVAL);

	for (size_t i = 0; i < PROFILE_MAX_DEPTH + 1; i++)
		deep[i] = 1;
	assert_int_equal(profile_add_sample(p, deep, PROFILE_MAX_DEPTH, values, NULL, 0), 0);
	assert_int_equal(profile_add_sample(p, deep, PROFILE_MAX_DEPTH + 1, values, NULL, 0),
			 -ENOSPC);
}

static void test_utf8(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_empty();
	uint64_t id;

	(void)state;
	assert_int_equal(profile_string_n(p, "a\xff\0b", 4, &id), 0);
	assert_string_equal(profile_get_string(p, id), "a\xef\xbf\xbd\xef\xbf\xbd"
						       "b");
}

static void test_written(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);
	const Perftools__Profiles__Sample *s;
	Pb *pb;

	(void)state;
	assert_int_equal(profile_write(p, &out), 0);
	pb = unpack(&out);

#define STR(i) pb->string_table[i]
	assert_string_equal(STR(0), "");
	assert_int_equal(pb->n_sample_type, 2);
	assert_string_equal(STR(pb->sample_type[1]->type), "cpu");
	assert_string_equal(STR(pb->sample_type[1]->unit), "nanoseconds");
	assert_string_equal(STR(pb->default_sample_type), "cpu");
	assert_string_equal(STR(pb->period_type->type), "cpu");
	assert_int_equal(pb->period, SAMPLE_PERIOD_NS);
	assert_int_equal(pb->time_nanos, 1700000000000000000);
	assert_int_equal(pb->duration_nanos, 1000000000);
	assert_int_equal(pb->n_comment, 1);
	assert_string_equal(STR(pb->comment[0]), "cprofd on host");
	assert_int_equal(pb->doc_url, 0);

	assert_int_equal(pb->n_sample, 5);
	s = pb->sample[3];
	assert_int_equal(s->n_location_id, 4);
	assert_int_equal(s->n_value, 2);
	assert_int_equal(s->value[0], 5);
	assert_int_equal(s->value[1], 5 * SAMPLE_PERIOD_NS);
	assert_int_equal(s->n_label, 2);
	assert_string_equal(STR(s->label[0]->key), "pid");
	assert_int_equal(s->label[0]->num, 101);
	assert_string_equal(STR(s->label[0]->num_unit), "id");
	assert_string_equal(STR(s->label[1]->str), "prog");

	assert_int_equal(pb->n_mapping, 3);
	assert_int_equal(pb->mapping[2]->memory_start, 0xffffffff81000000);
	assert_true(pb->mapping[2]->has_functions);
	assert_string_equal(STR(pb->mapping[2]->filename), "[kernel.kallsyms]");
	for (size_t i = 0; i < pb->n_location; i++)
		assert_int_equal(pb->location[i]->id, i + 1);
	for (size_t i = 0; i < pb->n_function; i++)
		assert_int_equal(pb->function[i]->id, i + 1);
	assert_int_equal(pb->location[4]->n_line, 2);
	assert_string_equal(STR(pb->function[pb->location[4]->line[0]->function_id - 1]->name),
			    "tokenize");
	assert_int_equal(pb->location[4]->line[1]->line, 11);
#undef STR
	perftools__profiles__profile__free_unpacked(pb, NULL);
}

static void test_full_buffer(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_(buf_done) struct buf out = BUF_INIT(100);

	(void)state;
	assert_int_equal(buf_puts(&out, "before"), 0);
	assert_int_equal(profile_write(p, &out), -ENOSPC);
	assert_string_equal(out.data, "before");
}

static void test_saturates(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);
	int64_t most[2] = { INT64_MAX, INT64_MIN };
	Pb *pb;

	(void)state;
	assert_int_equal(profile_add_sample(p, (uint64_t[]){ 3 }, 1, most, NULL, 0), 0);
	assert_int_equal(profile_add_sample(p, (uint64_t[]){ 3 }, 1, most, NULL, 0), 0);
	assert_int_equal(profile_write(p, &out), 0);
	pb = unpack(&out);
	assert_true(pb->sample[5]->value[0] == INT64_MAX);
	assert_true(pb->sample[5]->value[1] == INT64_MIN);
	perftools__profiles__profile__free_unpacked(pb, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unifies),   cmocka_unit_test(test_many_strings),
		cmocka_unit_test(test_refuses),   cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_written),   cmocka_unit_test(test_full_buffer),
		cmocka_unit_test(test_saturates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
