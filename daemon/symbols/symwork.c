/* SPDX-License-Identifier: Apache-2.0 */
#include "symwork.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "symanswer.h"

static void symwork_free(struct symwork *w)
{
	struct symwork **p = &w->symbolizer->works;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;

	if (w->job) {
		job_cancel(w->job);
		w->symbolizer->running--;
	}
	sd_event_source_disable_unref(w->wait);
	symcache_unpin(w->symbolizer->cache, w->cached);
	object_unref(w->file);
	object_unref(w->object);
	debug_paths_done(&w->paths);
	free(w->sections);
	free(w->asked);
	free(w);
}

void symwork_free_all(struct symbolizer *s)
{
	while (s->works)
		symwork_free(s->works);
}

int symwork_add(struct symbolizer *s, struct symbols_group *g)
{
	struct symwork **p = &s->works;
	int r;

	while (*p &&
	       ((*p)->object->id != g->object->id || (*p)->short_names != g->request->short_names))
		p = &(*p)->next;

	if (!*p) {
		struct symwork *w = calloc(1, sizeof(*w));

		if (!w)
			return -ENOMEM;
		w->symbolizer = s;
		w->short_names = g->request->short_names;
		r = symcache_pin(s->cache, symbols_key(g->object, w->short_names), &w->cached);
		if (r < 0) {
			free(w);
			return r;
		}
		w->object = object_ref(g->object);
		if (w->object->kind != OBJECT_KERNEL)
			w->file = object_ref(w->object);
		*p = w;
	}

	g->work = *p;
	g->next = g->work->groups;
	g->work->groups = g;
	return 0;
}

void symwork_remove(struct symbols_group *g)
{
	struct symbols_group **p = &g->work->groups;

	while (*p != g)
		p = &(*p)->next;
	*p = g->next;
	g->work = NULL;
}

static void symwork_finish(struct symwork *w)
{
	while (w->groups) {
		struct symbols_group *g = w->groups;

		symwork_remove(g);
		symbols_group_ready(g);
	}
	symwork_free(w);
}

static int symwork_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Fills asked with what is missing, sorted and distinct, at most one job's worth. */
static int symwork_collect(struct symwork *w)
{
	size_t n = 0, to = 0, total = 0;
	struct symbols_group *g;

	for (g = w->groups; g; g = g->next)
		total += g->n;
	free(w->asked);
	w->n_asked = 0;
	w->mode = SYMBOLS_FAST;
	w->asked = calloc(total + 1, sizeof(*w->asked));
	if (!w->asked)
		return -ENOMEM;

	for (g = w->groups; g; g = g->next) {
		for (size_t i = 0; i < g->n; i++) {
			if (!symbols_missing(g, g->addresses[i]))
				continue;
			w->asked[n++] = g->addresses[i];
			if (g->request->mode == SYMBOLS_FULL)
				w->mode = SYMBOLS_FULL;
		}
	}

	qsort(w->asked, n, sizeof(*w->asked), symwork_compare);
	for (size_t i = 0; i < n; i++)
		if (to == 0 || w->asked[i] != w->asked[to - 1])
			w->asked[to++] = w->asked[i];
	w->n_asked = MIN(to, (size_t)WORK_MAX_OFFSETS);
	return 0;
}

static void symwork_fail(struct symwork *w, enum failure_kind kind, const char *why)
{
	struct symbolizer *s = w->symbolizer;

	failures_add(&s->failures, w->file, kind, why, symbolizer_now_ns(s));
	s->stats.failed_files = s->failures.total;
}

static const char *symwork_reason(const struct job_result *result, char *text, size_t size)
{
	switch (result->error) {
	case -EPIPE:
		if (result->signal > 0)
			snprintf(text, size, "worker crashed (%s)", strsignal(result->signal));
		else
			snprintf(text, size, "worker ended without an answer");
		return text;
	case -ETIME:
		return "took too long";
	case -ENOMEM:
		return "needs too much memory";
	case -EFBIG:
		return "debug information in a file over " SYMBOLIZE_MAX_DWARF_FILE_TEXT;
	case -EMSGSIZE:
	case -ENOSPC:
		return "answer too large";
	case -EPROTO:
	case -EBADMSG:
		return "answer malformed";
	case -ESTALE:
		return "not of the running kernel: build-ids differ";
	case -ETXTBSY:
		return "changed while it was read";
	case -ENOEXEC:
		return "no ELF file of this machine";
	default:
		snprintf(text, size, "%s", strerror(-result->error));
		return text;
	}
}

static int symwork_put(struct symwork *w, const struct symanswer *a,
		       const struct symbolize_location *l, const char *lines, uint64_t address,
		       uint64_t expires_ns)
{
	bool module = w->object->kind == OBJECT_KERNEL && kernel_image_is_module(w->image);
	struct symbolizer_stats *stats = &w->symbolizer->stats;
	_cleanup_(buf_done) struct buf names = BUF_INIT(WORK_MAX_ANSWER_BYTES);
	struct symbol_line out[SYMBOLIZE_MAX_LINES];
	struct symcache_info *info = symcache_info(w->cached);
	uint64_t shown = l->function != UINT64_MAX ? l->function
			 : l->vaddr != UINT64_MAX  ? l->vaddr
						   : address;
	int r;

	if (w->object->kind == OBJECT_JIT)
		*(l->n_lines ? &stats->jit_named : &stats->jit_unnamed) += 1;
	if (w->object->kind == OBJECT_KERNEL) {
		if (module)
			expires_ns = symbolizer_now_ns(w->symbolizer) + FAILURES_EXPIRE_NS;
		r = symkernel_put(w, a, l, lines, address, expires_ns);
		if (r <= 0)
			return r;
	}
	if (l->n_lines == 0)
		return symbolizer_put_synthetic(w->symbolizer, w->cached, w->object, address, shown,
						w->mode, expires_ns);

	for (uint32_t i = 0; i < l->n_lines; i++) {
		struct symbolize_line line;

		symanswer_line(lines, i, &line);
		out[i] = (struct symbol_line){
			.name = a->strings + line.name,
			.system_name = a->strings +
				       (line.system_name ? line.system_name : line.name),
			.file = a->strings + line.file,
			.line = line.line,
			.column = line.column,
			.start_line = line.start_line,
		};
		info->has_lines |= line.line > 0;
	}
	if (module) {
		r = symkernel_names(w, out, l->n_lines, &names);
		if (r < 0)
			return r;
	}
	info->has_names = true;
	info->has_inlines |= w->mode == SYMBOLS_FULL && l->source == SYMBOLIZE_SOURCE_DWARF;
	return symcache_put(w->symbolizer->cache, w->cached, address, w->mode, expires_ns, false,
			    out, l->n_lines);
}

/* Once a file, not once a question. */
static void symwork_note_broken(struct symwork *w)
{
	struct symbolizer *s = w->symbolizer;

	if (failures_find(&s->failures, w->file, symbolizer_now_ns(s)) == FAILURE_NONE)
		symwork_fail(w, FAILURE_PART, "symbols or debug information broken in part");
}

static int symwork_put_file_info(struct symwork *w, const struct symanswer *a)
{
	struct symcache_info *info = symcache_info(w->cached);
	const char *build_id = a->strings + a->head.build_id;

	if (w->object->kind == OBJECT_KERNEL)
		return kernel_image_matches(w->image, build_id) ? 0 : -ESTALE;

	snprintf(info->build_id, sizeof(info->build_id), "%s", build_id);
	info->debug_missing = a->head.debug_missing;
	return 0;
}

static int symwork_put_answer(struct symwork *w, const struct job_result *result,
			      uint64_t expires_ns)
{
	struct symanswer_cursor cursor = { 0 };
	struct symanswer a;
	int r;

	r = (w->object->kind == OBJECT_KERNEL ? symanswer_check_vaddrs : symanswer_check)(
		result->answer, result->answer_bytes, w->asked, w->n_asked, &a);
	if (r < 0)
		return r;

	r = symwork_put_file_info(w, &a);
	if (r < 0)
		return r;
	if (a.head.debug_broken)
		symwork_note_broken(w);
	for (size_t i = 0; i < w->n_asked; i++) {
		struct symbolize_location location;
		const char *lines;

		symanswer_next(&a, &cursor, &location, &lines);
		r = symwork_put(w, &a, &location, lines, w->asked[i], expires_ns);
		if (r < 0)
			return r;
	}
	if (w->object->kind == OBJECT_KERNEL)
		symkernel_done(w);
	symstore_added(w->symbolizer->store, w->cached, w->n_asked);
	return 0;
}

static bool symwork_is_dwarf(const struct symwork *w)
{
	return w->mode == SYMBOLS_FULL &&
	       failures_find(&w->symbolizer->failures, w->file, symbolizer_now_ns(w->symbolizer)) <
		       FAILURE_DWARF;
}

/* The worker went, not because of this file; or a debug file was being written. */
static bool symwork_may_be_better(const struct job_result *result)
{
	return (result->error == -EPIPE && result->signal == 0) || result->error == -ETXTBSY;
}

static void symwork_done(void *arg, const struct job_result *result)
{
	struct symwork *w = arg;
	struct symbolizer *s = w->symbolizer;
	bool dwarf = symwork_is_dwarf(w);
	struct job_result checked = *result;
	uint64_t expires_ns;
	char text[64];

	w->job = NULL;
	s->running--;
	/* names without lines, because reading the lines failed, may get better */
	expires_ns = w->mode == SYMBOLS_FULL && !dwarf ? symbolizer_now_ns(s) + FAILURES_EXPIRE_NS
						       : 0;

	if (w->fetching || w->fetch_missed)
		expires_ns = symfetch_expires_ns(w);
	/* a JIT compiler goes on writing: good for those who asked before its files were opened */
	if (w->object->kind == OBJECT_JIT)
		expires_ns = w->opened_ns;
	if (w->object->kind != OBJECT_JIT && !object_unchanged(w->file)) {
		if (w->retries++ < WORK_MAX_RETRIES && object_renew(w->file)) {
			symwork_run(s);
			return;
		}
		/* whatever came of it: an answer of two versions, or the crash of a reader */
		symwork_fail(w, FAILURE_FILE, "changed while it was read");
		checked.error = 0;
	} else if (checked.error == 0)
		checked.error = symwork_put_answer(w, result, expires_ns);

	if (symwork_may_be_better(&checked) && w->retries++ < WORK_MAX_RETRIES) {
		symwork_run(s);
		return;
	}
	if (checked.error < 0)
		symwork_fail(w, dwarf ? FAILURE_DWARF : FAILURE_FILE,
			     symwork_reason(&checked, text, sizeof(text)));
	if (w->fetching)
		symfetch_wait(w);
	symwork_run(s);
}

/* What may have debug files: programs, and the kernel. */
static bool symwork_has_debug_files(const struct symwork *w)
{
	return w->object->kind == OBJECT_KERNEL ||
	       (w->object->kind == OBJECT_FILE && w->symbolizer->options.open_debug);
}

/* Names of two versions of a debug file are not for one profile: those of the old one are asked for
 * again. One that changes all the time is not waited for. */
static void symwork_expire(struct symwork *w)
{
	struct symbolizer *s = w->symbolizer;
	bool again = w->expiries++ < WORK_MAX_RETRIES;
	struct symcache_object *other = symcache_find(s->cache, symbols_key(w->object, true));

	symcache_expire(w->cached, again ? 1 : symbolizer_now_ns(s) + WORK_CHANGING_NS);
	if (other)
		symcache_expire(other, 1);
}

static int symwork_open_path(struct symwork *w, const char *path)
{
	const struct symbolizer_options *o = &w->symbolizer->options;
	int r;

	if (w->object->kind == OBJECT_KERNEL)
		return kernel_debug_open_path(w->symbolizer->kernel_debug, path);
	r = o->open_debug(o->open_debug_arg, w->object, path);
	if (!w->short_names && symstore_opened(w->symbolizer->store, w->cached, path, r))
		symwork_expire(w);
	return r;
}

static void symwork_open(void *arg, struct job *job, const struct job_open *request, const char *id)
{
	struct symwork *w = arg;
	_cleanup_close_ int fd = -1;
	int r = -ENOENT;

	/* a candidate that is not there costs no question and answer */
	while (fd < 0 && symwork_has_debug_files(w)) {
		_cleanup_free_ char *path = NULL;

		r = debug_paths_next(&w->paths, request, id, w->file->name, &path);
		if (r < 0)
			break;
		fd = symwork_open_path(w, path);
	}
	if (fd < 0) {
		r = symfetch_open(w, request);
		fd = r >= 0 ? r : -1;
	}
	pool_opened(job, fd >= 0 ? fd : r);
}

static int symwork_start(struct symwork *w, const struct job_spec *spec)
{
	int r = pool_submit(w->symbolizer->options.pool, spec, &w->job);

	if (r < 0)
		return r;
	w->opened_ns = symbolizer_now_ns(w->symbolizer);
	w->symbolizer->running++;
	w->symbolizer->stats.jobs++;
	return 0;
}

/* 1: there is no file with names. */
static int symwork_submit_jit(struct symwork *w)
{
	_cleanup_(buf_done) struct buf input =
		BUF_INIT(sizeof(struct jit_input) + WORK_MAX_OFFSETS * sizeof(uint64_t));
	const struct symbolizer_options *o = &w->symbolizer->options;
	struct jit_input head = {
		.n_addresses = (uint32_t)w->n_asked,
		.until_ns = w->object->until_ns,
	};
	struct jit_fds files = { -1, -1, -1 };
	int fds[3];
	struct job_spec spec = {
		.kind = JOB_JIT,
		.fds = fds,
		.max_answer_bytes = WORK_MAX_ANSWER_BYTES,
		.done = symwork_done,
		.arg = w,
	};
	int r;

	if (o->open_jit)
		o->open_jit(o->open_jit_arg, w->object, &files);
	if (files.parent_map >= 0) {
		fds[spec.n_fds++] = files.parent_map;
		head.files |= JIT_INPUT_PARENT_MAP;
	}
	if (files.map >= 0) {
		fds[spec.n_fds++] = files.map;
		head.files |= JIT_INPUT_MAP;
	}
	if (files.dump >= 0) {
		fds[spec.n_fds++] = files.dump;
		head.files |= JIT_INPUT_DUMP;
	}
	if (spec.n_fds == 0)
		return 1;

	buf_append(&input, &head, sizeof(head));
	r = buf_append(&input, w->asked, w->n_asked * sizeof(*w->asked));
	if (r < 0)
		return r;
	spec.input = input.data;
	spec.input_bytes = input.size;
	return symwork_start(w, &spec);
}

static int symwork_submit(struct symwork *w)
{
	_cleanup_(buf_done) struct buf input =
		BUF_INIT(sizeof(struct symbolize_input) + WORK_MAX_OFFSETS * sizeof(uint64_t) +
			 SYMBOLIZE_MAX_SECTIONS * sizeof(struct symbolize_section));
	struct symbolize_input head = {
		.flags = (symwork_is_dwarf(w) ? SYMBOLIZE_DWARF : 0U) |
			 (w->short_names ? SYMBOLIZE_SHORT : 0U) |
			 (w->object->kind == OBJECT_KERNEL ? SYMBOLIZE_VADDR : 0U),
		.n_offsets = (uint32_t)w->n_asked,
		.n_sections = (uint32_t)w->n_sections,
	};
	struct job_spec spec = {
		.kind = JOB_SYMBOLIZE,
		.fds = &w->file->fd,
		.n_fds = 1,
		.max_answer_bytes = WORK_MAX_ANSWER_BYTES,
		.done = symwork_done,
		.open = symwork_open,
		.arg = w,
	};
	int r;

	buf_append(&input, &head, sizeof(head));
	buf_append(&input, w->asked, w->n_asked * sizeof(*w->asked));
	r = buf_append(&input, w->sections, w->n_sections * sizeof(*w->sections));
	if (r < 0)
		return r;
	spec.input = input.data;
	spec.input_bytes = input.size;
	debug_paths_done(&w->paths);
	w->fetch_offered = 0;
	w->fetching = w->fetch_missed = false;

	return symwork_start(w, &spec);
}

/* All that is missing gets a name made of its address, or kallsyms' own. */
static int symwork_put_synthetic(struct symwork *w, uint64_t expires_ns)
{
	if (w->object->kind == OBJECT_JIT)
		w->symbolizer->stats.jit_unnamed += w->n_asked;
	for (size_t i = 0; i < w->n_asked; i++) {
		int r = w->object->kind == OBJECT_KERNEL
				? symbolizer_put_kernel(w->symbolizer, w->cached, w->asked[i],
							w->mode, NULL, 0)
				: symbolizer_put_synthetic(w->symbolizer, w->cached, w->object,
							   w->asked[i], w->asked[i], w->mode,
							   expires_ns);

		if (r < 0)
			return r;
	}
	return 0;
}

/* 0: a job runs; 1: there is nothing to ask; -EBUSY: later. */
static int symwork_ask(struct symwork *w)
{
	struct symbolizer *s = w->symbolizer;
	bool jit = w->object->kind == OBJECT_JIT;
	int r;

	if (w->object->kind == OBJECT_KERNEL) {
		r = symkernel_ask(w);
		if (r != 0)
			return r;
	}
	if ((w->file->fd < 0 && !jit) || !s->options.pool ||
	    failures_find(&s->failures, w->file, symbolizer_now_ns(s)) == FAILURE_FILE)
		return 1;
	if (!jit && !object_renew(w->file)) {
		symwork_fail(w, FAILURE_FILE, "changed");
		return 1;
	}

	r = jit ? symwork_submit_jit(w) : symwork_submit(w);
	if (r >= 0 || r == -EBUSY)
		return r;
	symwork_fail(w, FAILURE_FILE, strerror(-r));
	return 1;
}

/* What is kept on disk of what is missing. */
static size_t symwork_load(struct symwork *w)
{
	if (w->short_names || w->object->kind != OBJECT_FILE || w->object->fd < 0 ||
	    !object_renew(w->object))
		return 0;
	return symstore_load(w->symbolizer->store, w->cached, w->object, w->mode, w->asked,
			     w->n_asked);
}

/* One step of a piece of work without a job. 1: a job runs or must wait for its turn. */
static int symwork_step(struct symwork *w)
{
	struct symbolizer *s = w->symbolizer;
	uint64_t keep_ns = w->object->kind == OBJECT_JIT ? 0 : FAILURES_EXPIRE_NS;
	int r;

	for (;;) {
		r = symwork_collect(w);
		if (r < 0 || w->n_asked == 0)
			return r;
		if (symwork_load(w) > 0)
			continue;

		r = symwork_ask(w);
		if (r <= 0)
			return r == 0 ? 1 : r;
		r = symwork_put_synthetic(w, symbolizer_now_ns(s) + keep_ns);
		if (r < 0)
			return r;
	}
}

static int symwork_retry(sd_event_source *source, uint64_t usec, void *arg)
{
	struct symbolizer *s = arg;

	(void)source;
	(void)usec;
	s->retry = sd_event_source_disable_unref(s->retry);
	symwork_run(s);
	return 0;
}

void symwork_run(struct symbolizer *s)
{
	struct symwork *next;

	for (struct symwork *w = s->works; w; w = next) {
		int r;

		next = w->next;
		if (w->job || w->wait)
			continue;
		if (s->running >= WORK_MAX_RUNNING)
			break;

		r = symwork_step(w);
		if (r == 1)
			continue;
		if (r == -EBUSY &&
		    (s->retry || sd_event_add_time_relative(s->event, &s->retry, CLOCK_MONOTONIC,
							    WORK_RETRY_NS / NSEC_PER_USEC, 0,
							    symwork_retry, s) >= 0))
			break;
		/* all is there; or there is no memory, and symbolizer_lookup() helps itself */
		symwork_finish(w);
	}
}
