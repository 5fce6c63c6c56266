/* SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"

#include <math.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define GRAPH_MAX_NODES PROFILE_MAX_STRINGS
#define GRAPH_MAX_EDGES PROFILE_MAX_POOL

DEFINE_CLEANUP(struct graph *, graph_free);

static int64_t graph_abs(int64_t v)
{
	return v == INT64_MIN ? INT64_MAX : v < 0 ? -v : v;
}

static int64_t graph_add(int64_t a, int64_t b)
{
	int64_t sum;

	if (!__builtin_add_overflow(a, b, &sum))
		return sum;
	return a > 0 ? INT64_MAX : INT64_MIN;
}

struct graph *graph_free(struct graph *g)
{
	if (!g)
		return NULL;

	vec_done(&g->nodes);
	vec_done(&g->edges);
	vec_done(&g->frames);
	index_done(&g->node_index);
	index_done(&g->edge_index);
	arena_done(&g->chunks);
	free(g->first_frame);
	free(g->order);
	free(g->in);
	free(g->out);
	free(g->first_in);
	free(g->first_out);
	free(g);
	return NULL;
}

/* Where there is no function: the file's name in brackets, as pprof has it. */
static const char *graph_object_name(struct graph *g, uint32_t mapping)
{
	const char *file = "", *base;
	size_t size;
	char *s;

	if (mapping)
		file = model_string_at(g->p, (uint32_t)model_mapping_at(g->p, mapping)->filename)
			       ->s;
	if (!*file)
		return "<unknown>";

	base = strrchr(file, '/');
	base = base && base[1] ? base + 1 : file;
	size = strlen(base) + 3;
	s = arena_alloc(&g->chunks, size, &g->bytes);
	if (s)
		snprintf(s, size, "[%s]", base);
	return s;
}

/* The node of a name (a string index), or for name 0 that of the mapping. */
static int graph_find_node(struct graph *g, uint32_t name, uint32_t mapping, uint32_t *ret)
{
	struct graph_node n = { .kept = true };
	struct index_walk w;
	uint64_t hash;
	int r;

	n.name = name ? model_string_at(g->p, name)->s : graph_object_name(g, mapping);
	if (!n.name)
		return -ENOMEM;

	hash = XXH3_64bits_withSeed(n.name, strlen(n.name), g->p->seed);
	for (int64_t i = index_first(&g->node_index, hash, &w); i >= 0;
	     i = index_next(&g->node_index, &w))
		if (strcmp(graph_node_at(g, (uint32_t)i)->name, n.name) == 0) {
			*ret = (uint32_t)i;
			return 0;
		}

	r = index_reserve(&g->node_index, &g->bytes);
	if (r == 0)
		r = vec_append(&g->nodes, &n, 1, &g->bytes);
	if (r < 0)
		return r;
	*ret = g->nodes.n - 1;
	index_insert(&g->node_index, hash, *ret);
	return 0;
}

static int graph_add_frames(struct graph *g, uint32_t location)
{
	const struct model_location *l = model_location_at(g->p, location);
	uint32_t node;
	int r;

	g->first_frame[location - 1] = g->frames.n;
	if (l->n == 0) {
		r = graph_find_node(g, 0, l->mapping, &node);
		return r < 0 ? r : vec_append(&g->frames, &node, 1, &g->bytes);
	}
	for (uint32_t i = 0; i < l->n; i++) {
		uint32_t function = model_lines_of(g->p, l)[i].function;

		r = graph_find_node(g, model_function_at(g->p, function)->name, l->mapping, &node);
		if (r == 0)
			r = vec_append(&g->frames, &node, 1, &g->bytes);
		if (r < 0)
			return r;
	}
	return 0;
}

int graph_new(struct graph **ret, const struct profile *p, size_t type)
{
	_cleanup_(graph_freep) struct graph *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	g->p = p;
	g->type = type;
	vec_init(&g->nodes, sizeof(struct graph_node), GRAPH_MAX_NODES);
	vec_init(&g->edges, sizeof(struct graph_edge), GRAPH_MAX_EDGES);
	vec_init(&g->frames, sizeof(uint32_t), PROFILE_MAX_POOL);

	g->first_frame = calloc((size_t)p->locations.n + 1, sizeof(*g->first_frame));
	if (!g->first_frame)
		return -ENOMEM;
	for (uint32_t id = 1; id <= p->locations.n; id++) {
		r = graph_add_frames(g, id);
		if (r < 0)
			return r;
	}
	g->first_frame[p->locations.n] = g->frames.n;

	for (uint32_t i = 0; i < p->samples.n; i++)
		g->total = graph_add(g->total, graph_abs(model_values_of(p, i)[type]));

	*ret = TAKE_PTR(g);
	return 0;
}

static int graph_add_edge(struct graph *g, uint32_t src, uint32_t dst, int64_t v, bool inlined,
			  uint32_t stamp)
{
	struct graph_edge e = {
		.src = src, .dst = dst, .weight = v, .inlined = inlined, .stamp = stamp
	};
	uint32_t key[] = { src, dst };
	uint64_t hash = XXH3_64bits_withSeed(key, sizeof(key), g->p->seed);
	struct index_walk w;
	int r;

	for (int64_t i = index_first(&g->edge_index, hash, &w); i >= 0;
	     i = index_next(&g->edge_index, &w)) {
		struct graph_edge *have = &MODEL_AT(struct graph_edge, g->edges, i);

		if (have->src != src || have->dst != dst)
			continue;
		if (have->stamp != stamp) {
			have->stamp = stamp;
			have->weight = graph_add(have->weight, v);
			have->inlined &= inlined;
		}
		return 0;
	}

	r = index_reserve(&g->edge_index, &g->bytes);
	if (r == 0)
		r = vec_append(&g->edges, &e, 1, &g->bytes);
	if (r == 0)
		index_insert(&g->edge_index, hash, g->edges.n - 1);
	return r;
}

/* From the root to the leaf. What a node that is not kept used itself belongs to nobody. */
static int graph_add_sample(struct graph *g, uint32_t sample)
{
	const struct model_run *stack = model_stack_at(g->p, model_sample_at(g->p, sample)->stack);
	int64_t v = model_values_of(g->p, sample)[g->type];
	struct graph_node *nodes = g->nodes.items;
	int64_t parent = -1;
	bool skipped = false;
	int r;

	for (uint32_t i = stack->n; i-- > 0 && v != 0;) {
		uint32_t location = model_stack_entries(g->p, stack)[i];
		uint32_t first = g->first_frame[location - 1], last = g->first_frame[location] - 1;

		for (uint32_t f = last + 1; f-- > first;) {
			uint32_t n = MODEL_AT(uint32_t, g->frames, f);

			skipped = !nodes[n].kept;
			if (skipped)
				continue;
			if (nodes[n].stamp != sample + 1) {
				nodes[n].stamp = sample + 1;
				nodes[n].cum = graph_add(nodes[n].cum, v);
			}
			if (parent >= 0 && parent != n) {
				r = graph_add_edge(g, (uint32_t)parent, n, v, f != last,
						   sample + 1);
				if (r < 0)
					return r;
			}
			parent = n;
		}
	}
	if (parent >= 0 && !skipped)
		nodes[parent].flat = graph_add(nodes[parent].flat, v);
	return 0;
}

/* Counts anew, with the nodes that are kept. */
static int graph_build(struct graph *g)
{
	struct graph_node *nodes = g->nodes.items;

	for (uint32_t i = 0; i < g->nodes.n; i++) {
		nodes[i].flat = nodes[i].cum = 0;
		nodes[i].stamp = 0;
	}
	g->edges.n = 0;
	if (g->edge_index.slots)
		memset(g->edge_index.slots, 0,
		       ((size_t)g->edge_index.mask + 1) * sizeof(*g->edge_index.slots));
	g->edge_index.used = 0;

	for (uint32_t i = 0; i < g->p->samples.n; i++) {
		int r = graph_add_sample(g, i);

		if (r < 0)
			return r;
	}

	g->n_order = 0;
	for (uint32_t i = 0; i < g->nodes.n; i++)
		if (nodes[i].kept && (nodes[i].cum || nodes[i].flat))
			g->order[g->n_order++] = i;
	return 0;
}

static int graph_compare(int64_t a, int64_t b)
{
	a = graph_abs(a);
	b = graph_abs(b);
	return a > b ? -1 : a < b;
}

static int graph_compare_flat(const void *a, const void *b, void *arg)
{
	const struct graph_node *x = graph_node_at(arg, *(const uint32_t *)a);
	const struct graph_node *y = graph_node_at(arg, *(const uint32_t *)b);
	int c = graph_compare(x->flat, y->flat);

	return c ? c : strcmp(x->name, y->name);
}

static int graph_compare_cum(const void *a, const void *b, void *arg)
{
	const struct graph_node *x = graph_node_at(arg, *(const uint32_t *)a);
	const struct graph_node *y = graph_node_at(arg, *(const uint32_t *)b);
	int c = graph_compare(x->cum, y->cum);

	return c ? c : strcmp(x->name, y->name);
}

static int graph_compare_edges(const struct graph *g, uint32_t a, uint32_t b)
{
	const struct graph_edge *x = graph_edge_at(g, a), *y = graph_edge_at(g, b);
	int c = graph_compare(x->weight, y->weight);

	if (c == 0)
		c = strcmp(graph_node_at(g, x->src)->name, graph_node_at(g, y->src)->name);
	return c ? c : strcmp(graph_node_at(g, x->dst)->name, graph_node_at(g, y->dst)->name);
}

static int graph_compare_in(const void *a, const void *b, void *arg)
{
	uint32_t x = graph_edge_at(arg, *(const uint32_t *)a)->dst,
		 y = graph_edge_at(arg, *(const uint32_t *)b)->dst;

	return x != y ? (x < y ? -1 : 1)
		      : graph_compare_edges(arg, *(const uint32_t *)a, *(const uint32_t *)b);
}

static int graph_compare_out(const void *a, const void *b, void *arg)
{
	uint32_t x = graph_edge_at(arg, *(const uint32_t *)a)->src,
		 y = graph_edge_at(arg, *(const uint32_t *)b)->src;

	return x != y ? (x < y ? -1 : 1)
		      : graph_compare_edges(arg, *(const uint32_t *)a, *(const uint32_t *)b);
}

static void graph_sort(struct graph *g, bool by_cum)
{
	if (g->n_order > 1)
		qsort_r(g->order, g->n_order, sizeof(*g->order),
			by_cum ? graph_compare_cum : graph_compare_flat, g);
}

static int graph_sort_edges(struct graph *g, int64_t cutoff)
{
	uint32_t n = 0, i = 0, o = 0;

	g->in = calloc((size_t)g->edges.n + 1, sizeof(uint32_t));
	g->out = calloc((size_t)g->edges.n + 1, sizeof(uint32_t));
	g->first_in = calloc((size_t)g->nodes.n + 1, sizeof(uint32_t));
	g->first_out = calloc((size_t)g->nodes.n + 1, sizeof(uint32_t));
	if (!g->in || !g->out || !g->first_in || !g->first_out)
		return -ENOMEM;

	for (uint32_t e = 0; e < g->edges.n; e++)
		if (graph_abs(graph_edge_at(g, e)->weight) >= cutoff)
			g->in[n] = g->out[n] = e, n++;
	if (n > 1) {
		qsort_r(g->in, n, sizeof(*g->in), graph_compare_in, g);
		qsort_r(g->out, n, sizeof(*g->out), graph_compare_out, g);
	}
	for (uint32_t node = 0; node <= g->nodes.n; node++) {
		while (i < n && graph_edge_at(g, g->in[i])->dst < node)
			i++;
		while (o < n && graph_edge_at(g, g->out[o])->src < node)
			o++;
		g->first_in[node] = i;
		g->first_out[node] = o;
	}
	return 0;
}

/* Only the nodes of order[0..n) stay. */
static int graph_keep(struct graph *g, uint32_t n)
{
	struct graph_node *nodes = g->nodes.items;

	for (uint32_t i = 0; i < g->nodes.n; i++)
		nodes[i].kept = false;
	for (uint32_t i = 0; i < n; i++)
		nodes[g->order[i]].kept = true;
	return graph_build(g);
}

int graph_select(struct graph *g, const struct graph_limits *l)
{
	int64_t flat = 0, edge_cutoff;
	uint32_t n = 0;
	int r;

	g->order = calloc((size_t)g->nodes.n + 1, sizeof(*g->order));
	if (!g->order)
		return -ENOMEM;
	r = graph_build(g);
	if (r < 0)
		return r;

	for (uint32_t i = 0; i < g->n_order; i++)
		flat = graph_add(flat, graph_node_at(g, g->order[i])->flat);
	g->node_cutoff = (int64_t)fabs((double)flat * l->node_fraction);
	edge_cutoff = (int64_t)fabs((double)flat * l->edge_fraction);

	for (uint32_t i = 0; i < g->n_order; i++)
		if (graph_abs(graph_node_at(g, g->order[i])->cum) >= g->node_cutoff)
			g->order[n++] = g->order[i];
	g->n_dropped = g->n_order - n;
	if (g->n_dropped > 0) {
		r = graph_keep(g, n);
		if (r < 0)
			return r;
	}

	g->n_before = g->n_order;
	graph_sort(g, l->by_cum);
	if (l->rows > 0 && g->n_order > l->rows) {
		r = graph_keep(g, (uint32_t)l->rows);
		if (r < 0)
			return r;
		graph_sort(g, l->by_cum);
	}
	return graph_sort_edges(g, edge_cutoff);
}
