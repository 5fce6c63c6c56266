/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The inside of the tracker, shared by its files: tracker.c hands records through, world.c applies
 * side-band records and finds the process of a sample.
 */

#include "cgroups.h"
#include "normalize.h"
#include "opener.h"
#include "pendings.h"
#include "processes.h"
#include "sightings.h"
#include "sideband.h"
#include "source.h"
#include "spaces.h"
#include "timeline.h"
#include "tracker.h"

struct tracker {
	struct tracker_options o;
	struct opener *opener;
	struct sources *sources;
	struct cgroups *cgroups;
	struct processes *processes;
	struct spaces *spaces;
	struct timeline *timeline;
	struct sideband *sideband;
	struct normalizer *normalizer;
	struct pendings *pendings;
	struct sightings *sightings;
	struct jits *jits;
	struct attacher *attacher;  /* NULL: off */
	struct pending *delivering; /* while it is normalized */
	struct object *jit_object;  /* of its code, once asked for */

	struct pending **queue; /* samples whose time has not come */
	size_t n_queue, queue_allocated;
	uint64_t now_ns;       /* CLOCK_MONOTONIC, as of the last event that needed it */
	uint64_t horizon_ns;   /* records up to here are applied */
	uint64_t announced_ns; /* what was last said through `advanced` */
	uint64_t pruned_ns;
	uint64_t lost; /* LOST records seen; processes older than the last are suspect */
	struct tracker_stats stats;
	struct frame frames[NORMALIZE_MAX_FRAMES];
};

/* A side-band record was read just now: files are opened, what must not wait is done, the rest is
 * queued for its time. */
void world_receive(struct tracker *t, const struct sideband_event *e);
/* Applies what is queued up to a time. */
void world_apply(struct tracker *t, uint64_t until_ns);
/* False when the process is gone by now, or has become another program. */
bool world_alive(struct tracker *t, const struct process *p);

/* Sets p's process, image and maps as of its time, and binds the process to an address space where
 * it needs one. -ENOMEM: not even that. */
int world_attribute(struct tracker *t, struct pending *p);

/* What jits.h wants to know of a sample whose process is known. */
struct jits_sample world_jits_sample(struct tracker *t, const struct pending *p);

/* A process as /proc has it now, when it is not known yet; NULL. */
struct process *world_adopt(struct tracker *t, uint32_t pid);
/* Reads from /proc what a living process maps, where that is not known. */
void world_find_maps(struct tracker *t, struct process *p);
/* Reads from /proc which cgroup the process is in now. */
void world_find_cgroup(struct tracker *t, struct process *p);
