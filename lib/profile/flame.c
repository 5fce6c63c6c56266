/* SPDX-License-Identifier: Apache-2.0 */
#include "flame.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define FLAME_MAX_NODES   (1U << 24)
#define FLAME_KERNEL_BASE 0xffff000000000000ULL
#define FLAME_PROCESS     (1ULL << 32) /* keys of processes: string indices from here */

DEFINE_CLEANUP(struct flame *, flame_free);

struct flame *flame_free(struct flame *f)
{
	if (!f)
		return NULL;

	graph_free(f->g);
	vec_done(&f->nodes);
	index_done(&f->index);
	free(f->order);
	free(f);
	return NULL;
}

static bool flame_has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool flame_is_library(const char *file)
{
	const char *so = strstr(file, ".so");

	for (; so; so = strstr(so + 1, ".so"))
		if (so[3] == '\0' || so[3] == '.' || so[3] == ' ')
			return true;
	return flame_has_prefix(file, "[vdso") || flame_has_prefix(file, "linux-vdso");
}

/* Where the code of a location comes from, as far as its mapping tells. */
static enum flame_kind flame_kind_of(const struct profile *p, const struct model_location *l,
				     const char *name)
{
	const char *file, *base;

	if (l->address >= FLAME_KERNEL_BASE)
		return FLAME_KERNEL;
	if (l->mapping == 0)
		return name[0] == '[' ? FLAME_SYNTHETIC : FLAME_JIT;

	file = profile_get_string(p, model_mapping_at(p, l->mapping)->filename);
	base = strrchr(file, '/');
	base = base ? base + 1 : file;
	if (flame_has_prefix(file, "[kernel") || flame_has_prefix(file, "[guest.kernel") ||
	    flame_has_prefix(file, "[bpf") || strstr(base, ".ko"))
		return FLAME_KERNEL;
	if (!*file || flame_has_prefix(file, "[anon") || flame_has_prefix(file, "//anon") ||
	    flame_has_prefix(file, "[jit") || flame_has_prefix(file, "/memfd:") ||
	    flame_has_prefix(base, "jitted-") ||
	    (flame_has_prefix(base, "perf-") && strstr(base, ".map")))
		return FLAME_JIT;
	return flame_is_library(file) ? FLAME_LIBRARY : FLAME_PROGRAM;
}

/* The child of parent with the key, made where there is none. */
static int flame_child(struct flame *f, uint32_t parent, const struct flame_node *child,
		       uint32_t *ret)
{
	uint64_t key[] = { child->key, parent };
	uint64_t hash = XXH3_64bits_withSeed(key, sizeof(key), f->p->seed);
	struct index_walk w;
	int r;

	for (int64_t i = index_first(&f->index, hash, &w); i >= 0; i = index_next(&f->index, &w)) {
		const struct flame_node *have = flame_at(f, (uint32_t)i);

		if (have->parent == parent && have->key == child->key) {
			*ret = (uint32_t)i;
			return 0;
		}
	}

	r = index_reserve(&f->index, &f->bytes);
	if (r == 0)
		r = vec_append(&f->nodes, child, 1, &f->bytes);
	if (r < 0)
		return r;
	*ret = f->nodes.n - 1;
	index_insert(&f->index, hash, *ret);
	return 0;
}

static void flame_count(struct flame *f, uint32_t node, uint64_t value, uint64_t samples)
{
	struct flame_node *n = &MODEL_AT(struct flame_node, f->nodes, node);

	if (__builtin_add_overflow(n->value, value, &n->value))
		n->value = UINT64_MAX;
	if (__builtin_add_overflow(n->samples, samples, &n->samples))
		n->samples = UINT64_MAX;
}

static int flame_add_location(struct flame *f, uint32_t location, uint32_t *node, uint64_t value,
			      uint64_t samples, uint32_t *depth)
{
	const struct model_location *l = model_location_at(f->p, location);

	for (uint32_t i = f->g->first_frame[location]; i-- > f->g->first_frame[location - 1];) {
		uint32_t key = MODEL_AT(uint32_t, f->g->frames, i);
		const char *name = graph_node_at(f->g, key)->name;
		struct flame_node child = { .name = name,
					    .key = key,
					    .parent = *node,
					    .mapping = l->mapping,
					    .kind = (uint8_t)flame_kind_of(f->p, l, name) };
		int r = flame_child(f, *node, &child, node);

		if (r < 0)
			return r;
		flame_count(f, *node, value, samples);
		(*depth)++;
	}
	return 0;
}

static int flame_add_process(struct flame *f, uint32_t sample, uint32_t comm, uint32_t *node,
			     uint64_t value, uint64_t samples, uint32_t *depth)
{
	const struct model_run *set = model_labels_at(f->p, model_sample_at(f->p, sample)->labels);

	for (uint32_t i = 0; i < set->n && comm; i++) {
		const struct model_label *l = &model_label_entries(f->p, set)[i];
		struct flame_node child = { .name = profile_get_string(f->p, l->str),
					    .key = FLAME_PROCESS + l->str,
					    .parent = 0,
					    .kind = FLAME_SYNTHETIC };
		int r;

		if (l->key != comm || !l->str)
			continue;
		r = flame_child(f, 0, &child, node);
		if (r < 0)
			return r;
		flame_count(f, *node, value, samples);
		(*depth)++;
		return 0;
	}
	return 0;
}

static int flame_add_sample(struct flame *f, uint32_t sample, size_t type, uint32_t comm)
{
	const struct model_run *stack = model_stack_at(f->p, model_sample_at(f->p, sample)->stack);
	const int64_t *values = model_values_of(f->p, sample);
	uint64_t value = (uint64_t)values[type], samples = values[0] > 0 ? (uint64_t)values[0] : 0;
	uint32_t node = 0, depth = 0;
	int r;

	if (values[type] <= 0)
		return 0;
	flame_count(f, 0, value, samples);
	r = flame_add_process(f, sample, comm, &node, value, samples, &depth);
	for (uint32_t i = stack->n; i-- > 0 && r == 0;)
		r = flame_add_location(f, model_stack_entries(f->p, stack)[i], &node, value,
				       samples, &depth);
	f->depth = MAX(f->depth, depth);
	return r;
}

static int flame_compare(const void *a, const void *b, void *arg)
{
	const struct flame_node *x = flame_at(arg, *(const uint32_t *)a),
				*y = flame_at(arg, *(const uint32_t *)b);

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Children become neighbours in order[], by name. */
static int flame_sort(struct flame *f)
{
	struct flame_node *nodes = f->nodes.items;

	f->order = calloc(f->nodes.n, sizeof(*f->order));
	if (!f->order)
		return -ENOMEM;
	for (uint32_t i = 1; i < f->nodes.n; i++)
		f->order[i] = i;
	if (f->nodes.n > 2)
		qsort_r(f->order + 1, f->nodes.n - 1, sizeof(*f->order), flame_compare, f);

	for (uint32_t i = 1; i < f->nodes.n; i++) {
		struct flame_node *parent = &nodes[nodes[f->order[i]].parent];

		if (parent->n_children++ == 0)
			parent->first_child = i;
	}
	return 0;
}

int flame_new(struct flame **ret, const struct profile *p, size_t type)
{
	static const struct flame_node root = { .name = "all", .kind = FLAME_SYNTHETIC };
	_cleanup_(flame_freep) struct flame *f = calloc(1, sizeof(*f));
	uint32_t comm;
	int r;

	if (!f)
		return -ENOMEM;
	f->p = p;
	vec_init(&f->nodes, sizeof(struct flame_node), FLAME_MAX_NODES);
	r = graph_new(&f->g, p, type);
	if (r == 0)
		r = vec_append(&f->nodes, &root, 1, &f->bytes);
	if (r < 0)
		return r;

	comm = model_find_string(p, "comm");
	for (uint32_t i = 0; i < p->samples.n; i++) {
		r = flame_add_sample(f, i, type, comm);
		if (r < 0)
			return r;
	}
	r = flame_sort(f);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(f);
	return 0;
}
