/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The bad files: whose symbols could not be read, and how far they may be tried again. Keyed by the
 * identity of the file (docs/security.md 1), bounded (the oldest goes), and each expires.
 */

#include <stdint.h>

#include "object.h"

#define FAILURES_MAX       64
#define FAILURES_EXPIRE_NS (300ULL * 1000000000ULL)

enum failure_kind {
	FAILURE_NONE = 0,
	FAILURE_PART,  /* some of it: the rest may be tried again */
	FAILURE_DWARF, /* only with debug information: symbol tables can be read */
	FAILURE_FILE,  /* not at all */
};

struct failure {
	struct object_identity identity;
	enum failure_kind kind;
	uint64_t expires_ns; /* CLOCK_MONOTONIC */
	char path[256];
	char why[64];
};

struct failures {
	struct failure items[FAILURES_MAX];
	size_t n;
	uint64_t total;
};

void failures_add(struct failures *f, const struct object *object, enum failure_kind kind,
		  const char *why, uint64_t now_ns);
enum failure_kind failures_find(struct failures *f, const struct object *object, uint64_t now_ns);
