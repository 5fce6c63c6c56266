/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "cleanup.h"
#include "job.h"
#include "uid.h"
#include "zygote.h"

#define POOL_HELLO_NS            (30 * NSEC_PER_SEC)
#define POOL_TIMEOUT_NS          (30 * NSEC_PER_SEC) /* where the options say 0 */
#define POOL_KILL_NS             (20 * NSEC_PER_SEC) /* as well: it has no hurry, others may */
#define POOL_BACKOFF_USEC        (100 * 1000ULL) /* first pause after a zygote that died young */
#define POOL_BACKOFF_MAX         (10 * 1000000ULL)
#define POOL_HEALTHY_NS          (10 * NSEC_PER_SEC)
#define POOL_MAX_FAILURES        5 /* zygotes that died young before waiting jobs fail too */
#define POOL_TIMER_ACCURACY_USEC 10000

struct pool {
	sd_event *event;
	struct pool_options options;
	char *worker_path;
	struct zygote *zygote; /* NULL while there is none */
	bool ready;            /* its sandbox stands */
	uint64_t started_ns, backoff_usec;
	unsigned n_failures;
	sd_event_source *dispatch; /* callbacks due, jobs to start */
	sd_event_source *restart;
	struct job_list waiting, running, ended;
	unsigned n_waiting, n_running;
	uint64_t next_id;
	uint64_t zygote_cpu_ns; /* of the present one */
	struct pool_stats stats;
	char sandbox[64];
};

DEFINE_CLEANUP(struct pool *, pool_free);

static void pool_zygote_gone(void *arg);

static uint64_t pool_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void pool_wake(struct pool *p)
{
	sd_event_source_set_enabled(p->dispatch, SD_EVENT_ONESHOT);
}

static struct job_list *pool_list(struct pool *p, const struct job *job)
{
	switch (job->state) {
	case JOB_WAITING:
		return &p->waiting;
	case JOB_RUNNING:
		return &p->running;
	default:
		return &p->ended;
	}
}

static void pool_unlink(struct job *job)
{
	struct pool *p = job->pool;

	TAILQ_REMOVE(pool_list(p, job), job, entry);
	p->n_waiting -= job->state == JOB_WAITING;
	p->n_running -= job->state == JOB_RUNNING;
}

static void pool_move(struct job *job, enum job_state state)
{
	struct pool *p = job->pool;

	pool_unlink(job);
	job->state = state;
	TAILQ_INSERT_TAIL(pool_list(p, job), job, entry);
	p->n_waiting += state == JOB_WAITING;
	p->n_running += state == JOB_RUNNING;
}

static void pool_send_kill(struct job *job)
{
	struct job_header header = { .kind = JOB_KILL, .id = job->id };
	struct pool *p = job->pool;

	/* with the zygote gone its jobs are, too */
	job->kill_due = p->zygote && zygote_send(p->zygote, &header, -1) == -EAGAIN;
}

void pool_job_kill(struct job *job)
{
	if (job->exited || job->killed || job->state != JOB_RUNNING)
		return;

	job->killed = true;
	pool_send_kill(job);
	if (job->timer) {
		sd_event_source_set_time_relative(job->timer,
						  job->pool->options.kill_ns / NSEC_PER_USEC);
		sd_event_source_set_enabled(job->timer, SD_EVENT_ONESHOT);
	}
}

static int pool_on_deadline(sd_event_source *s _unused_, uint64_t usec _unused_, void *arg)
{
	struct job *job = arg;

	if (job->killed) {
		/* the zygote did not say that the job is dead: it is no zygote any more */
		zygote_kill(job->pool->zygote);
		return 0;
	}

	if (!job->answered && !job->error)
		job->error = -ETIME;
	pool_job_kill(job);
	job_disconnect(job);
	return 0;
}

/* A process that ended of itself, without an answer: what that means. */
static int pool_exit_error(const struct job *job, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == JOB_EXIT_NO_MEMORY)
		return -ENOMEM;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		return -ETIME;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !job->killed)
		return -ENOMEM; /* the kernel's doing: out of memory, in the cgroup or at all */
	return -EPIPE;
}

/* The job's process is gone: its result is due, or nobody waits for it any more. */
static void pool_job_exited(struct job *job, int status)
{
	struct pool *p = job->pool;

	job->exited = true;
	job_drain(job);
	job->timer = sd_event_source_disable_unref(job->timer);
	job_drop_input(job);
	if (job->cancelled) {
		pool_unlink(job);
		job_free(job);
	} else {
		if (!job->answered && !job->error)
			job->error = pool_exit_error(job, status);
		/* a SIGKILL that was asked for tells nothing of the file */
		if (!job->answered && WIFSIGNALED(status) &&
		    !(job->killed && WTERMSIG(status) == SIGKILL))
			job->signal = WTERMSIG(status);
		pool_move(job, JOB_ENDED);
	}
	pool_wake(p);
}

static struct job *pool_find(struct pool *p, uint64_t id)
{
	struct job *job;

	TAILQ_FOREACH(job, &p->running, entry)
	if (job->id == id)
		return job;
	return NULL;
}

static void pool_hello(struct pool *p, const struct job_report *report)
{
	snprintf(p->sandbox, sizeof(p->sandbox), "%s%s%s",
		 report->sandbox & JOB_SANDBOX_SECCOMP ? "seccomp" : "",
		 report->sandbox & JOB_SANDBOX_LANDLOCK ? ",landlock" : "",
		 report->sandbox & JOB_SANDBOX_UID ? ",uid" : "");
	p->ready = report->error == 0 && (report->sandbox & JOB_SANDBOX_SECCOMP);
	if (p->ready)
		pool_wake(p);
}

static void pool_report(void *arg, const struct job_report *report)
{
	struct pool *p = arg;
	struct job *job;

	p->zygote_cpu_ns = report->zygote_cpu_ns;
	if (report->kind == JOB_REPORT_HELLO) {
		pool_hello(p, report);
		return;
	}

	job = pool_find(p, report->id);
	if (!job)
		return;
	if (report->kind == JOB_REPORT_STARTED)
		job->pid = report->pid;
	if (report->kind != JOB_REPORT_EXIT)
		return;

	job->cpu_ns = report->cpu_ns;
	p->stats.cpu_ns += report->cpu_ns;
	if (report->error < 0 && !job->error)
		job->error = report->error;
	pool_job_exited(job, report->status);
}

static void pool_writable(void *arg)
{
	struct pool *p = arg;
	struct job *job;

	TAILQ_FOREACH(job, &p->running, entry)
	if (job->kill_due)
		pool_send_kill(job);
	pool_wake(p);
}

static int pool_start_zygote(struct pool *p)
{
	struct zygote_options options = {
		.path = p->worker_path,
		.uid = p->options.uid,
		.gid = p->options.gid,
		.report = pool_report,
		.gone = pool_zygote_gone,
		.writable = pool_writable,
		.arg = p,
	};
	int r;

	if (options.uid == 0 && uid_may_change()) {
		r = uid_find_free(&options.uid);
		if (r < 0)
			return r;
		options.gid = options.uid;
	}

	p->ready = false;
	p->started_ns = pool_now_ns();
	return zygote_new(&p->zygote, p->event, &options);
}

/* Nobody should wait for a worker that does not come up. */
static void pool_fail_waiting(struct pool *p)
{
	struct job *job;

	while ((job = TAILQ_FIRST(&p->waiting))) {
		job->error = -EPIPE;
		pool_move(job, JOB_ENDED);
	}
	pool_wake(p);
}

/* One that did long service is replaced at once; one that died young after a growing pause. */
static void pool_restart_later(struct pool *p)
{
	uint64_t pause = 0;

	if (pool_now_ns() - p->started_ns >= POOL_HEALTHY_NS) {
		p->backoff_usec = 0;
		p->n_failures = 0;
	} else {
		pause = p->backoff_usec;
		p->backoff_usec = MIN(MAX(p->backoff_usec * 2, POOL_BACKOFF_USEC),
				      POOL_BACKOFF_MAX);
		p->n_failures++;
	}

	if (p->n_failures >= POOL_MAX_FAILURES)
		pool_fail_waiting(p);
	sd_event_source_set_time_relative(p->restart, pause);
	sd_event_source_set_enabled(p->restart, SD_EVENT_ONESHOT);
}

static int pool_on_restart(sd_event_source *s _unused_, uint64_t usec _unused_, void *arg)
{
	struct pool *p = arg;

	p->stats.zygote_restarts++;
	if (pool_start_zygote(p) < 0)
		pool_restart_later(p);
	return 0;
}

static void pool_zygote_gone(void *arg)
{
	struct pool *p = arg;
	struct job *job;

	p->zygote = zygote_free(p->zygote);
	p->ready = false;
	p->stats.cpu_ns += p->zygote_cpu_ns;
	p->zygote_cpu_ns = 0;

	while ((job = TAILQ_FIRST(&p->running)))
		pool_job_exited(job, 0);
	pool_restart_later(p);
}

static uint32_t pool_cpu_seconds(const struct pool *p)
{
	return (uint32_t)MIN(p->options.timeout_ns / NSEC_PER_SEC + 1, (uint64_t)UINT32_MAX);
}

static int pool_arm(struct pool *p, struct job *job)
{
	return sd_event_add_time_relative(p->event, &job->timer, CLOCK_MONOTONIC,
					  p->options.timeout_ns / NSEC_PER_USEC,
					  POOL_TIMER_ACCURACY_USEC, pool_on_deadline, job);
}

/* -EAGAIN: not now. Any other error is the job's. */
static int pool_start_job(struct pool *p, struct job *job)
{
	struct job_header header = {
		.kind = job->kind,
		.memory_bytes_mib = (uint32_t)MIN((p->options.memory_bytes + (1 << 20) - 1) >> 20,
						  (uint64_t)UINT32_MAX),
		.cpu_seconds = pool_cpu_seconds(p),
		.id = job->id = ++p->next_id,
	};
	_cleanup_close_ int theirs = -1;
	int r;

	r = job_connect(job, p->event, &theirs);
	if (r < 0)
		return r;

	r = pool_arm(p, job);
	if (r >= 0)
		r = zygote_send(p->zygote, &header, theirs);
	if (r < 0) {
		job_disconnect(job);
		job->timer = sd_event_source_disable_unref(job->timer);
		return r == -EPIPE ? -EAGAIN : r;
	}

	pool_move(job, JOB_RUNNING);
	job_flush(job);
	return 0;
}

static void pool_start_waiting(struct pool *p)
{
	while (p->ready && p->n_running < p->options.max_parallel) {
		struct job *job = TAILQ_FIRST(&p->waiting);
		int r;

		if (!job)
			return;
		r = pool_start_job(p, job);
		if (r == -EAGAIN)
			return;
		if (r < 0) {
			job->error = r;
			pool_move(job, JOB_ENDED);
			pool_wake(p);
		}
	}
}

static void pool_count(struct pool *p, int error)
{
	p->stats.jobs++;
	p->stats.crashed += error == -EPIPE;
	p->stats.timed_out += error == -ETIME;
	p->stats.out_of_memory += error == -ENOMEM;
	p->stats.nonsense += error == -EPROTO || error == -EMSGSIZE;
}

static void pool_finish(struct pool *p, struct job *job)
{
	struct job_result result = {
		.error = job->answered ? job->reader.message.value : job->error,
		.signal = job->signal,
		.cpu_ns = job->cpu_ns,
	};

	if (job->answered) {
		result.answer = job->reader.payload.data;
		result.answer_bytes = job->reader.payload.size;
	}

	pool_count(p, result.error);
	job->ending = true;
	job->done(job->arg, &result);
	pool_unlink(job);
	job_free(job);
}

static int pool_on_dispatch(sd_event_source *s _unused_, void *arg)
{
	struct pool *p = arg;
	struct job *job;

	/* a freed place is filled before the callbacks take their time */
	pool_start_waiting(p);
	job = TAILQ_FIRST(&p->ended);
	if (job)
		pool_finish(p, job);
	if (!TAILQ_EMPTY(&p->ended))
		pool_wake(p);
	return 0;
}

static int pool_add_sources(struct pool *p)
{
	int r;

	r = sd_event_add_defer(p->event, &p->dispatch, pool_on_dispatch, p);
	if (r < 0)
		return r;
	sd_event_source_set_enabled(p->dispatch, SD_EVENT_OFF);

	r = sd_event_add_time_relative(p->event, &p->restart, CLOCK_MONOTONIC, 0, 1,
				       pool_on_restart, p);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(p->restart, SD_EVENT_OFF);
}

static int pool_first_hello(struct pool *p)
{
	struct job_report report;
	int r;

	r = zygote_wait_hello(p->zygote, POOL_HELLO_NS, &report);
	if (r < 0)
		return r;
	if (report.kind != JOB_REPORT_HELLO)
		return -EPROTO;

	pool_hello(p, &report);
	return p->ready ? 0 : -EPROTONOSUPPORT;
}

int pool_new(struct pool **ret, sd_event *event, const struct pool_options *options)
{
	_cleanup_(pool_freep) struct pool *p = NULL;
	int r;

	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	TAILQ_INIT(&p->waiting);
	TAILQ_INIT(&p->running);
	TAILQ_INIT(&p->ended);
	p->event = sd_event_ref(event);
	p->options = *options;
	p->options.max_parallel = MIN(MAX(options->max_parallel, 1U), (unsigned)JOB_MAX_PARALLEL);
	if (p->options.timeout_ns == 0)
		p->options.timeout_ns = POOL_TIMEOUT_NS;
	if (p->options.kill_ns == 0)
		p->options.kill_ns = POOL_KILL_NS;
	p->worker_path = strdup(options->worker_path);
	if (!p->worker_path)
		return -ENOMEM;

	r = pool_add_sources(p);
	if (r < 0)
		return r;

	r = pool_start_zygote(p);
	if (r < 0)
		return r;

	r = pool_first_hello(p);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(p);
	return 0;
}

static void pool_free_jobs(struct job_list *list)
{
	struct job *job;

	while ((job = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, job, entry);
		job_free(job);
	}
}

struct pool *pool_free(struct pool *p)
{
	if (!p)
		return NULL;

	pool_free_jobs(&p->waiting);
	pool_free_jobs(&p->running);
	pool_free_jobs(&p->ended);
	zygote_free(p->zygote);
	sd_event_source_disable_unref(p->dispatch);
	sd_event_source_disable_unref(p->restart);
	sd_event_unref(p->event);
	free(p->worker_path);
	free(p);
	return NULL;
}

int pool_submit(struct pool *p, const struct job_spec *spec, struct job **ret)
{
	struct job *job;
	int r;

	if (p->n_waiting >= p->options.max_waiting &&
	    p->n_waiting + p->n_running >= p->options.max_waiting + p->options.max_parallel) {
		p->stats.refused++;
		return -EBUSY;
	}

	r = job_new(&job, spec);
	if (r < 0)
		return r;

	job->pool = p;
	job->state = JOB_WAITING;
	TAILQ_INSERT_TAIL(&p->waiting, job, entry);
	p->n_waiting++;
	pool_wake(p);
	if (ret)
		*ret = job;
	return 0;
}

struct job *job_cancel(struct job *job)
{
	if (!job || job->ending)
		return NULL;

	if (job->state != JOB_RUNNING) {
		pool_unlink(job);
		return job_free(job);
	}

	/* the process is still to end, and keeps its place until then */
	job->cancelled = true;
	job_disconnect(job);
	job_drop_input(job);
	pool_job_kill(job);
	return NULL;
}

/* Resident bytes; the third field and on of statm are not needed. */
static uint64_t pool_process_bytes(pid_t pid)
{
	_cleanup_close_ int fd = -1;
	char path[40], text[128];
	uint64_t total, resident;
	ssize_t n;

	if (pid <= 0)
		return 0;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%" SCNu64 " %" SCNu64, &total, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void pool_stats(const struct pool *p, struct pool_stats *ret)
{
	struct job *job;

	*ret = p->stats;
	ret->cpu_ns += p->zygote_cpu_ns;
	ret->running = p->n_running;
	ret->waiting = p->n_waiting;
	ret->sandbox = p->sandbox;
	ret->memory_bytes = p->zygote ? pool_process_bytes(zygote_pid(p->zygote)) : 0;
	TAILQ_FOREACH(job, &p->running, entry)
	ret->memory_bytes += pool_process_bytes(job->pid);
}
