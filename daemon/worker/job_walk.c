/* SPDX-License-Identifier: Apache-2.0 */
/* JOB_WALK: walk.h. */

#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "run.h"
#include "table.h"
#include "task.h"
#include "walk_input.h"

struct tables {
	const void *blobs[JOB_MAX_FDS];
	size_t bytes[JOB_MAX_FDS];
};

/* Mapped for good: the process ends with the job. */
static int tables_map(struct tables *tables, const struct task *t)
{
	for (size_t i = 0; i < t->n_fds; i++) {
		const struct cprof_table *head;
		struct stat st;
		size_t bytes;
		void *p;
		int r;

		if (fstat(t->fds[i], &st) < 0)
			return -errno;
		if (st.st_size <= 0 || (uint64_t)st.st_size > TABLE_MAX_BYTES)
			return -EBADMSG;

		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, t->fds[i], 0);
		if (p == MAP_FAILED)
			return -errno;

		head = p;
		/* a file of the cache has a trailer behind the blob */
		bytes = (size_t)st.st_size < sizeof(*head) ? 0
							   : MIN((uint64_t)st.st_size, head->bytes);
		/* the daemon has checked all of it */
		r = table_check_head(p, bytes);
		if (r < 0)
			return r;
		tables->blobs[i] = p;
		tables->bytes[i] = bytes;
	}
	return 0;
}

static int walk_one(struct buf *answer, const struct walk_batch *batch, const struct tables *tables,
		    size_t n_tables, const struct walk_stack *stack, const uint8_t *bytes)
{
	uint64_t frames[CPROF_MAX_USER_FRAMES];
	struct walk_run run = {
		.from = stack->from,
		.stack = bytes,
		.stack_bytes = stack->stack_bytes,
		.stack_cut = stack->flags & CPROF_SAMPLE_STACK_CUT,
		.mappings = batch->mappings + stack->first_mapping,
		.n_mappings = stack->n_mappings,
		.tables = tables->blobs,
		.n_tables = n_tables,
		.n_frames = MIN((uint32_t)stack->n_frames, (uint32_t)CPROF_MAX_USER_FRAMES),
	};
	struct walk_answer a;
	int r;

	walk_run(&run, frames, &a);
	r = buf_append(answer, &a, sizeof(a));
	return r < 0 ? r : buf_append(answer, frames, a.n_frames * sizeof(*frames));
}

int job_walk(struct task *t)
{
	struct tables tables = {};
	struct walk_batch batch;
	const struct walk_stack *stack;
	const uint8_t *bytes;
	int r;

	r = walk_input_parse(t->input, t->input_bytes, t->n_fds, &batch);
	if (r < 0)
		return r;

	r = tables_map(&tables, t);
	while (r == 0 && (stack = walk_input_next(&batch, &bytes)))
		r = walk_one(&t->answer, &batch, &tables, t->n_fds, stack, bytes);
	return r;
}
