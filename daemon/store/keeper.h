/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The store in a thread of its own, so that neither a slow disk nor a large query keeps the event loop
 * from reading samples. Requests are done in the order in which they were made; their ends are told in
 * the event loop, in that order too. A store that could not be opened is tried again.
 */

#include <systemd/sd-event.h>

#include "store.h"

struct keeper;

struct keeper_options {
	const char *dir;
	struct store_limits limits;
	/* A line for the operator, in the event loop: the store could not be opened, or can again. */
	void (*trouble)(void *arg, int error, const char *what);
	void *arg;
};

int keeper_new(struct keeper **ret, sd_event *event, const struct keeper_options *options);
/* Does what was asked for and ends; ends that were not told yet are not told. */
struct keeper *keeper_free(struct keeper *k);
void keeper_set_limits(struct keeper *k, const struct store_limits *limits);
/* As of the last request that was done. */
void keeper_stats(struct keeper *k, struct store_stats *ret);

/*
 * One thing to do: `run` in the thread, with the store (NULL: there is none), then `done` in the event
 * loop, in which the request is the caller's again; it stays the caller's memory, and must stay until
 * then. `free` is called in place of `done` when the keeper ends first, or for a request that was
 * cancelled.
 */
struct keeper_request {
	struct keeper_request *next; /* the keeper's */
	bool cancelled;              /* the event loop's */
	void (*run)(struct keeper_request *r, struct store *s);
	void (*done)(struct keeper_request *r);
	void (*free)(struct keeper_request *r);
};
void keeper_submit(struct keeper *k, struct keeper_request *r);
/* Requests that are not done. */
unsigned keeper_waiting(struct keeper *k);
