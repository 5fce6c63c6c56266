/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the store share. */

#include "age.h"
#include "files.h"
#include "store.h"

#define COMPACTION_LEVELS 2
#define STORE_MAX_ASIDE   64

/* A group of windows that could not be merged, and is not tried before an age. */
struct store_aside {
	uint32_t level, failures;
	int64_t bucket;
	uint64_t retry_ns;
};

struct store {
	struct store_options options;
	char *dir, *index_path;
	char boot_id[WINDOW_BOOT_ID_BYTES + 1];
	struct files files;
	bool files_open;
	struct catalog *catalog; /* NULL: could not be opened; tried again */
	struct age_clock age;
	uint64_t next_seq;
	uint64_t files_bytes, n_files; /* of the windows, rounded */
	uint64_t oldest_age_ns;        /* UINT64_MAX: none */
	struct store_aside aside[STORE_MAX_ASIDE];
	size_t n_aside;
	unsigned removed_since_prune;
	struct store_stats stats;
};

void store_look_at_clocks(struct store *s);
/* A directory entry and a row, away. */
int store_remove(struct store *s, const struct catalog_row *row);
/* Room for bytes more, by deleting the oldest; -EFBIG, -ENOSPC (KeepFree). */
int store_make_room(struct store *s, uint64_t bytes);
/* Writes file and row; w->replaces is honoured. */
int store_write(struct store *s, const void *payload, size_t payload_bytes, struct window *w,
		char ret_name[WINDOW_MAX_NAME]);
void store_recount(struct store *s);
/* The index is damaged: away with it, and made anew. */
int store_rebuild(struct store *s);
/* recover.c: files and rows agree afterwards. */
int store_recover(struct store *s, bool rebuilt);
/* stats.c */
double store_days(struct store *s);
