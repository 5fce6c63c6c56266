/* SPDX-License-Identifier: Apache-2.0 */
/* What was when, and who used it. Foreign names are bound or compared as ids, never put into SQL. */
#include <inttypes.h>
#include <string.h>

#include "catalog_private.h"
#include "cleanup.h"
#include "text.h"

#define MAX_SQL_BYTES (1U << 20)
#define MIN_PREFIX    6

static const char *const columns[] = {
	[CATALOG_PID] = "p.pid",   [CATALOG_COMM] = "p.comm",
	[CATALOG_UNIT] = "p.unit", [CATALOG_CONTAINER] = "p.container",
	[CATALOG_EXE] = "p.exe",   [CATALOG_BUILD_ID] = "p.build_id",
	[CATALOG_UID] = "p.uid",
};

/* How a name is compared with the value that is asked for (?1). */
static const char *match_of(enum catalog_kind kind, const char *value)
{
	switch (kind) {
	case CATALOG_UNIT:
		return strchr(value, '.') ? "text=?1" : "text=?1 OR text=?1||'.service'";
	case CATALOG_EXE:
		return strchr(value, '/') ? "text=?1"
					  : "text=?1 OR substr(text,-length(?1)-1)='/'||?1";
	case CATALOG_CONTAINER:
	case CATALOG_BUILD_ID:
		return strlen(value) >= MIN_PREFIX ? "substr(text,1,length(?1))=?1" : "text=?1";
	default:
		return "text=?1";
	}
}

/* Appends the ids of the names that the value means, each with a comma before it. */
static int append_ids(struct catalog *c, const struct catalog_term *t, struct buf *sql)
{
	_cleanup_stmt_ sqlite3_stmt *stmt = NULL;
	char find[128];
	uint64_t number;
	int r, rc;

	if (t->kind == CATALOG_PID || t->kind == CATALOG_UID) {
		if (text_parse_u64(t->value, UINT32_MAX, &number) < 0)
			return -EINVAL;
		return buf_printf(sql, ",%" PRIu64, number);
	}
	snprintf(find, sizeof(find), "SELECT id FROM name WHERE %s", match_of(t->kind, t->value));
	r = catalog_prepare(c, find, &stmt);
	if (r < 0)
		return r;
	sqlite3_bind_text(stmt, 1, t->value, -1, SQLITE_STATIC);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		buf_printf(sql, ",%" PRId64, (int64_t)sqlite3_column_int64(stmt, 0));
	r = catalog_result(c, rc);
	return r < 0 ? r : sql->error;
}

static bool is_target(enum catalog_kind kind)
{
	return kind <= CATALOG_CONTAINER;
}

/* "(column IN (-1,3,4) OR ...)" of the terms of some kinds; -1 is nobody's id. */
static int append_group(struct catalog *c, const struct catalog_query *q, bool targets,
			enum catalog_kind kind, struct buf *sql)
{
	bool any = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < q->n_terms; i++) {
		const struct catalog_term *t = &q->terms[i];

		if (targets ? !is_target(t->kind) : t->kind != kind)
			continue;
		buf_printf(sql, "%s%s IN (-1", any ? " OR " : " AND (", columns[t->kind]);
		r = append_ids(c, t, sql);
		buf_putc(sql, ')');
		any = true;
	}
	if (any)
		buf_putc(sql, ')');
	return r < 0 ? r : sql->error;
}

static int append_terms(struct catalog *c, const struct catalog_query *q, struct buf *sql)
{
	static const enum catalog_kind kinds[] = { CATALOG_EXE, CATALOG_BUILD_ID, CATALOG_UID };
	int r = append_group(c, q, true, CATALOG_PID, sql);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
		r = append_group(c, q, false, kinds[i], sql);
	return r;
}

/* Windows that overlap: bound as ?1 and ?2. */
#define IN_RANGE "w.start_ns < ?2 AND w.start_ns + w.duration_ns > ?1"

static void bind_range(sqlite3_stmt *stmt, const struct catalog_query *q)
{
	sqlite3_bind_int64(stmt, 1, q->since_ns);
	sqlite3_bind_int64(stmt, 2, q->until_ns);
}

static int64_t bucket_of(const struct catalog_query *q, int64_t start_ns)
{
	int64_t step = (int64_t)q->step_ns;

	return start_ns / step - (start_ns % step < 0);
}

void catalog_list_done(struct catalog_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		for (size_t k = 0; k < CATALOG_TOP; k++)
			free(l->lines[i].top[k].name);
	free(l->lines);
	*l = (struct catalog_list){};
}

static struct catalog_line *list_add(struct catalog_list *l)
{
	if (l->n == CATALOG_MAX_ROWS)
		return NULL;
	if (l->n == l->allocated) {
		size_t n = l->allocated ? l->allocated * 2 : 64;
		struct catalog_line *p = realloc(l->lines, n * sizeof(*p));

		if (!p)
			return NULL;
		l->lines = p;
		l->allocated = n;
	}
	l->lines[l->n] = (struct catalog_line){};
	return &l->lines[l->n++];
}

static void add_to_line(struct catalog_line *line, const struct catalog_row *row)
{
	line->duration_ns += row->duration_ns;
	line->samples += row->samples;
	line->cpu_ns += row->cpu_ns;
	line->bytes += row->payload_bytes;
	line->lost += row->lost;
	line->truncated += row->truncated;
	if (!line->hz || row->hz < line->hz)
		line->hz = row->hz;
}

/* The lines, by start; keys has for each what the sums below are grouped by. */
static int list_windows(struct catalog *c, const struct catalog_query *q, struct catalog_list *l,
			int64_t **ret_keys)
{
	_cleanup_stmt_ sqlite3_stmt *stmt = NULL;
	_cleanup_free_ int64_t *keys = NULL;
	size_t n_keys = 0;
	int r, rc;

	r = catalog_prepare(c,
			    "SELECT " CATALOG_COLUMNS " FROM window w WHERE " IN_RANGE
			    " ORDER BY start_ns, seq",
			    &stmt);
	if (r < 0)
		return r;
	bind_range(stmt, q);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct catalog_line *line = l->n ? &l->lines[l->n - 1] : NULL;
		struct catalog_row row;
		int64_t key;

		catalog_take_row(stmt, &row);
		key = q->step_ns ? bucket_of(q, row.start_ns) : (int64_t)row.seq;
		if (!line || !q->step_ns || keys[l->n - 1] != key) {
			line = list_add(l);
			if (!line)
				return -E2BIG;
			if (l->n > n_keys) {
				int64_t *p = realloc(keys, l->allocated * sizeof(*keys));

				if (!p)
					return -ENOMEM;
				keys = p;
				n_keys = l->allocated;
			}
			keys[l->n - 1] = key;
			line->start_ns = q->step_ns ? key * (int64_t)q->step_ns : row.start_ns;
			if (!q->step_ns)
				memcpy(line->name, row.name, sizeof(line->name));
		}
		add_to_line(line, &row);
	}
	*ret_keys = TAKE_PTR(keys);
	return catalog_result(c, rc);
}

static int take_top(struct catalog_line *line, const char *name, uint64_t cpu_ns)
{
	for (size_t k = 0; k < CATALOG_TOP; k++) {
		if (line->top[k].name)
			continue;
		line->top[k].name = strdup(name);
		line->top[k].cpu_ns = cpu_ns;
		return line->top[k].name ? 0 : -ENOMEM;
	}
	return 0;
}

struct key_place {
	int64_t key;
	size_t line;
};

static int by_key(const void *a, const void *b)
{
	const struct key_place *x = a, *y = b;

	return (x->key > y->key) - (x->key < y->key);
}

/* Without commas: what comes behind one is shown beside the name. What runs in no unit is known by its
 * command; name 0 is "". */
static const char *by_column(enum catalog_by by)
{
	switch (by) {
	case BY_COMM:
		return "p.comm";
	case BY_EXE:
		return "p.exe";
	case BY_CONTAINER:
		return "p.container";
	case BY_PID:
		return "p.comm, p.pid";
	case BY_UNIT:
		break;
	}
	return "CASE p.unit WHEN 0 THEN p.comm ELSE p.unit END";
}

/* Sums of the processes that count, by line and by what is asked for, the heaviest first. */
static int prepare_sums(struct catalog *c, const struct catalog_query *q, sqlite3_stmt **ret)
{
	_cleanup_(buf_done) struct buf sql = BUF_INIT(MAX_SQL_BYTES);
	const char *by = by_column(q->by);
	int r;

	buf_puts(&sql, "SELECT ");
	if (q->step_ns)
		buf_printf(&sql, "w.start_ns/%" PRIu64 " - (w.start_ns%%%" PRIu64 "<0)", q->step_ns,
			   q->step_ns);
	else
		buf_puts(&sql, "w.seq");
	/* the first of them is the name, which pids share */
	buf_printf(&sql,
		   " k, (SELECT text FROM name WHERE id=%.*s), %s, SUM(p.samples), SUM(p.cpu_ns) s"
		   " FROM window w JOIN process p ON p.window=w.seq WHERE " IN_RANGE,
		   (int)strcspn(by, ","), by, q->by == BY_PID ? "p.pid" : "0");
	r = append_terms(c, q, &sql);
	if (r < 0)
		return r;
	/* among equals by name: identifiers are others in an index that was made anew */
	buf_printf(&sql, " GROUP BY k, %s ORDER BY k, s DESC, 2, 3", by);
	return sql.error ?: catalog_prepare(c, sql.data, ret);
}

static int list_sums(struct catalog *c, const struct catalog_query *q, struct catalog_list *l,
		     const struct key_place *places)
{
	_cleanup_stmt_ sqlite3_stmt *stmt = NULL;
	int r = prepare_sums(c, q, &stmt), rc;

	if (r < 0)
		return r;
	bind_range(stmt, q);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct key_place key = { .key = sqlite3_column_int64(stmt, 0) }, *place;
		const char *text = (const char *)sqlite3_column_text(stmt, 1) ?: "";
		uint64_t cpu_ns = (uint64_t)sqlite3_column_int64(stmt, 4);
		char name[WINDOW_MAX_STRING + 32];
		struct catalog_line *line;

		place = bsearch(&key, places, l->n, sizeof(key), by_key);
		if (!place)
			continue;
		line = &l->lines[place->line];
		if (q->n_terms) {
			line->samples += (uint64_t)sqlite3_column_int64(stmt, 3);
			line->cpu_ns += cpu_ns;
		}
		if (q->by == BY_PID)
			snprintf(name, sizeof(name), "%s (%" PRId64 ")", text,
				 (int64_t)sqlite3_column_int64(stmt, 2));
		r = take_top(line, q->by == BY_PID ? name : text, cpu_ns);
		if (r < 0)
			return r;
	}
	return catalog_result(c, rc);
}

int catalog_list(struct catalog *c, const struct catalog_query *q, struct catalog_list *ret)
{
	_cleanup_(catalog_list_done) struct catalog_list l = {};
	_cleanup_free_ struct key_place *places = NULL;
	_cleanup_free_ int64_t *keys = NULL;
	int r;

	r = list_windows(c, q, &l, &keys);
	if (r < 0)
		return r;
	places = calloc(MAX(l.n, (size_t)1), sizeof(*places));
	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < l.n; i++) {
		places[i] = (struct key_place){ keys[i], i };
		if (q->n_terms)
			l.lines[i].samples = l.lines[i].cpu_ns = 0;
	}
	qsort(places, l.n, sizeof(*places), by_key);
	r = list_sums(c, q, &l, places);
	if (r < 0)
		return r;

	*ret = l;
	l = (struct catalog_list){};
	return 0;
}

int catalog_select(struct catalog *c, const struct catalog_query *q, catalog_row_t fn, void *arg)
{
	_cleanup_(buf_done) struct buf sql = BUF_INIT(MAX_SQL_BYTES);
	_cleanup_stmt_ sqlite3_stmt *stmt = NULL;
	int r, rc;

	buf_puts(&sql, "SELECT " CATALOG_COLUMNS " FROM window w WHERE " IN_RANGE);
	if (q->n_terms) {
		buf_puts(&sql, " AND EXISTS (SELECT 1 FROM process p WHERE p.window=w.seq");
		r = append_terms(c, q, &sql);
		if (r < 0)
			return r;
		buf_putc(&sql, ')');
	}
	buf_puts(&sql, " ORDER BY age_ns, seq");
	r = sql.error ?: catalog_prepare(c, sql.data, &stmt);
	if (r < 0)
		return r;
	bind_range(stmt, q);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct catalog_row row;

		catalog_take_row(stmt, &row);
		r = fn(arg, &row);
		if (r != 0)
			return r;
	}
	return catalog_result(c, rc);
}

int catalog_pids(struct catalog *c, const struct catalog_query *q, uint64_t seq, uint32_t **ret,
		 size_t *ret_n)
{
	_cleanup_(buf_done) struct buf sql = BUF_INIT(MAX_SQL_BYTES), out = BUF_INIT(64U << 20);
	_cleanup_stmt_ sqlite3_stmt *stmt = NULL;
	size_t size;
	int r, rc;

	buf_puts(&sql, "SELECT DISTINCT p.pid FROM process p WHERE p.window=?1");
	r = append_terms(c, q, &sql);
	if (r < 0)
		return r;
	r = sql.error ?: catalog_prepare(c, sql.data, &stmt);
	if (r < 0)
		return r;
	sqlite3_bind_int64(stmt, 1, (int64_t)seq);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		uint32_t pid = (uint32_t)sqlite3_column_int64(stmt, 0);

		buf_append(&out, &pid, sizeof(pid));
	}
	r = catalog_result(c, rc);
	if (r == 0)
		r = out.error;
	if (r < 0)
		return r;
	*ret = (uint32_t *)(void *)buf_take(&out, &size);
	*ret_n = size / sizeof(**ret);
	return 0;
}

int catalog_processes(struct catalog *c, uint64_t seq, struct window *w)
{
	_cleanup_stmt_ sqlite3_stmt *stmt = NULL;
	int r, rc;

	r = catalog_prepare(
		c,
		"SELECT pid, uid, samples, cpu_ns, a.text, b.text, d.text, e.text, f.text "
		"FROM process p JOIN name a ON a.id=comm JOIN name b ON b.id=exe "
		"JOIN name d ON d.id=build_id JOIN name e ON e.id=unit "
		"JOIN name f ON f.id=container WHERE window=? ORDER BY row",
		&stmt);
	if (r < 0)
		return r;
	sqlite3_bind_int64(stmt, 1, (int64_t)seq);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *text[5];

		for (int i = 0; i < 5; i++)
			text[i] = (const char *)sqlite3_column_text(stmt, 4 + i);
		r = window_add(w, (uint32_t)sqlite3_column_int64(stmt, 0),
			       (uint32_t)sqlite3_column_int64(stmt, 1), text[0], text[1], text[2],
			       text[3], text[4], (uint64_t)sqlite3_column_int64(stmt, 2),
			       (uint64_t)sqlite3_column_int64(stmt, 3));
		if (r < 0)
			return r;
	}
	return catalog_result(c, rc);
}
