/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Small profiles that the tests of lib/profile share. */

#include <assert.h>
#include <string.h>

#include "profile.h"

#define SAMPLE_PERIOD_NS 10000000

DEFINE_CLEANUP(struct profile *, profile_free);

static inline struct profile *sample_empty(void)
{
	static const struct profile_value_type types[] = { { "samples", "count" },
							   { "cpu", "nanoseconds" } };
	struct profile *p = NULL;

	assert(profile_new(&p, types, 2) == 0);
	assert(profile_set_period(p, "cpu", "nanoseconds", SAMPLE_PERIOD_NS) == 0);
	assert(profile_set_default_type(p, "cpu") == 0);
	profile_set_time(p, 1700000000000000000, 1000000000);
	return p;
}

static inline uint64_t sample_mapping(struct profile *p, const char *file, uint64_t start,
				      uint64_t size)
{
	struct profile_mapping m = { .start = start,
				     .limit = start + size,
				     .has_functions = true,
				     .has_filenames = true,
				     .has_line_numbers = true,
				     .has_inline_frames = true };
	uint64_t id;

	assert(profile_string(p, file, &m.filename) == 0);
	assert(profile_string(p, "0123456789abcdef", &m.build_id) == 0);
	assert(profile_add_mapping(p, &m, &id) == 0);
	return id;
}

/* A location of one line per name, innermost first, up to a NULL. */
static inline uint64_t sample_location(struct profile *p, uint64_t mapping, uint64_t address,
				       const char *const *names)
{
	struct profile_line lines[16] = {};
	uint64_t id;
	size_t n = 0;

	for (; names[n]; n++) {
		assert(profile_add_function(p, names[n], names[n], "/src/a.c", 1,
					    &lines[n].function) == 0);
		lines[n].line = (int64_t)n + 10;
	}
	assert(profile_add_location(p, mapping, address, lines, n, &id) == 0);
	return id;
}

static inline uint64_t sample_frame(struct profile *p, uint64_t mapping, uint64_t address,
				    const char *name)
{
	return sample_location(p, mapping, address, (const char *const[]){ name, NULL });
}

/* count samples of one stack, leaf first, with the labels pid and comm. */
static inline int sample_add(struct profile *p, const uint64_t *locations, size_t n, int64_t count,
			     int64_t pid, const char *comm)
{
	struct profile_label labels[2] = { { .num = pid } };

	assert(profile_string(p, "pid", &labels[0].key) == 0);
	assert(profile_string(p, "id", &labels[0].num_unit) == 0);
	assert(profile_string(p, "comm", &labels[1].key) == 0);
	assert(profile_string(p, comm, &labels[1].str) == 0);
	return profile_add_sample(p, locations, n,
				  (const int64_t[]){ count, count * SAMPLE_PERIOD_NS }, labels, 2);
}

/* main → parse (with tokenize inlined) → memcpy, and main → work; two processes, 100 samples. */
static inline struct profile *sample_profile(void)
{
	struct profile *p = sample_empty();
	uint64_t prog = sample_mapping(p, "/usr/bin/prog", 0x400000, 0x10000);
	uint64_t libc = sample_mapping(p, "/usr/lib/libc.so.6", 0x7f0000000000, 0x200000);
	uint64_t kernel = sample_mapping(p, "[kernel.kallsyms]", 0xffffffff81000000, 0x1000000);
	uint64_t main_ = sample_frame(p, prog, 0x401000, "main");
	uint64_t work = sample_frame(p, prog, 0x401100, "work");
	uint64_t copy = sample_frame(p, libc, 0x7f0000001000, "memcpy");
	uint64_t fault = sample_frame(p, kernel, 0xffffffff81000010, "asm_exc_page_fault");
	uint64_t parse = sample_location(p, prog, 0x401200,
					 (const char *const[]){ "tokenize", "parse", NULL });

	assert(sample_add(p, (uint64_t[]){ work, main_ }, 2, 50, 100, "prog") == 0);
	assert(sample_add(p, (uint64_t[]){ copy, parse, main_ }, 3, 20, 100, "prog") == 0);
	assert(sample_add(p, (uint64_t[]){ copy, parse, main_ }, 3, 10, 101, "prog") == 0);
	assert(sample_add(p, (uint64_t[]){ fault, copy, parse, main_ }, 4, 5, 101, "prog") == 0);
	assert(sample_add(p, (uint64_t[]){ main_ }, 1, 15, 101, "prog") == 0);
	assert(profile_add_comment(p, "cprofd on host") == 0);
	return p;
}
