/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A profile in memory, the model of pprof's profile.proto
 * (github.com/google/pprof/blob/main/proto/profile.proto): strings, functions, mappings, locations
 * and samples in tables, ids are 1..N in table order. Equal strings, functions, locations and
 * samples (same stack and labels) are unified as they are added; sample values are summed.
 *
 * Every string that enters is made valid UTF-8. All adding functions return 0, or -ENOMEM, or -ENOSPC
 * beyond the limits below, or -EINVAL for an id or index that is not one of the profile's; a reader of
 * foreign bytes returns -EBADMSG.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define PROFILE_MAX_STRINGS  (1U << 24)
#define PROFILE_MAX_SAMPLES  (1U << 24)
#define PROFILE_MAX_DEPTH    4096
#define PROFILE_MAX_BYTES    (1ULL << 30) /* uncompressed */
#define PROFILE_MAX_TYPES    16
#define PROFILE_MAX_STRING   (1U << 20) /* bytes */
#define PROFILE_MAX_LABELS   64         /* of one sample */
#define PROFILE_MAX_LINES    1024       /* of one location */
#define PROFILE_MAX_MAPPINGS (1U << 20)
#define PROFILE_MAX_COMMENTS 8192
#define PROFILE_MAX_MEMORY   (2ULL << 30) /* all tables of one profile together */

struct profile;

struct profile_line {
	uint64_t function; /* id */
	int64_t line;
	int64_t column;
};

struct profile_label {
	uint64_t key; /* string index */
	uint64_t str; /* string index, 0 for a number */
	int64_t num;
	uint64_t num_unit; /* string index */
};

struct profile_value_type {
	const char *type, *unit;
};

int profile_new(struct profile **ret, const struct profile_value_type *types, size_t n_types);
struct profile *profile_free(struct profile *p);

int profile_string(struct profile *p, const char *s, uint64_t *ret_index);
int profile_string_n(struct profile *p, const char *s, size_t size, uint64_t *ret_index);
const char *profile_get_string(const struct profile *p, uint64_t index);

struct profile_mapping {
	uint64_t start, limit, offset;
	uint64_t filename, build_id; /* string indices */
	bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};
/* Always a new one; the caller unifies. */
int profile_add_mapping(struct profile *p, const struct profile_mapping *m, uint64_t *ret_id);
/* Holds until the next mapping is added. */
struct profile_mapping *profile_get_mapping(struct profile *p, uint64_t id);
int profile_add_function(struct profile *p, const char *name, const char *system_name,
			 const char *filename, int64_t start_line, uint64_t *ret_id);
/* lines: innermost first. mapping 0: none. */
int profile_add_location(struct profile *p, uint64_t mapping, uint64_t address,
			 const struct profile_line *lines, size_t n_lines, uint64_t *ret_id);
/* locations: leaf first. */
int profile_add_sample(struct profile *p, const uint64_t *locations, size_t n_locations,
		       const int64_t *values, const struct profile_label *labels, size_t n_labels);

int profile_set_period(struct profile *p, const char *type, const char *unit, int64_t period);
void profile_set_time(struct profile *p, int64_t time_ns, int64_t duration_ns);
int profile_set_default_type(struct profile *p, const char *type);
int profile_add_comment(struct profile *p, const char *comment);
/* Period, time, default type and comments of another profile. */
int profile_copy_header(struct profile *p, const struct profile *from);

/* Counts, for the walkers below and for tests. */
size_t profile_n_samples(const struct profile *p);
size_t profile_n_mappings(const struct profile *p);
size_t profile_n_locations(const struct profile *p);
size_t profile_n_functions(const struct profile *p);
size_t profile_n_types(const struct profile *p);
/* Memory held, at most PROFILE_MAX_MEMORY. */
size_t profile_bytes(const struct profile *p);

/*
 * gzip-compressed profile.proto appended to out; -ENOSPC when out is full. Labels of a sample are in
 * the order of their strings' indices. Equal profiles give equal bytes.
 */
int profile_write(const struct profile *p, struct buf *out);
/*
 * gzip-compressed or plain bytes of any origin: -EBADMSG when malformed (also: ids or string indices
 * that do not exist, samples whose values do not fit the types), -ENOSPC beyond the limits. Lines
 * without a function are left out; a location may have no lines at all.
 */
int profile_read(struct profile **ret, const void *data, size_t size);
/*
 * Adds all of src to dst, another profile: sample types and period type must agree (-EINVAL, dst is
 * as it was; after any other error dst holds a part of src and is good for nothing but profile_free).
 * Mappings are unified by file name, build-id, offset and size, and the addresses of their
 * locations moved along; one that would overlap another gets a free place. Comments are united,
 * durations summed, the time is the earlier one, the period the longer.
 */
int profile_merge(struct profile *dst, const struct profile *src);
/* The same with src's values negated; dst keeps its time and duration. */
int profile_subtract(struct profile *dst, const struct profile *src);

/*
 * Rows, for walkers. Pointers and strings hold until something is added to the profile; an id or
 * index that does not exist gives false.
 */
struct profile_function {
	const char *name, *system_name, *filename;
	int64_t start_line;
};
bool profile_get_function(const struct profile *p, uint64_t id, struct profile_function *ret);

struct profile_location {
	uint64_t mapping; /* id, 0 none */
	uint64_t address;
	size_t n_lines;
};
bool profile_get_location(const struct profile *p, uint64_t id, struct profile_location *ret);
/* Line i of a location, innermost first. */
bool profile_get_line(const struct profile *p, uint64_t location, size_t i,
		      struct profile_line *ret);

struct profile_sample {
	const uint32_t *locations; /* ids, leaf first */
	size_t n_locations;
	const int64_t *values; /* one a sample type */
	size_t n_labels;
};
/* index: 0 to profile_n_samples() - 1. */
bool profile_get_sample(const struct profile *p, size_t index, struct profile_sample *ret);
bool profile_get_label(const struct profile *p, size_t sample, size_t i, struct profile_label *ret);
struct profile_value_type profile_get_type(const struct profile *p, size_t i);
/* Position of a sample type by name, of the default type for NULL; -ENOENT. */
int profile_find_type(const struct profile *p, const char *type);
int64_t profile_time_ns(const struct profile *p);
int64_t profile_duration_ns(const struct profile *p);
size_t profile_n_comments(const struct profile *p);
const char *profile_get_comment(const struct profile *p, size_t i);
