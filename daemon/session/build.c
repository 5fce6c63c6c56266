/* SPDX-License-Identifier: Apache-2.0 */
#include "build.h"

#include <string.h>
#include <sys/utsname.h>

#include "cleanup.h"
#include "arrange.h"
#include "profile.h"

#define PAGE_BYTES 4096ULL
/* Where ranges that overlap an earlier one are moved: above user addresses, below the kernel's. */
#define MOVED_START        0x0000800000000000ULL
#define KERNEL_START       0xffffffff80000000ULL
#define KERNEL_LIMIT       0xfffffffffffff000ULL
#define LOCATION_SLOTS_MIN 1024

/* A profile's mapping made from an object's segment. */
struct built_mapping {
	const struct object *object;
	uint64_t start, limit, offset;
	uint64_t id;
};

struct built_location {
	const struct object *object;
	uint64_t address;
	uint64_t id; /* 0: slot is free */
};

struct build {
	struct symbolizer *symbolizer;
	const struct build_options *options;
	struct profile *profile;
	struct built_mapping *mappings;
	size_t n_mappings, max_mappings;
	struct built_location *locations; /* open addressing, at most half full */
	size_t n_locations, n_location_slots;
	uint64_t moved;   /* next free place for a range that overlaps */
	uint64_t unit_id; /* string index of "id" */
	uint64_t *ids;    /* scratch: locations of one stack */
	struct profile_line *lines;
	size_t max_lines;
};

static void build_done(struct build *b)
{
	profile_free(b->profile);
	free(b->mappings);
	free(b->locations);
	free(b->ids);
	free(b->lines);
}

static bool build_overlaps(const struct build *b, uint64_t start, uint64_t limit)
{
	for (size_t i = 0; i < b->n_mappings; i++)
		if (start < b->mappings[i].limit && b->mappings[i].start < limit)
			return true;
	return false;
}

static int build_add_mapping(struct build *b, const struct object *object, struct built_mapping *m,
			     const char *filename, const struct object_symbols *symbols)
{
	struct profile_mapping pm = {
		.start = m->start,
		.limit = m->limit,
		.offset = m->offset,
		.has_functions = true,
		.has_filenames = symbols->has_lines,
		.has_line_numbers = symbols->has_lines,
		.has_inline_frames = symbols->has_inlines,
	};
	int r;

	if (b->n_mappings == b->max_mappings) {
		size_t n = b->max_mappings ? b->max_mappings * 2 : 64;
		struct built_mapping *p = realloc(b->mappings, n * sizeof(*p));

		if (!p)
			return -ENOMEM;
		b->mappings = p;
		b->max_mappings = n;
	}

	r = profile_string(b->profile, filename, &pm.filename);
	if (r < 0)
		return r;
	r = profile_string(b->profile, symbols->build_id ?: "", &pm.build_id);
	if (r < 0)
		return r;
	r = profile_add_mapping(b->profile, &pm, &m->id);
	if (r < 0)
		return r;

	m->object = object;
	b->mappings[b->n_mappings++] = *m;
	return 0;
}

/* A range as first seen, or moved to a free page-aligned place. */
static int build_file_mapping(struct build *b, struct object *object, uint64_t offset,
			      struct built_mapping *ret)
{
	const struct object_segment *s = object_segment(object, offset);
	struct object_symbols symbols = {};
	struct built_mapping m;

	for (size_t i = 0; i < b->n_mappings; i++) {
		const struct built_mapping *c = &b->mappings[i];

		if (c->object == object && offset >= c->offset &&
		    offset - c->offset < c->limit - c->start) {
			*ret = *c;
			return 0;
		}
	}

	m = s ? (struct built_mapping){ .start = s->start, .limit = s->limit, .offset = s->offset }
	      : (struct built_mapping){ .limit = PAGE_BYTES, .offset = offset & ~(PAGE_BYTES - 1) };
	if (!s || build_overlaps(b, m.start, m.limit)) {
		uint64_t size = (m.limit - m.start + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);

		m.start = b->moved;
		m.limit = b->moved + size;
		b->moved += size + PAGE_BYTES;
	}

	symbolizer_object(b->symbolizer, object, b->options->short_names, &symbols);
	*ret = m;
	return build_add_mapping(b, object, ret, object->name, &symbols);
}

static int build_kernel_mapping(struct build *b, struct object *object, struct built_mapping *ret)
{
	struct object_symbols symbols = {};

	for (size_t i = 0; i < b->n_mappings; i++)
		if (b->mappings[i].object == object) {
			*ret = b->mappings[i];
			return 0;
		}

	symbolizer_object(b->symbolizer, object, b->options->short_names, &symbols);
	*ret = (struct built_mapping){ .start = KERNEL_START,
				       .limit = KERNEL_LIMIT,
				       .offset = KERNEL_START };
	return build_add_mapping(b, object, ret, "[kernel.kallsyms]", &symbols);
}

/* Mapping and profile address of a frame; no mapping for what lies in no file. */
static int build_place(struct build *b, const struct frame *frame, uint64_t *ret_mapping,
		       uint64_t *ret_address)
{
	struct built_mapping m = {};
	int r = 0;

	*ret_address = frame->address;
	switch (frame->object->kind) {
	case OBJECT_FILE:
	case OBJECT_VDSO:
	case OBJECT_JIT:
		r = build_file_mapping(b, frame->object, frame->address, &m);
		*ret_address = m.start + (frame->address - m.offset);
		break;
	case OBJECT_KERNEL:
		r = build_kernel_mapping(b, frame->object, &m);
		break;
	case OBJECT_SYNTHETIC:
		*ret_address = 0;
		break;
	case OBJECT_ANON:
	case OBJECT_UNKNOWN:
		break;
	}
	*ret_mapping = m.id;
	return r;
}

static int build_lines(struct build *b, const struct location *l)
{
	if (l->n_lines > b->max_lines) {
		struct profile_line *p = realloc(b->lines, l->n_lines * sizeof(*p));

		if (!p)
			return -ENOMEM;
		b->lines = p;
		b->max_lines = l->n_lines;
	}

	for (uint32_t i = 0; i < l->n_lines; i++) {
		const struct symbol_line *s = &l->lines[i];
		int r = profile_add_function(b->profile, s->name, s->system_name, s->file,
					     s->start_line, &b->lines[i].function);

		if (r < 0)
			return r;
		b->lines[i].line = s->line;
		b->lines[i].column = s->column;
	}
	return 0;
}

/* As a frame without a symbol reads; the daemon has no time to look for one. */
static int build_unnamed(struct build *b, const struct frame *frame)
{
	const char *slash = strrchr(frame->object->name ?: "", '/');
	struct symbol_line line = { .file = "" };
	_cleanup_free_ char *name = NULL;
	struct location *l;
	int r;

	if (frame->object->kind == OBJECT_SYNTHETIC)
		name = strdup(frame->object->name);
	else if (asprintf(&name, "[%s+0x%llx]", slash ? slash + 1 : frame->object->name ?: "anon",
			  (unsigned long long)frame->address) < 0)
		name = NULL;
	l = calloc(1, sizeof(*l) + sizeof(line));
	if (!name || !l) {
		free(l);
		return -ENOMEM;
	}
	line.name = line.system_name = name;
	l->n_lines = 1;
	l->lines[0] = line;
	r = build_lines(b, l);
	free(l);
	return r;
}

/* The slot of this frame, or the free one where it belongs. */
static struct built_location *location_slot(struct built_location *slots, size_t n_slots,
					    const struct object *object, uint64_t address)
{
	uint64_t hash = object->id * 0x9e3779b97f4a7c15ULL ^ address * 0xff51afd7ed558ccdULL;
	size_t i = (hash >> 20) & (n_slots - 1);

	while (slots[i].id && (slots[i].object != object || slots[i].address != address))
		i = (i + 1) & (n_slots - 1);
	return &slots[i];
}

static int build_grow_locations(struct build *b)
{
	size_t n = b->n_location_slots ? b->n_location_slots * 2 : LOCATION_SLOTS_MIN;
	struct built_location *slots;

	if ((b->n_locations + 1) * 2 <= b->n_location_slots)
		return 0;

	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < b->n_location_slots; i++) {
		const struct built_location *l = &b->locations[i];

		if (l->id)
			*location_slot(slots, n, l->object, l->address) = *l;
	}
	free(b->locations);
	b->locations = slots;
	b->n_location_slots = n;
	return 0;
}

static int build_location(struct build *b, const struct frame *frame, uint64_t *ret_id)
{
	const struct location *l;
	struct built_location *c;
	uint64_t mapping, address;
	int r;

	r = build_grow_locations(b);
	if (r < 0)
		return r;
	c = location_slot(b->locations, b->n_location_slots, frame->object, frame->address);
	if (c->id) {
		*ret_id = c->id;
		return 0;
	}

	l = symbolizer_lookup(b->symbolizer, frame, b->options->short_names);
	if (!l && !b->options->unnamed)
		return -ENODATA;
	r = build_place(b, frame, &mapping, &address);
	if (r < 0)
		return r;
	r = l ? build_lines(b, l) : build_unnamed(b, frame);
	if (r < 0)
		return r;
	r = profile_add_location(b->profile, mapping, address, b->lines, l ? l->n_lines : 1,
				 ret_id);
	if (r < 0)
		return r;

	*c = (struct built_location){ frame->object, frame->address, *ret_id };
	b->n_locations++;
	return 0;
}

static int label_number(struct build *b, struct profile_label *labels, size_t *n, const char *key,
			uint64_t value)
{
	struct profile_label *l = &labels[(*n)++];

	*l = (struct profile_label){ .num = (int64_t)value, .num_unit = b->unit_id };
	return profile_string(b->profile, key, &l->key);
}

static int label_string(struct build *b, struct profile_label *labels, size_t *n, const char *key,
			const char *value)
{
	struct profile_label *l = &labels[*n];
	int r;

	if (!value || !*value)
		return 0;

	*l = (struct profile_label){};
	r = profile_string(b->profile, value, &l->str);
	if (r < 0)
		return r;
	(*n)++;
	return profile_string(b->profile, key, &l->key);
}

static int build_stack(struct build *b, const struct stack *s)
{
	const struct process_info *p = s->process;
	struct profile_label labels[8];
	size_t n = 0;
	int r;

	for (uint32_t i = 0; i < s->n_frames; i++) {
		r = build_location(b, &s->frames[i], &b->ids[i]);
		if (r < 0)
			return r;
	}

	r = label_number(b, labels, &n, "pid", p->pid);
	if (r == 0 && s->tid) {
		r = label_number(b, labels, &n, "tid", s->tid);
		if (r == 0)
			r = label_number(b, labels, &n, "cpu", s->cpu);
	}
	if (r == 0)
		r = label_string(b, labels, &n, "comm", p->comm);
	if (r == 0)
		r = label_string(b, labels, &n, "thread", s->thread);
	if (r == 0)
		r = label_string(b, labels, &n, "unit", p->unit);
	if (r == 0)
		r = label_string(b, labels, &n, "container", p->container);
	if (r < 0)
		return r;

	return profile_add_sample(b->profile, b->ids, s->n_frames,
				  (int64_t[]){ (int64_t)s->count, (int64_t)s->cpu_ns }, labels, n);
}

/* mapping[0]: the executable of the one target, or a pseudo mapping that names the host. */
static int build_first_mapping(struct build *b)
{
	struct object *o = b->options->main_object;
	struct built_mapping m = {};
	struct utsname u = {};
	char name[sizeof(u.nodename) + 32];

	if (o)
		return build_file_mapping(b, o, o->n_segments ? o->segments[0].offset : 0, &m);

	uname(&u);
	snprintf(name, sizeof(name), "[system-wide: %s]", u.nodename);
	return build_add_mapping(b, NULL, &m, name, &(struct object_symbols){});
}

static int build_header(struct build *b)
{
	const struct build_options *o = b->options;
	int r;

	r = profile_set_period(b->profile, "cpu", "nanoseconds", (int64_t)(NSEC_PER_SEC / o->hz));
	if (r < 0)
		return r;
	profile_set_time(b->profile, o->time_ns, o->duration_ns);
	r = profile_set_default_type(b->profile, "cpu");
	if (r < 0)
		return r;
	r = profile_add_comment(b->profile, o->comment);
	if (r == 0 && o->remark && *o->remark)
		r = profile_add_comment(b->profile, o->remark);
	if (r < 0)
		return r;
	r = profile_string(b->profile, "id", &b->unit_id);
	if (r < 0)
		return r;
	return build_first_mapping(b);
}

static int build_new_scratch(struct build *b, const struct aggregate *a)
{
	size_t depth = 1;

	for (size_t i = 0; i < aggregate_n_stacks(a); i++)
		depth = MAX(depth, (size_t)aggregate_stack(a, i)->n_frames);
	b->ids = calloc(depth, sizeof(*b->ids));
	return b->ids ? 0 : -ENOMEM;
}

int build_profile(const struct aggregate *a, struct symbolizer *symbolizer,
		  const struct build_options *options, struct buf *out)
{
	static const struct profile_value_type types[] = { { "samples", "count" },
							   { "cpu", "nanoseconds" } };
	_cleanup_(build_done) struct build b = {
		.symbolizer = symbolizer,
		.options = options,
		.moved = MOVED_START,
	};
	size_t n = aggregate_n_stacks(a);
	int r;

	if (options->max_stacks)
		n = MIN(n, options->max_stacks);
	r = build_new_scratch(&b, a);
	if (r < 0)
		return r;
	r = profile_new(&b.profile, types, ARRAY_SIZE(types));
	if (r < 0)
		return r;
	r = build_header(&b);
	if (r < 0)
		return r;

	for (size_t i = 0; i < n; i++) {
		r = build_stack(&b, aggregate_stack(a, i));
		if (r < 0)
			return r;
	}

	r = profile_arrange(b.profile);
	return r < 0 ? r : profile_write(b.profile, out);
}
