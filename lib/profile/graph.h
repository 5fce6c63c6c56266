/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The call graph of a profile, one node a function name (pprof's granularity "functions"), for the
 * reports of lib/profile. flat is what a function used itself, cum with all it called; recursion
 * counts once a sample, in nodes and in edges.
 */

#include "model.h"

struct graph_node {
	const char *name;
	int64_t flat, cum;
	uint32_t stamp; /* the sample that counted it last, + 1 */
	bool kept;
};

struct graph_edge {
	uint32_t src, dst; /* nodes: caller, callee */
	int64_t weight;
	uint32_t stamp;
	bool inlined; /* in all its samples */
};

struct graph {
	const struct profile *p;
	size_t type;   /* the sample type's position */
	int64_t total; /* of all samples, of their absolute values */

	struct vec nodes, edges;
	struct vec frames;     /* node of each line, location by location, innermost first */
	uint32_t *first_frame; /* by location id - 1, one more at the end */
	struct index node_index, edge_index;
	struct arena_chunk *chunks; /* names that are not the profile's */
	uint64_t bytes;

	/* after graph_select: kept nodes with a value, in the order of the report */
	uint32_t *order;
	uint32_t n_order;
	uint32_t n_before;  /* nodes that passed the fraction, before the row limit */
	uint32_t n_dropped; /* nodes below the fraction */
	int64_t node_cutoff;
	uint32_t *in, *out;             /* edges by callee and by caller, heaviest first */
	uint32_t *first_in, *first_out; /* by node, one more at the end */
};

struct graph_limits {
	double node_fraction, edge_fraction; /* of the total; 0: everything */
	size_t rows;                         /* 0: all */
	bool by_cum;
};

int graph_new(struct graph **ret, const struct profile *p, size_t type);
struct graph *graph_free(struct graph *g);
/* Chooses and sorts nodes and edges; once for a graph. */
int graph_select(struct graph *g, const struct graph_limits *l);

static inline const struct graph_node *graph_node_at(const struct graph *g, uint32_t i)
{
	return &MODEL_AT(const struct graph_node, g->nodes, i);
}
static inline const struct graph_edge *graph_edge_at(const struct graph *g, uint32_t i)
{
	return &MODEL_AT(const struct graph_edge, g->edges, i);
}
