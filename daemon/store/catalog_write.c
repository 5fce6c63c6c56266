/* SPDX-License-Identifier: Apache-2.0 */
/* Windows in and out of the catalog, a transaction each. */
#include <string.h>

#include "catalog_private.h"
#include "cleanup.h"

/* Ends a transaction by its result so far; the log is emptied so that it is never large. */
static int end(struct catalog *c, int r)
{
	if (r == 0)
		r = catalog_exec(c, "COMMIT");
	if (r < 0) {
		char error[sizeof(c->error)];

		memcpy(error, c->error, sizeof(error));
		sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
		memcpy(c->error, error, sizeof(error));
		return r;
	}
	/* one that cannot be done now is done next time */
	sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	return 0;
}

static int begin(struct catalog *c)
{
	return catalog_exec(c, "BEGIN IMMEDIATE");
}

/* Ids of strings that this window has met already, by offset: open addressing. */
struct ids {
	struct id_slot {
		uint32_t offset;
		int64_t id;
	} * slots;
	size_t n_slots;
};

static int name_id(struct catalog *c, sqlite3_stmt *insert, sqlite3_stmt *find, const char *text,
		   int64_t *ret)
{
	int r, rc;

	sqlite3_reset(find);
	sqlite3_bind_text(find, 1, text, -1, SQLITE_STATIC);
	rc = sqlite3_step(find);
	if (rc == SQLITE_ROW) {
		*ret = sqlite3_column_int64(find, 0);
		sqlite3_reset(find);
		return 0;
	}
	r = catalog_result(c, rc);
	sqlite3_reset(find);
	if (r < 0)
		return r;

	sqlite3_reset(insert);
	sqlite3_bind_text(insert, 1, text, -1, SQLITE_STATIC);
	r = catalog_result(c, sqlite3_step(insert));
	*ret = sqlite3_last_insert_rowid(c->db);
	sqlite3_reset(insert);
	return r;
}

struct writer {
	sqlite3_stmt *insert_name, *find_name, *insert;
	struct ids ids;
};

static void writer_done(struct writer *w)
{
	sqlite3_finalize(w->insert_name);
	sqlite3_finalize(w->find_name);
	sqlite3_finalize(w->insert);
	free(w->ids.slots);
}

static int writer_name(struct catalog *c, struct writer *w, const struct window *window,
		       uint32_t offset, int64_t *ret)
{
	size_t i = offset * 0x9e3779b1U & (w->ids.n_slots - 1);
	int r;

	*ret = 0;
	if (offset == 0)
		return 0;
	while (w->ids.slots[i].offset && w->ids.slots[i].offset != offset)
		i = (i + 1) & (w->ids.n_slots - 1);
	if (!w->ids.slots[i].offset) {
		r = name_id(c, w->insert_name, w->find_name, window_string(window, offset),
			    &w->ids.slots[i].id);
		if (r < 0)
			return r;
		w->ids.slots[i].offset = offset;
	}
	*ret = w->ids.slots[i].id;
	return 0;
}

static int add_processes(struct catalog *c, uint64_t seq, const struct window *window)
{
	_cleanup_(writer_done) struct writer w = { .ids.n_slots = 64 };
	int r;

	/* every row has at most five strings that are not empty */
	while (w.ids.n_slots < window->n_processes * 10 + 16)
		w.ids.n_slots *= 2;
	w.ids.slots = calloc(w.ids.n_slots, sizeof(*w.ids.slots));
	if (!w.ids.slots)
		return -ENOMEM;
	r = catalog_prepare(c, "INSERT INTO name (text) VALUES (?)", &w.insert_name);
	if (r == 0)
		r = catalog_prepare(c, "SELECT id FROM name WHERE text=?", &w.find_name);
	if (r == 0)
		r = catalog_prepare(c, "INSERT INTO process VALUES (?,?,?,?,?,?,?,?,?,?,?)",
				    &w.insert);

	for (size_t i = 0; r == 0 && i < window->n_processes; i++) {
		const struct window_process *p = &window->processes[i];
		const uint32_t offsets[] = { p->comm, p->exe, p->build_id, p->unit, p->container };
		int64_t id;

		sqlite3_bind_int64(w.insert, 1, (int64_t)seq);
		sqlite3_bind_int64(w.insert, 2, (int64_t)i);
		sqlite3_bind_int64(w.insert, 3, p->pid);
		sqlite3_bind_int64(w.insert, 4, p->uid);
		for (size_t k = 0; r == 0 && k < ARRAY_SIZE(offsets); k++) {
			r = writer_name(c, &w, window, offsets[k], &id);
			sqlite3_bind_int64(w.insert, 5 + (int)k, id);
		}
		if (r < 0)
			break;
		sqlite3_bind_int64(w.insert, 10, (int64_t)p->samples);
		sqlite3_bind_int64(w.insert, 11, (int64_t)p->cpu_ns);
		r = catalog_result(c, sqlite3_step(w.insert));
		sqlite3_reset(w.insert);
	}
	return r;
}

static int insert_row(struct catalog *c, const struct catalog_row *row)
{
	const uint64_t numbers[] = { (uint64_t)row->start_ns,
				     row->duration_ns,
				     row->samples,
				     row->cpu_ns,
				     row->lost,
				     row->truncated,
				     row->bytes,
				     row->payload_bytes,
				     row->age_ns,
				     row->hz,
				     row->merged,
				     row->level };
	sqlite3_stmt *stmt;
	int r;

	r = catalog_prepare(
		c, "INSERT INTO window (" CATALOG_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		&stmt);
	if (r < 0)
		return r;
	sqlite3_bind_int64(stmt, 1, (int64_t)row->seq);
	sqlite3_bind_text(stmt, 2, row->name, -1, SQLITE_STATIC);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sqlite3_bind_int64(stmt, 3 + (int)i, (int64_t)numbers[i]);
	return catalog_finish(c, stmt);
}

static int remove_rows(struct catalog *c, uint64_t seq)
{
	static const char *const sql[] = { "DELETE FROM process WHERE window=?",
					   "DELETE FROM window WHERE seq=?" };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sql); i++) {
		sqlite3_stmt *stmt;

		r = catalog_prepare(c, sql[i], &stmt);
		if (r < 0)
			return r;
		sqlite3_bind_int64(stmt, 1, (int64_t)seq);
		r = catalog_finish(c, stmt);
	}
	return r;
}

static int replace_one(struct catalog *c, const char *name)
{
	struct catalog_row row;
	sqlite3_stmt *stmt;
	int r;

	r = catalog_find(c, name, &row);
	if (r == 0)
		r = remove_rows(c, row.seq);
	if (r < 0 && r != -ENOENT)
		return r;
	r = catalog_prepare(c, "INSERT OR IGNORE INTO replaced VALUES (?)", &stmt);
	if (r < 0)
		return r;
	sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
	return catalog_finish(c, stmt);
}

static int replace_all(struct catalog *c, const struct window *w)
{
	_cleanup_free_ char *names = strndup(w->replaces.data ?: "", w->replaces.size);
	char *save = NULL;
	int r = 0;

	if (!names)
		return -ENOMEM;
	for (char *name = strtok_r(names, "\n", &save); r == 0 && name;
	     name = strtok_r(NULL, "\n", &save))
		r = replace_one(c, name);
	return r;
}

int catalog_add(struct catalog *c, const struct catalog_row *row, const struct window *w)
{
	int r = begin(c);

	if (r < 0)
		return r;
	r = insert_row(c, row);
	if (r == 0)
		r = add_processes(c, row->seq, w);
	if (r == 0)
		r = replace_all(c, w);
	return end(c, r);
}

int catalog_remove(struct catalog *c, uint64_t seq)
{
	int r = begin(c);

	return r < 0 ? r : end(c, remove_rows(c, seq));
}

int catalog_set_level(struct catalog *c, uint64_t seq, uint32_t level)
{
	sqlite3_stmt *stmt;
	int r = catalog_prepare(c, "UPDATE window SET level=? WHERE seq=?", &stmt);

	if (r < 0)
		return r;
	sqlite3_bind_int64(stmt, 1, level);
	sqlite3_bind_int64(stmt, 2, (int64_t)seq);
	return catalog_finish(c, stmt);
}

int catalog_prune(struct catalog *c)
{
	int r = begin(c);

	if (r < 0)
		return r;
	return end(c,
		   catalog_exec(c, "DELETE FROM name WHERE id<>0 AND id NOT IN (SELECT comm FROM "
				   "process UNION SELECT exe FROM process UNION SELECT build_id "
				   "FROM process UNION SELECT unit FROM process UNION SELECT "
				   "container FROM process)"));
}
