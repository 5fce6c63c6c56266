/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The index of the store: one SQLite database (WAL) with a row a window and a row a process of each
 * window. It holds nothing that the files do not: where it is damaged, or of another version, it is
 * thrown away and made again. Used by one thread.
 *
 * Errors: -EBADMSG damaged or not ours, -ENOSPC, -EIO, -EROFS, -ENOMEM; SQLite's own words for the
 * last one are in catalog_error().
 */

#include <stdbool.h>
#include <stdint.h>

#include "window.h"

#define CATALOG_VERSION 1

struct catalog;

struct catalog_row {
	uint64_t seq;
	char name[WINDOW_MAX_NAME];
	int64_t start_ns;
	uint64_t duration_ns, samples, cpu_ns, lost, truncated;
	uint64_t bytes, payload_bytes; /* of the file, and of the pprof in it */
	uint64_t age_ns;               /* the store's clock at its start */
	uint32_t hz, merged, level;
};

int catalog_open(struct catalog **ret, const char *path);
struct catalog *catalog_free(struct catalog *c);
const char *catalog_error(const struct catalog *c);
/* Database, log and shared memory on disk. */
uint64_t catalog_bytes(const struct catalog *c);

/* One transaction: the row, its processes, and away with the rows of the files that it replaces;
 * these are remembered as replaced until catalog_forget(). */
int catalog_add(struct catalog *c, const struct catalog_row *row, const struct window *w);
int catalog_remove(struct catalog *c, uint64_t seq);
int catalog_set_level(struct catalog *c, uint64_t seq, uint32_t level);

/* Calls for each, the oldest by the store's clock first; fn returns 0 to go on, else the result.
 * fn may not change the catalog. */
typedef int (*catalog_row_t)(void *arg, const struct catalog_row *row);
int catalog_each(struct catalog *c, catalog_row_t fn, void *arg);
/* The oldest, or the one with this name; -ENOENT. */
int catalog_oldest(struct catalog *c, struct catalog_row *ret);
int catalog_find(struct catalog *c, const char *name, struct catalog_row *ret);
/* Files whose content is in another, and which may still be there. */
int catalog_is_replaced(struct catalog *c, const char *name);
int catalog_forget(struct catalog *c, const char *name);
/* The processes of a window, added to *w. */
int catalog_processes(struct catalog *c, uint64_t seq, struct window *w);

/* Small values that are kept with it. -ENOENT. */
int catalog_get(struct catalog *c, const char *key, void *value, size_t size);
int catalog_set(struct catalog *c, const char *key, const void *value, size_t size);
/* Names that no row uses any more. */
int catalog_prune(struct catalog *c);

/*
 * Queries. A process counts when it is one of the targets (where there are any), and of one of the
 * executables, of one of the build-ids, and of one of the users (where there are any of these).
 */
enum catalog_kind {
	CATALOG_PID,
	CATALOG_COMM,
	CATALOG_UNIT,      /* "nginx" is "nginx.service" */
	CATALOG_CONTAINER, /* or the first 6 characters or more */
	CATALOG_EXE,       /* path, or a file's name */
	CATALOG_BUILD_ID,  /* or the first 6 digits or more */
	CATALOG_UID,
};
#define CATALOG_MAX_TERMS 128
struct catalog_term {
	enum catalog_kind kind;
	const char *value; /* of PID and UID: decimal */
};
struct catalog_query {
	int64_t since_ns, until_ns; /* CLOCK_REALTIME; windows that overlap [since, until) */
	struct catalog_term terms[CATALOG_MAX_TERMS];
	size_t n_terms;
	/* What the three heaviest are of. Units: what runs in none is known by its command. */
	enum catalog_by { BY_UNIT, BY_COMM, BY_EXE, BY_CONTAINER, BY_PID } by;
	uint64_t step_ns; /* 0: a row a window, else rows of this length, aligned */
};

#define CATALOG_TOP      3
#define CATALOG_MAX_ROWS 100000

struct catalog_line {
	char name[WINDOW_MAX_NAME]; /* "" with step_ns */
	bool open;                  /* not the catalog's: of windows that are not stored yet */
	int64_t start_ns;
	uint64_t duration_ns, samples, cpu_ns, bytes, lost, truncated;
	uint32_t hz;
	struct {
		char *name;
		uint64_t cpu_ns;
	} top[CATALOG_TOP];
};
struct catalog_list {
	struct catalog_line *lines;
	size_t n, allocated;
};
void catalog_list_done(struct catalog_list *l);
int catalog_list(struct catalog *c, const struct catalog_query *q, struct catalog_list *ret);
/* Windows in the range that have at least one process that counts, oldest first. */
int catalog_select(struct catalog *c, const struct catalog_query *q, catalog_row_t fn, void *arg);
/* Pids of one window that count, in no order; *ret is freed by the caller. */
int catalog_pids(struct catalog *c, const struct catalog_query *q, uint64_t seq, uint32_t **ret,
		 size_t *ret_n);
