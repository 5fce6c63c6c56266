/* SPDX-License-Identifier: Apache-2.0 */
#include "unnamed.h"

#include <string.h>

#include "cleanup.h"
#include "model.h"

/* Values of one mapping; [0] is JIT code, which may lie in none. */
struct share {
	int64_t value;
	uint32_t sample; /* the last one that counted, +1 */
};

static const char *text_at(const struct profile *p, uint64_t i)
{
	return model_string_at(p, (uint32_t)i)->s;
}

/* The index of the values that the profile is about: the default type, or the last. */
static size_t value_index(const struct profile *p)
{
	for (size_t i = 0; i < p->n_types; i++)
		if (p->default_type && p->types[i].type == p->default_type)
			return i;
	return p->n_types ? p->n_types - 1 : 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* The place in shares of an unnamed location; -1: it has a name. */
static int64_t unnamed_place(const struct profile *p, const struct model_location *l)
{
	const char *name;

	if (l->n == 0)
		return -1;
	name = text_at(p, model_function_at(p, model_lines_of(p, l)->function)->name);
	if (name[0] != '[' || !strstr(name, "+0x"))
		return -1;
	if (strncmp(name, "[anon+", 6) == 0)
		return 0;
	return l->mapping ? (int64_t)l->mapping : -1;
}

static int64_t sum_shares(const struct profile *p, struct share *shares)
{
	size_t value = value_index(p);
	int64_t total = 0;

	for (uint32_t i = 0; i < p->samples.n; i++) {
		const struct model_run *stack = model_stack_at(p, model_sample_at(p, i)->stack);
		const uint32_t *ids = model_stack_entries(p, stack);
		int64_t v = model_values_of(p, i)[value];

		total += v;
		for (uint32_t k = 0; k < stack->n; k++) {
			int64_t at = unnamed_place(p, model_location_at(p, ids[k]));

			if (at < 0 || shares[at].sample == i + 1)
				continue;
			shares[at].sample = i + 1;
			shares[at].value += v;
		}
	}
	return total;
}

int profile_unnamed(const struct profile *p, struct profile_unnamed *ret, size_t max)
{
	_cleanup_free_ struct share *shares = calloc(p->mappings.n + 1, sizeof(*shares));
	int64_t total;
	size_t n = 0;

	if (!shares)
		return -ENOMEM;
	total = p->n_types ? sum_shares(p, shares) : 0;
	while (total > 0 && n < max) {
		uint32_t best = 0;

		for (uint32_t i = 1; i <= p->mappings.n; i++)
			if (shares[i].value > shares[best].value)
				best = i;
		if (shares[best].value <= 0)
			break;
		ret[n] = (struct profile_unnamed){
			.file = best ? text_at(p, model_mapping_at(p, best)->filename) : "[anon]",
			.build_id = best ? text_at(p, model_mapping_at(p, best)->build_id) : "",
			.share = (double)shares[best].value / (double)total,
		};
		n++;
		shares[best].value = 0;
	}
	return (int)n;
}

double profile_leaf_share(const struct profile *p, const char *prefix)
{
	size_t value = value_index(p);
	int64_t total = 0, in = 0;

	for (uint32_t i = 0; p->n_types && i < p->samples.n; i++) {
		const struct model_run *stack = model_stack_at(p, model_sample_at(p, i)->stack);
		const uint32_t *ids = model_stack_entries(p, stack);
		int64_t v = model_values_of(p, i)[value];
		uint32_t mapping = stack->n ? model_location_at(p, ids[0])->mapping : 0;
		const char *file = mapping ? text_at(p, model_mapping_at(p, mapping)->filename)
					   : "";

		total += v;
		if (strncmp(base_name(file), prefix, strlen(prefix)) == 0)
			in += v;
	}
	return total > 0 ? (double)in / (double)total : 0;
}

bool profile_has_function(const struct profile *p, const char *prefix)
{
	for (uint32_t id = 1; id <= p->functions.n; id++)
		if (strncmp(text_at(p, model_function_at(p, id)->name), prefix, strlen(prefix)) ==
		    0)
			return true;
	return false;
}
