/* SPDX-License-Identifier: Apache-2.0 */
#include "window.h"

#include <string.h>
#include <xxhash.h>

#include "cleanup.h"

#define FIRST_SLOTS 256

void window_init(struct window *w)
{
	*w = (struct window){
		.strings = BUF_INIT(WINDOW_MAX_META_BYTES),
		.replaces = BUF_INIT(WINDOW_MAX_META_BYTES),
	};
}

void window_done(struct window *w)
{
	buf_done(&w->strings);
	buf_done(&w->replaces);
	free(w->processes);
	free(w->string_slots);
	free(w->process_slots);
	window_init(w);
}

struct window *window_new(void)
{
	struct window *w = malloc(sizeof(*w));

	if (w)
		window_init(w);
	return w;
}

struct window *window_free(struct window *w)
{
	if (w)
		window_done(w);
	free(w);
	return NULL;
}

const char *window_string(const struct window *w, uint32_t offset)
{
	return offset < w->strings.size ? w->strings.data + offset : "";
}

static uint64_t process_hash(const struct window_process *p)
{
	return XXH3_64bits(p, offsetof(struct window_process, samples));
}

/* Doubles a table of offsets or positions; each entry's hash is computed anew. */
static int grow(struct window *w, uint32_t **slots, size_t *n_slots, bool strings)
{
	size_t n = *n_slots ? *n_slots * 2 : FIRST_SLOTS;
	uint32_t *grown = calloc(n, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	for (size_t i = 0; i < *n_slots; i++) {
		uint32_t at = (*slots)[i];
		const char *s;
		uint64_t hash;

		if (!at)
			continue;
		s = window_string(w, at);
		hash = strings ? XXH3_64bits(s, strlen(s)) : process_hash(&w->processes[at - 1]);
		while (grown[hash & (n - 1)])
			hash++;
		grown[hash & (n - 1)] = at;
	}
	free(*slots);
	*slots = grown;
	*n_slots = n;
	return 0;
}

static int intern(struct window *w, const char *s, uint32_t *ret)
{
	size_t size = strnlen(s ? s : "", WINDOW_MAX_STRING - 1);
	uint64_t hash;
	uint32_t at;
	int r;

	*ret = 0;
	if (size == 0)
		return 0;
	if ((w->n_strings + 1) * 2 > w->n_string_slots) {
		r = grow(w, &w->string_slots, &w->n_string_slots, true);
		if (r < 0)
			return r;
	}

	for (hash = XXH3_64bits(s, size);; hash++) {
		at = w->string_slots[hash & (w->n_string_slots - 1)];
		if (!at)
			break;
		if (strncmp(window_string(w, at), s, size) == 0 &&
		    window_string(w, at)[size] == '\0') {
			*ret = at;
			return 0;
		}
	}
	/* offset 0 is the empty string */
	if (w->strings.size == 0)
		buf_putc(&w->strings, '\0');
	at = (uint32_t)w->strings.size;
	buf_append(&w->strings, s, size);
	buf_putc(&w->strings, '\0');
	if (w->strings.error)
		return w->strings.error;
	w->string_slots[hash & (w->n_string_slots - 1)] = at;
	w->n_strings++;
	*ret = at;
	return 0;
}

static int process_row(struct window *w, const struct window_process *key,
		       struct window_process **ret)
{
	uint64_t hash;
	uint32_t at;
	int r;

	if ((w->n_processes + 1) * 2 > w->n_process_slots) {
		r = grow(w, &w->process_slots, &w->n_process_slots, false);
		if (r < 0)
			return r;
	}
	for (hash = process_hash(key);; hash++) {
		at = w->process_slots[hash & (w->n_process_slots - 1)];
		if (!at)
			break;
		if (memcmp(&w->processes[at - 1], key, offsetof(struct window_process, samples)) ==
		    0) {
			*ret = &w->processes[at - 1];
			return 0;
		}
	}
	if (w->n_processes == WINDOW_MAX_PROCESSES)
		return -ENOSPC;
	if (w->n_processes == w->max_processes) {
		size_t n = w->max_processes ? w->max_processes * 2 : 64;
		struct window_process *p = realloc(w->processes, n * sizeof(*p));

		if (!p)
			return -ENOMEM;
		w->processes = p;
		w->max_processes = n;
	}
	w->processes[w->n_processes++] = *key;
	w->process_slots[hash & (w->n_process_slots - 1)] = (uint32_t)w->n_processes;
	*ret = &w->processes[w->n_processes - 1];
	return 0;
}

int window_add(struct window *w, uint32_t pid, uint32_t uid, const char *comm, const char *exe,
	       const char *build_id, const char *unit, const char *container, uint64_t samples,
	       uint64_t cpu_ns)
{
	const char *const strings[] = { comm, exe, build_id, unit, container };
	struct window_process key = { .pid = pid, .uid = uid }, *row;
	uint32_t *const fields[] = { &key.comm, &key.exe, &key.build_id, &key.unit,
				     &key.container };
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		r = intern(w, strings[i], fields[i]);
		if (r < 0)
			return r;
	}
	r = process_row(w, &key, &row);
	if (r < 0)
		return r;
	row->samples += samples;
	row->cpu_ns += cpu_ns;
	w->samples += samples;
	w->cpu_ns += cpu_ns;
	return 0;
}

int window_merge(struct window *dst, const struct window *src)
{
	bool first = dst->n_processes == 0 && dst->duration_ns == 0;

	for (size_t i = 0; i < src->n_processes; i++) {
		const struct window_process *p = &src->processes[i];
		int r = window_add(dst, p->pid, p->uid, window_string(src, p->comm),
				   window_string(src, p->exe), window_string(src, p->build_id),
				   window_string(src, p->unit), window_string(src, p->container),
				   p->samples, p->cpu_ns);

		if (r < 0)
			return r;
	}
	if (first || src->start_ns < dst->start_ns)
		dst->start_ns = src->start_ns;
	if (first || src->age_ns < dst->age_ns)
		dst->age_ns = src->age_ns;
	if (first || (src->hz && src->hz < dst->hz))
		dst->hz = src->hz;
	dst->duration_ns += src->duration_ns;
	dst->lost += src->lost;
	dst->truncated += src->truncated;
	dst->merged += MAX(src->merged, 1U);
	return 0;
}
