/* SPDX-License-Identifier: Apache-2.0 */
/* Whose address spaces make room in the kernel's map of mappings, in a map that is made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"
#include "cprof/unwind.h"
#include "sampler.h"
#include "source.h"
#include "spaces.h"
#include "tables.h"

/* The stub sampler: a map of so many entries. */

static uint64_t map_entries, held[1024];

static uint64_t map_used(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(held); i++)
		n += held[i];
	return n;
}

int sampler_process_set(struct sampler *s, uint32_t pid, uint64_t start_ns, uint64_t exec_id,
			uint32_t space, uint32_t generation)
{
	(void)s, (void)pid, (void)start_ns, (void)exec_id, (void)space, (void)generation;
	return 0;
}

int sampler_mapping_add(struct sampler *s, uint32_t space, const struct sampler_mapping *m)
{
	uint64_t n = ((m->limit - 1) >> 16) - (m->start >> 16) + 1;

	(void)s;
	assert_in_range(space, 1, ARRAY_SIZE(held) - 1);
	assert_int_equal(m->slot, CPROF_SLOT_JIT);
	if (map_used() + n > map_entries)
		return -ENOSPC;
	held[space] += n;
	return 0;
}

int sampler_space_delete(struct sampler *s, uint32_t space)
{
	(void)s;
	held[space] = 0;
	return 0;
}

/* Memory without a file needs no tables. */
enum table_state tables_touch(struct tables *t, struct object *o, uint64_t now_ns, unsigned *slot)
{
	(void)t, (void)o, (void)now_ns, (void)slot;
	fail();
	return TABLE_BUILDING;
}

int tables_vaddr(struct tables *t, struct object *o, uint64_t offset, uint64_t *ret)
{
	(void)t, (void)o, (void)offset, (void)ret;
	fail();
	return -ENOENT;
}

/* The stage */

static void on_opened(void *arg)
{
	(void)arg;
}

struct stage {
	sd_event *event;
	struct object_table *objects;
	struct opener *opener;
	struct sources *sources;
	struct source *anon;
	struct spaces *spaces;
	struct image image;
	struct process p[32];
};

static int setup(void **state)
{
	static struct stage s;

	memset(&s, 0, sizeof(s));
	memset(held, 0, sizeof(held));
	assert_int_equal(sd_event_new(&s.event), 0);
	assert_int_equal(object_table_new(&s.objects, 16), 0);
	assert_int_equal(opener_new(&s.opener, s.event), 0);
	assert_int_equal(sources_new(&s.sources, s.objects, s.opener, on_opened, NULL), 0);
	s.anon = sources_anon(s.sources);
	assert_non_null(s.anon);
	assert_int_equal(spaces_new(&s.spaces, NULL, NULL), 0);
	s.image.start_ns = 1;
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct stage *s = *state;

	spaces_free(s->spaces);
	source_unref(s->anon);
	opener_free(s->opener);
	sources_free(s->sources);
	object_table_free(s->objects);
	sd_event_unref(s->event);
	return 0;
}

/* One mapping of so many entries for process i, of this uid. */
static void load(struct stage *s, unsigned i, uint32_t uid, unsigned nth, uint64_t entries)
{
	const uint64_t start = 0x10000000ULL + ((uint64_t)nth << 32);
	struct mapping m = { start, start + (entries << 16), 0, s->anon };
	struct process *p = &s->p[i];

	p->pid = i + 1;
	p->uid = uid;
	p->image = &s->image;
	if (!p->space)
		spaces_bind(s->spaces, p, 1);
	spaces_load(s->spaces, p, &m, 1);
}

/* Many small spaces of one uid make room, the largest first; the one large space of another, which
 * holds less in all, stays, and so does who asks. */
static void the_largest_holder_makes_room(void **state)
{
	struct stage *s = *state;
	struct spaces_stats st;
	uint32_t large;

	map_entries = 100;
	load(s, 0, 1000, 0, 30);
	large = spaces_id(&s->p[0]);
	for (unsigned i = 1; i <= 7; i++)
		load(s, i, 666, 0, i == 4 ? 16 : 9);
	assert_int_equal(map_used(), 100);

	load(s, 10, 33, 0, 12);
	assert_int_equal(held[large], 30);
	assert_int_equal(spaces_id(&s->p[4]), 0);
	assert_int_equal(held[spaces_id(&s->p[10])], 12);
	spaces_stats(s->spaces, &st);
	assert_int_equal(st.evicted, 1);
	assert_int_equal(st.refused, 0);
	assert_int_equal(st.entries, map_used());
}

/* Who floods the map takes from its own uid alone. */
static void a_flood_hurts_itself(void **state)
{
	struct stage *s = *state;
	struct spaces_stats st;

	map_entries = 100;
	for (unsigned i = 0; i < 4; i++)
		load(s, i, 1000 + i, 0, 5);
	for (unsigned round = 0; round < 20; round++)
		for (unsigned i = 10; i < 30; i++)
			load(s, i, 666, round, 7);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_not_equal(spaces_id(&s->p[i]), 0);
		assert_int_equal(held[spaces_id(&s->p[i])], 5);
	}
	spaces_stats(s->spaces, &st);
	assert_true(st.evicted > 0);
	assert_int_equal(st.entries, map_used());
}

/* Alone it has its own limit, however much room there is. */
static void a_space_has_a_limit(void **state)
{
	struct stage *s = *state;
	struct spaces_stats st;

	map_entries = 10 * SPACE_MAX_ENTRIES;
	load(s, 0, 666, 0, SPACE_MAX_ENTRIES - 10);
	load(s, 0, 666, 100000, 11);
	load(s, 0, 666, 200000, 10);
	spaces_stats(s->spaces, &st);
	assert_int_equal(st.refused, 1);
	assert_int_equal(held[spaces_id(&s->p[0])], SPACE_MAX_ENTRIES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_largest_holder_makes_room),
		TEST(a_flood_hurts_itself),
		TEST(a_space_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
