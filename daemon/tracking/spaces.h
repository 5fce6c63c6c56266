/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Address spaces in the kernel: which unwind table holds where in a process. A space belongs to a
 * program image and is shared by the children that it forks, which BPF binds to it by itself, until
 * one of them execs or maps something new: that one leaves, and gets a space of its own with its
 * next sample.
 *
 * Entries are put in lazily, mapping by mapping as samples need them. A space has at most
 * SPACE_MAX_ENTRIES; when the kernel's map is full, the largest space of the uid that holds most
 * goes. What has no entry is walked in user space.
 */

#include <stdint.h>

#include "processes.h"

#define SPACE_MAX_ENTRIES 16384
#define SPACE_MAX_RANGES  2048

struct sampler;
struct tables;
struct spaces;

int spaces_new(struct spaces **ret, struct sampler *sampler, struct tables *tables);
struct spaces *spaces_free(struct spaces *s); /* the processes must have left */

/* A sample of a live process came without a space: binds the process to its own, new where there
 * is none. */
void spaces_bind(struct spaces *s, struct process *p, uint64_t now_ns);
/* The space that a process is bound to, as records name it; 0 none. */
uint32_t spaces_id(const struct process *p);
/* A sample needs this mapping of a process that has a space: its entries are put in, now or when
 * the table is there. */
void spaces_load(struct spaces *s, struct process *p, const struct mapping *m, uint64_t now_ns);
/* A table was built. */
void spaces_ready(struct spaces *s, struct object *object, uint64_t now_ns);

/* The child of a process that was bound by then shares its space. */
void spaces_forked(struct spaces *s, struct process *parent, struct process *child,
		   uint64_t time_ns);
/* exec, exit; forgotten: the process lives on but is not known any more. */
void spaces_left(struct spaces *s, struct process *p);
/* The process has mapped something that was not there before. */
void spaces_mapped(struct spaces *s, struct process *p, const struct mapping *m);
/* The same, as soon as the record was read and before it is applied: entries that would now be wrong
 * must not be used. */
void spaces_mapped_early(struct spaces *s, struct process *p, const struct mapping *m);

/* bias of a mapping: link-time address = ip - bias; -ENOENT when the file has nothing executable
 * there. Only for a table that is READY. */
int spaces_bias(struct tables *tables, const struct mapping *m, uint64_t *ret);

struct spaces_stats {
	uint64_t spaces, entries;
	uint64_t refused; /* mappings beyond SPACE_MAX_ENTRIES or the kernel's map */
	uint64_t evicted; /* spaces */
	uint64_t bytes;
};
void spaces_stats(const struct spaces *s, struct spaces_stats *ret);
