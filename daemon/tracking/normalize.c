/* SPDX-License-Identifier: Apache-2.0 */
#include "normalize.h"

#include "cleanup.h"

/* The roots of stacks that have no user side, or end before their root. */
static const char *const end_names[CPROF_END_MAX] = {
	[CPROF_END_KTHREAD] = "[kernel thread]",
	[CPROF_END_EXEC] = "[exec]",
	[CPROF_END_EXIT] = "[exit]",
	[CPROF_END_NO_UNWIND_INFO] = "[truncated: no unwind info]",
	[CPROF_END_UNREADABLE] = "[truncated: unreadable stack]",
	[CPROF_END_DEPTH] = "[truncated: depth]",
	[CPROF_END_BROKEN_CFI] = "[truncated: broken CFI]",
	[CPROF_END_JIT] = "[truncated: JIT]",
	[CPROF_END_32BIT] = "[truncated: 32-bit]",
	[CPROF_END_BUDGET] = "[truncated: budget]",
};

struct normalizer {
	struct normalizer_options o;
	struct object *kernel, *unknown, *kernel_cut;
	struct object *ends[CPROF_END_MAX];
};

DEFINE_CLEANUP(struct normalizer *, normalizer_free)

int normalizer_new(struct normalizer **ret, struct object_table *objects,
		   const struct normalizer_options *options)
{
	_cleanup_(normalizer_freep) struct normalizer *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	n->o = *options;

	r = object_special(objects, OBJECT_KERNEL, "[kernel.kallsyms]", &n->kernel);
	if (r < 0)
		return r;
	r = object_special(objects, OBJECT_UNKNOWN, "[unknown]", &n->unknown);
	if (r < 0)
		return r;
	r = object_special(objects, OBJECT_SYNTHETIC, "[truncated: kernel stack]", &n->kernel_cut);
	if (r < 0)
		return r;
	for (size_t i = 0; i < CPROF_END_MAX; i++) {
		if (!end_names[i])
			continue;
		r = object_special(objects, OBJECT_SYNTHETIC, end_names[i], &n->ends[i]);
		if (r < 0)
			return r;
	}

	*ret = TAKE_PTR(n);
	return 0;
}

struct normalizer *normalizer_free(struct normalizer *n)
{
	if (!n)
		return NULL;

	object_unref(n->kernel);
	object_unref(n->unknown);
	object_unref(n->kernel_cut);
	for (size_t i = 0; i < CPROF_END_MAX; i++)
		object_unref(n->ends[i]);
	free(n);
	return NULL;
}

const __u64 *record_kernel_frames(const struct cprof_sample *r)
{
	return (const __u64 *)(r + 1);
}

const __u64 *record_user_frames(const struct cprof_sample *r)
{
	return record_kernel_frames(r) + r->n_kernel;
}

int record_check(const struct cprof_sample *r)
{
	uint64_t bytes = sizeof(*r) + ((uint64_t)r->n_kernel + r->n_user) * sizeof(__u64);

	if (r->n_kernel > CPROF_MAX_KERNEL_FRAMES || r->n_user > CPROF_MAX_USER_FRAMES ||
	    r->end >= CPROF_END_MAX)
		return -EBADMSG;
	if (r->flags & CPROF_SAMPLE_STACK) {
		if (r->stack_bytes > CPROF_MAX_STACK_BYTES || r->n_user == 0)
			return -EBADMSG;
		bytes += sizeof(struct cprof_stack) + r->stack_bytes;
	}
	return bytes <= r->record_bytes ? 0 : -EBADMSG;
}

uint64_t normalize_user_ip(uint64_t ip, size_t i, unsigned flags)
{
	bool exact = i == 0 && !(flags & CPROF_SAMPLE_SYSCALL);

	return exact || ip == 0 ? ip : ip - 1;
}

static struct frame kernel_frame(const struct normalizer *n, const __u64 *ips, size_t i)
{
	uint64_t ip = ips[i];

	if (i > 0 && !(n->o.kernel_entry && n->o.kernel_entry(n->o.kernel_arg, ips[i - 1])))
		ip--;
	return (struct frame){ n->kernel, n->o.kernel_address
						  ? n->o.kernel_address(n->o.kernel_arg, ip)
						  : ip };
}

static struct frame user_frame(const struct normalizer *n, const struct mapset *maps, uint64_t ip)
{
	const struct mapping *m = mapset_find(maps, ip);
	struct object *o = m ? source_object(m->source) : NULL;

	if (!o)
		return (struct frame){ n->unknown, ip };
	if (n->o.used)
		n->o.used(n->o.used_arg, m->source);
	if (source_kind(m->source) == SOURCE_ANON) {
		struct object *own = n->o.anon ? n->o.anon(n->o.anon_arg) : NULL;

		/* of memory without a file the address is the offset */
		if (own)
			object_add_segment(own, m->start, m->limit, m->start);
		return (struct frame){ own ?: o, ip };
	}

	object_add_segment(o, m->start, m->limit, m->offset);
	return (struct frame){ o, ip - m->start + m->offset };
}

size_t normalize(struct normalizer *n, const struct cprof_sample *r, const uint64_t *more,
		 size_t n_more, enum cprof_end end, const struct mapset *maps, struct frame *frames,
		 size_t *ret_n_kernel)
{
	const __u64 *kernel = record_kernel_frames(r), *user = record_user_frames(r);
	size_t count = 0;

	for (size_t i = 0; i < r->n_kernel; i++)
		frames[count++] = kernel_frame(n, kernel, i);
	if (r->flags & CPROF_SAMPLE_KERNEL_CUT)
		frames[count++] = (struct frame){ n->kernel_cut, 0 };
	*ret_n_kernel = count;

	for (size_t i = 0; i < r->n_user; i++)
		frames[count++] = user_frame(n, maps, normalize_user_ip(user[i], i, r->flags));
	for (size_t i = 0; i < MIN(n_more, (size_t)CPROF_MAX_USER_FRAMES - r->n_user); i++)
		frames[count++] = user_frame(n, maps, normalize_user_ip(more[i], r->n_user + i, 0));

	if (end < CPROF_END_MAX && n->ends[end])
		frames[count++] = (struct frame){ n->ends[end], 0 };
	return count;
}
