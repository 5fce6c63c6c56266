/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Programs with a JIT compiler: one whose executable memory without a file has been sampled. Each
 * image of a process has an object of its own for that memory, and the files where its compiler
 * writes names are looked for while it lives: when it is first seen, once a second while its code is
 * sampled, and when it ends; of one that is gone by its first sample, beneath the root that was seen
 * when it mapped such memory (sightings.h). A forked child runs its parent's code, too: what its own files do not name
 * is named by its parent's, where the same user owns them.
 *
 * Code comes, goes, and another takes its place at the same address. A jitdump has times: while one
 * grows, a new object begins every JITS_EPOCH_NS, so that names can be those of the samples' time.
 */

#include "jit_files.h"
#include "mapset.h"

#define JITS_MAX      1024 /* images known at once; code of others reads [anon+0x...] */
#define JITS_CHECK_NS (1000 * 1000000ULL)
#define JITS_EPOCH_NS (250 * 1000000ULL)
/* How often a Java program is asked for a map: first after a second, as it begins with compiling, then after twice as
 * long, up to the last of these; and after it did not write one. */
#define JITS_ASK_FIRST_NS  (1 * 1000000000ULL)
#define JITS_ASK_NS        (32 * 1000000000ULL)
#define JITS_ASK_FAILED_NS (600 * 1000000000ULL)

struct attacher;
struct sightings;
struct jit;
struct jits;
struct process;

/* attacher: by which Java programs without a map are asked for one; NULL: they are not. */
int jits_new(struct jits **ret, struct object_table *objects, struct opener *opener,
	     struct attacher *attacher, struct sightings *sightings);
/* After the images, the opener and the attacher. */
struct jits *jits_free(struct jits *js);

struct jit *jit_ref(struct jit *j);
struct jit *jit_unref(struct jit *j);

/* What a sample says that hit such code. */
struct jits_sample {
	uint64_t time_ns, exec_id;
	uint32_t ns_pid;
	const struct mapset *maps; /* to find a jitdump in */
	bool alive;                /* the process, still */
	struct process
		*parent; /* whose memory it began with, and did not exec since; NULL: not known */
};
/* The object of the code that the process ran then; owned by p->jit. NULL where there is none to be
 * had: the common one serves. */
struct object *jits_object(struct jits *js, struct process *p, const struct jits_sample *s,
			   uint64_t now_ns);
/* The process ends or becomes another program: what it wrote is taken hold of. */
void jits_left(struct jit *j); /* may be NULL */

/* A reference on what names the code that a child of this process begins with; NULL none. */
struct jit *jits_inherited(const struct process *parent);

/* For a symbolizer: looks again for the map of a process that lives, waiting for a moment at most.
 * Descriptors stay the object's. */
void jits_open(struct jits *js, const struct object *object, struct jit_fds *ret);

struct jits_stats {
	uint64_t known;
	uint64_t maps, dumps; /* found so far */
	uint64_t refused;     /* files of somebody else, or with another name */
	uint64_t full;        /* images beyond JITS_MAX */
};
void jits_stats(const struct jits *js, struct jits_stats *ret);
