/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who the programs with executable memory of no file are, taken down when they map it: a program that
 * lives for a few milliseconds is gone when its first sample in such code is looked at, and the map that
 * it left in /tmp is found beneath its root, by its number, and counts by its user.
 *
 * One look at a program, however much it maps. The answers wake nobody: they are taken in with the next
 * samples (opener_reap()). The root directory of one that was sampled is its jit's from then on; of
 * the others, those whose last such mapping is the oldest make room, counted.
 */

#include <stdbool.h>
#include <stdint.h>

#include "opener.h"

#define SIGHTINGS_MAX 1024

struct sightings;

int sightings_new(struct sightings **ret, struct opener *opener);
/* After the opener. */
struct sightings *sightings_free(struct sightings *s);

/* Side-band records as they are read, which is not quite in the order of time: the program of pid maps
 * such memory; another program begins there, by fork or exec. Times are CLOCK_MONOTONIC. */
void sightings_mapped(struct sightings *s, uint32_t pid, uint64_t time_ns);
void sightings_begun(struct sightings *s, uint32_t pid, uint64_t time_ns);

struct sighting {
	int root_fd; /* O_PATH */
	uint32_t uid, ns_pid;
};
/* What was seen of the program that ran in pid at until_ns, in a life that began at begin_ns, if that was
 * the one: it had mapped such memory by then. Once; the descriptor is the caller's. */
bool sightings_take(struct sightings *s, uint32_t pid, uint64_t begin_ns, uint64_t until_ns,
		    struct sighting *ret);

/* Forgets those of before until_ns whose process is not known any more. */
void sightings_prune(struct sightings *s, bool (*known)(void *arg, uint32_t pid), void *arg,
		     uint64_t until_ns);

struct sightings_stats {
	uint64_t known;
	uint64_t forgotten; /* for lack of room: the oldest, or a new one */
};
void sightings_stats(const struct sightings *s, struct sightings_stats *ret);
