/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Stored windows: files (files.h) and the index over them (catalog.h), under limits. All calls are
 * synchronous and of one thread: keeper.h is the way in from the event loop.
 *
 * DIR/profiles/BOOTID-SEQUENCE.pb.gz, DIR/index.sqlite. Whatever happens between two system calls,
 * the next store_open() finds a state that is whole: a file that no row knows is taken up, a row
 * without a file goes, a file that is in another one (compaction) goes, an index that is damaged is
 * made anew from the files. A file whose end is not what it should be is set aside.
 *
 * MaxBytes covers files as they lie on disk, index, log and temporary files, and is kept before it is
 * passed: the oldest go until the new one fits. Ages are the store's own (age.h). Below KeepFree
 * nothing is written (-ENOSPC).
 */

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "catalog.h"
#include "window.h"

struct store;

struct store_limits {
	uint64_t max_bytes, max_age_ns, keep_free_bytes;
};

struct store_options {
	const char *dir;
	struct store_limits limits;
	/* For tests; NULL: the machine's own. */
	uint64_t (*now)(void *arg, clockid_t clock);
	void *arg;
	const char *boot_id; /* 32 hex digits */
};

struct store_stats {
	uint64_t bytes;               /* all of it, on disk */
	uint64_t windows;             /* files */
	int64_t oldest_ns, newest_ns; /* CLOCK_REALTIME, starts; 0 none */
	uint64_t held_ns;             /* from the oldest's start to now, by the store's clock */
	uint64_t written, written_bytes;
	uint64_t deleted_for_bytes, deleted_for_age;
	uint64_t write_failures; /* windows lost because they could not be written */
	uint64_t keep_free;      /* of these, to keep the disk free */
	uint64_t set_aside;      /* files that could not be read */
	uint64_t damaged_bytes;  /* of those that still lie there */
	uint64_t index_rebuilt;  /* times that the index was made from the files */
	uint64_t index_failures; /* writes to the index that failed */
	uint64_t newer;          /* files of a newer version: left alone */
	uint64_t compacted;      /* files that went into larger ones */
	uint64_t compaction_failures;
	uint64_t compaction_aside; /* groups that failed and wait to be tried again */
	double days_at_this_rate; /* that the limits hold at the rate of the last hours; 0 unknown */
};

/* Reads what is there. Errors: those of the file system; a damaged index or file is none. */
int store_open(struct store **ret, const struct store_options *options);
struct store *store_free(struct store *s);
void store_set_limits(struct store *s, const struct store_limits *limits);
void store_stats(struct store *s, struct store_stats *ret);

/*
 * Stores a window that has just ended: a gzip pprof and what is known of it. Times and places that
 * are the store's to know are filled in. -ENOSPC, -EFBIG when MaxBytes is too small for it, -EIO...:
 * then nothing is left of it. ret_name may be NULL.
 */
int store_put(struct store *s, const void *payload, size_t payload_bytes, struct window *w,
	      char ret_name[WINDOW_MAX_NAME]);
/* What time does: files that are too old go. To be called every few seconds. */
int store_tend(struct store *s);

int store_list(struct store *s, const struct catalog_query *q, struct catalog_list *ret);

/* Files to be merged, held open, so that they may be removed meanwhile. */
struct store_file {
	struct catalog_row row;
	int fd;         /* read-only */
	uint32_t *pids; /* that count, where a query has terms */
	size_t n_pids;
};
/* A process whose samples are to be given another one's pid: see store_compaction(). */
struct store_fold {
	uint32_t pid, to;
	const char *comm; /* the selection's */
};
struct store_selection {
	struct store_file *files;
	size_t n, allocated;
	/* Of a compaction: what the merged window will know, and whom it tells apart no longer. */
	struct window *merged, *unfolded;
	struct store_fold *folds; /* their names are unfolded's */
	size_t n_folds;
	uint64_t max_bytes; /* that the merged profile should take */
};
#define STORE_MAX_SELECTED 16384
void store_selection_done(struct store_selection *sel);
/* -E2BIG over STORE_MAX_SELECTED, -EMFILE. Files that are gone or damaged are left out. */
int store_select(struct store *s, const struct catalog_query *q, struct store_selection *ret);
/* The one window of this name; -ENOENT. */
int store_select_one(struct store *s, const char *name, struct store_selection *ret);
/* A reader found that a file is damaged. */
void store_damaged(struct store *s, const char *name);

/*
 * Compaction, a group at a time: the files of one aligned stretch (10 minutes, once they are an hour
 * old; an hour, once a day old) are handed out, and replaced by their merged profile. -ENOENT: nothing
 * to do. Whoever has merged them says what came out: store_replace() takes it only when samples and
 * CPU time are the sum of those that went in. A group that fails is set aside for an hour, two, four, up
 * to a day, and the others go on.
 *
 * Of processes that are alike in all but their pid (command, executable, unit, container, user) those with
 * less than a thousandth of the samples get the pid of one of them: thousands of compilers are
 * one row, and questions by anything but the pid have the same answers as before. Hours that would
 * be larger than their share fold from a twentieth on.
 *
 * So that MaxAge= fits into MaxBytes=, each level has a share of the bytes: a merged profile is to be no
 * larger than max_bytes (its detail is reduced, lib/profile/reduce.h), and where windows of a level
 * take more than their share, they are merged as soon as their stretch is over.
 */
int store_compaction(struct store *s, struct store_selection *ret);
int store_replace(struct store *s, const struct store_selection *sel, const void *payload,
		  size_t payload_bytes, uint64_t samples, uint64_t cpu_ns);
void store_compaction_failed(struct store *s, const struct store_selection *sel);
