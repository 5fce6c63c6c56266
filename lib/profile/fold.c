/* SPDX-License-Identifier: Apache-2.0 */
#include "fold.h"

#include <stdlib.h>
#include <string.h>

#include "model.h"

static int fold_compare(const void *a, const void *b)
{
	const struct profile_fold *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return strcmp(x->comm ? x->comm : "", y->comm ? y->comm : "");
}

struct folding {
	struct profile *p;
	const struct profile_fold *folds;
	size_t n;
	uint32_t pid_key, comm_key;
};

/* What a label set becomes: itself, or one with another pid. */
static int fold_labels(struct folding *f, uint32_t set, uint32_t *ret)
{
	const struct model_run *run = model_labels_at(f->p, set);
	const struct model_label *entries = model_label_entries(f->p, run);
	struct model_label labels[PROFILE_MAX_LABELS];
	struct profile_fold key = { .comm = "" }, *found;
	uint32_t n = run->n, pid_at = UINT32_MAX;

	*ret = set;
	if (n > PROFILE_MAX_LABELS)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		labels[i] = entries[i];
		if (entries[i].key == f->pid_key && !entries[i].str) {
			pid_at = i;
			key.pid = entries[i].num;
		}
		if (entries[i].key == f->comm_key && entries[i].str)
			key.comm = model_string_at(f->p, entries[i].str)->s;
	}
	if (pid_at == UINT32_MAX)
		return 0;
	found = bsearch(&key, f->folds, f->n, sizeof(key), fold_compare);
	if (!found || found->to == key.pid)
		return 0;
	labels[pid_at].num = found->to;
	return model_labels(f->p, labels, n, ret);
}

static int fold_samples(struct folding *f, const struct model_sample *samples, uint32_t n,
			const int64_t *values, uint32_t *map)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t set = samples[i].labels;
		int r;

		if (map[set] == UINT32_MAX) {
			r = fold_labels(f, set, &map[set]);
			if (r < 0)
				return r;
		}
		r = model_sample(f->p, samples[i].stack, map[set],
				 values + (size_t)i * f->p->n_types);
		if (r < 0)
			return r;
	}
	return 0;
}

int profile_fold_pids(struct profile *p, struct profile_fold *folds, size_t n)
{
	struct folding f = { .p = p,
			     .folds = folds,
			     .n = n,
			     .pid_key = model_find_string(p, "pid"),
			     .comm_key = model_find_string(p, "comm") };
	struct vec samples = p->samples, values = p->values;
	uint32_t n_sets = p->label_sets.n, *map;
	int r;

	if (n == 0 || !f.pid_key)
		return 0;
	qsort(folds, n, sizeof(*folds), fold_compare);
	map = malloc((n_sets ? n_sets : 1) * sizeof(*map));
	if (!map)
		return -ENOMEM;
	memset(map, 0xff, n_sets * sizeof(*map));

	/* the tables are filled anew, from the old ones */
	vec_init(&p->samples, samples.item_bytes, samples.max);
	vec_init(&p->values, values.item_bytes, values.max);
	index_done(&p->sample_index);
	p->sample_index = (struct index){};
	r = fold_samples(&f, samples.items, samples.n, values.items, map);
	vec_done(&samples);
	vec_done(&values);
	free(map);
	return r;
}
