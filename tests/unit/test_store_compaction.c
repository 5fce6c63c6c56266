/* SPDX-License-Identifier: Apache-2.0 */
/* The store: windows that become fewer, queries beside that, and how many days it holds. */
#include "store_harness.h"

/* All that is due is merged, and nothing is counted twice or lost. */
static void compact_all(struct store *s)
{
	struct store_selection sel;

	while (store_compaction(s, &sel) == 0) {
		uint64_t samples = 0, cpu_ns = 0;

		assert_true(sel.n >= 2);
		for (size_t i = 0; i < sel.n; i++) {
			samples += sel.files[i].row.samples;
			cpu_ns += sel.files[i].row.cpu_ns;
		}
		assert_int_equal(store_replace(s, &sel, "merged", 6, samples, cpu_ns), 0);
		store_selection_done(&sel);
	}
}

static void total(struct store *s, uint64_t cpu_ns, uint64_t duration_ns)
{
	struct catalog_query q = { .until_ns = INT64_MAX, .step_ns = 1000 * DAY };
	struct catalog_list l;

	assert_int_equal(store_list(s, &q, &l), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.lines[0].cpu_ns, cpu_ns);
	assert_int_equal(l.lines[0].duration_ns, duration_ns);
	catalog_list_done(&l);
}

static void test_compaction(void **state)
{
	struct store_selection sel;
	struct store *s = open_large();
	char path[128], kept[256];

	(void)state;
	for (int i = 0; i < 30 * 60; i++) {
		assert_int_equal(put(s, 100, NULL), 0);
		compact_all(s);
	}
	/* the last hour as it was, a day of ten minutes, the rest in hours */
	assert_in_range(stats_of(s).windows, 60 + 138 + 5, 80 + 144 + 7);
	total(s, 30 * 60 * 100, 30 * HOUR);
	store_free(s);

	/* from the files alone */
	snprintf(path, sizeof(path), "%s/index.sqlite", dir);
	assert_int_equal(unlink(path), 0);
	s = open_large();
	total(s, 30 * 60 * 100, 30 * HOUR);
	assert_int_equal(store_compaction(s, &sel), -ENOENT);

	/* what comes out must be what went in */
	for (int i = 0; i < 12; i++)
		assert_int_equal(put(s, 100, NULL), 0);
	assert_int_equal(store_compaction(s, &sel), 0);
	assert_int_equal(store_replace(s, &sel, "merged", 6, 1, 1), -EBADMSG);
	assert_int_equal(stats_of(s).compaction_failures, 1);
	total(s, (30 * 60 + 12) * 100, (30 * 60 + 12) * MINUTE);
	/* its files come back after the merged one is there, as after a crash between the two */
	for (size_t i = 0; i < sel.n; i++) {
		path_of(kept, sel.files[i].row.name);
		snprintf(path, sizeof(path), "%s/%zu", dir, i);
		assert_int_equal(link(kept, path), 0);
	}
	assert_int_equal(store_replace(s, &sel, "merged", 6, 10 * sel.n, 100 * sel.n), 0);
	for (int without_index = 0; without_index < 2; without_index++) {
		store_free(s);
		for (size_t i = 0; i < sel.n; i++) {
			path_of(kept, sel.files[i].row.name);
			snprintf(path, sizeof(path), "%s/%zu", dir, i);
			assert_int_equal(link(path, kept), 0);
		}
		snprintf(path, sizeof(path), "%s/index.sqlite", dir);
		if (without_index)
			assert_int_equal(unlink(path), 0);
		s = open_large();
		if (without_index)
			total(s, (30 * 60 + 12) * 100, (30 * 60 + 12) * MINUTE);
		for (size_t i = 0; !without_index && i < sel.n; i++)
			store_damaged(s, sel.files[i].row.name);
	}
	store_selection_done(&sel);
	store_free(s);
}

/* Two compilers that a shell became, one that ran nothing else, and what keeps them rare. */
static void put_execs(struct store *s)
{
	static const struct {
		uint32_t pid;
		const char *comm;
		uint64_t samples;
	} rows[] = { { 5, "sh", 1 }, { 5, "cc", 2 }, { 7, "sh", 1 },
		     { 7, "cc", 3 }, { 6, "cc", 4 }, { 9, "busy", 100000 } };
	_cleanup_(window_done) struct window w;

	window_init(&w);
	w.start_ns = (int64_t)machine.real_ns;
	w.duration_ns = MINUTE;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(window_add(&w, rows[i].pid, 0, rows[i].comm, rows[i].comm, "", "",
					    "", rows[i].samples, rows[i].samples * 10),
				 0);
	pass(MINUTE);
	assert_int_equal(store_put(s, "x", 1, &w, NULL), 0);
}

/* Alike rows get the pid of one whose process ran nothing else, and questions have the same answers. */
static void test_compaction_folds(void **state)
{
	struct store_selection sel;
	struct store *s = open_large();

	(void)state;
	for (int i = 0; i < 2; i++)
		put_execs(s);
	pass(2 * HOUR);
	assert_int_equal(store_tend(s), 0);
	assert_int_equal(store_compaction(s, &sel), 0);
	assert_int_equal(sel.n_folds, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(sel.folds[i].comm, "cc");
		assert_int_equal(sel.folds[i].to, 6);
		assert_true(sel.folds[i].pid == 5 || sel.folds[i].pid == 7);
	}
	assert_int_equal(store_replace(s, &sel, "merged", 6, 2 * 100011, 20 * 100011), 0);
	store_selection_done(&sel);
	filtered(s, CATALOG_EXE, "cc", 2 * 90);
	filtered(s, CATALOG_EXE, "sh", 2 * 20);
	filtered(s, CATALOG_PID, "6", 2 * 90);
	filtered(s, CATALOG_PID, "5", 2 * 10);
	store_free(s);
}

/* A group that cannot be merged waits alone, ever longer; the others go on. */
static void test_compaction_aside(void **state)
{
	struct store_selection sel;
	struct store *s = open_large();
	uint64_t pause = HOUR;
	char first[WINDOW_MAX_NAME];

	(void)state;
	for (int i = 0; i < 3 * 60; i++)
		assert_int_equal(put(s, 100, NULL), 0);
	assert_int_equal(store_compaction(s, &sel), 0);
	memcpy(first, sel.files[0].row.name, sizeof(first));
	for (uint64_t failures = 1; failures <= 3; failures++) {
		store_compaction_failed(s, &sel);
		store_selection_done(&sel);
		assert_int_equal(stats_of(s).compaction_failures, failures);
		assert_int_equal(stats_of(s).compaction_aside, 1);
		/* all others are done meanwhile */
		compact_all(s);
		assert_int_equal(store_compaction(s, &sel), -ENOENT);
		pass(pause - MINUTE);
		assert_int_equal(store_tend(s), 0);
		compact_all(s);
		assert_int_equal(store_compaction(s, &sel), -ENOENT);
		pass(2 * MINUTE);
		assert_int_equal(store_tend(s), 0);
		assert_int_equal(store_compaction(s, &sel), 0);
		assert_string_equal(sel.files[0].row.name, first);
		pause *= 2;
	}
	store_selection_done(&sel);
	compact_all(s);
	assert_int_equal(stats_of(s).compaction_aside, 0);
	total(s, 3 * 60 * 100, 3 * HOUR);
	store_free(s);
}

/* Sums of the bytes that a query's open files hold: each window's payload is one byte. */
static uint64_t read_selected(const struct store_selection *sel)
{
	uint64_t windows = 0;

	for (size_t i = 0; i < sel->n; i++) {
		const struct store_file *f = &sel->files[i];
		char payload[256];

		assert_in_range(f->row.payload_bytes, 1, sizeof(payload));
		assert_int_equal(pread(f->fd, payload, f->row.payload_bytes, 0),
				 f->row.payload_bytes);
		for (size_t k = 0; k < f->row.payload_bytes; k++)
			windows += payload[k] == 'x';
		assert_int_equal(f->row.samples, f->row.payload_bytes * 10);
	}
	return windows;
}

static void select_all(struct store *s, struct store_selection *ret)
{
	struct catalog_query q = { .until_ns = INT64_MAX };

	assert_int_equal(store_select(s, &q, ret), 0);
}

/* Before, between the steps of, and after a compaction: a query has each window once, also where its files
 * are gone by the time that they are read. */
static void test_query_beside_compaction(void **state)
{
	struct store_selection early, between, late, sel;
	struct store *s = open_large();
	char merged[256], path[256];

	(void)state;
	for (int i = 0; i < 90; i++)
		assert_int_equal(put(s, 1, NULL), 0);
	memset(merged, 'x', sizeof(merged));
	select_all(s, &early);
	assert_int_equal(early.n, 90);
	while (store_compaction(s, &sel) == 0) {
		select_all(s, &between);
		total(s, 90 * 100, 90 * MINUTE);
		assert_int_equal(store_replace(s, &sel, merged, sel.n, 10 * sel.n, 100 * sel.n), 0);
		path_of(path, sel.files[0].row.name);
		assert_int_equal(access(path, F_OK), -1);
		total(s, 90 * 100, 90 * MINUTE);
		assert_int_equal(read_selected(&between), 90);
		store_selection_done(&between);
		store_selection_done(&sel);
	}
	select_all(s, &late);
	assert_true(late.n < early.n);
	assert_int_equal(read_selected(&early), 90);
	assert_int_equal(read_selected(&late), 90);

	/* one that somebody has removed by hand is in neither the profile nor the list */
	path_of(path, late.files[late.n - 1].row.name);
	assert_int_equal(unlink(path), 0);
	store_selection_done(&late);
	select_all(s, &late);
	assert_int_equal(read_selected(&late), 89);
	total(s, 89 * 100, 89 * MINUTE);
	assert_int_equal(stats_of(s).windows, late.n);
	store_selection_done(&early);
	store_selection_done(&late);
	store_free(s);
}

static void test_days(void **state)
{
	struct store *s = open_store(64 << 20, 7 * DAY);
	double days;

	(void)state;
	assert_true(stats_of(s).days_at_this_rate == 0);
	for (int i = 0; i < 60; i++)
		assert_int_equal(put(s, 400000, NULL), 0);
	days = stats_of(s).days_at_this_rate;
	/* 24 MiB an hour as it is, and each age within its share later */
	assert_true(days > 2 && days <= 7);
	store_free(s);
	s = open_store(4 << 20, 7 * DAY);
	store_tend(s);
	days = stats_of(s).days_at_this_rate;
	assert_true(days > 0 && days < 0.1);
	store_free(s);
	s = open_store(10ULL << 30, 7 * DAY);
	store_tend(s);
	assert_true(stats_of(s).days_at_this_rate > days);
	assert_true(stats_of(s).days_at_this_rate <= 7);
	store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_compaction),
		STORE_TEST(test_compaction_aside),
		STORE_TEST(test_compaction_folds),
		STORE_TEST(test_query_beside_compaction),
		STORE_TEST(test_days),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
