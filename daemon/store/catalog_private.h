/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the catalog share. */

#include <sqlite3.h>

#include "catalog.h"

struct catalog {
	sqlite3 *db;
	char *path;
	char error[256];
};

/* Negative errno for a result of SQLite, 0 for OK, ROW and DONE; remembers its words. */
int catalog_result(struct catalog *c, int rc);
int catalog_exec(struct catalog *c, const char *sql);
int catalog_prepare(struct catalog *c, const char *sql, sqlite3_stmt **ret);
/* Steps to the end of a statement that gives no rows, and finalizes it. */
int catalog_finish(struct catalog *c, sqlite3_stmt *stmt);
#define CATALOG_COLUMNS                                                               \
	"seq, name, start_ns, duration_ns, samples, cpu_ns, lost, truncated, bytes, " \
	"payload_bytes, age_ns, hz, merged, level"
void catalog_take_row(sqlite3_stmt *stmt, struct catalog_row *ret);

static inline void finalizep(sqlite3_stmt **stmt)
{
	sqlite3_finalize(*stmt);
}
#define _cleanup_stmt_ _cleanup_(finalizep)
