/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The side-band's perf events: software events that never count on every online CPU, whose rings carry
 * the records of all processes. A new executable mapping wakes the event loop at once, what follows
 * within half a millisecond is read together, and a flood of them (over 64 records in 10 ms on one CPU)
 * is read once a millisecond without waking anybody. Every other fork or exit wakes as well, since perf gives
 * them along. All other records are read with the mappings, by
 * sideband_drain(), or when a quarter of their ring is full. CPUs that come and go are followed once a
 * second.
 *
 * Records of one CPU come in order; between CPUs the caller merges by time.
 */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "sideband_record.h"

struct sideband;

/* Valid during the call. */
typedef void (*sideband_event_t)(void *arg, const struct sideband_event *event);

int sideband_new(struct sideband **ret, sd_event *event, sideband_event_t fn, void *arg);
struct sideband *sideband_free(struct sideband *s);

/* Hands over all that lies in the rings. */
void sideband_drain(struct sideband *s);

struct sideband_stats {
	uint64_t records;
	uint64_t lost;   /* as the kernel's LOST records count them */
	uint64_t bad;    /* records that could not be read */
	uint64_t floods; /* how often a CPU had one */
	uint64_t bytes;  /* of the rings */
	unsigned cpus;
};
void sideband_stats(const struct sideband *s, struct sideband_stats *ret);
