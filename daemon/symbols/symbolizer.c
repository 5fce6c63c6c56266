/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer.h"

#include <stdlib.h>
#include <string.h>

#include "symwork.h"
#include "text.h"

#define SYNTHETIC_NAME_BYTES 4096

static int symbolizer_new_fallback(struct symbolizer *s)
{
	s->fallback = calloc(1, sizeof(*s->fallback) + sizeof(*s->fallback->lines));
	if (!s->fallback)
		return -ENOMEM;

	s->fallback->n_lines = 1;
	s->fallback->synthetic = true;
	s->fallback->lines[0] = (struct symbol_line){
		.name = "[unknown]",
		.system_name = "[unknown]",
		.file = "",
	};
	return 0;
}

static int symbolizer_new_store(struct symbolizer *s, const struct symbolizer_options *options)
{
	const struct symstore_options store = {
		.folder = options->store_folder,
		.max_bytes = options->store_bytes,
		.fetches = options->fetch,
		.open_debug = options->open_debug,
		.open_debug_arg = options->open_debug_arg,
	};

	s->options.store_folder = NULL; /* the caller's */
	return symstore_new(&s->store, s->cache, &store);
}

int symbolizer_new(struct symbolizer **ret, sd_event *event,
		   const struct symbolizer_options *options)
{
	struct symbolizer *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->options = *options;
	s->event = sd_event_ref(event);
	r = symbolizer_new_fallback(s);
	if (r >= 0)
		r = symcache_new(&s->cache, options->memory_bytes);
	if (r >= 0 && options->store_folder)
		r = symbolizer_new_store(s, options);
	if (r >= 0)
		r = kernel_names_new(&s->kernel, options->kallsyms_path);
	if (r >= 0)
		r = kernel_debug_new(&s->kernel_debug, &options->kernel);
	if (r < 0) {
		symbolizer_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct symbolizer *symbolizer_free(struct symbolizer *s)
{
	if (!s)
		return NULL;

	while (s->requests)
		symbols_request_cancel(s->requests);
	symwork_free_all(s);
	sd_event_source_disable_unref(s->retry);
	symcache_free(s->cache);
	symstore_free(s->store);
	kernel_debug_free(s->kernel_debug);
	kernel_names_free(s->kernel);
	sd_event_unref(s->event);
	free(s->fallback);
	free(s);
	return NULL;
}

uint64_t symbolizer_now_ns(const struct symbolizer *s)
{
	uint64_t usec = 0;

	sd_event_now(s->event, CLOCK_MONOTONIC, &usec);
	return usec * NSEC_PER_USEC;
}

bool symbols_missing(const struct symbols_group *g, uint64_t address)
{
	const struct symcache_entry *e = symcache_get(g->cached, address);

	return !e || (e->expires_ns && e->expires_ns < g->request->since_ns) ||
	       (g->request->mode == SYMBOLS_FULL && e->mode == SYMBOLS_FAST);
}

static int symbolizer_put_name(struct symbolizer *s, struct symcache_object *cached,
			       uint64_t address, enum symbols_mode mode, uint64_t expires_ns,
			       bool synthetic, const char *name)
{
	struct symbol_line line = { .name = name, .system_name = name, .file = "" };

	s->stats.unnamed += synthetic;
	return symcache_put(s->cache, cached, address, mode, expires_ns, synthetic, &line, 1);
}

int symbolizer_put_synthetic(struct symbolizer *s, struct symcache_object *cached,
			     const struct object *object, uint64_t address, uint64_t shown,
			     enum symbols_mode mode, uint64_t expires_ns)
{
	_cleanup_(buf_done) struct buf name = BUF_INIT(SYNTHETIC_NAME_BYTES);
	const char *slash = strrchr(object->name, '/');
	const char *base = slash && slash[1] ? slash + 1 : object->name;

	buf_putc(&name, '[');
	switch (object->kind) {
	case OBJECT_VDSO:
		buf_puts(&name, "vdso");
		break;
	case OBJECT_ANON:
	case OBJECT_JIT:
		buf_puts(&name, "anon");
		break;
	case OBJECT_FILE:
		if (*base) {
			text_append_utf8(&name, base, strnlen(base, 255));
			break;
		}
		/* fallthrough */
	default:
		buf_puts(&name, "unknown");
	}
	buf_printf(&name, "+0x%llx]", (unsigned long long)shown);
	if (name.error)
		return name.error;
	return symbolizer_put_name(s, cached, address, mode, expires_ns, true, name.data);
}

static int symbolizer_put_special(struct symbolizer *s, struct symcache_object *cached,
				  const struct object *object, uint64_t address,
				  enum symbols_mode mode)
{
	_cleanup_(buf_done) struct buf clean = BUF_INIT(SYNTHETIC_NAME_BYTES);
	int r;

	switch (object->kind) {
	case OBJECT_KERNEL:
		return symbolizer_put_kernel(s, cached, address, mode, NULL, 0);
	case OBJECT_SYNTHETIC:
		r = text_append_utf8(&clean, object->name,
				     strnlen(object->name, SYNTHETIC_NAME_BYTES / 4));
		if (r < 0)
			return r;
		return symbolizer_put_name(s, cached, address, SYMBOLS_FULL, 0, false,
					   clean.size ? clean.data : "[unknown]");
	default:
		return symbolizer_put_synthetic(s, cached, object, address, address, SYMBOLS_FULL,
						0);
	}
}

/* Only a job can tell. */
static bool symbolizer_needs_job(struct symbolizer *s, const struct object *o, uint64_t address,
				 enum symbols_mode mode)
{
	if (o->kind == OBJECT_KERNEL)
		return mode == SYMBOLS_FULL && s->options.pool && symbolizer_has_kernel(s, address);
	return o->kind == OBJECT_FILE || o->kind == OBJECT_VDSO || o->kind == OBJECT_JIT;
}

static int frame_compare(const void *a, const void *b)
{
	const struct frame *x = a, *y = b;

	if (x->object->id != y->object->id)
		return x->object->id < y->object->id ? -1 : 1;
	return x->address < y->address ? -1 : x->address > y->address;
}

/* Splits sorted frames into groups. */
static int request_groups(struct symbols_request *q, const struct frame *frames, size_t n_frames)
{
	struct symbols_group *g = NULL;
	size_t n = 0, n_groups = 0;
	int r;

	for (size_t i = 0; i < n_frames; i++)
		n_groups += i == 0 || frames[i].object->id != frames[i - 1].object->id;
	q->addresses = calloc(n_frames + 1, sizeof(*q->addresses));
	q->groups = calloc(n_groups + 1, sizeof(*q->groups));
	if (!q->addresses || !q->groups)
		return -ENOMEM;

	for (size_t i = 0; i < n_frames; i++) {
		if (!g || g->object->id != frames[i].object->id) {
			g = &q->groups[q->n_groups];
			*g = (struct symbols_group){ .request = q, .addresses = q->addresses + n };
			r = symcache_pin(q->symbolizer->cache,
					 symbols_key(frames[i].object, q->short_names), &g->cached);
			if (r < 0)
				return r;
			g->object = object_ref(frames[i].object);
			q->n_groups++;
		}
		if (g->n > 0 && g->addresses[g->n - 1] == frames[i].address)
			continue;
		q->addresses[n++] = frames[i].address;
		g->n++;
	}
	return 0;
}

/* Gets what can be had at once, and asks for the rest. */
static int request_start_group(struct symbols_request *q, struct symbols_group *g)
{
	struct symbolizer *s = q->symbolizer;
	size_t missing = 0, wanted = 0;
	int r;

	for (size_t i = 0; i < g->n; i++) {
		if (!symbols_missing(g, g->addresses[i]))
			continue;
		missing++;
		if (symbolizer_needs_job(s, g->object, g->addresses[i], q->mode)) {
			wanted++;
			continue;
		}
		r = symbolizer_put_special(s, g->cached, g->object, g->addresses[i], q->mode);
		if (r < 0)
			return r;
	}

	s->stats.lookups += g->n;
	s->stats.hits += g->n - missing;
	if (wanted == 0)
		return 0;
	r = symwork_add(s, g);
	if (r < 0)
		return r;
	q->pending++;
	return 0;
}

static void request_free(struct symbols_request *q)
{
	struct symbols_request **p = &q->symbolizer->requests;

	while (*p && *p != q)
		p = &(*p)->next;
	if (*p)
		*p = q->next;

	for (size_t i = 0; i < q->n_groups; i++) {
		struct symbols_group *g = &q->groups[i];

		if (g->work)
			symwork_remove(g);
		symcache_unpin(q->symbolizer->cache, g->cached);
		object_unref(g->object);
	}
	symcache_trim(q->symbolizer->cache);
	sd_event_source_disable_unref(q->done_source);
	free(q->groups);
	free(q->addresses);
	free(q);
}

static int request_done(sd_event_source *source, void *arg)
{
	struct symbols_request *q = arg;
	void (*done)(void *) = q->done;

	(void)source;
	/* while the objects are pinned; a cancel from within finds it gone from the list */
	q->done = NULL;
	q->symbolizer->in_done = true;
	done(q->arg);
	q->symbolizer->in_done = false;
	request_free(q);
	return 0;
}

static int request_ready(struct symbols_request *q)
{
	return sd_event_add_defer(q->symbolizer->event, &q->done_source, request_done, q);
}

void symbols_group_ready(struct symbols_group *g)
{
	if (--g->request->pending == 0)
		request_ready(g->request);
}

static int request_start(struct symbols_request *q, const struct frame *frames, size_t n_frames)
{
	_cleanup_free_ struct frame *sorted = calloc(n_frames + 1, sizeof(*sorted));
	int r;

	if (!sorted)
		return -ENOMEM;
	if (n_frames > 0)
		memcpy(sorted, frames, n_frames * sizeof(*sorted));
	qsort(sorted, n_frames, sizeof(*sorted), frame_compare);

	r = request_groups(q, sorted, n_frames);
	if (r < 0)
		return r;
	for (size_t i = 0; i < q->n_groups; i++) {
		r = request_start_group(q, &q->groups[i]);
		if (r < 0)
			return r;
	}
	if (q->pending == 0)
		return request_ready(q);
	symwork_run(q->symbolizer);
	return 0;
}

int symbolizer_request(struct symbolizer *s, const struct frame *frames, size_t n_frames,
		       enum symbols_mode mode, bool short_names, void (*done)(void *arg), void *arg,
		       struct symbols_request **ret)
{
	struct symbols_request *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	*q = (struct symbols_request){
		.symbolizer = s,
		.mode = mode,
		.short_names = short_names,
		.since_ns = symbolizer_now_ns(s),
		.done = done,
		.arg = arg,
		.next = s->requests,
	};
	s->requests = q;

	r = request_start(q, frames, n_frames);
	if (r < 0) {
		request_free(q);
		return r;
	}
	if (ret)
		*ret = q;
	return 0;
}

struct symbols_request *symbols_request_cancel(struct symbols_request *r)
{
	/* within its own `done` it is freed when that returns */
	if (r && r->done)
		request_free(r);
	return NULL;
}

void symbols_request_progress(const struct symbols_request *r, uint64_t *ret_done,
			      uint64_t *ret_all)
{
	*ret_all = r->n_groups;
	*ret_done = r->n_groups - MIN(r->pending, r->n_groups);
}

const struct location *symbolizer_lookup(struct symbolizer *s, const struct frame *frame,
					 bool short_names)
{
	struct symcache_object *cached = symcache_find(s->cache,
						       symbols_key(frame->object, short_names));
	const struct symcache_entry *e = cached ? symcache_get(cached, frame->address) : NULL;

	return e ? &e->location : s->in_done ? s->fallback : NULL;
}

void symbolizer_object(struct symbolizer *s, struct object *object, bool short_names,
		       struct object_symbols *ret)
{
	struct symcache_object *cached = symcache_find(s->cache, symbols_key(object, short_names));
	const struct symcache_info *info = cached ? symcache_info(cached) : NULL;

	*ret = (struct object_symbols){ .build_id = info ? info->build_id : "" };
	if (object->kind == OBJECT_KERNEL) {
		ret->has_names = symbolizer_kernel_names(s);
		ret->has_lines = info && info->has_lines;
		ret->has_inlines = info && info->has_inlines;
	} else if (info) {
		ret->has_names = info->has_names;
		ret->has_lines = info->has_lines;
		ret->has_inlines = info->has_inlines;
		ret->debug_missing = info->debug_missing;
	}
}

uint64_t symbolizer_kernel_link_address(struct symbolizer *s, uint64_t ip)
{
	return kernel_names_encode(s->kernel, ip, symbolizer_now_ns(s));
}

bool symbolizer_kernel_entry(const struct symbolizer *s, uint64_t ip)
{
	return kallsyms_is_entry(kernel_names_table(s->kernel), ip);
}

bool symbolizer_kernel_names(struct symbolizer *s)
{
	return !kallsyms_hidden(kernel_names_table(s->kernel));
}

void symbolizer_stats(const struct symbolizer *s, struct symbolizer_stats *ret)
{
	struct symstore_stats store;

	symstore_stats(s->store, &store);
	*ret = s->stats;
	ret->bytes = symcache_bytes(s->cache);
	ret->store_hits = store.hits;
	ret->store_bytes = store.bytes;
	ret->store_bad = store.bad;
	ret->store_stale = store.stale;
	ret->store_errors = store.errors;
	ret->kernel_bytes = kallsyms_bytes(kernel_names_table(s->kernel));
}

void symbolizer_each_failure(struct symbolizer *s,
			     void (*fn)(void *arg, const char *path, const char *why), void *arg)
{
	uint64_t now = symbolizer_now_ns(s);

	for (size_t i = 0; i < s->failures.n; i++)
		if (s->failures.items[i].expires_ns > now)
			fn(arg, s->failures.items[i].path, s->failures.items[i].why);
}
