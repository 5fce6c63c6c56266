/* SPDX-License-Identifier: Apache-2.0 */
/* How a table comes to be: from the cache on disk, or by a job; sealed, checked, taken over. */
#include "tables_entry.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "table.h"

#define RETRY_USEC (50 * 1000ULL)

static enum table_failure failure_of(int error)
{
	switch (error) {
	case -ENOEXEC:
		return TABLE_FAILURE_NOT_ELF;
	case -EBADMSG:
	case -ENODATA:
		return TABLE_FAILURE_BROKEN;
	case -EPIPE:
		return TABLE_FAILURE_CRASHED;
	case -ETIME:
		return TABLE_FAILURE_TIMEOUT;
	case -ENOMEM:
	case -ENOSPC:
	case -EFBIG:
		return TABLE_FAILURE_MEMORY;
	case -EMSGSIZE:
	case -EPROTO:
		return TABLE_FAILURE_ANSWER;
	default:
		return TABLE_FAILURE_OTHER;
	}
}

void table_fail(struct table_entry *e, enum table_failure f)
{
	table_slot_give(e);
	table_blob_forget(e);
	e->state = TABLE_FAILED;
	e->failure = f;
	e->failed_ns = tables_now_ns();
	e->tables->stats.failed++;
	e->tables->stats.failures[f]++;
}

static bool cacheable(const struct table_entry *e)
{
	return e->tables->cache && e->object->kind == OBJECT_FILE;
}

/* Takes a checked blob over: fd becomes the entry's on success. */
static int entry_take(struct table_entry *e, int fd, bool in_memory, const void *blob, size_t bytes)
{
	struct tables *t = e->tables;
	int r;

	r = table_blob_keep_head(e, blob);
	if (r < 0)
		return r;

	if (e->head->flags & CPROF_TABLE_NO_CFI) {
		table_slot_give(e);
		safe_close(fd);
		e->state = TABLE_NO_CFI;
		return 0;
	}
	if (in_memory)
		table_blob_evict(t, bytes);
	e->fd = fd;
	e->in_memory = in_memory;
	e->blob_bytes = bytes;
	if (in_memory)
		t->stats.memory_bytes += bytes;
	e->state = TABLE_READY;
	table_load_blob(e, blob, tables_now_ns());
	return 0;
}

bool table_from_cache(struct table_entry *e)
{
	struct tables *t = e->tables;
	_cleanup_close_ int fd = -1;
	size_t bytes = 0;
	void *blob;
	int r;

	if (!cacheable(e) || !object_renew(e->object))
		return false;

	fd = blob_cache_open(t->cache, &e->object->identity, &bytes);
	if (fd < 0) {
		t->stats.cache_bad += fd == -EBADMSG;
		return false;
	}
	blob = table_blob_map(fd, bytes);
	r = blob ? table_check(blob, bytes) : -ENOMEM;
	if (r == 0) {
		r = entry_take(e, fd, false, blob, bytes);
		if (r == 0)
			TAKE_FD(fd);
	} else if (blob) {
		blob_cache_remove(t->cache, &e->object->identity);
		t->stats.cache_bad++;
	}
	if (blob)
		munmap(blob, bytes);
	t->stats.from_cache += r == 0;
	return r == 0;
}

/* Writes the blob to disk and goes on with that copy: its pages can be reclaimed, a memfd's not. */
static int entry_to_cache(struct table_entry *e, const void *blob, size_t bytes)
{
	struct tables *t = e->tables;
	size_t stored;
	int r;

	if (!cacheable(e))
		return -ENOENT;
	r = blob_cache_store(t->cache, &e->object->identity, blob, bytes);
	if (r < 0) {
		t->stats.cache_errors++;
		return r;
	}
	r = blob_cache_open(t->cache, &e->object->identity, &stored);
	if (r >= 0 && stored != bytes)
		r = (safe_close(r), -EIO);
	return r;
}

/* Nobody can write to the memfd any more when this returns 0: what is checked stays checked. */
static int seal(int fd, size_t *ret_bytes)
{
	struct stat st;

	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || (uint64_t)st.st_size > TABLE_MAX_BYTES)
		return -EMSGSIZE;

	*ret_bytes = (size_t)st.st_size;
	return 0;
}

static int entry_accept(struct table_entry *e, int fd)
{
	_cleanup_close_ int held = fd;
	size_t bytes = 0;
	void *blob;
	int r, stored;

	r = seal(held, &bytes);
	if (r < 0)
		return -EPROTO;
	blob = table_blob_map(held, bytes);
	if (!blob)
		return -ENOMEM;

	r = table_check(blob, bytes) < 0 ? -EPROTO : 0;
	if (r == 0) {
		stored = entry_to_cache(e, blob, bytes);
		if (stored >= 0) {
			safe_close(held);
			held = stored;
		}
		r = entry_take(e, held, stored < 0, blob, bytes);
		if (r == 0)
			TAKE_FD(held);
	}
	munmap(blob, bytes);
	return r;
}

/* Jobs */

void table_announce(struct table_entry *e)
{
	struct tables *t = e->tables;
	struct object *object;

	if (!e->announce || e->state == TABLE_BUILDING)
		return;
	e->announce = false;
	if (!t->ready)
		return;
	object = object_ref(e->object);
	t->ready(t->ready_arg, object, e->state);
	object_unref(object);
}

static void entry_finish(struct table_entry *e, int error)
{
	int fd = TAKE_FD(e->job_fd);

	if (error < 0) {
		safe_close(fd);
	} else if (!object_unchanged(e->object)) {
		safe_close(fd);
		table_fail(e, TABLE_FAILURE_CHANGED);
		return;
	} else {
		error = entry_accept(e, fd);
	}
	if (error < 0)
		table_fail(e, failure_of(error));
	else
		e->tables->stats.built++;
}

static void job_done(void *arg, const struct job_result *result)
{
	struct table_entry *e = arg;
	struct tables *t = e->tables;

	e->job = NULL;
	t->stats.building--;
	entry_finish(e, result->error);
	table_announce(e);
	tables_retry(t);
}

static int entry_submit(struct table_entry *e)
{
	struct tables *t = e->tables;
	_cleanup_close_ int fd = memfd_create("cprof-table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int fds[2] = { e->object->fd, fd };
	int r;

	if (fd < 0)
		return -errno;

	(void)object_renew(e->object); /* what is another file fails when the table is made */
	r = pool_submit(t->options.pool,
			&(struct job_spec){
				.kind = JOB_TABLE,
				.fds = fds,
				.n_fds = 2,
				.max_answer_bytes = 4096,
				.done = job_done,
				.arg = e,
			},
			&e->job);
	if (r < 0)
		return r;
	e->job_fd = TAKE_FD(fd);
	t->stats.building++;
	return 0;
}

static void arm_retry(struct tables *t)
{
	if (t->retry && sd_event_source_set_time_relative(t->retry, RETRY_USEC) >= 0)
		sd_event_source_set_enabled(t->retry, SD_EVENT_ONESHOT);
}

void table_start_build(struct table_entry *e)
{
	int r;

	e->state = TABLE_BUILDING;
	e->announce = true;
	e->waits = false;
	r = entry_submit(e);
	if (r == -EBUSY || r == -EMFILE) {
		e->waits = true;
		arm_retry(e->tables);
	} else if (r < 0) {
		table_fail(e, failure_of(r));
	}
}

void tables_retry(struct tables *t)
{
	struct table_entry *e, *next;

	HASH_ITER (hh, t->entries, e, next) {
		if (!e->waits)
			continue;
		table_start_build(e);
		if (e->waits)
			return;
		if (e->state != TABLE_BUILDING) {
			/* the list may change under the callback: the rest is for the timer */
			arm_retry(t);
			table_announce(e);
			return;
		}
	}
}
