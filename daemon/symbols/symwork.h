/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Inside the symbolizer: requests are split into groups, one an object; groups of one object that
 * lack answers share one piece of work, which asks jobs until nothing is missing.
 */

#include "buf.h"
#include "debug_paths.h"
#include "failures.h"
#include "kernel_debug.h"
#include "kernel_names.h"
#include "pool.h"
#include "symanswer.h"
#include "symbolizer.h"
#include "symcache.h"
#include "symstore.h"

#define WORK_MAX_RUNNING      4
#define WORK_MAX_OFFSETS      65536U /* of one job */
#define WORK_MAX_ANSWER_BYTES (64U << 20)
#define WORK_MAX_RETRIES      2
#define WORK_CHANGING_NS      (1000 * NSEC_PER_MSEC) /* for names of a debug file that keeps changing */
#define WORK_RETRY_NS         (50 * NSEC_PER_MSEC)

struct symwork;

struct symbols_group {
	struct symbols_request *request;
	struct object *object;          /* a reference */
	struct symcache_object *cached; /* pinned */
	const uint64_t *addresses;      /* sorted, distinct; the request's */
	size_t n;
	struct symwork *work; /* NULL: all is there */
	struct symbols_group *next;
};

struct symbols_request {
	struct symbolizer *symbolizer;
	enum symbols_mode mode;
	bool short_names;
	uint64_t since_ns; /* CLOCK_MONOTONIC; older answers that have expired do not count */
	uint64_t *addresses;
	struct symbols_group *groups;
	size_t n_groups;
	size_t pending; /* groups that wait */
	sd_event_source *done_source;
	void (*done)(void *arg);
	void *arg;
	struct symbols_request *next;
};

struct symwork {
	struct symbolizer *symbolizer;
	struct object *object;
	struct object *file; /* that is read: the object, or a reference on one of the kernel's */
	/* symkernel.c: of the kernel, what is asked about */
	struct kernel_image *image;
	struct kallsyms_place place;
	struct symbolize_section *sections; /* of a module */
	size_t n_sections;
	size_t n_placed; /* addresses of the answer at hand that have a line */
	struct symcache_object *cached;
	struct symbols_group *groups;
	struct job *job;
	uint64_t *asked; /* of the job */
	size_t n_asked;
	uint64_t opened_ns; /* when the job was given its files */
	enum symbols_mode mode;
	bool short_names;
	unsigned retries;
	unsigned expiries; /* because of debug files that had changed */
	struct debug_paths paths;
	/* symfetch.c */
	unsigned
		fetch_offered; /* kinds of request that a fetched file was given for, in this job */
	bool fetching;         /* the job asked for a file that is being fetched */
	bool fetch_missed;     /* it asked for one that nobody has */
	bool gave_up;          /* it took too long: the names go without it */
	sd_event_source *wait; /* set: nothing is asked until it is there, or it fires */
	uint8_t fetch_id[64];
	size_t fetch_id_bytes;
	struct symwork *next;
};

struct symbolizer {
	sd_event *event;
	struct symbolizer_options options;
	struct symcache *cache;
	struct symstore *store; /* NULL: nothing is kept over a restart */
	struct kernel_names *kernel;
	struct kernel_debug *kernel_debug;
	struct failures failures;
	struct symbols_request *requests;
	struct symwork *works;
	unsigned running;
	sd_event_source *retry;
	struct location *fallback; /* where memory was short */
	bool in_done;
	struct symbolizer_stats stats;
};

uint64_t symbolizer_now_ns(const struct symbolizer *s);
/* What the answers for an object are cached under. Ids count from 1 and do not get that far. */
static inline uint32_t symbols_key(const struct object *object, bool short_names)
{
	return object->id | (short_names ? 1U << 31 : 0);
}
/* The group has all it needs. */
void symbols_group_ready(struct symbols_group *g);
/* "[libfoo.so+0x1230]" */
int symbolizer_put_synthetic(struct symbolizer *s, struct symcache_object *cached,
			     const struct object *object, uint64_t address, uint64_t shown,
			     enum symbols_mode mode, uint64_t expires_ns);
/* By kallsyms; place: the file and line, where they are known (expires_ns is for these), or NULL. */
int symbolizer_put_kernel(struct symbolizer *s, struct symcache_object *cached, uint64_t address,
			  enum symbols_mode mode, const struct symbol_line *place,
			  uint64_t expires_ns);
/* Whether there is a file with debug information for a kernel address. */
bool symbolizer_has_kernel(struct symbolizer *s, uint64_t address);
bool symbols_missing(const struct symbols_group *g, uint64_t address);

/* Gets what the group lacks. */
int symwork_add(struct symbolizer *s, struct symbols_group *g);
/* The group is not waited for any more. */
void symwork_remove(struct symbols_group *g);
void symwork_run(struct symbolizer *s);
/* symkernel.c: leaves of what is asked what lies in one file, and gets it. 1: there is none. */
int symkernel_ask(struct symwork *w);
/* An answer about a kernel address, if it is kallsyms' own name that counts. 1: DWARF's names do. */
int symkernel_put(struct symwork *w, const struct symanswer *a, const struct symbolize_location *l,
		  const char *lines, uint64_t address, uint64_t expires_ns);
/* "name [module]", in text's bytes. */
int symkernel_names(const struct symwork *w, struct symbol_line *lines, size_t n, struct buf *text);
/* All of an answer is kept. */
void symkernel_done(struct symwork *w);
/* symfetch.c: a fetched file for a request that nothing on this machine answers, or -ENOENT. */
int symfetch_open(struct symwork *w, const struct job_open *request);
/* The job has ended and its answers are kept: the work waits for the file that it lacked. */
void symfetch_wait(struct symwork *w);
/* When such answers expire. */
uint64_t symfetch_expires_ns(const struct symwork *w);
void symwork_free_all(struct symbolizer *s);
