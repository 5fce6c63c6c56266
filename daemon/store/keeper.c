/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"

#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "cleanup.h"
#include "clock.h"

#define RETRY_NS  (10 * NSEC_PER_SEC)
#define TEND_USEC (5 * 1000000ULL)

struct queue {
	struct keeper_request *first, **last;
};

struct keeper {
	struct keeper_options options;
	char *dir;
	sd_event_source *io, *tend;
	int event_fd; /* something is done */
	pthread_t thread;
	bool started;
	struct keeper_request tending;
	bool tending_out;

	/* Of the thread alone. */
	struct store *store;
	uint64_t retry_ns;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t wake;
	bool ending;
	struct queue todo, finished;
	unsigned n_todo;
	struct store_limits limits;
	struct store_stats stats;
	int error, told_error; /* of opening the store */
};

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_add(struct queue *q, struct keeper_request *r)
{
	r->next = NULL;
	*q->last = r;
	q->last = &r->next;
}

static struct keeper_request *queue_take(struct queue *q)
{
	struct keeper_request *r = q->first;

	if (!r)
		return NULL;
	q->first = r->next;
	if (!q->first)
		q->last = &q->first;
	return r;
}

static struct store *ensure_store(struct keeper *k, const struct store_limits *limits)
{
	struct store_options o = { .dir = k->dir, .limits = *limits };
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
	int r;

	if (k->store) {
		store_set_limits(k->store, limits);
		return k->store;
	}
	if (now_ns < k->retry_ns)
		return NULL;
	k->retry_ns = now_ns + RETRY_NS;
	r = store_open(&k->store, &o);
	pthread_mutex_lock(&k->lock);
	k->error = MIN(r, 0);
	pthread_mutex_unlock(&k->lock);
	return k->store;
}

static void notify(struct keeper *k)
{
	uint64_t one = 1;

	(void)!write(k->event_fd, &one, sizeof(one));
}

static void *keeper_thread(void *arg)
{
	struct keeper *k = arg;
	struct store_stats stats;

	pthread_mutex_lock(&k->lock);
	for (;;) {
		struct keeper_request *r = k->todo.first;
		struct store_limits limits = k->limits;
		struct store *s;

		if (!r && k->ending)
			break;
		if (!r) {
			pthread_cond_wait(&k->wake, &k->lock);
			continue;
		}
		queue_take(&k->todo);
		pthread_mutex_unlock(&k->lock);

		s = ensure_store(k, &limits);
		r->run(r, s);
		stats = (struct store_stats){};
		if (s)
			store_stats(s, &stats);

		pthread_mutex_lock(&k->lock);
		if (s)
			k->stats = stats;
		k->n_todo--;
		queue_add(&k->finished, r);
		notify(k);
	}
	pthread_mutex_unlock(&k->lock);
	k->store = store_free(k->store);
	return NULL;
}

static void tell_trouble(struct keeper *k)
{
	int error;

	pthread_mutex_lock(&k->lock);
	error = k->error;
	pthread_mutex_unlock(&k->lock);
	if (error == k->told_error)
		return;
	k->told_error = error;
	if (k->options.trouble)
		k->options.trouble(k->options.arg, error, k->dir);
}

static int on_finished(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		       void *arg)
{
	struct keeper *k = arg;
	struct keeper_request *r;
	uint64_t n;

	(void)!read(fd, &n, sizeof(n));
	tell_trouble(k);
	for (;;) {
		pthread_mutex_lock(&k->lock);
		r = queue_take(&k->finished);
		pthread_mutex_unlock(&k->lock);
		if (!r)
			return 0;
		if (r->cancelled && r->free)
			r->free(r);
		else
			r->done(r);
	}
}

static void run_tend(_unused_ struct keeper_request *r, struct store *s)
{
	if (s)
		(void)store_tend(s);
}

static struct keeper *keeper_of(struct keeper_request *tending)
{
	return (struct keeper *)(void *)((char *)tending - offsetof(struct keeper, tending));
}

static void tend_done(struct keeper_request *r)
{
	keeper_of(r)->tending_out = false;
}

static int on_tend(sd_event_source *source, _unused_ uint64_t usec, void *arg)
{
	struct keeper *k = arg;

	if (!k->tending_out) {
		k->tending_out = true;
		keeper_submit(k, &k->tending);
	}
	sd_event_source_set_time_relative(source, TEND_USEC);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

DEFINE_CLEANUP(struct keeper *, keeper_free);

int keeper_new(struct keeper **ret, sd_event *event, const struct keeper_options *options)
{
	_cleanup_(keeper_freep) struct keeper *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->options = *options;
	k->limits = options->limits;
	k->tending = (struct keeper_request){ .run = run_tend, .done = tend_done };
	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->wake, NULL);
	queue_init(&k->todo);
	queue_init(&k->finished);
	k->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	k->dir = strdup(options->dir);
	if (k->event_fd < 0 || !k->dir)
		return -ENOMEM;
	r = sd_event_add_io(event, &k->io, k->event_fd, EPOLLIN, on_finished, k);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &k->tend, CLOCK_MONOTONIC, 0, 1000000,
					       on_tend, k);
	if (r < 0)
		return r;
	r = -pthread_create(&k->thread, NULL, keeper_thread, k);
	if (r < 0)
		return r;
	k->started = true;
	*ret = TAKE_PTR(k);
	return 0;
}

static void drop(struct queue *q)
{
	struct keeper_request *r;

	while ((r = queue_take(q)))
		if (r->free)
			r->free(r);
}

struct keeper *keeper_free(struct keeper *k)
{
	if (!k)
		return NULL;
	if (k->started) {
		pthread_mutex_lock(&k->lock);
		k->ending = true;
		pthread_cond_signal(&k->wake);
		pthread_mutex_unlock(&k->lock);
		pthread_join(k->thread, NULL);
	}
	sd_event_source_disable_unref(k->io);
	sd_event_source_disable_unref(k->tend);
	drop(&k->finished);
	safe_close(k->event_fd);
	pthread_mutex_destroy(&k->lock);
	pthread_cond_destroy(&k->wake);
	free(k->dir);
	free(k);
	return NULL;
}

void keeper_set_limits(struct keeper *k, const struct store_limits *limits)
{
	pthread_mutex_lock(&k->lock);
	k->limits = *limits;
	pthread_mutex_unlock(&k->lock);
}

void keeper_stats(struct keeper *k, struct store_stats *ret)
{
	pthread_mutex_lock(&k->lock);
	*ret = k->stats;
	pthread_mutex_unlock(&k->lock);
}

void keeper_submit(struct keeper *k, struct keeper_request *r)
{
	r->cancelled = false;
	pthread_mutex_lock(&k->lock);
	queue_add(&k->todo, r);
	k->n_todo++;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
}

unsigned keeper_waiting(struct keeper *k)
{
	unsigned n;

	pthread_mutex_lock(&k->lock);
	n = k->n_todo;
	pthread_mutex_unlock(&k->lock);
	return n;
}
