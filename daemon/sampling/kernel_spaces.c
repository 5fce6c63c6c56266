/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Address spaces into BPF maps. What is mapped in a space is kept here as a sorted list of ranges,
 * from which the entries (64 KiB each, 4 KiB where more than three mappings meet, 2 MiB where one
 * fills it: a compiler's text is 9 entries then, not 260) are made anew wherever a range changes.
 */

#include "sampling.h"

#include <bpf/bpf.h>
#include <string.h>

#include "cleanup.h"

#define MAX_ENTRIES_A_SPACE 16384
#define BIG_SHIFT           16
#define PAGES_PER_BIG       16
#define BIG_BYTES           (1ULL << BIG_SHIFT)
#define HUGE_BYTES          (1ULL << CPROF_HUGE_SHIFT)
#define BATCH_ENTRIES       64
#define MAX_SPACES          CPROF_MAX_PROCESSES
#define HASH_SLOTS          (2 * MAX_SPACES)

struct space {
	uint32_t id;
	bool small;                     /* has entries of single pages */
	struct sampler_mapping *ranges; /* sorted, disjoint */
	size_t n_ranges, allocated;
	uint64_t n_entries;
};

/* Entries on their way into the map, or keys out of it: one system call for many. */
struct batch {
	uint32_t n;
	struct cprof_mapping_key keys[BATCH_ENTRIES];
	struct cprof_mapping_value values[BATCH_ENTRIES];
};

struct kernel_spaces {
	struct kernel *kernel;
	struct batch batch;
	struct space *hash[HASH_SLOTS]; /* open addressing by id */
	unsigned n_spaces;
};

int kernel_spaces_new(struct kernel_spaces **ret, struct kernel *k)
{
	struct kernel_spaces *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->kernel = k;
	*ret = t;
	return 0;
}

static struct space *space_free(struct space *sp)
{
	if (sp)
		free(sp->ranges);
	free(sp);
	return NULL;
}

struct kernel_spaces *kernel_spaces_free(struct kernel_spaces *t)
{
	if (!t)
		return NULL;
	for (unsigned i = 0; i < HASH_SLOTS; i++)
		space_free(t->hash[i]);
	free(t);
	return NULL;
}

static unsigned space_home(uint32_t id)
{
	return id * 2654435761U % HASH_SLOTS;
}

static unsigned space_find(const struct kernel_spaces *t, uint32_t id)
{
	unsigned at = space_home(id);

	while (t->hash[at] && t->hash[at]->id != id)
		at = (at + 1) % HASH_SLOTS;
	return at;
}

static int space_get(struct kernel_spaces *t, uint32_t id, struct space **ret)
{
	unsigned at = space_find(t, id);

	if (!t->hash[at]) {
		struct space *sp;

		if (t->n_spaces == MAX_SPACES)
			return -ENOSPC;
		sp = calloc(1, sizeof(*sp));
		if (!sp)
			return -ENOMEM;
		sp->id = id;
		t->hash[at] = sp;
		t->n_spaces++;
	}
	*ret = t->hash[at];
	return 0;
}

static void space_unhash(struct kernel_spaces *t, unsigned at)
{
	unsigned next = at;

	t->hash[at] = NULL;
	t->n_spaces--;
	for (;;) {
		next = (next + 1) % HASH_SLOTS;
		if (!t->hash[next])
			return;
		if ((next - space_home(t->hash[next]->id)) % HASH_SLOTS < (next - at) % HASH_SLOTS)
			continue;
		t->hash[at] = t->hash[next];
		t->hash[next] = NULL;
		at = next;
	}
}

/* The first range that ends behind addr. */
static size_t first_behind(const struct space *sp, uint64_t addr)
{
	size_t low = 0, high = sp->n_ranges;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (sp->ranges[mid].limit <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int insert_at(struct space *sp, size_t at, const struct sampler_mapping *m)
{
	if (sp->n_ranges == sp->allocated) {
		size_t n = sp->allocated ? sp->allocated * 2 : 16;
		struct sampler_mapping *grown = realloc(sp->ranges, n * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		sp->ranges = grown;
		sp->allocated = n;
	}
	memmove(sp->ranges + at + 1, sp->ranges + at, (sp->n_ranges - at) * sizeof(*sp->ranges));
	sp->ranges[at] = *m;
	sp->n_ranges++;
	return 0;
}

static void remove_at(struct space *sp, size_t at)
{
	sp->n_ranges--;
	memmove(sp->ranges + at, sp->ranges + at + 1, (sp->n_ranges - at) * sizeof(*sp->ranges));
}

/* Makes room for m: cuts, splits or removes what overlaps it. */
static int cut_out(struct space *sp, const struct sampler_mapping *m)
{
	size_t i = first_behind(sp, m->start);

	while (i < sp->n_ranges && sp->ranges[i].start < m->limit) {
		struct sampler_mapping *old = &sp->ranges[i];

		if (old->start < m->start && old->limit > m->limit) {
			struct sampler_mapping tail = *old;

			tail.start = m->limit;
			old->limit = m->start;
			return insert_at(sp, i + 1, &tail);
		}
		if (old->start < m->start) {
			old->limit = m->start;
			i++;
		} else if (old->limit > m->limit) {
			old->start = m->limit;
			return 0;
		} else {
			remove_at(sp, i);
		}
	}
	return 0;
}

/* The part of range m within the 64 KiB at base. */
static struct cprof_mapping clip(const struct sampler_mapping *m, uint64_t base)
{
	uint64_t start = MAX(m->start, base);
	uint64_t limit = MIN(m->limit, base + (1U << BIG_SHIFT));

	return (struct cprof_mapping){
		.bias = m->bias,
		.slot = m->slot,
		.first = (uint8_t)((start - base) >> CPROF_PAGE_SHIFT),
		.last = (uint8_t)((limit - 1 - base) >> CPROF_PAGE_SHIFT),
	};
}

/* Where one fails it is not there: not found beats wrong. */
static int flush(struct kernel_spaces *t)
{
	struct batch *b = &t->batch;
	int r = 0;

	for (uint32_t done = 0; done < b->n;) {
		uint32_t count = b->n - done;

		if (bpf_map_update_batch(t->kernel->mappings_fd, b->keys + done, b->values + done,
					 &count, NULL) == 0)
			break;
		r = errno == E2BIG ? -ENOSPC : -errno;
		done += count;
		if (done < b->n)
			(void)bpf_map_delete_elem(t->kernel->mappings_fd, &b->keys[done]);
		done++;
	}
	b->n = 0;
	return r;
}

/* Written by the next flush(). */
static int put(struct kernel_spaces *t, const struct cprof_mapping_key *key,
	       const struct cprof_mapping_value *value)
{
	struct batch *b = &t->batch;
	int r = b->n == BATCH_ENTRIES ? flush(t) : 0;

	b->keys[b->n] = *key;
	b->values[b->n++] = *value;
	return r;
}

/* One value a page, for those that have a mapping. */
static int put_pages(struct kernel_spaces *t, struct space *sp, uint64_t base,
		     const struct cprof_mapping *m, size_t n)
{
	sp->small = true;
	for (size_t i = 0; i < n; i++) {
		for (unsigned page = m[i].first; page <= m[i].last; page++) {
			struct cprof_mapping_key key = {
				.page = CPROF_MAPPING_SMALL | ((base >> CPROF_PAGE_SHIFT) + page),
				.space = sp->id,
			};
			struct cprof_mapping_value value = { .m[0] = m[i] };
			int r = put(t, &key, &value);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static void delete_pages(struct kernel *k, const struct space *sp, uint64_t base)
{
	for (unsigned page = 0; page < PAGES_PER_BIG; page++) {
		struct cprof_mapping_key key = {
			.page = CPROF_MAPPING_SMALL | ((base >> CPROF_PAGE_SHIFT) + page),
			.space = sp->id,
		};

		(void)bpf_map_delete_elem(k->mappings_fd, &key);
	}
}

/* Puts the entry of 64 KiB as the ranges are now. */
static int refresh(struct kernel_spaces *t, struct space *sp, uint64_t base)
{
	struct cprof_mapping_key key = { .page = base >> BIG_SHIFT, .space = sp->id };
	struct cprof_mapping m[PAGES_PER_BIG];
	struct cprof_mapping_value value = {};
	size_t n = 0;
	int r;

	for (size_t i = first_behind(sp, base); i < sp->n_ranges && n < PAGES_PER_BIG &&
						sp->ranges[i].start < base + (1U << BIG_SHIFT);
	     i++)
		m[n++] = clip(&sp->ranges[i], base);
	if (sp->small)
		delete_pages(t->kernel, sp, base);
	if (!n) {
		(void)bpf_map_delete_elem(t->kernel->mappings_fd, &key);
		return 0;
	}
	if (n <= CPROF_MAPPINGS_PER_VALUE) {
		memcpy(value.m, m, n * sizeof(*m));
		return put(t, &key, &value);
	}
	value.more = 1;
	r = put_pages(t, sp, base, m, n);
	return put(t, &key, &value) ?: r;
}

static uint64_t big_pages(uint64_t start, uint64_t limit)
{
	return ((limit - 1) >> BIG_SHIFT) - (start >> BIG_SHIFT) + 1;
}

/* Recounted from the ranges: 64 KiB that two of them share count twice, to be on the safe side. */
static uint64_t count_entries(const struct space *sp)
{
	uint64_t n = 0;

	for (size_t i = 0; i < sp->n_ranges; i++)
		n += big_pages(sp->ranges[i].start, sp->ranges[i].limit);
	return n;
}

/* How the entries of an aligned 2 MiB are kept; it follows from the ranges alone. */
enum region { REGION_EMPTY, REGION_BIG, REGION_HUGE };

static enum region region_of(const struct space *sp, uint64_t base)
{
	size_t i = first_behind(sp, base);

	if (i == sp->n_ranges || sp->ranges[i].start >= base + HUGE_BYTES)
		return REGION_EMPTY;
	return sp->ranges[i].start <= base && sp->ranges[i].limit >= base + HUGE_BYTES ? REGION_HUGE
										       : REGION_BIG;
}

static int put_huge(struct kernel_spaces *t, const struct space *sp, uint64_t base)
{
	const struct sampler_mapping *m = &sp->ranges[first_behind(sp, base)];
	struct cprof_mapping_key key = { .page = CPROF_MAPPING_HUGE | base >> CPROF_HUGE_SHIFT,
					 .space = sp->id };
	struct cprof_mapping_value value = { .m[0] = { .bias = m->bias, .slot = m->slot } };

	return put(t, &key, &value);
}

static void delete_huge(struct kernel *k, const struct space *sp, uint64_t base)
{
	struct cprof_mapping_key key = { .page = CPROF_MAPPING_HUGE | base >> CPROF_HUGE_SHIFT,
					 .space = sp->id };

	(void)bpf_map_delete_elem(k->mappings_fd, &key);
}

static void delete_bigs(struct kernel *k, const struct space *sp, uint64_t base)
{
	for (uint64_t b = base; b < base + HUGE_BYTES; b += BIG_BYTES) {
		struct cprof_mapping_key key = { .page = b >> BIG_SHIFT, .space = sp->id };

		if (sp->small)
			delete_pages(k, sp, b);
		(void)bpf_map_delete_elem(k->mappings_fd, &key);
	}
}

/* Puts the entries of 2 MiB as the ranges are now; [start, limit) is what has changed in it. */
static int refresh_region(struct kernel_spaces *t, struct space *sp, uint64_t base, enum region was,
			  uint64_t start, uint64_t limit)
{
	int r = 0;

	if (region_of(sp, base) == REGION_HUGE) {
		if (was == REGION_BIG)
			delete_bigs(t->kernel, sp, base);
		return put_huge(t, sp, base);
	}
	if (was == REGION_HUGE) {
		delete_huge(t->kernel, sp, base);
		start = base;
		limit = base + HUGE_BYTES;
	}
	/* to the end also when one fails: none may stay as it was */
	for (uint64_t b = start >> BIG_SHIFT; b <= (limit - 1) >> BIG_SHIFT; b++)
		r = refresh(t, sp, b << BIG_SHIFT) ?: r;
	return r;
}

static uint64_t region_base(uint64_t addr)
{
	return addr & ~(HUGE_BYTES - 1);
}

/* The regions that m touches as they are, for refresh_regions(); freed by the caller. */
static uint8_t *note_regions(const struct space *sp, const struct sampler_mapping *m)
{
	uint64_t first = region_base(m->start);
	size_t n = (size_t)((region_base(m->limit - 1) - first) / HUGE_BYTES + 1);
	uint8_t *was = malloc(n);

	for (size_t i = 0; was && i < n; i++)
		was[i] = (uint8_t)region_of(sp, first + i * HUGE_BYTES);
	return was;
}

static int refresh_regions(struct kernel_spaces *t, struct space *sp,
			   const struct sampler_mapping *m, const uint8_t *was)
{
	int r = 0;

	for (uint64_t b = region_base(m->start); b < m->limit; b += HUGE_BYTES)
		r = refresh_region(t, sp, b, (enum region) * was++, MAX(m->start, b),
				   MIN(m->limit, b + HUGE_BYTES))
			    ?: r;
	return flush(t) ?: r;
}

/* After a change that failed half-way: whatever is in the map of the regions goes, or is made anew. */
static void unmap(struct kernel_spaces *t, struct space *sp, const struct sampler_mapping *m)
{
	(void)cut_out(sp, m);
	for (uint64_t b = region_base(m->start); b < m->limit; b += HUGE_BYTES)
		(void)refresh_region(t, sp, b, REGION_HUGE, b, b + HUGE_BYTES);
	(void)flush(t);
}

int sampler_mapping_add(struct sampler *s, uint32_t space, const struct sampler_mapping *mapping)
{
	const uint64_t page_mask = CPROF_PAGE_SIZE - 1;
	_cleanup_free_ uint8_t *was = NULL;
	struct sampler_mapping m = *mapping;
	struct space *sp;
	int r;

	m.limit = (m.limit + page_mask) & ~page_mask;
	if (!space || m.start & page_mask || m.start >= m.limit || m.limit >> 47 ||
	    m.slot >= CPROF_MAX_TABLES)
		return -EINVAL;
	r = space_get(s->spaces, space, &sp);
	if (r < 0)
		return r;
	if (big_pages(m.start, m.limit) + sp->n_entries > MAX_ENTRIES_A_SPACE) {
		sp->n_entries = count_entries(sp);
		if (big_pages(m.start, m.limit) + sp->n_entries > MAX_ENTRIES_A_SPACE)
			return -ENOSPC;
	}
	was = note_regions(sp, &m);
	if (!was)
		return -ENOMEM;
	r = cut_out(sp, &m);
	if (r < 0)
		return r;
	r = insert_at(sp, first_behind(sp, m.start), &m);
	if (r < 0)
		return r;
	sp->n_entries += big_pages(m.start, m.limit);
	r = refresh_regions(s->spaces, sp, &m, was);
	if (r < 0)
		unmap(s->spaces, sp, &m);
	return r;
}

/* What is not there is passed over. */
static void delete_batch(struct kernel_spaces *t)
{
	struct batch *b = &t->batch;

	for (uint32_t done = 0; done < b->n; done++) {
		uint32_t count = b->n - done;

		if (bpf_map_delete_batch(t->kernel->mappings_fd, b->keys + done, &count, NULL) == 0)
			break;
		done += count;
	}
	b->n = 0;
}

static void delete_later(struct kernel_spaces *t, const struct space *sp, uint64_t page)
{
	struct batch *b = &t->batch;

	if (b->n > 0 && b->keys[b->n - 1].page == page)
		return; /* of two ranges that share it */
	if (b->n == BATCH_ENTRIES)
		delete_batch(t);
	b->keys[b->n++] = (struct cprof_mapping_key){ .page = page, .space = sp->id };
}

static void delete_range(struct kernel_spaces *t, const struct space *sp,
			 const struct sampler_mapping *m)
{
	for (uint64_t b = m->start & ~(BIG_BYTES - 1); b < m->limit; b += BIG_BYTES) {
		uint64_t region = region_base(b);

		if (region_of(sp, region) == REGION_HUGE) {
			delete_later(t, sp, CPROF_MAPPING_HUGE | region >> CPROF_HUGE_SHIFT);
			b = region + HUGE_BYTES - BIG_BYTES;
			continue;
		}
		if (sp->small)
			delete_pages(t->kernel, sp, b);
		delete_later(t, sp, b >> BIG_SHIFT);
	}
}

int sampler_space_delete(struct sampler *s, uint32_t space)
{
	unsigned at = space_find(s->spaces, space);
	struct space *sp = s->spaces->hash[at];

	if (!sp)
		return 0;
	for (size_t i = 0; i < sp->n_ranges; i++)
		delete_range(s->spaces, sp, &sp->ranges[i]);
	delete_batch(s->spaces);
	space_unhash(s->spaces, at);
	space_free(sp);
	return 0;
}

int sampler_process_set(struct sampler *s, uint32_t pid, uint64_t start_ns, uint64_t exec_id,
			uint32_t space, uint32_t generation)
{
	struct cprof_process p = {
		.start_ns = start_ns,
		.exec_id = exec_id,
		.space = space,
		.generation = generation,
	};

	if (!space) {
		if (bpf_map_delete_elem(s->kernel.processes_fd, &pid) < 0 && errno != ENOENT)
			return -errno;
		return 0;
	}
	if (bpf_map_update_elem(s->kernel.processes_fd, &pid, &p, BPF_ANY) < 0)
		return errno == E2BIG ? -ENOSPC : -errno;
	return 0;
}
