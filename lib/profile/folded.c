/* SPDX-License-Identifier: Apache-2.0 */
/* Folded stacks, as flamegraph.pl, speedscope, Firefox Profiler and inferno take them. */
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "graph.h"
#include "report.h"
#include "text.h"

#define FOLDED_LINE_BYTES (64U << 20)

/* Lines seen: their text in `text`, their sums beside. */
struct folded_line {
	const char *text;
	size_t size;
	int64_t sum;
};

struct folded {
	const struct profile *p;
	struct graph *g;
	struct buf line;
	struct vec lines;
	struct index index;
	struct arena_chunk *chunks;
	uint64_t bytes;
};

static void folded_done(struct folded *f)
{
	buf_done(&f->line);
	vec_done(&f->lines);
	index_done(&f->index);
	arena_done(&f->chunks);
	graph_free(f->g);
}

/* ';' separates frames, and the last space of a line the count. */
static void folded_name(struct buf *b, const char *name)
{
	size_t from = b->size;

	text_append_printable(b, name, strlen(name));
	for (size_t i = from; i < b->size; i++)
		if (b->data[i] == ';')
			b->data[i] = ':';
}

static const char *folded_comm(const struct profile *p, uint32_t sample, uint32_t comm)
{
	const struct model_run *set = model_labels_at(p, model_sample_at(p, sample)->labels);

	for (uint32_t i = 0; i < set->n && comm; i++) {
		const struct model_label *l = &model_label_entries(p, set)[i];

		if (l->key == comm && l->str)
			return profile_get_string(p, l->str);
	}
	return NULL;
}

static void folded_stack(struct folded *f, uint32_t sample, uint32_t comm)
{
	const struct model_run *stack = model_stack_at(f->p, model_sample_at(f->p, sample)->stack);
	const char *process = folded_comm(f->p, sample, comm);
	struct buf *b = &f->line;

	buf_reset(b);
	if (process)
		folded_name(b, process);
	for (uint32_t i = stack->n; i-- > 0;) {
		uint32_t location = model_stack_entries(f->p, stack)[i];

		for (uint32_t n = f->g->first_frame[location];
		     n-- > f->g->first_frame[location - 1];) {
			if (b->size > 0)
				buf_putc(b, ';');
			folded_name(b,
				    graph_node_at(f->g, MODEL_AT(uint32_t, f->g->frames, n))->name);
		}
	}
}

static int folded_add(struct folded *f, int64_t value)
{
	uint64_t hash = XXH3_64bits_withSeed(f->line.data, f->line.size, f->p->seed);
	struct folded_line line = { .size = f->line.size, .sum = value };
	struct index_walk w;
	char *copy;
	int r;

	for (int64_t i = index_first(&f->index, hash, &w); i >= 0; i = index_next(&f->index, &w)) {
		struct folded_line *have = &MODEL_AT(struct folded_line, f->lines, i);

		if (have->size == line.size && memcmp(have->text, f->line.data, line.size) == 0) {
			if (__builtin_add_overflow(have->sum, value, &have->sum))
				have->sum = value > 0 ? INT64_MAX : INT64_MIN;
			return 0;
		}
	}

	copy = arena_alloc(&f->chunks, line.size, &f->bytes);
	if (!copy)
		return -ENOMEM;
	line.text = memcpy(copy, f->line.data, line.size);
	r = index_reserve(&f->index, &f->bytes);
	if (r == 0)
		r = vec_append(&f->lines, &line, 1, &f->bytes);
	if (r == 0)
		index_insert(&f->index, hash, f->lines.n - 1);
	return r;
}

static int folded_run(struct folded *f, size_t type, struct buf *out)
{
	uint32_t comm = model_find_string(f->p, "comm");
	int r = 0;

	for (uint32_t i = 0; i < f->p->samples.n && r == 0; i++) {
		int64_t value = model_values_of(f->p, i)[type];

		if (value == 0)
			continue;
		folded_stack(f, i, comm);
		if (f->line.error)
			return f->line.error;
		if (f->line.size > 0)
			r = folded_add(f, value);
	}
	for (uint32_t i = 0; i < f->lines.n && r == 0; i++) {
		const struct folded_line *line = &MODEL_AT(const struct folded_line, f->lines, i);

		buf_append(out, line->text, line->size);
		r = buf_printf(out, " %lld\n", (long long)line->sum);
	}
	return r;
}

static int folded_type(const struct profile *p, size_t type, struct buf *out)
{
	_cleanup_(folded_done) struct folded f = { .p = p, .line = BUF_INIT(FOLDED_LINE_BYTES) };
	int r;

	vec_init(&f.lines, sizeof(struct folded_line), PROFILE_MAX_SAMPLES);
	r = graph_new(&f.g, p, type);
	return r < 0 ? r : folded_run(&f, type, out);
}

int profile_folded(const struct profile *p, struct buf *out)
{
	return profile_n_types(p) == 0 ? -ENOENT : folded_type(p, 0, out);
}

int profile_folded_by(const struct profile *p, const char *type, struct buf *out)
{
	int position = profile_find_type(p, type);

	return position < 0 ? position : folded_type(p, (size_t)position, out);
}
