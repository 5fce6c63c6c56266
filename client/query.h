/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What list, get and diff ask of the store: a range of time and filters. The options are shared; a verb
 * puts QUERY_OPTIONS into its getopt_long table and hands what it does not know itself to query_option().
 * Strings point into argv.
 */

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "client.h"
#include "cprof/api.h"

enum {
	QUERY_OPT_SINCE = 512,
	QUERY_OPT_UNTIL,
	QUERY_OPT_BASELINE,
	QUERY_OPT_COMM,
	QUERY_OPT_UNIT,
	QUERY_OPT_CGROUP,
	QUERY_OPT_CONTAINER,
	QUERY_OPT_EXE,
	QUERY_OPT_BUILD_ID,
	QUERY_OPT_USER,
};

#define QUERY_FILTER_OPTIONS                                                        \
	{ "pid", required_argument, NULL, 'p' }, { "all", no_argument, NULL, 'a' }, \
		{ "comm", required_argument, NULL, QUERY_OPT_COMM },                \
		{ "unit", required_argument, NULL, QUERY_OPT_UNIT },                \
		{ "cgroup", required_argument, NULL, QUERY_OPT_CGROUP },            \
	{                                                                           \
		"container", required_argument, NULL, QUERY_OPT_CONTAINER           \
	}
#define QUERY_OPTIONS                                                                \
	QUERY_FILTER_OPTIONS, { "since", required_argument, NULL, QUERY_OPT_SINCE }, \
		{ "until", required_argument, NULL, QUERY_OPT_UNTIL },               \
		{ "exe", required_argument, NULL, QUERY_OPT_EXE },                   \
		{ "build-id", required_argument, NULL, QUERY_OPT_BUILD_ID },         \
	{                                                                            \
		"user", required_argument, NULL, QUERY_OPT_USER                      \
	}

struct query_filter {
	const char *key; /* of the query string, and the kind of a target */
	const char *value;
};

struct query {
	struct query_filter filters[CPROF_MAX_TARGETS];
	size_t n_filters;
	bool all;
	const char *since, *until, *baseline; /* as they were given */
	/* after query_finish(): since 1970, 0 where not given */
	int64_t since_ns, until_ns, baseline_since_ns, baseline_until_ns;
};

/* 0; EXIT_USAGE, said; -1 where opt is none of these. */
int query_option(struct query *q, const struct verb *v, int opt, const char *arg);
/* A pid without an option in front. 0, EXIT_USAGE. */
int query_pid(struct query *q, const struct verb *v, const char *arg);
/* Resolves the times against now. 0, EXIT_USAGE. */
int query_finish(struct query *q, const struct verb *v, int64_t now_ns);
/* Appends "?since=...&unit=..." to a path that has no '?'; buf's error is to be looked at. */
void query_append(const struct query *q, struct buf *path);
/* "&key=value", encoded; '?' where it is the first. */
void query_append_pair(struct buf *path, const char *key, const char *value);
/* Appends s as part of a URL. */
void query_encode(struct buf *b, const char *s);
