/* SPDX-License-Identifier: Apache-2.0 */
#include "sightings.h"

#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "cleanup.h"
#include "clock.h"

/* One that is forgotten while the opener looks at it is freed by the answer. */
struct entry {
	struct sightings *owner;
	uint32_t pid;
	uint64_t first_ns, last_ns; /* of the program's mappings */
	bool looking, forgotten;
	struct sighting seen; /* root_fd -1: not seen, or taken */
	struct entry *prev, *next;
	UT_hash_handle hh;
};

struct sightings {
	struct opener *opener;
	struct entry *by_pid;
	struct entry *all; /* by last_ns, about */
	struct sightings_stats stats;
};

int sightings_new(struct sightings **ret, struct opener *opener)
{
	struct sightings *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->opener = opener;
	*ret = s;
	return 0;
}

static void entry_destroy(struct entry *e)
{
	DL_DELETE(e->owner->all, e);
	e->owner->stats.known--;
	safe_close(e->seen.root_fd);
	free(e);
}

static void entry_forget(struct entry *e)
{
	HASH_DEL(e->owner->by_pid, e);
	e->forgotten = true;
	if (!e->looking)
		entry_destroy(e);
}

struct sightings *sightings_free(struct sightings *s)
{
	struct entry *e, *tmp;

	if (!s)
		return NULL;

	HASH_CLEAR(hh, s->by_pid);
	DL_FOREACH_SAFE(s->all, e, tmp)
	entry_destroy(e);
	free(s);
	return NULL;
}

static struct entry *find(struct sightings *s, uint32_t pid)
{
	struct entry *e;

	HASH_FIND(hh, s->by_pid, &pid, sizeof(pid), e);
	return e;
}

static void on_looked(void *arg, int error, const struct openfile_result *result)
{
	struct entry *e = arg;

	e->looking = false;
	if (error == 0)
		e->seen = (struct sighting){ result->root_fd, result->uid, result->ns_pid };
	else
		safe_close(result->root_fd);
	if (e->forgotten)
		entry_destroy(e);
}

/* One that is being looked at cannot go. */
static bool make_room(struct sightings *s)
{
	if (s->stats.known < SIGHTINGS_MAX)
		return true;

	s->stats.forgotten++;
	if (s->all->looking)
		return false;
	entry_forget(s->all);
	return true;
}

static void look(struct sightings *s, uint32_t pid, uint64_t time_ns)
{
	struct entry *e;

	if (!make_room(s))
		return;
	e = calloc(1, sizeof(*e));
	if (!e)
		return;
	*e = (struct entry){ .owner = s, .pid = pid, .first_ns = time_ns, .last_ns = time_ns };
	e->seen.root_fd = -1;
	DL_APPEND(s->all, e);
	HASH_ADD(hh, s->by_pid, pid, sizeof(e->pid), e);
	s->stats.known++;
	e->looking = opener_process(s->opener, pid, time_ns, on_looked, e) == 0;
}

void sightings_mapped(struct sightings *s, uint32_t pid, uint64_t time_ns)
{
	struct entry *e = find(s, pid);

	if (!e) {
		look(s, pid, time_ns);
		return;
	}
	e->last_ns = MAX(e->last_ns, time_ns);
	DL_DELETE(s->all, e);
	DL_APPEND(s->all, e);
}

void sightings_begun(struct sightings *s, uint32_t pid, uint64_t time_ns)
{
	struct entry *e = find(s, pid);
	uint64_t last_ns;

	if (!e || e->first_ns > time_ns)
		return;
	last_ns = e->last_ns;
	entry_forget(e);
	/* a mapping of the new program was read first */
	if (last_ns > time_ns)
		look(s, pid, last_ns);
}

bool sightings_take(struct sightings *s, uint32_t pid, uint64_t begin_ns, uint64_t until_ns,
		    struct sighting *ret)
{
	struct entry *e = find(s, pid);

	if (!e || e->seen.root_fd < 0 || e->first_ns < begin_ns || e->first_ns > until_ns)
		return false;
	*ret = e->seen;
	e->seen.root_fd = -1;
	return true;
}

void sightings_prune(struct sightings *s, bool (*known)(void *arg, uint32_t pid), void *arg,
		     uint64_t until_ns)
{
	struct entry *e, *tmp;

	HASH_ITER (hh, s->by_pid, e, tmp)
		if (e->last_ns < until_ns && !known(arg, e->pid))
			entry_forget(e);
}

void sightings_stats(const struct sightings *s, struct sightings_stats *ret)
{
	*ret = s->stats;
}
