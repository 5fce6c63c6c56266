/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The tree of all stacks of a profile, root first, for flame graphs; for lib/profile only. Node 0 is
 * "all"; below it the processes where samples have a comm, then the frames, inlined ones too. Samples
 * whose value is not positive are left out.
 */

#include "graph.h"

enum flame_kind {
	FLAME_SYNTHETIC, /* "all", processes, and frames in brackets that no code belongs to */
	FLAME_PROGRAM,
	FLAME_LIBRARY,
	FLAME_KERNEL,
	FLAME_JIT, /* code without a file */
	FLAME_KIND_MAX
};

struct flame_node {
	const char *name;
	uint64_t key;     /* of the name, within the tree */
	uint64_t value;   /* of the wanted type, with all below */
	uint64_t samples; /* of the first type */
	uint32_t parent;
	uint32_t mapping;                 /* id of the frame's mapping, 0 none */
	uint32_t first_child, n_children; /* in `order`, by name */
	uint8_t kind;                     /* enum flame_kind */
};

struct flame {
	const struct profile *p;
	struct graph *g;
	struct vec nodes;
	struct index index;
	uint32_t *order;
	uint32_t depth; /* of the deepest node; 0: only the root */
	uint64_t bytes;
};

/* -ENOSPC beyond the limits of the model. */
int flame_new(struct flame **ret, const struct profile *p, size_t type);
struct flame *flame_free(struct flame *f);

static inline const struct flame_node *flame_at(const struct flame *f, uint32_t i)
{
	return &MODEL_AT(const struct flame_node, f->nodes, i);
}
