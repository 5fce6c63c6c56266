/* SPDX-License-Identifier: Apache-2.0 */
/* Read access to the rows of a profile by public id. */
#include "model.h"

#include <string.h>

bool profile_get_function(const struct profile *p, uint64_t id, struct profile_function *ret)
{
	const struct model_function *f;

	if (id == 0 || id > p->functions.n)
		return false;
	f = model_function_at(p, (uint32_t)id);
	*ret = (struct profile_function){ .name = model_string_at(p, f->name)->s,
					  .system_name = model_string_at(p, f->system_name)->s,
					  .filename = model_string_at(p, f->filename)->s,
					  .start_line = f->start_line };
	return true;
}

bool profile_get_location(const struct profile *p, uint64_t id, struct profile_location *ret)
{
	const struct model_location *l;

	if (id == 0 || id > p->locations.n)
		return false;
	l = model_location_at(p, (uint32_t)id);
	*ret = (struct profile_location){ .mapping = l->mapping,
					  .address = l->address,
					  .n_lines = l->n };
	return true;
}

bool profile_get_line(const struct profile *p, uint64_t location, size_t i,
		      struct profile_line *ret)
{
	const struct model_location *l;
	const struct model_line *line;

	if (location == 0 || location > p->locations.n)
		return false;
	l = model_location_at(p, (uint32_t)location);
	if (i >= l->n)
		return false;
	line = &model_lines_of(p, l)[i];
	*ret = (struct profile_line){ .function = line->function,
				      .line = line->line,
				      .column = line->column };
	return true;
}

bool profile_get_sample(const struct profile *p, size_t index, struct profile_sample *ret)
{
	const struct model_sample *s;
	const struct model_run *stack;

	if (index >= p->samples.n)
		return false;
	s = model_sample_at(p, (uint32_t)index);
	stack = model_stack_at(p, s->stack);
	*ret = (struct profile_sample){ .locations = stack->n ? model_stack_entries(p, stack)
							      : NULL,
					.n_locations = stack->n,
					.values = model_values_of(p, (uint32_t)index),
					.n_labels = model_labels_at(p, s->labels)->n };
	return true;
}

bool profile_get_label(const struct profile *p, size_t sample, size_t i, struct profile_label *ret)
{
	const struct model_run *set;
	const struct model_label *l;

	if (sample >= p->samples.n)
		return false;
	set = model_labels_at(p, model_sample_at(p, (uint32_t)sample)->labels);
	if (i >= set->n)
		return false;
	l = &model_label_entries(p, set)[i];
	*ret = (struct profile_label){
		.key = l->key, .str = l->str, .num = l->num, .num_unit = l->num_unit
	};
	return true;
}

struct profile_value_type profile_get_type(const struct profile *p, size_t i)
{
	if (i >= p->n_types)
		return (struct profile_value_type){ "", "" };
	return (struct profile_value_type){ model_string_at(p, p->types[i].type)->s,
					    model_string_at(p, p->types[i].unit)->s };
}

/* Without a default type, or with one that does not exist, the last one: as pprof has it. */
int profile_find_type(const struct profile *p, const char *type)
{
	const char *wanted = type ? type : model_string_at(p, p->default_type)->s;

	for (size_t i = 0; i < p->n_types; i++)
		if (strcmp(model_string_at(p, p->types[i].type)->s, wanted) == 0)
			return (int)i;
	return type || p->n_types == 0 ? -ENOENT : (int)p->n_types - 1;
}

int64_t profile_time_ns(const struct profile *p)
{
	return p->time_ns;
}

int64_t profile_duration_ns(const struct profile *p)
{
	return p->duration_ns;
}

size_t profile_n_comments(const struct profile *p)
{
	return p->comments.n;
}

const char *profile_get_comment(const struct profile *p, size_t i)
{
	return i < p->comments.n ? model_string_at(p, MODEL_AT(const uint32_t, p->comments, i))->s
				 : "";
}
