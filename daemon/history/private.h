/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of this room share. */

#include "cleanup.h"
#include "history.h"
#include "keeper.h"
#include "merge.h"
#include "pool.h"

/* A merge: files in, a profile out. One at a time; those that somebody waits for go first. */
struct merge_file_in {
	int fd; /* the merge's */
	uint64_t payload_bytes;
	uint32_t *pids; /* the merge's; NULL: of any */
	size_t n_pids;
	bool only_pids;
	char name[WINDOW_MAX_NAME]; /* "": of no file of the store */
	uint64_t serial;            /* of a window that is not stored yet; else 0 */
};

struct merge_result {
	int error;
	struct merge_answer answer;
	const void *profile; /* until the callback returns */
	size_t profile_bytes;
};

struct merge_task {
	struct history *history;
	struct merge_task *next;
	struct merge_file_in *files;
	size_t n, allocated, n_base;
	const struct catalog_query *terms; /* that samples must meet; NULL none */
	const struct store_fold *folds;    /* of the result; NULL none */
	size_t n_folds;
	uint64_t max_bytes; /* of the result, whose detail is reduced to it; 0: any */
	struct job *job;
	bool queued, background;
	void (*done)(void *arg, const struct merge_result *result);
	void *arg;
};

struct history {
	struct history_options options;
	struct keeper *keeper;
	struct merge_task *lane; /* the first one runs */
	struct history_request *requests;
	unsigned n_requests;
	uint64_t handed_serial; /* windows up to here are the store's: they come in their order */
	struct compaction *compaction;
	sd_event_source *leisure;
	bool ending;
	int told_error;
	struct history_stats stats;
};

/* lane.c */
int merge_add(struct merge_task *t, int fd, uint64_t payload_bytes, uint32_t *pids, size_t n_pids,
	      bool only_pids, const char *name); /* takes fd and pids, also on failure */
/* Away with the files of windows up to this serial. */
void merge_drop(struct merge_task *t, uint64_t serial);
int merge_submit(struct merge_task *t);
/* Frees what it holds; not itself. */
void merge_done(struct merge_task *t);
/* Tells the store of the files that were no profiles. */
void merge_report_bad(struct history *h, const struct merge_task *t, const void *answer,
		      size_t answer_bytes);

/* compact.c */
int compaction_new(struct history *h);
void compaction_free(struct history *h);

/* match.c */
bool query_overlaps(const struct catalog_query *q, const struct continuous_report *report);
bool query_matches(const struct catalog_query *q, const struct continuous_usage *u);
/* Adds the report to a list. */
int list_add_report(struct catalog_list *l, const struct catalog_query *q,
		    const struct continuous_report *report);

/* Lines of one step; the names of src go over. */
void line_merge(struct catalog_line *dst, struct catalog_line *src);

/* request.c */
void requests_stored(struct history *h, uint64_t serial, const char *name, const struct window *w,
		     int error);
void requests_free(struct history *h);
