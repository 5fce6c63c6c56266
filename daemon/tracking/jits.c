/* SPDX-License-Identifier: Apache-2.0 */
#include "jits.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>

#include "attacher.h"
#include "cleanup.h"
#include "opener.h"
#include "processes.h"
#include "sightings.h"

struct jit {
	unsigned refs;
	struct jits *owner;
	struct jit_files *files;
	struct object *object, *previous; /* of the epoch that goes on, and the one before it */
	uint64_t exec_id;                 /* of the program */
	uint64_t epoch_ns;                /* since when */
	uint64_t last_ns;                 /* of its samples */
	uint64_t dump_bytes;              /* of the dump then */
	uint64_t check_ns;                /* when to look again */
	uint64_t ask_ns;                  /* when to ask for a map, at the earliest */
	uint64_t ask_wait_ns;             /* from then to the next time */
	bool asked;                       /* the map is there because of that */
	bool asking;
	bool opening;
	bool last_look; /* what is being opened is of a process that had gone by then */
	struct jit *prev, *next;
};

struct jits {
	struct object_table *objects;
	struct opener *opener;
	struct attacher *attacher;
	struct sightings *sightings;
	struct jit *all;
	struct jits_stats stats;
};

int jits_new(struct jits **ret, struct object_table *objects, struct opener *opener,
	     struct attacher *attacher, struct sightings *sightings)
{
	struct jits *js = calloc(1, sizeof(*js));

	if (!js)
		return -ENOMEM;
	js->objects = objects;
	js->opener = opener;
	js->attacher = attacher;
	js->sightings = sightings;
	*ret = js;
	return 0;
}

static void jit_destroy(struct jit *j)
{
	DL_DELETE(j->owner->all, j);
	j->owner->stats.known--;
	object_unref(j->object);
	object_unref(j->previous);
	jit_files_unref(j->files);
	free(j);
}

struct jit *jit_ref(struct jit *j)
{
	if (j)
		j->refs++;
	return j;
}

struct jit *jit_unref(struct jit *j)
{
	if (!j || --j->refs > 0)
		return NULL;

	jit_destroy(j);
	return NULL;
}

/* What is left belongs to openings that never were answered. */
struct jits *jits_free(struct jits *js)
{
	struct jit *j, *tmp;

	if (!js)
		return NULL;
	DL_FOREACH_SAFE(js->all, j, tmp)
	jit_destroy(j);
	free(js);
	return NULL;
}

static int jit_new(struct jits *js, const struct process *p, const struct jits_sample *s,
		   struct jit **ret)
{
	struct jit *j;
	int r;

	if (js->stats.known >= JITS_MAX) {
		js->stats.full++;
		return -ENOSPC;
	}
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->refs = 1;
	j->owner = js;
	j->exec_id = s->exec_id; /* 0: not sampled yet */
	DL_APPEND(js->all, j);
	js->stats.known++;

	r = jit_files_new(&j->files, p->pid, s->ns_pid, p->image->start_ns);
	if (r == 0)
		r = object_jit(js->objects, j->files, &j->object);
	if (r < 0) {
		jit_unref(j);
		return r;
	}
	j->files->uid = p->uid;
	*ret = j;
	return 0;
}

/* Of a program that may be gone. That it still was its sample's user: it may have become another. */
static bool jit_recall(struct jits *js, struct jit *j, const struct process *p, uint64_t time_ns)
{
	struct jit_files *f = j->files;
	struct sighting seen;

	if (f->has_uid || !sightings_take(js->sightings, p->pid, p->begin_ns, time_ns, &seen))
		return false;
	if (j->exec_id && seen.uid != f->uid) {
		safe_close(seen.root_fd);
		return false;
	}
	f->root_fd = seen.root_fd;
	f->uid = seen.uid;
	f->has_uid = true;
	f->ns_pid = seen.ns_pid;
	return true;
}

/* The parent's code may never be sampled, as with servers that fork their workers: it is looked for when its
 * child's is. */
static void jit_find_parent(struct jits *js, struct process *p, const struct jits_sample *s)
{
	struct process *parent = s->parent;
	struct jits_sample of_parent = { 0 };

	if (!p->jit_parent && parent) {
		of_parent.ns_pid = parent->image->ns_pid;
		of_parent.exec_id = parent->exec_id;
		if (!parent->jit && !parent->jit_parent &&
		    jit_new(js, parent, &of_parent, &parent->jit) < 0)
			return;
		if (parent->jit)
			jit_recall(js, parent->jit, parent, s->time_ns);
		p->jit_parent = jits_inherited(parent);
	}
	if (p->jit_parent)
		jit_files_set_parent(p->jit->files, p->jit_parent->files);
}

/* What was found of the process and its map; takes the descriptors. */
static void files_learn(struct jits *js, struct jit_files *f, int error,
			const struct openfile_result *result)
{
	if (result->root_fd >= 0) {
		safe_close(f->root_fd);
		f->root_fd = result->root_fd;
		f->uid = result->uid;
		f->has_uid = true;
		f->ns_pid = result->ns_pid;
	}
	if (error == -EPERM && !f->refused) {
		f->refused = true;
		js->stats.refused++;
	}
	if (error < 0) {
		/* a map that was removed is still the last word */
		if (f->map_fd < 0)
			f->map_fd = error;
		return;
	}
	js->stats.maps += f->map_fd < 0;
	safe_close(f->map_fd);
	f->map_fd = result->fd;
}

static void on_map(void *arg, int error, const struct openfile_result *result)
{
	struct jit *j = arg;

	j->opening = false;
	j->files->settled = j->last_look;
	files_learn(j->owner, j->files, error, result);
	if (j->files->settled)
		j->files->root_fd = safe_close(j->files->root_fd);
	jit_unref(j);
}

static struct openfile_jit files_question(const struct jit_files *f)
{
	return (struct openfile_jit){
		.pid = f->pid,
		.ns_pid = f->ns_pid,
		.start_ns = f->start_ns,
		.root_fd = f->root_fd,
		.has_uid = f->has_uid,
		.uid = f->uid,
		.gone = f->gone,
	};
}

static void jit_look(struct jit *j)
{
	struct openfile_jit question = files_question(j->files);

	if (opener_jit_map(j->owner->opener, &question, on_map, j) < 0)
		return;
	j->opening = true;
	j->last_look = j->files->gone;
	jit_ref(j); /* the opener's */
}

/* The file that the process maps so that profilers find it: jit-PID.dump, of its own number. */
static const struct mapping *find_dump(const struct mapset *maps, uint32_t ns_pid)
{
	char name[32];
	size_t n = (size_t)snprintf(name, sizeof(name), "/jit-%u.dump", ns_pid);

	if (!ns_pid)
		return NULL;

	for (size_t i = 0; maps && i < maps->n; i++) {
		const char *path, *found;

		if (source_kind(maps->m[i].source) != SOURCE_FILE)
			continue;
		path = source_path(maps->m[i].source);
		found = strstr(path, name);
		if (found && (found[n] == '\0' || strcmp(found + n, " (deleted)") == 0))
			return &maps->m[i];
	}
	return NULL;
}

static bool dump_bytes(const struct object *dump, uint64_t *ret, uint32_t *ret_uid,
		       uint32_t *ret_links)
{
	struct statx st;

	if (dump->fd < 0 ||
	    statx(dump->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st) < 0)
		return false;
	*ret = st.stx_size;
	*ret_uid = st.stx_uid;
	*ret_links = st.stx_nlink;
	return true;
}

static void jit_find_dump(struct jit *j, const struct mapset *maps)
{
	const struct mapping *m;
	struct object *o;
	uint32_t uid, links;

	if (j->files->dump || !j->files->has_uid || j->files->refused)
		return;
	m = find_dump(maps, j->files->ns_pid);
	/* a forked child maps, and writes to, its parent's */
	if (!m && j->files->parent)
		m = find_dump(maps, j->files->parent->ns_pid);
	if (!m)
		return;
	o = source_object(m->source);
	if (!o) {
		source_open(m->source, j->files->pid, 0, m->start, m->limit);
		return;
	}
	if (!dump_bytes(o, &j->dump_bytes, &uid, &links))
		return;
	if (uid != j->files->uid || links > 1) {
		j->files->refused = true;
		j->owner->stats.refused++;
		return;
	}
	j->files->dump = object_ref(o);
	j->owner->stats.dumps++;
}

/* A dump that has grown may name other code at the same addresses from here on. */
static void jit_epoch(struct jit *j, uint64_t time_ns)
{
	uint32_t uid, links;
	uint64_t bytes;
	struct object *next;

	if (!j->files->dump || time_ns < j->epoch_ns + JITS_EPOCH_NS ||
	    !dump_bytes(j->files->dump, &bytes, &uid, &links) || bytes == j->dump_bytes ||
	    object_jit(j->owner->objects, j->files, &next) < 0)
		return;

	/* not this sample's: the program may have compiled and run for long in between */
	j->object->until_ns = MAX(j->last_ns, j->epoch_ns);
	object_unref(j->previous);
	j->previous = j->object;
	j->object = next;
	j->epoch_ns = time_ns;
	j->dump_bytes = bytes;
}

static bool has_jvm(const struct mapset *maps)
{
	for (size_t i = 0; maps && i < maps->n; i++) {
		const char *path, *slash;

		if (source_kind(maps->m[i].source) != SOURCE_FILE)
			continue;
		path = source_path(maps->m[i].source);
		slash = strrchr(path, '/');
		if (slash && (strcmp(slash, "/libjvm.so") == 0 ||
			      strcmp(slash, "/libjvm.so (deleted)") == 0))
			return true;
	}
	return false;
}

static void on_attached(void *arg, bool written)
{
	struct jit *j = arg;

	j->asking = false;
	j->asked |= written;
	if (!written)
		j->ask_ns += JITS_ASK_FAILED_NS;
	else if (!j->opening && !j->files->gone)
		jit_look(j);
	jit_unref(j);
}

/* A Java program that writes no names by itself; anew once a while, as it goes on compiling. */
static void jit_ask(struct jit *j, const struct mapset *maps, uint64_t now_ns)
{
	struct jit_files *f = j->files;
	bool none = f->has_uid && !f->refused && !f->dump && (f->map_fd == -ENOENT || j->asked);

	if (!j->owner->attacher || j->asking || j->opening || !none || now_ns < j->ask_ns)
		return;
	j->ask_wait_ns = j->ask_wait_ns ? MIN(2 * j->ask_wait_ns, JITS_ASK_NS) : JITS_ASK_FIRST_NS;
	j->ask_ns = now_ns + j->ask_wait_ns;
	if (!has_jvm(maps) ||
	    attacher_ask(j->owner->attacher, f->pid, f->ns_pid, f->start_ns, on_attached, j) < 0)
		return;
	j->asking = true;
	jit_ref(j); /* the attacher's */
}

struct object *jits_object(struct jits *js, struct process *p, const struct jits_sample *s,
			   uint64_t now_ns)
{
	struct jit *j = p->jit;

	if (j && j->exec_id == 0 && !j->files->gone)
		j->exec_id = s->exec_id;
	/* of another program than the process ran at that time: it has been replaced since */
	if (j && s->exec_id > j->exec_id)
		j = p->jit = jit_unref(j);
	else if (j && s->exec_id < j->exec_id)
		return NULL;
	if (!j) {
		/* its own number is what the files are named by */
		if (!s->ns_pid || jit_new(js, p, s, &j) < 0)
			return NULL;
		p->jit = j;
		jit_find_parent(js, p, s);
	}

	if (jit_recall(js, j, p, s->time_ns))
		jit_find_dump(j, s->maps);
	if (s->alive && !j->files->gone)
		jit_ask(j, s->maps, now_ns);
	if (s->alive && now_ns >= j->check_ns && !j->files->gone) {
		if (!j->opening)
			jit_look(j);
		if (p->jit_parent && !p->jit_parent->opening && !p->jit_parent->files->gone)
			jit_look(p->jit_parent);
		jit_find_dump(j, s->maps);
		/* who it is comes with the first answer */
		j->check_ns = now_ns + (j->files->has_uid ? JITS_CHECK_NS : JITS_EPOCH_NS);
	}
	jit_epoch(j, s->time_ns);
	if (s->time_ns < j->epoch_ns && j->previous)
		return j->previous;
	j->last_ns = MAX(j->last_ns, s->time_ns);
	return j->object;
}

void jits_left(struct jit *j)
{
	if (!j || j->files->gone)
		return;
	j->files->gone = true;
	jit_look(j);
}

struct jit *jits_inherited(const struct process *parent)
{
	return jit_ref(parent->jit && !parent->jit->files->gone ? parent->jit : parent->jit_parent);
}

/* Looks again, unless there is nothing more to come. */
static void files_refresh(struct jits *js, struct jit_files *f)
{
	struct openfile_jit question = files_question(f);
	struct openfile_result result;
	int r;

	if (f->settled)
		return;
	r = opener_jit_map_now(js->opener, &question, &result);
	files_learn(js, f, r, &result);
}

void jits_open(struct jits *js, const struct object *object, struct jit_fds *ret)
{
	struct jit_files *f = object->jit, *up = f->parent;

	files_refresh(js, f);
	ret->map = MAX(f->map_fd, -1);
	ret->dump = f->dump ? MAX(f->dump->fd, -1) : -1;

	for (ret->parent_map = -1; up && ret->parent_map < 0; up = up->parent) {
		files_refresh(js, up);
		/* of another user, it may be one that the child cannot read */
		if (up->has_uid && up->uid == f->uid)
			ret->parent_map = MAX(up->map_fd, -1);
	}
}

void jits_stats(const struct jits *js, struct jits_stats *ret)
{
	*ret = js->stats;
}
