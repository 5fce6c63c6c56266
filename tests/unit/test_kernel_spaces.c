/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of address spaces, as the program in the kernel looks them up (bpf/unwind.h), held
 * against a plain list of pages: through pages of 4 KiB, 64 KiB and 2 MiB that come, split and go,
 * also in a map that is full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <string.h>

#include "cleanup.h"
#include "sampling.h"

#define BASE    0x7f1200000000ULL
#define HUGES   4U
#define BIGS    (HUGES * 32)
#define PAGES   (BIGS * 16)
#define HUGE    (1ULL << CPROF_HUGE_SHIFT)
#define BIG     (1ULL << 16)
#define PAGE    ((uint64_t)CPROF_PAGE_SIZE)
#define SPACE   7U
#define MAPS_FD 1234

/* The map: libbpf's calls end here. */

struct entry {
	bool used;
	struct cprof_mapping_value value;
};

static struct {
	struct entry huge[HUGES], big[BIGS], small[PAGES];
	unsigned n, max;
} map;

static struct entry *entry_of(const struct cprof_mapping_key *key)
{
	uint64_t at = key->page & ~(CPROF_MAPPING_HUGE | CPROF_MAPPING_SMALL);

	assert_int_equal(key->space, SPACE);
	assert_int_equal(key->reserved, 0);
	if (key->page & CPROF_MAPPING_HUGE) {
		assert_in_range(at, BASE / HUGE, BASE / HUGE + HUGES - 1);
		return &map.huge[at - BASE / HUGE];
	}
	if (key->page & CPROF_MAPPING_SMALL) {
		assert_in_range(at, BASE / PAGE, BASE / PAGE + PAGES - 1);
		return &map.small[at - BASE / PAGE];
	}
	assert_in_range(at, BASE / BIG, BASE / BIG + BIGS - 1);
	return &map.big[at - BASE / BIG];
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	struct entry *e = entry_of(key);

	assert_int_equal(fd, MAPS_FD);
	assert_int_equal(flags, BPF_ANY);
	if (!e->used && map.n == map.max) {
		errno = E2BIG;
		return -E2BIG;
	}
	map.n += !e->used;
	e->used = true;
	memcpy(&e->value, value, sizeof(e->value));
	return 0;
}

int bpf_map_delete_elem(int fd, const void *key)
{
	struct entry *e = entry_of(key);

	assert_int_equal(fd, MAPS_FD);
	if (!e->used) {
		errno = ENOENT;
		return -ENOENT;
	}
	map.n--;
	e->used = false;
	return 0;
}

/* As the kernel's: up to the first that fails, and how many that was. */
int bpf_map_update_batch(int fd, const void *keys, const void *values, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	const struct cprof_mapping_key *k = keys;
	const struct cprof_mapping_value *v = values;
	__u32 n = *count;

	assert_null(opts);
	for (*count = 0; *count < n; (*count)++)
		if (bpf_map_update_elem(fd, &k[*count], &v[*count], BPF_ANY) < 0)
			return -errno;
	return 0;
}

int bpf_map_delete_batch(int fd, const void *keys, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	const struct cprof_mapping_key *k = keys;
	__u32 n = *count;

	assert_null(opts);
	for (*count = 0; *count < n; (*count)++)
		if (bpf_map_delete_elem(fd, &k[*count]) < 0)
			return -errno;
	return 0;
}

/* unwind_mapping() without its cache: the mapping that holds page n, or NULL. */
static const struct cprof_mapping *look_up(unsigned n)
{
	const struct entry *e = &map.big[n / 16];

	if (!e->used)
		return map.huge[n / 512].used ? &map.huge[n / 512].value.m[0] : NULL;
	if (e->value.more) {
		e = &map.small[n];
		if (!e->used)
			return NULL;
	}
	for (unsigned i = 0; i < CPROF_MAPPINGS_PER_VALUE; i++) {
		const struct cprof_mapping *m = &e->value.m[i];

		if (m->slot != CPROF_SLOT_NONE && n % 16 >= m->first && n % 16 <= m->last)
			return m;
	}
	return NULL;
}

/* What is mapped, a page each; slot 0: nothing. */
static struct {
	uint32_t slot[PAGES];
	uint64_t bias[PAGES];
} truth;

struct stage {
	struct sampler sampler;
};

static int setup(void **state)
{
	static struct stage s;

	memset(&s, 0, sizeof(s));
	memset(&map, 0, sizeof(map));
	memset(&truth, 0, sizeof(truth));
	map.max = UINT32_MAX;
	s.sampler.kernel.mappings_fd = MAPS_FD;
	assert_int_equal(kernel_spaces_new(&s.sampler.spaces, &s.sampler.kernel), 0);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct stage *s = *state;

	kernel_spaces_free(s->sampler.spaces);
	return 0;
}

/* Maps pages [first, first + n); what sampler_mapping_add() says. */
static int add(struct stage *s, unsigned first, unsigned n, uint32_t slot)
{
	struct sampler_mapping m = { .start = BASE + first * PAGE,
				     .limit = BASE + (first + n) * PAGE,
				     .bias = slot * 0x1000ULL + first,
				     .slot = slot };
	int r = sampler_mapping_add(&s->sampler, SPACE, &m);

	for (unsigned i = first; i < first + n; i++) {
		truth.slot[i] = r < 0 ? CPROF_SLOT_NONE : slot;
		truth.bias[i] = m.bias;
	}
	return r;
}

/* Every page is found as it is mapped; with `holes` it may also not be found, but never as another. */
static void check(bool holes)
{
	for (unsigned i = 0; i < PAGES; i++) {
		const struct cprof_mapping *m = look_up(i);

		if (!m && (holes || !truth.slot[i]))
			continue;
		assert_non_null(m);
		assert_int_equal(m->slot, truth.slot[i]);
		assert_int_equal(m->bias, truth.bias[i]);
	}
}

static unsigned count(const struct entry *e, unsigned n)
{
	unsigned used = 0;

	while (n--)
		used += e++->used;
	return used;
}

static void one_entry_for_two_mib(void **state)
{
	struct stage *s = *state;

	assert_int_equal(add(s, 0, PAGES, 10), 0);
	assert_int_equal(map.n, HUGES);
	assert_int_equal(count(map.huge, HUGES), HUGES);
	check(false);
	/* a mapping that begins and ends beside the 2 MiB has both kinds */
	assert_int_equal(sampler_space_delete(&s->sampler, SPACE), 0);
	memset(&truth, 0, sizeof(truth));
	assert_int_equal(map.n, 0);
	assert_int_equal(add(s, 512 - 8, 512 + 24, 11), 0);
	assert_int_equal(count(map.huge, HUGES), 1);
	assert_int_equal(count(map.big, BIGS), 2);
	check(false);
	/* a page less is no whole one */
	assert_int_equal(add(s, 1536, 511, 12), 0);
	assert_int_equal(count(map.huge, HUGES), 1);
	check(false);
}

static void a_page_within_splits_it_and_heals(void **state)
{
	struct stage *s = *state;

	assert_int_equal(add(s, 0, 1024, 10), 0);
	assert_int_equal(map.n, 2);
	assert_int_equal(add(s, 700, 1, 11), 0);
	assert_int_equal(count(map.huge, HUGES), 1);
	assert_int_equal(count(map.big, BIGS), 32);
	check(false);
	/* more than three mappings in 64 KiB: pages */
	assert_int_equal(add(s, 702, 1, 12), 0);
	assert_int_equal(count(map.small, PAGES), 16);
	check(false);
	/* and one that fills it again */
	assert_int_equal(add(s, 512, 512, 13), 0);
	assert_int_equal(map.n, 2);
	check(false);
	assert_int_equal(sampler_space_delete(&s->sampler, SPACE), 0);
	assert_int_equal(map.n, 0);
}

static void a_full_map_holds_nothing_wrong(void **state)
{
	struct stage *s = *state;

	assert_int_equal(add(s, 0, 1024, 10), 0);
	/* the 2 MiB that the page splits would take 32 entries */
	map.max = 12;
	assert_int_equal(add(s, 700, 1, 11), -ENOSPC);
	assert_true(map.n <= map.max);
	check(true);
	assert_int_equal(sampler_space_delete(&s->sampler, SPACE), 0);
	assert_int_equal(map.n, 0);
}

static unsigned draw(unsigned *seed, unsigned below)
{
	*seed = *seed * 1103515245U + 12345U;
	return (*seed >> 8) % below;
}

/* Lengths of a page, of 64 KiB, of a few MiB; places that are aligned as often as not. */
static void random_maps(struct stage *s, unsigned seed, bool full)
{
	static const unsigned unit[] = { 1, 1, 16, 512 };
	bool holes = false;

	for (unsigned i = 0; i < 200; i++) {
		unsigned align = unit[draw(&seed, ARRAY_SIZE(unit))];
		unsigned first = draw(&seed, PAGES / align) * align;
		unsigned n = (1 + draw(&seed, 20)) * unit[draw(&seed, ARRAY_SIZE(unit))];

		if (first + n > PAGES)
			n = PAGES - first;
		if (full)
			map.max = 20 + draw(&seed, 300);
		if (add(s, first, n, CPROF_SLOT_FIRST + i) < 0)
			holes = true;
		check(holes);
	}
	assert_true(full || !holes);
	assert_int_equal(sampler_space_delete(&s->sampler, SPACE), 0);
	assert_int_equal(map.n, 0);
	memset(&truth, 0, sizeof(truth));
	map.max = UINT32_MAX;
}

static void any_order(void **state)
{
	for (unsigned seed = 1; seed <= 40; seed++)
		random_maps(*state, seed, false);
}

static void any_order_in_a_map_that_fills(void **state)
{
	for (unsigned seed = 1; seed <= 40; seed++)
		random_maps(*state, seed, true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_entry_for_two_mib),          TEST(a_page_within_splits_it_and_heals),
		TEST(a_full_map_holds_nothing_wrong), TEST(any_order),
		TEST(any_order_in_a_map_that_fills),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
