/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog.h"

#include <string.h>
#include <sys/stat.h>

#include "catalog_private.h"
#include "cleanup.h"

#define BUSY_MS 2000

static const char schema[] =
	"CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);"
	"CREATE TABLE window (seq INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, start_ns INTEGER,"
	" duration_ns INTEGER, samples INTEGER, cpu_ns INTEGER, lost INTEGER, truncated INTEGER,"
	" bytes INTEGER, payload_bytes INTEGER, age_ns INTEGER, hz INTEGER, merged INTEGER,"
	" level INTEGER);"
	"CREATE INDEX window_age ON window (age_ns, seq);"
	"CREATE INDEX window_start ON window (start_ns);"
	"CREATE TABLE process (window INTEGER, row INTEGER, pid INTEGER, uid INTEGER, comm INTEGER,"
	" exe INTEGER, build_id INTEGER, unit INTEGER, container INTEGER, samples INTEGER,"
	" cpu_ns INTEGER, PRIMARY KEY (window, row)) WITHOUT ROWID;"
	"CREATE TABLE replaced (name TEXT PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE value (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
	"INSERT INTO name VALUES (0, '');";

static int errno_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_ERROR: /* a table that is not there */
		return -EBADMSG;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	default:
		return -EIO;
	}
}

int catalog_result(struct catalog *c, int rc)
{
	int r = errno_of(rc);

	if (r < 0)
		snprintf(c->error, sizeof(c->error), "%s", sqlite3_errmsg(c->db));
	return r;
}

const char *catalog_error(const struct catalog *c)
{
	return c->error;
}

int catalog_exec(struct catalog *c, const char *sql)
{
	return catalog_result(c, sqlite3_exec(c->db, sql, NULL, NULL, NULL));
}

int catalog_prepare(struct catalog *c, const char *sql, sqlite3_stmt **ret)
{
	return catalog_result(c, sqlite3_prepare_v2(c->db, sql, -1, ret, NULL));
}

int catalog_finish(struct catalog *c, sqlite3_stmt *stmt)
{
	int r = catalog_result(c, sqlite3_step(stmt));

	sqlite3_finalize(stmt);
	return r;
}

static int integer_of(struct catalog *c, const char *sql, int64_t *ret)
{
	_cleanup_stmt_ sqlite3_stmt *stmt = NULL;
	int r = catalog_prepare(c, sql, &stmt), rc;

	if (r < 0)
		return r;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_DONE)
		return -ENOENT;
	r = catalog_result(c, rc);
	if (r == 0)
		*ret = sqlite3_column_int64(stmt, 0);
	return r;
}

static int check(struct catalog *c)
{
	_cleanup_stmt_ sqlite3_stmt *stmt = NULL;
	int64_t version = 0;
	int r, rc;

	r = integer_of(c, "PRAGMA user_version", &version);
	if (r < 0)
		return r;
	if (version == 0) {
		int64_t tables = 0;

		r = integer_of(c, "SELECT COUNT(*) FROM sqlite_master", &tables);
		if (r < 0)
			return r;
		return tables == 0 ? 1 : -EBADMSG;
	}
	if (version != CATALOG_VERSION)
		return -EBADMSG;

	r = catalog_prepare(c, "PRAGMA quick_check(1)", &stmt);
	if (r < 0)
		return r;
	rc = sqlite3_step(stmt);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE ? -EBADMSG : catalog_result(c, rc);
	return strcmp((const char *)sqlite3_column_text(stmt, 0) ?: "", "ok") == 0 ? 0 : -EBADMSG;
}

static int create(struct catalog *c)
{
	char version[64];
	int r;

	/* has to come before the first table, and before WAL */
	r = catalog_exec(c, "PRAGMA auto_vacuum=FULL; PRAGMA page_size=4096; VACUUM;");
	if (r < 0)
		return r;
	r = catalog_exec(c, "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE;");
	if (r < 0)
		return r;
	snprintf(version, sizeof(version), "PRAGMA user_version=%d; COMMIT;", CATALOG_VERSION);
	r = catalog_exec(c, schema);
	return r < 0 ? r : catalog_exec(c, version);
}

DEFINE_CLEANUP(struct catalog *, catalog_free);

int catalog_open(struct catalog **ret, const char *path)
{
	_cleanup_(catalog_freep) struct catalog *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->path = strdup(path);
	if (!c->path)
		return -ENOMEM;
	r = catalog_result(c, sqlite3_open_v2(path, &c->db,
					      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
						      SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX,
					      NULL));
	if (r < 0)
		return r;
	sqlite3_busy_timeout(c->db, BUSY_MS);
	/* a file that tables were planted in must not be able to run anything */
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);

	r = check(c);
	if (r < 0)
		return r;
	if (r > 0) {
		r = create(c);
		if (r < 0)
			return r;
	}
	/* what is lost with the machine's power are rows whose files are found again */
	r = catalog_exec(c, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
			    "PRAGMA journal_size_limit=0; PRAGMA wal_autocheckpoint=128;"
			    "PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY;");
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

struct catalog *catalog_free(struct catalog *c)
{
	if (!c)
		return NULL;
	sqlite3_close(c->db);
	free(c->path);
	free(c);
	return NULL;
}

uint64_t catalog_bytes(const struct catalog *c)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup_free_ char *path = NULL;
		struct stat st;

		if (asprintf(&path, "%s%s", c->path, suffixes[i]) >= 0 && stat(path, &st) == 0)
			sum += MAX((uint64_t)st.st_size, (uint64_t)st.st_blocks * 512);
	}
	return sum;
}

void catalog_take_row(sqlite3_stmt *stmt, struct catalog_row *ret)
{
	*ret = (struct catalog_row){
		.seq = (uint64_t)sqlite3_column_int64(stmt, 0),
		.start_ns = sqlite3_column_int64(stmt, 2),
		.duration_ns = (uint64_t)sqlite3_column_int64(stmt, 3),
		.samples = (uint64_t)sqlite3_column_int64(stmt, 4),
		.cpu_ns = (uint64_t)sqlite3_column_int64(stmt, 5),
		.lost = (uint64_t)sqlite3_column_int64(stmt, 6),
		.truncated = (uint64_t)sqlite3_column_int64(stmt, 7),
		.bytes = (uint64_t)sqlite3_column_int64(stmt, 8),
		.payload_bytes = (uint64_t)sqlite3_column_int64(stmt, 9),
		.age_ns = (uint64_t)sqlite3_column_int64(stmt, 10),
		.hz = (uint32_t)sqlite3_column_int64(stmt, 11),
		.merged = (uint32_t)sqlite3_column_int64(stmt, 12),
		.level = (uint32_t)sqlite3_column_int64(stmt, 13),
	};
	snprintf(ret->name, sizeof(ret->name), "%s",
		 (const char *)sqlite3_column_text(stmt, 1) ?: "");
}

int catalog_each(struct catalog *c, catalog_row_t fn, void *arg)
{
	_cleanup_stmt_ sqlite3_stmt *stmt = NULL;
	int r, rc;

	r = catalog_prepare(c, "SELECT " CATALOG_COLUMNS " FROM window ORDER BY age_ns, seq",
			    &stmt);
	if (r < 0)
		return r;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct catalog_row row;

		catalog_take_row(stmt, &row);
		r = fn(arg, &row);
		if (r != 0)
			return r;
	}
	return catalog_result(c, rc);
}

static int one_row(struct catalog *c, const char *sql, const char *name, struct catalog_row *ret)
{
	_cleanup_stmt_ sqlite3_stmt *stmt = NULL;
	int r = catalog_prepare(c, sql, &stmt), rc;

	if (r < 0)
		return r;
	if (name)
		sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_DONE)
		return -ENOENT;
	if (rc == SQLITE_ROW)
		catalog_take_row(stmt, ret);
	return catalog_result(c, rc);
}

int catalog_oldest(struct catalog *c, struct catalog_row *ret)
{
	return one_row(c, "SELECT " CATALOG_COLUMNS " FROM window ORDER BY age_ns, seq LIMIT 1",
		       NULL, ret);
}

int catalog_find(struct catalog *c, const char *name, struct catalog_row *ret)
{
	return one_row(c, "SELECT " CATALOG_COLUMNS " FROM window WHERE name=?", name, ret);
}

static int with_name(struct catalog *c, const char *sql, const char *name)
{
	sqlite3_stmt *stmt;
	int r = catalog_prepare(c, sql, &stmt);

	if (r < 0)
		return r;
	sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
	return catalog_finish(c, stmt);
}

int catalog_is_replaced(struct catalog *c, const char *name)
{
	_cleanup_stmt_ sqlite3_stmt *stmt = NULL;
	int r = catalog_prepare(c, "SELECT 1 FROM replaced WHERE name=?", &stmt), rc;

	if (r < 0)
		return r;
	sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
	rc = sqlite3_step(stmt);
	r = catalog_result(c, rc);
	return r < 0 ? r : rc == SQLITE_ROW;
}

int catalog_forget(struct catalog *c, const char *name)
{
	return with_name(c, "DELETE FROM replaced WHERE name=?", name);
}

int catalog_get(struct catalog *c, const char *key, void *value, size_t size)
{
	_cleanup_stmt_ sqlite3_stmt *stmt = NULL;
	int r = catalog_prepare(c, "SELECT value FROM value WHERE key=?", &stmt), rc;

	if (r < 0)
		return r;
	sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
	rc = sqlite3_step(stmt);
	r = catalog_result(c, rc);
	if (r < 0)
		return r;
	if (rc != SQLITE_ROW || (size_t)sqlite3_column_bytes(stmt, 0) != size)
		return -ENOENT;
	memcpy(value, sqlite3_column_blob(stmt, 0), size);
	return 0;
}

int catalog_set(struct catalog *c, const char *key, const void *value, size_t size)
{
	sqlite3_stmt *stmt;
	int r = catalog_prepare(c, "INSERT OR REPLACE INTO value VALUES (?, ?)", &stmt);

	if (r < 0)
		return r;
	sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_blob(stmt, 2, value, (int)size, SQLITE_STATIC);
	return catalog_finish(c, stmt);
}
