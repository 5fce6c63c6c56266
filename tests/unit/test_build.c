/* SPDX-License-Identifier: Apache-2.0 */
/* A profile built from an aggregate, read back by protobuf-c: DESIGN's rules for mappings, labels
 * and synthetic frames. The symbolizer is made up here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "build.h"
#include "cleanup.h"
#include "profile.pb-c.h"

static struct {
	struct location l;
	struct symbol_line lines[2];
} answer;

const struct location *symbolizer_lookup(struct symbolizer *s, const struct frame *frame,
					 bool short_names)
{
	static char name[64];

	(void)s;
	(void)short_names;
	snprintf(name, sizeof(name), "%s+%llx", frame->object->name,
		 (unsigned long long)frame->address);
	answer.l.n_lines = frame->object->kind == OBJECT_FILE ? 2 : 1;
	answer.lines[0] =
		(struct symbol_line){ .name = name, .system_name = name, .file = "a.c", .line = 3 };
	answer.lines[1] = (struct symbol_line){
		.name = "outer", .system_name = "outer", .file = "a.c", .line = 9
	};
	return &answer.l;
}

void symbolizer_object(struct symbolizer *s, struct object *object, bool short_names,
		       struct object_symbols *ret)
{
	(void)s;
	(void)short_names;
	*ret = (struct object_symbols){ .build_id = object->kind == OBJECT_FILE ? "abcd" : "",
					.has_names = true,
					.has_lines = true };
}

static void inflate_all(const struct buf *gz, struct buf *out)
{
	z_stream z = { .next_in = (Bytef *)gz->data, .avail_in = (uInt)gz->size };
	int r;

	assert_int_equal(inflateInit2(&z, 31), Z_OK);
	do {
		void *p = buf_reserve(out, 4096);

		z.next_out = p;
		z.avail_out = 4096;
		r = inflate(&z, Z_NO_FLUSH);
		out->size += 4096 - z.avail_out;
	} while (r == Z_OK);
	assert_int_equal(r, Z_STREAM_END);
	inflateEnd(&z);
}

static struct process_info *new_process(struct object *exe)
{
	struct process_info *p = calloc(1, sizeof(*p));

	p->refs = 1;
	p->pid = 42;
	p->comm = strdup("prog");
	p->cgroup = strdup("");
	p->unit = strdup("a.service");
	p->container = strdup("");
	p->exe = exe ? object_ref(exe) : NULL;
	return p;
}

static const char *str(const Perftools__Profiles__Profile *p, int64_t i)
{
	assert_true(i >= 0 && (size_t)i < p->n_string_table);
	return p->string_table[i];
}

static void check(const Perftools__Profiles__Profile *p)
{
	const Perftools__Profiles__Sample *s = p->sample[0];

	assert_int_equal(p->n_sample, 1);
	assert_int_equal(s->value[0], 2);
	assert_int_equal(s->value[1], 20000000);
	assert_string_equal(str(p, p->sample_type[0]->type), "samples");
	assert_string_equal(str(p, p->sample_type[1]->type), "cpu");
	assert_string_equal(str(p, p->default_sample_type), "cpu");
	assert_int_equal(p->period, 10000000);

	/* the executable comes first, ranges do not overlap */
	assert_string_equal(str(p, p->mapping[0]->filename), "/bin/prog");
	for (size_t i = 0; i < p->n_mapping; i++) {
		assert_int_equal(p->mapping[i]->id, i + 1);
		assert_true(p->mapping[i]->has_functions);
		for (size_t k = 0; k < i; k++)
			assert_true(p->mapping[i]->memory_start >= p->mapping[k]->memory_limit ||
				    p->mapping[k]->memory_start >= p->mapping[i]->memory_limit);
	}

	/* kernel, exe, library at the same addresses, synthetic root */
	assert_int_equal(s->n_location_id, 4);
	assert_string_equal(
		str(p, p->mapping[p->location[s->location_id[0] - 1]->mapping_id - 1]->filename),
		"[kernel.kallsyms]");
	assert_int_equal(p->location[s->location_id[0] - 1]->address, 0xffffffff81000010);
	assert_int_equal(p->location[s->location_id[1] - 1]->address, 0x400000 + 0x10);
	assert_int_equal(p->location[s->location_id[1] - 1]->n_line, 2);
	for (int i = 1; i < 3; i++) {
		const Perftools__Profiles__Location *l = p->location[s->location_id[i] - 1];
		const Perftools__Profiles__Mapping *m = p->mapping[l->mapping_id - 1];

		assert_true(l->address >= m->memory_start && l->address < m->memory_limit);
		assert_int_equal(l->address - m->memory_start + m->file_offset,
				 i == 1 ? 0x1010 : 0x2020);
	}
	assert_int_equal(p->location[s->location_id[3] - 1]->mapping_id, 0);
	assert_int_equal(p->location[s->location_id[3] - 1]->address, 0);
}

static void check_labels(const Perftools__Profiles__Profile *p)
{
	const Perftools__Profiles__Sample *s = p->sample[0];
	unsigned seen = 0;

	for (size_t i = 0; i < s->n_label; i++) {
		const char *key = str(p, s->label[i]->key);

		if (strcmp(key, "pid") == 0 || strcmp(key, "tid") == 0 || strcmp(key, "cpu") == 0) {
			assert_string_equal(str(p, s->label[i]->num_unit), "id");
			assert_int_equal(s->label[i]->str, 0);
		} else {
			assert_true(s->label[i]->str > 0);
		}
		seen += strcmp(key, "unit") == 0 &&
			strcmp(str(p, s->label[i]->str), "a.service") == 0;
		/* an empty one is left out */
		assert_string_not_equal(key, "container");
	}
	assert_int_equal(seen, 1);
	assert_int_equal(s->n_label, 6);
}

static void test_profile(void **state)
{
	_cleanup_(buf_done) struct buf gz = BUF_INIT(1 << 20), plain = BUF_INIT(1 << 20);
	struct object *exe, *lib, *kernel, *root;
	Perftools__Profiles__Profile *p;
	struct object_table *objects;
	struct process_info *process;
	struct aggregate *a;

	(void)state;
	assert_int_equal(object_table_new(&objects, 16), 0);
	assert_int_equal(object_file_unopened(objects, 1, 1, "/bin/prog", -ENOENT, &exe), 0);
	assert_int_equal(object_file_unopened(objects, 1, 2, "/lib/lib.so", -ENOENT, &lib), 0);
	assert_int_equal(object_special(objects, OBJECT_KERNEL, "[kernel]", &kernel), 0);
	assert_int_equal(object_special(objects, OBJECT_SYNTHETIC, "[truncated: depth]", &root), 0);
	object_add_segment(exe, 0x400000, 0x402000, 0x1000);
	object_add_segment(lib, 0x401000, 0x403000, 0x1000);
	process = new_process(exe);

	struct frame frames[] = {
		{ kernel, 0xffffffff81000010 }, { exe, 0x1010 }, { lib, 0x2020 }, { root, 0 }
	};
	struct sample sample = {
		.period_ns = 10000000,
		.tid = 43,
		.cpu = 0,
		.process = process,
		.thread = "thread",
		.frames = frames,
		.n_frames = 4,
		.n_kernel = 1,
	};

	assert_int_equal(aggregate_new(&a, &(struct aggregate_options){ .max_bytes = 1 << 20,
									.keep_tid = true }),
			 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(aggregate_add(a, &sample, frames, 4), 0);
	assert_int_equal(build_profile(a, NULL,
				       &(struct build_options){
					       .hz = 100, .main_object = exe, .comment = "c" },
				       &gz),
			 0);

	inflate_all(&gz, &plain);
	p = perftools__profiles__profile__unpack(NULL, plain.size, (const uint8_t *)plain.data);
	assert_non_null(p);
	check(p);
	check_labels(p);
	perftools__profiles__profile__free_unpacked(p, NULL);

	aggregate_free(a);
	process_info_unref(process);
	object_unref(exe);
	object_unref(lib);
	object_unref(kernel);
	object_unref(root);
	assert_int_equal(object_table_count(objects), 0);
	object_table_free(objects);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_profile) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
