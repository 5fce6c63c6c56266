/* SPDX-License-Identifier: Apache-2.0 */
#include "debuginfod.h"

#include <string.h>
#include <time.h>
#include <utlist.h>

#include "cleanup.h"
#include "clock.h"
#include "debug_cache.h"
#include "fetch_process.h"
#include "pool.h"

#define MAX_MISSING 512

enum fetch_state { FETCH_WAITING, FETCH_RUNNING, FETCH_CHECKING };

struct fetch {
	struct debuginfod *owner;
	enum fetch_state state;
	uint8_t id[FETCH_MAX_ID_BYTES];
	size_t id_bytes;
	char hex[DEBUG_CACHE_HEX_BYTES];
	uint64_t number, bytes;
	int fd; /* -1: no file yet */
	struct fetch_process *process;
	struct job *job;
	struct fetch *prev, *next;
};

struct missing {
	char hex[DEBUG_CACHE_HEX_BYTES];
	uint64_t expires_ns;
};

struct debuginfod {
	sd_event *event;
	struct debuginfod_options o;
	char *path, *urls;
	struct debug_cache *cache;
	struct fetch *all;
	uint64_t next_number;
	struct missing missing[MAX_MISSING];
	size_t next_missing;
	struct debuginfod_stats stats;
};

DEFINE_CLEANUP(struct debuginfod *, debuginfod_free)

int debuginfod_new(struct debuginfod **ret, sd_event *event,
		   const struct debuginfod_options *options)
{
	_cleanup_(debuginfod_freep) struct debuginfod *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->event = sd_event_ref(event);
	d->o = *options;
	d->path = strdup(options->fetch_path);
	d->urls = strdup(options->urls);
	if (!d->path || !d->urls)
		return -ENOMEM;
	if (strlen(d->urls) > FETCH_MAX_URLS_BYTES)
		return -E2BIG;
	r = debug_cache_new(&d->cache, options->folder, options->cache_bytes);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(d);
	return 0;
}

static void fetch_free(struct fetch *f)
{
	struct debuginfod *d = f->owner;

	DL_DELETE(d->all, f);
	fetch_process_free(f->process);
	job_cancel(f->job);
	if (f->fd >= 0)
		debug_cache_drop(d->cache, f->number);
	safe_close(f->fd);
	free(f);
}

struct debuginfod *debuginfod_free(struct debuginfod *d)
{
	if (!d)
		return NULL;

	while (d->all)
		fetch_free(d->all);
	debug_cache_free(d->cache);
	sd_event_unref(d->event);
	free(d->path);
	free(d->urls);
	free(d);
	return NULL;
}

static void fetches_run(struct debuginfod *d);

/* It is decided; whoever waits asks again. */
static void fetch_finish(struct fetch *f, bool found)
{
	struct debuginfod *d = f->owner;
	uint8_t id[FETCH_MAX_ID_BYTES];
	size_t bytes = f->id_bytes;

	memcpy(id, f->id, bytes);
	if (!found) {
		struct missing *m = &d->missing[d->next_missing++ % MAX_MISSING];

		memcpy(m->hex, f->hex, sizeof(m->hex));
		m->expires_ns = clock_ns(CLOCK_MONOTONIC) + DEBUGINFOD_MISSING_NS;
	}
	fetch_free(f);
	fetches_run(d);
	d->o.done(d->o.arg, id, bytes);
}

static void on_checked(void *arg, const struct job_result *result)
{
	struct fetch *f = arg;
	struct debuginfod *d = f->owner;
	bool fits = result->error == 0 && result->answer_bytes == f->id_bytes &&
		    memcmp(result->answer, f->id, f->id_bytes) == 0;

	f->job = NULL;
	if (!fits) {
		d->stats.wrong++;
		fetch_finish(f, false);
		return;
	}
	if (debug_cache_add(d->cache, f->number, f->hex, f->fd, f->bytes) < 0) {
		d->stats.failed++;
		fetch_finish(f, false);
		return;
	}
	f->fd = safe_close(f->fd); /* it has its name now */
	d->stats.fetched++;
	fetch_finish(f, true);
}

/* Nobody can write to the file any more: it is looked at by the worker. */
static int fetch_check(struct fetch *f)
{
	struct job_spec spec = {
		.kind = JOB_BUILD_ID,
		.fds = &f->fd,
		.n_fds = 1,
		.max_answer_bytes = FETCH_MAX_ID_BYTES,
		.done = on_checked,
		.arg = f,
	};

	f->state = FETCH_CHECKING;
	return pool_submit(f->owner->o.pool, &spec, &f->job);
}

static void on_fetched(void *arg, const struct fetch_reply *reply)
{
	struct fetch *f = arg;
	struct debuginfod *d = f->owner;

	f->process = fetch_process_free(f->process);
	f->bytes = reply->bytes;
	if (reply->error == 0 && fetch_check(f) == 0) {
		fetches_run(d);
		return;
	}
	if (reply->error == -ENOENT)
		d->stats.missing++;
	else if (reply->error == -EFBIG)
		d->stats.too_large++;
	else
		d->stats.failed++;
	fetch_finish(f, false);
}

static int fetch_start(struct fetch *f)
{
	struct debuginfod *d = f->owner;
	struct fetch_request request = {
		.max_bytes = MIN(d->o.cache_bytes, DEBUGINFOD_MAX_FILE_BYTES),
		.timeout_ms = (uint32_t)(DEBUGINFOD_TIMEOUT_NS / NSEC_PER_MSEC),
		.build_id_bytes = (uint32_t)f->id_bytes,
	};

	memcpy(request.build_id, f->id, f->id_bytes);
	f->fd = debug_cache_create(d->cache, f->number);
	if (f->fd < 0)
		return f->fd;
	f->state = FETCH_RUNNING;
	return fetch_process_new(&f->process, d->event, d->path, d->urls, &request, f->fd,
				 on_fetched, f);
}

static unsigned fetches_in(const struct debuginfod *d, enum fetch_state state)
{
	const struct fetch *f;
	unsigned n = 0;

	DL_FOREACH(d->all, f)
	n += f->state == state;
	return n;
}

/* What cannot be started is dropped: nobody waits for it, and who asks again tries again. */
static void fetches_run(struct debuginfod *d)
{
	unsigned running = fetches_in(d, FETCH_RUNNING);
	struct fetch *f, *tmp;

	DL_FOREACH_SAFE(d->all, f, tmp)
	{
		if (running >= DEBUGINFOD_MAX_RUNNING)
			return;
		if (f->state != FETCH_WAITING)
			continue;
		if (fetch_start(f) < 0) {
			d->stats.failed++;
			fetch_free(f);
			continue;
		}
		running++;
	}
}

static struct fetch *fetch_find(struct debuginfod *d, const char *hex)
{
	struct fetch *f;

	DL_FOREACH(d->all, f)
	if (strcmp(f->hex, hex) == 0)
		return f;
	return NULL;
}

static bool is_missing(const struct debuginfod *d, const char *hex)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	for (size_t i = 0; i < MAX_MISSING; i++)
		if (d->missing[i].expires_ns > now && strcmp(d->missing[i].hex, hex) == 0)
			return true;
	return false;
}

static int fetch_new(struct debuginfod *d, const uint8_t *build_id, size_t bytes, const char *hex)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->owner = d;
	f->fd = -1;
	f->number = d->next_number++;
	f->id_bytes = bytes;
	memcpy(f->id, build_id, bytes);
	snprintf(f->hex, sizeof(f->hex), "%s", hex);
	DL_APPEND(d->all, f);
	return 0;
}

int debuginfod_get(struct debuginfod *d, const uint8_t *build_id, size_t bytes)
{
	char hex[DEBUG_CACHE_HEX_BYTES] = "";
	const struct fetch *f;
	unsigned waiting;
	int fd, r;

	if (bytes < 2 || bytes > FETCH_MAX_ID_BYTES)
		return -EINVAL;
	for (size_t i = 0; i < bytes; i++)
		snprintf(hex + 2 * i, 3, "%02x", build_id[i]);

	fd = debug_cache_find(d->cache, hex);
	if (fd >= 0)
		return fd;
	if (is_missing(d, hex))
		return -ENOENT;
	if (fetch_find(d, hex))
		return -EINPROGRESS;
	waiting = fetches_in(d, FETCH_WAITING);
	if (waiting >= DEBUGINFOD_MAX_WAITING) {
		d->stats.refused++;
		return -EBUSY;
	}

	r = fetch_new(d, build_id, bytes, hex);
	if (r < 0)
		return r;
	fetches_run(d);
	f = fetch_find(d, hex);
	return f ? -EINPROGRESS : -EIO;
}

void debuginfod_stats(const struct debuginfod *d, struct debuginfod_stats *ret)
{
	if (!d) {
		*ret = (struct debuginfod_stats){ 0 };
		return;
	}
	*ret = d->stats;
	ret->cache_bytes = debug_cache_bytes(d->cache);
	ret->running = fetches_in(d, FETCH_RUNNING);
	ret->waiting = fetches_in(d, FETCH_WAITING);
}
