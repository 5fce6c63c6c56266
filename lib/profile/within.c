/* SPDX-License-Identifier: Apache-2.0 */
/* A profile in the room that there is. */
#include "arrange.h"
#include "model.h"
#include "reduce.h"

/* A sample takes at least so much, compressed: with more of them nothing has to be tried. */
#define LEAST_SAMPLE_BYTES 3
/* What is left is halved at least; ten times are a thousandth. */
#define MAX_CUTS 10

static int write_once(struct profile *p, struct buf *out)
{
	int r = profile_arrange(p);

	return r < 0 ? r : profile_write(p, out);
}

static bool fits(const struct buf *out, size_t before, uint64_t max_bytes)
{
	return max_bytes == 0 || out->size - before <= max_bytes;
}

static int reduce_once(struct profile *p, const struct profile_detail *detail, size_t before,
		       struct buf *out)
{
	int r = profile_reduce(p, detail);

	out->size = before;
	return r < 0 ? r : write_once(p, out);
}

/* So many samples keep their stacks as the sizes so far promise, at least a few. */
static uint32_t next_rows(const struct profile *p, uint32_t rows, uint64_t bytes,
			  uint64_t max_bytes)
{
	uint64_t n = rows ? rows : (uint64_t)profile_n_samples(p);

	n = MIN(n * max_bytes / MAX(bytes, (uint64_t)1) * 9 / 10, n * 9 / 10);
	return (uint32_t)MAX(n, (uint64_t)1);
}

static int cut_until(struct profile *p, uint64_t max_bytes, size_t before, struct buf *out)
{
	struct profile_detail detail = { .threads = false };
	int r = 0;

	for (int i = 0; r == 0 && i < MAX_CUTS && !fits(out, before, max_bytes); i++) {
		detail.rows = next_rows(p, detail.rows, out->size - before, max_bytes);
		r = reduce_once(p, &detail, before, out);
		if (detail.rows == 1)
			break;
	}
	return r;
}

int profile_write_within(struct profile *p, uint64_t max_bytes, struct buf *out)
{
	size_t before = out->size;
	int r = 0;

	if (max_bytes == 0 || profile_n_samples(p) * LEAST_SAMPLE_BYTES <= max_bytes) {
		r = write_once(p, out);
		if (r < 0 || fits(out, before, max_bytes))
			return r;
	}
	r = profile_add_comment(p, "compacted for want of room: the instructions of a function are "
				   "one, rare stacks only have their innermost function, "
				   "under " REDUCE_CUT);
	if (r == 0)
		r = reduce_once(p, &(struct profile_detail){ .threads = true }, before, out);
	if (r == 0 && !fits(out, before, max_bytes))
		r = reduce_once(p, &(struct profile_detail){}, before, out);
	return r < 0 ? r : cut_until(p, max_bytes, before, out);
}
