/* SPDX-License-Identifier: Apache-2.0 */
#include "opener.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <utlist.h>

#include "cleanup.h"
#include "clock.h"
#include "hurry.h"

#define CHECK_NS           (250 * NSEC_PER_MSEC)
#define FREE_WAIT_NS       (500 * NSEC_PER_MSEC)
#define THREAD_STACK_BYTES (256 * 1024)

/*
 * A request belongs to the list it is in; one that a thread has taken belongs to both sides until
 * the thread returns or the main thread gives it up: then to the thread, which frees it.
 */
struct request {
	struct openfile_mapping mapping;
	char *path;
	enum { REQUEST_MAPPING, REQUEST_DEBUG, REQUEST_JIT, REQUEST_PROCESS } kind;
	struct openfile_object object; /* DEBUG; its path is owned */
	struct openfile_jit jit;       /* JIT: root_fd is a descriptor of its own */
	uint32_t pid;                  /* PROCESS */
	uint64_t by_ns;                /* PROCESS */
	opener_done_t done;
	void *arg;
	uint64_t deadline_ns;
	bool given_up;
	int error;
	struct openfile_result result;
	struct request *prev, *next;
};

/* Outlives the opener while a thread is stuck. */
struct shared {
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct request *waiting, *running, *finished;
	unsigned n_waiting, threads, stuck;
	int event_fd;
	bool quit;
};

struct opener {
	struct shared *shared;
	sd_event_source *io, *timer;
	bool timer_on;
	struct opener_stats stats;
};

static void request_free(struct request *rq)
{
	if (!rq)
		return;
	safe_close(rq->result.fd);
	safe_close(rq->result.root_fd);
	safe_close(rq->jit.root_fd);
	free(rq->path);
	free((char *)rq->object.path);
	free(rq);
}

static void shared_free(struct shared *s)
{
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->idle);
	safe_close(s->event_fd);
	free(s);
}

static void request_run(struct request *rq)
{
	switch (rq->kind) {
	case REQUEST_MAPPING:
		rq->error = openfile_mapped(&rq->mapping, &rq->result);
		break;
	case REQUEST_DEBUG:
		rq->result.fd = openfile_debug(&rq->object, rq->path);
		rq->error = rq->result.fd < 0 ? rq->result.fd : 0;
		break;
	case REQUEST_JIT:
		rq->error = openfile_jit_map(&rq->jit, &rq->result);
		break;
	case REQUEST_PROCESS:
		rq->error = openfile_process(rq->pid, rq->by_ns, &rq->result);
		break;
	}
}

/* Under the lock. False: this thread was replaced while it was stuck. */
static bool request_finish(struct shared *s, struct request *rq)
{
	if (rq->given_up) {
		request_free(rq);
		s->stuck--;
		return false;
	}

	DL_DELETE(s->running, rq);
	DL_APPEND(s->finished, rq);
	if (rq->kind != REQUEST_PROCESS)
		eventfd_write(s->event_fd, 1);
	pthread_cond_broadcast(&s->idle);
	return true;
}

static void *thread_main(void *arg)
{
	struct shared *s = arg;
	bool last;

	/* a file must be opened while its short-lived process lives, also on a busy machine */
	thread_hurry();

	pthread_mutex_lock(&s->lock);
	while (!s->quit) {
		struct request *rq = s->waiting;

		if (!rq) {
			pthread_cond_wait(&s->work, &s->lock);
			continue;
		}

		DL_DELETE(s->waiting, rq);
		DL_APPEND(s->running, rq);
		s->n_waiting--;
		pthread_mutex_unlock(&s->lock);
		request_run(rq);
		pthread_mutex_lock(&s->lock);
		if (!request_finish(s, rq))
			break;
	}

	last = --s->threads == 0 && s->quit;
	pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
	if (last)
		shared_free(s);
	return NULL;
}

/* Under the lock. */
static int thread_start(struct shared *s)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
	r = pthread_create(&thread, &attr, thread_main, s);
	pthread_attr_destroy(&attr);
	if (r != 0)
		return -r;

	s->threads++;
	return 0;
}

/* Under the lock. Takes a request whose time is up away from its list; the caller answers it. */
static void request_give_up(struct shared *s, struct request *rq)
{
	rq->given_up = true;
	DL_DELETE(s->running, rq);
	s->stuck++;
	if (s->stuck <= OPENER_MAX_STUCK)
		thread_start(s);
}

static void timer_arm(struct opener *o)
{
	uint64_t now;

	if (o->timer_on ||
	    sd_event_now(sd_event_source_get_event(o->timer), CLOCK_MONOTONIC, &now) < 0)
		return;

	o->timer_on = sd_event_source_set_time(o->timer, now + CHECK_NS / NSEC_PER_USEC) >= 0 &&
		      sd_event_source_set_enabled(o->timer, SD_EVENT_ONESHOT) >= 0;
}

/* The request's answer is owed to done; the request itself goes when the thread returns. */
static void answer_timeout(struct opener *o, opener_done_t done, void *arg)
{
	struct openfile_result none = { .fd = -1, .root_fd = -1 };

	o->stats.timed_out++;
	if (done)
		done(arg, -ETIME, &none);
}

static struct request *next_expired(struct shared *s, uint64_t now, bool *ret_running)
{
	struct request *rq;

	DL_FOREACH(s->running, rq)
	{
		if (rq->deadline_ns <= now) {
			*ret_running = true;
			return rq;
		}
	}
	/* first in, first out: the head is the oldest */
	*ret_running = false;
	return s->waiting && s->waiting->deadline_ns <= now ? s->waiting : NULL;
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *arg)
{
	struct opener *o = arg;
	struct shared *s = o->shared;
	bool busy;

	o->timer_on = false;
	for (;;) {
		struct request *rq;
		opener_done_t done;
		void *done_arg;
		bool running;

		pthread_mutex_lock(&s->lock);
		rq = next_expired(s, clock_ns(CLOCK_MONOTONIC), &running);
		if (!rq) {
			busy = s->running || s->waiting;
			pthread_mutex_unlock(&s->lock);
			break;
		}
		done = rq->done;
		done_arg = rq->arg;
		if (running) {
			request_give_up(s, rq);
		} else {
			DL_DELETE(s->waiting, rq);
			s->n_waiting--;
			request_free(rq);
		}
		pthread_mutex_unlock(&s->lock);
		answer_timeout(o, done, done_arg);
	}

	opener_reap(o);
	if (busy)
		timer_arm(o);
	return 0;
}

/* Most programs have no map, and many are gone. */
static bool may_fail(const struct request *rq)
{
	return rq->kind == REQUEST_JIT || rq->kind == REQUEST_PROCESS;
}

void opener_reap(struct opener *o)
{
	struct shared *s = o->shared;
	struct request *list, *rq, *tmp;

	pthread_mutex_lock(&s->lock);
	list = TAKE_PTR(s->finished);
	pthread_mutex_unlock(&s->lock);

	DL_FOREACH_SAFE(list, rq, tmp)
	{
		DL_DELETE(list, rq);
		if (rq->error == 0)
			o->stats.opened++;
		else if (!may_fail(rq))
			o->stats.failed++;
		if (rq->done) {
			struct openfile_result result = rq->result;

			rq->result.fd = rq->result.root_fd = -1;
			rq->done(rq->arg, rq->error, &result);
		}
		request_free(rq);
	}
}

static int on_finished(sd_event_source *source _unused_, int fd, uint32_t revents _unused_,
		       void *arg)
{
	eventfd_t n;

	eventfd_read(fd, &n);
	opener_reap(arg);
	return 0;
}

static int shared_new(struct shared **ret)
{
	struct shared *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s)
		return -ENOMEM;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->work, &attr);
	pthread_cond_init(&s->idle, &attr);
	pthread_condattr_destroy(&attr);

	s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->event_fd < 0) {
		int r = -errno;

		shared_free(s);
		return r;
	}

	*ret = s;
	return 0;
}

DEFINE_CLEANUP(struct opener *, opener_free)

int opener_new(struct opener **ret, sd_event *event)
{
	_cleanup_(opener_freep) struct opener *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	r = shared_new(&o->shared);
	if (r < 0)
		return r;

	pthread_mutex_lock(&o->shared->lock);
	for (unsigned i = 0; i < OPENER_THREADS && r >= 0; i++)
		r = thread_start(o->shared);
	pthread_mutex_unlock(&o->shared->lock);
	if (r < 0)
		return r;

	r = sd_event_add_io(event, &o->io, o->shared->event_fd, EPOLLIN, on_finished, o);
	if (r < 0)
		return r;
	r = sd_event_add_time(event, &o->timer, CLOCK_MONOTONIC, 0, 0, on_timer, o);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(o->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(o);
	return 0;
}

static void list_free(struct request *list)
{
	struct request *rq, *tmp;

	DL_FOREACH_SAFE(list, rq, tmp)
	{
		DL_DELETE(list, rq);
		request_free(rq);
	}
}

static struct timespec timespec_at(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC) };
}

/* Threads that come back in time are waited for; the last of the stuck ones frees what they share. */
static void shared_close(struct shared *s)
{
	struct timespec until = timespec_at(clock_ns(CLOCK_MONOTONIC) + FREE_WAIT_NS);
	struct request *rq, *tmp;
	bool last;

	pthread_mutex_lock(&s->lock);
	list_free(TAKE_PTR(s->waiting));
	list_free(TAKE_PTR(s->finished));
	DL_FOREACH_SAFE(s->running, rq, tmp)
	{
		DL_DELETE(s->running, rq);
		rq->given_up = true;
		s->stuck++;
	}
	pthread_cond_broadcast(&s->work);
	s->quit = true;
	s->threads++; /* this one: nobody else frees before it is through */
	while (s->threads > 1)
		if (pthread_cond_timedwait(&s->idle, &s->lock, &until) != 0)
			break;
	last = --s->threads == 0;
	pthread_mutex_unlock(&s->lock);
	if (last)
		shared_free(s);
}

struct opener *opener_free(struct opener *o)
{
	if (!o)
		return NULL;

	sd_event_source_disable_unref(o->io);
	sd_event_source_disable_unref(o->timer);
	if (o->shared)
		shared_close(o->shared);
	free(o);
	return NULL;
}

/* Takes rq. */
static int submit(struct opener *o, struct request *rq)
{
	struct shared *s = o->shared;
	bool full;

	pthread_mutex_lock(&s->lock);
	full = s->n_waiting >= OPENER_MAX_WAITING;
	if (!full) {
		DL_APPEND(s->waiting, rq);
		s->n_waiting++;
		pthread_cond_signal(&s->work);
	}
	pthread_mutex_unlock(&s->lock);

	if (full) {
		o->stats.refused++;
		request_free(rq);
		return -EBUSY;
	}
	timer_arm(o);
	return 0;
}

static int request_new(const char *path, uint64_t deadline_ns, struct request **ret)
{
	struct request *rq = calloc(1, sizeof(*rq));

	if (!rq)
		return -ENOMEM;
	rq->result.fd = rq->result.root_fd = rq->jit.root_fd = -1;
	rq->deadline_ns = clock_ns(CLOCK_MONOTONIC) + deadline_ns;
	rq->path = strdup(path);
	if (!rq->path) {
		free(rq);
		return -ENOMEM;
	}

	*ret = rq;
	return 0;
}

int opener_mapping(struct opener *o, const struct openfile_mapping *m, opener_done_t done,
		   void *arg)
{
	struct request *rq;
	int r;

	r = request_new(m->path, OPENER_DEADLINE_NS, &rq);
	if (r < 0)
		return r;

	rq->mapping = *m;
	rq->mapping.path = rq->path;
	rq->done = done;
	rq->arg = arg;
	return submit(o, rq);
}

static bool list_has(const struct request *list, const struct request *wanted)
{
	const struct request *rq;

	DL_FOREACH(list, rq)
	if (rq == wanted)
		return true;
	return false;
}

/* Waits for one request of its own; what else finishes meanwhile stays for the event loop. ret_more
 * (may be NULL): all that it found, set where it ended in time. */
static int wait_for(struct opener *o, struct request *rq, struct openfile_result *ret_more)
{
	struct shared *s = o->shared;
	struct timespec until = timespec_at(rq->deadline_ns);
	int fd, waited = 0;

	pthread_mutex_lock(&s->lock);
	DL_PREPEND(s->waiting, rq); /* its asker blocks */
	s->n_waiting++;
	pthread_cond_signal(&s->work);
	while (!list_has(s->finished, rq) && waited == 0)
		waited = pthread_cond_timedwait(&s->idle, &s->lock, &until);

	if (list_has(s->finished, rq)) {
		DL_DELETE(s->finished, rq);
		fd = rq->error ? rq->error : TAKE_FD(rq->result.fd);
		if (ret_more) {
			*ret_more = rq->result;
			rq->result.root_fd = -1;
		}
		request_free(rq);
	} else if (list_has(s->running, rq)) {
		request_give_up(s, rq);
		fd = -ETIME;
	} else {
		DL_DELETE(s->waiting, rq);
		s->n_waiting--;
		request_free(rq);
		fd = -ETIME;
	}
	pthread_mutex_unlock(&s->lock);
	return fd;
}

int opener_debug_file(struct opener *o, const struct object *object, const char *path)
{
	struct request *rq;
	int r;

	if (object->root == 0)
		return -ENOENT;
	r = request_new(path, OPENER_DEBUG_DEADLINE_NS, &rq);
	if (r < 0)
		return r;

	rq->kind = REQUEST_DEBUG;
	rq->object = (struct openfile_object){
		.path = strdup(object->name),
		.dev = object->identity.dev,
		.inode = object->identity.inode,
		.pid = object->pid > 0 ? (uint32_t)object->pid : 0,
		.root = object->root,
	};
	if (!rq->object.path) {
		request_free(rq);
		return -ENOMEM;
	}
	r = wait_for(o, rq, NULL);
	if (r >= 0)
		o->stats.opened++;
	else if (r == -ETIME)
		o->stats.timed_out++;
	return r;
}

static int request_new_jit(const struct openfile_jit *j, uint64_t deadline_ns, struct request **ret)
{
	struct request *rq;
	int r;

	r = request_new("", deadline_ns, &rq);
	if (r < 0)
		return r;

	rq->kind = REQUEST_JIT;
	rq->jit = *j;
	if (j->root_fd >= 0) {
		rq->jit.root_fd = fcntl(j->root_fd, F_DUPFD_CLOEXEC, 0);
		if (rq->jit.root_fd < 0) {
			r = -errno;
			request_free(rq);
			return r;
		}
	}
	*ret = rq;
	return 0;
}

int opener_jit_map(struct opener *o, const struct openfile_jit *j, opener_done_t done, void *arg)
{
	struct request *rq;
	int r;

	r = request_new_jit(j, OPENER_DEADLINE_NS, &rq);
	if (r < 0)
		return r;
	rq->done = done;
	rq->arg = arg;
	return submit(o, rq);
}

int opener_process(struct opener *o, uint32_t pid, uint64_t by_ns, opener_done_t done, void *arg)
{
	struct request *rq;
	int r;

	r = request_new("", OPENER_DEADLINE_NS, &rq);
	if (r < 0)
		return r;
	rq->kind = REQUEST_PROCESS;
	rq->pid = pid;
	rq->by_ns = by_ns;
	rq->done = done;
	rq->arg = arg;
	return submit(o, rq);
}

int opener_jit_map_now(struct opener *o, const struct openfile_jit *j, struct openfile_result *ret)
{
	struct openfile_result more = { .fd = -1, .root_fd = -1 };
	struct request *rq;
	int r;

	*ret = more;
	r = request_new_jit(j, OPENER_DEBUG_DEADLINE_NS, &rq);
	if (r < 0)
		return r;
	r = wait_for(o, rq, &more);
	if (r >= 0)
		o->stats.opened++;
	else if (r == -ETIME)
		o->stats.timed_out++;
	*ret = more;
	ret->fd = MAX(r, -1);
	return MIN(r, 0);
}

void opener_stats(struct opener *o, struct opener_stats *ret)
{
	struct shared *s = o->shared;

	*ret = o->stats;
	pthread_mutex_lock(&s->lock);
	ret->waiting = s->n_waiting;
	ret->stuck = s->stuck;
	pthread_mutex_unlock(&s->lock);
}
