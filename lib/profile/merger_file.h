/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The file that a merger is at, for lib/profile only: its rows as they lie in its bytes, each with its
 * place in the sum once a sample has needed it.
 */

#include "filter_labels.h"
#include "idmap.h"
#include "places.h"
#include "wire.h"

struct file_string {
	const char *s;
	uint32_t size, own; /* own: index in the sum + 1; 0: not yet */
};

struct file_row {
	struct wire message;
	uint64_t moved; /* of a mapping that is in the sum: its start there - its start here */
	uint32_t own;   /* id in the sum; 0: not yet */
};

struct file_table {
	struct idmap ids;
	struct vec rows; /* struct file_row */
};

/* One run of label messages as the file has it; equal bytes are the same labels. */
struct file_labels {
	struct wire bytes;
	uint32_t own; /* label set in the sum + 1, or FILE_UNWANTED */
};
#define FILE_UNWANTED UINT32_MAX

/*
 * What follows is done for some rows at a time, stage by stage, each of which asks for the memory that the next
 * one reads: the tables of a large sum are in no cache, and one miss after the other is what merging costs.
 */
#define FILE_BATCH 32

struct file_location {
	struct file_row *row;
	struct model_location l; /* with the sum's mapping; first: in the file's `lines` */
	uint32_t guess;          /* id in the sum, 0: none */
};

struct file_stack {
	uint64_t hash;
	uint32_t first, n; /* in stack_ids */
	uint32_t labels;
};

struct file_sample {
	uint32_t stack, labels; /* of the sum */
};

struct file_header {
	struct wire types[PROFILE_MAX_TYPES], period_type;
	size_t n_types;
	bool has_period_type;
	int64_t time_ns, duration_ns, period;
	uint64_t default_type; /* the file's string index */
};

/*
 * Where in the sum a location of some mapping and address is likely to be, one guess a slot: most rows of a
 * file are those of the file before. A guess that holds spares the names of the row their look-up: they are
 * compared with those of the guess.
 */
struct file_guesses {
	uint32_t *slots; /* location ids of the sum, 0: none */
	uint32_t mask;
};

struct merger_file {
	struct profile *sum; /* its sample types are known when the samples are read */
	struct places *places;
	const struct profile_filter *filter; /* NULL: everything */
	uint64_t bytes;                      /* that the tables below hold */
	struct file_guesses guesses;

	struct file_header header;
	struct vec strings, comments; /* struct file_string; string indices of the file */
	struct file_table mappings, functions, locations;
	struct vec labels; /* struct file_labels */
	struct index label_index;

	/* what the samples come to, until all of them have been read */
	struct vec samples, values;

	/* locations being read: their lines, and for each line the position of its function's row */
	struct file_location batch[FILE_BATCH];
	uint32_t n_batch, n_lines;
	struct model_line lines[2 * PROFILE_MAX_LINES];
	uint32_t line_rows[2 * PROFILE_MAX_LINES];
	/* samples being read: their stacks in ids of the sum */
	struct file_stack stacks[FILE_BATCH];
	uint32_t n_stacks, n_stack_ids;
	uint32_t stack_ids[2 * PROFILE_MAX_DEPTH];
	struct model_label label_set[PROFILE_MAX_LABELS];
};

void file_init(struct merger_file *f);
void file_done(struct merger_file *f);
/* Forgets what it knows about a sum that is no more. */
void file_forget(struct merger_file *f);

/* Takes in the rows of the file and its header; nothing of the sum is touched. -EBADMSG, -ENOSPC, -ENOMEM. */
int file_scan(struct merger_file *f, struct wire whole);
/* The string of the file with that index; false: there is none. */
bool file_string(const struct merger_file *f, uint64_t index, const char **ret_s, size_t *ret_size);
/* Reads the samples into `samples` and `values`; the sum gets the rows that they need. */
int file_samples(struct merger_file *f, struct wire whole);

/* Translation, each row once: what the file's id is in the sum. */
int file_own_string(struct merger_file *f, uint64_t index, uint32_t *ret);
int file_own_mapping(struct merger_file *f, struct file_row *row, uint32_t *ret);
int file_own_location(struct merger_file *f, struct file_row *row);
/* All locations of the file, which is faster than one by one. */
int file_own_locations(struct merger_file *f);
