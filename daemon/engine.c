/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"

#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "parts.h"
#include "text.h"
#include "trouble.h"

#define DRAIN_NS          (100 * NSEC_PER_MSEC)
#define DRAIN_IDLE_NS     (1000 * NSEC_PER_MSEC) /* nobody samples: only to let the past be forgotten */
#define RING_BYTES        (8U << 20)
#define WAKE_DELAY_NS     NSEC_PER_MSEC
#define MAX_OBJECTS       32768
#define MAX_PROCESSES     65536
#define MAX_MAPPINGS      (2U << 20)
#define JOBS_PARALLEL     2
#define JOBS_WAITING      4096
#define JOB_TIMEOUT_NS    (60 * NSEC_PER_SEC)
#define WORKER_NAME       "cprof-worker"
#define FETCH_NAME        "cprof-fetch"
#define TABLE_CACHE_BYTES (512ULL << 20)
/* How [Budget] Memory= is shared out; what is left over is for code, stacks and a job's own. */
#define SHARE(memory, percent) ((memory) / 100 * (percent))

/* A program of ours that is not for people: beside this one, or where it is installed. */
static int engine_helper_path(const char *name, char *ret, size_t size)
{
	static const char *const beside[] = { "", "/../libexec/cprofd", "/../lib/cprofd" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return -errno;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';

	for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
		if (snprintf(ret, size, "%s%s/%s", self, beside[i], name) >= (int)size)
			return -ENAMETOOLONG;
		if (access(ret, X_OK) == 0)
			return 0;
	}
	return -ENOENT;
}

static int engine_new_pool(struct engine *e)
{
	struct pool_options options = {
		.max_parallel = JOBS_PARALLEL,
		.max_waiting = JOBS_WAITING,
		.memory_bytes = e->options.config->budget.memory_bytes,
		.timeout_ns = JOB_TIMEOUT_NS,
	};
	char path[PATH_MAX + 64];
	int r;

	r = engine_helper_path(WORKER_NAME, path, sizeof(path));
	if (r < 0) {
		log_error("%s is not beside cprofd nor in ../libexec/cprofd: install it with `make "
			  "install`",
			  WORKER_NAME);
		return r;
	}

	options.worker_path = path;
	r = pool_new(&e->pool, e->event, &options);
	if (r == -EPROTONOSUPPORT)
		log_error("no sandbox for %s (seccomp is needed): cprofd reads no foreign file "
			  "without one",
			  WORKER_NAME);
	else if (r < 0)
		log_error("%s does not start: %s", path, strerror(-r));
	return r;
}

static const char *problem_advice(enum sampler_problem problem)
{
	switch (problem) {
	case SAMPLER_NO_PERMISSION:
		return "CAP_BPF and CAP_PERFMON are missing: run cprofd as root, or through its "
		       "systemd unit";
	case SAMPLER_NO_BTF:
		return "the kernel has no BTF (/sys/kernel/btf/vmlinux): a kernel with "
		       "CONFIG_DEBUG_INFO_BTF=y is needed, "
		       "as Debian's are";
	case SAMPLER_NO_BPF:
		return "the kernel refuses bpf(): CONFIG_BPF_SYSCALL and CONFIG_BPF_EVENTS are "
		       "needed";
	case SAMPLER_LOCKDOWN:
		return "the kernel is locked down (confidentiality): boot with lockdown=integrity "
		       "or none, see "
		       "/sys/kernel/security/lockdown";
	case SAMPLER_PARANOID:
		return "perf_event_open is refused: lower kernel.perf_event_paranoid, or give "
		       "cprofd CAP_PERFMON";
	case SAMPLER_VERIFIER:
		return "the kernel's verifier refuses the program: please report this with the "
		       "kernel's version";
	case SAMPLER_OK:
	case SAMPLER_OTHER:
		break;
	}
	return "sampling cannot start";
}

static void on_record(void *arg, const struct cprof_sample *record)
{
	struct engine *e = arg;

	tracker_record(e->tracker, record);
}

/* A moment later: side-band that belongs to the sample is on its way. */
static void on_wake(void *arg)
{
	struct engine *e = arg;

	sd_event_source_set_time_relative(e->drain_timer, WAKE_DELAY_NS / NSEC_PER_USEC);
}

static int engine_new_sampler(struct engine *e)
{
	struct sampler_options options = {
		.ring_bytes = RING_BYTES,
		/* for tests: what kernels before 5.17 do, on any */
		.tail_calls = getenv("CPROFD_TAIL_CALLS") != NULL,
		.record = on_record,
		.wake = on_wake,
		.arg = e,
	};
	_cleanup_free_ char *detail = NULL;
	enum sampler_problem problem;
	int r;

	r = sampler_new(&e->sampler, e->event, &options, &problem, &detail);
	if (r < 0 && detail && strcmp(detail, strerror(-r)) != 0)
		log_error("%s (%s: %s)", problem_advice(problem), strerror(-r), detail);
	else if (r < 0)
		log_error("%s (%s)", problem_advice(problem), strerror(-r));
	else if (sampler_tail_calls(e->sampler))
		log_info("stacks are walked by tail calls, as on kernels without bpf_loop (before "
			 "5.17)");
	return r;
}

static int engine_new_tables(struct engine *e)
{
	uint64_t memory = e->options.config->budget.memory_bytes;
	struct tables_options options = {
		.pool = e->pool,
		.sampler = e->sampler,
		.kernel_bytes = SHARE(memory, 25),
		.cache_bytes = TABLE_CACHE_BYTES,
		.memory_bytes = SHARE(memory, 20),
	};
	char cache[PATH_MAX];

	if (e->options.state_dir) {
		if (snprintf(cache, sizeof(cache), "%s/tables", e->options.state_dir) >=
		    (int)sizeof(cache))
			return -ENAMETOOLONG;
		if (mkdir(cache, 0700) < 0 && errno != EEXIST)
			log_warning("%s: %s: unwind tables are not kept over a restart", cache,
				    strerror(errno));
		else
			options.cache_dir = cache;
	}
	return tables_new(&e->tables, e->event, &options);
}

static void on_sample(void *arg, const struct sample *sample)
{
	struct engine *e = arg;

	sessions_sample(e->sessions, sample);
	if (e->continuous)
		continuous_sample(e->continuous, sample);
}

static void on_advanced(void *arg, uint64_t until_ns)
{
	struct engine *e = arg;

	sessions_advanced(e->sessions, until_ns);
	if (e->continuous)
		continuous_advanced(e->continuous, until_ns);
}

static uint64_t on_kernel_address(void *arg, uint64_t ip)
{
	struct engine *e = arg;

	return symbolizer_kernel_link_address(e->symbolizer, ip);
}

static bool on_kernel_entry(void *arg, uint64_t ip)
{
	struct engine *e = arg;

	return symbolizer_kernel_entry(e->symbolizer, ip);
}

static int engine_new_tracker(struct engine *e)
{
	uint64_t memory = e->options.config->budget.memory_bytes;
	struct tracker_options options = {
		.objects = e->objects,
		.sampler = e->sampler,
		.tables = e->tables,
		.pool = e->pool,
		.max_processes = MAX_PROCESSES,
		.max_mappings = MAX_MAPPINGS,
		.max_pending_bytes = SHARE(memory, 10),
		.sample = on_sample,
		.advanced = on_advanced,
		.kernel_address = on_kernel_address,
		.kernel_entry = on_kernel_entry,
		.arg = e,
		.kernel_arg = e,
	};
	char path[PATH_MAX + 64];

	if (e->options.config->symbols.jvm_attach &&
	    engine_helper_path(WORKER_NAME, path, sizeof(path)) == 0)
		options.attach_path = path;
	return tracker_new(&e->tracker, e->event, &options);
}

static struct process_info *on_process(void *arg, uint32_t pid)
{
	struct engine *e = arg;

	return tracker_process(e->tracker, pid);
}

static void engine_drain(struct engine *e)
{
	uint64_t until_ns, left_out;
	int r = sampler_drain(e->sampler, &until_ns);

	if (r >= 0)
		tracker_advance(e->tracker, until_ns);
	else if (log_limit_pass(&e->drain_log, clock_ns(CLOCK_MONOTONIC), &left_out))
		log_warning("samples cannot be read: %s (%llu times before, not logged)",
			    strerror(-r), (unsigned long long)left_out);
}

static int on_drain(sd_event_source *source, _unused_ uint64_t usec, void *arg)
{
	struct engine *e = arg;
	struct sessions_stats stats = {};

	engine_drain(e);
	sessions_stats(e->sessions, &stats);
	sd_event_source_set_time_relative(
		source,
		(stats.captures || always_runs(e) ? DRAIN_NS : DRAIN_IDLE_NS) / NSEC_PER_USEC);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_kicked(sd_event_source *source, void *arg)
{
	struct engine *e = arg;

	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	engine_drain(e);
	tracker_hurry(e->tracker);
	return 0;
}

/* Not from inside the call: the one who kicks is in the middle of a change. */
void engine_kick(void *arg)
{
	struct engine *e = arg;

	sd_event_source_set_enabled(e->kick_source, SD_EVENT_ONESHOT);
	sd_event_source_set_time_relative(e->drain_timer, DRAIN_NS / NSEC_PER_USEC);
}

static int on_open_debug(void *arg, struct object *object, const char *path)
{
	struct engine *e = arg;

	return e->tracker ? tracker_open_debug(e->tracker, object, path) : -ENOENT;
}

static void on_open_jit(void *arg, const struct object *object, struct jit_fds *ret)
{
	struct engine *e = arg;

	if (e->tracker)
		tracker_open_jit(e->tracker, object, ret);
}

/* A place for names on disk; without one they are looked up anew after a restart. */
static bool engine_names_folder(const struct engine *e, char *ret, size_t size)
{
	if (!e->options.state_dir || e->options.config->symbols.names_bytes == 0)
		return false;
	return snprintf(ret, size, "%s/names", e->options.state_dir) < (int)size;
}

static void on_fetched(void *arg, const uint8_t *build_id, size_t bytes)
{
	struct engine *e = arg;

	symbolizer_fetched(e->symbolizer, build_id, bytes);
}

static int on_fetch(void *arg, const uint8_t *build_id, size_t bytes)
{
	struct engine *e = arg;

	return debuginfod_get(e->debuginfod, build_id, bytes);
}

/* Off unless somebody asked for it. Names do without where it cannot be had. */
static void engine_new_debuginfod(struct engine *e)
{
	const struct config *c = e->options.config;
	const char *urls = c->symbols.debuginfod_urls ?: getenv("DEBUGINFOD_URLS");
	char path[PATH_MAX + 64], folder[PATH_MAX];
	struct debuginfod_options options = {
		.pool = e->pool,
		.fetch_path = path,
		.urls = urls,
		.folder = e->options.state_dir ? folder : NULL,
		.cache_bytes = c->symbols.cache_bytes,
		.done = on_fetched,
		.arg = e,
	};
	int r;

	if (!urls || !*urls)
		return;
	r = engine_helper_path(FETCH_NAME, path, sizeof(path));
	if (r == 0 && snprintf(folder, sizeof(folder), "%s/debuginfod",
			       e->options.state_dir ?: "") >= (int)sizeof(folder))
		r = -ENAMETOOLONG;
	if (r == 0)
		r = debuginfod_new(&e->debuginfod, e->event, &options);
	if (r < 0)
		log_warning("debuginfod servers are not asked: %s", strerror(-r));
}

static int engine_new_symbolizer(struct engine *e)
{
	struct symbolizer_options options = {
		.pool = e->pool,
		.memory_bytes = SHARE(e->options.config->budget.memory_bytes, 15),
		.open_debug = on_open_debug,
		.open_debug_arg = e,
		.open_jit = on_open_jit,
		.open_jit_arg = e,
		.store_bytes = e->options.config->symbols.names_bytes,
		.fetch = e->debuginfod ? on_fetch : NULL,
		.fetch_arg = e,
		.fetch_wait_ns = e->options.config->symbols.debuginfod_wait_ns,
	};
	char folder[PATH_MAX];
	int r;

	if (engine_names_folder(e, folder, sizeof(folder)))
		options.store_folder = folder;
	r = symbolizer_new(&e->symbolizer, e->event, &options);
	if (r < 0 && r != -ENOMEM && options.store_folder) {
		log_warning("%s: %s: names are not kept over a restart", folder, strerror(-r));
		options.store_folder = NULL;
		r = symbolizer_new(&e->symbolizer, e->event, &options);
	}
	if (r < 0)
		return r;
	if (!symbolizer_kernel_names(e->symbolizer))
		log_warning("kernel functions have no names, kernel frames read [kernel+0x...]: "
			    "/proc/kallsyms hides its addresses; set kernel.kptr_restrict to 1 or "
			    "0, and give cprofd CAP_SYSLOG");
	return 0;
}

static int engine_new_sessions(struct engine *e)
{
	struct sessions_options options = {
		.event = e->event,
		.sampler = e->sampler,
		.symbolizer = e->symbolizer,
		.objects = e->objects,
		.memory_bytes = SHARE(e->options.config->budget.memory_bytes, 20),
		.max_captures = e->options.config->server.captures,
		.process = on_process,
		.kick = engine_kick,
		.arg = e,
	};
	int r;

	r = sd_event_add_defer(e->event, &e->kick_source, on_kicked, e);
	if (r < 0)
		return r;
	sd_event_source_set_enabled(e->kick_source, SD_EVENT_OFF);
	return sessions_new(&e->sessions, &options);
}

static void on_private_gone(void *arg)
{
	struct engine *e = arg;

	sd_event_exit(e->event, 0);
}

static struct server_limits engine_limits(const struct config *c)
{
	return (struct server_limits){
		.connections = c->server.connections,
		.connections_per_uid = c->server.connections_per_uid,
		.captures = c->server.captures,
		.captures_per_uid = c->server.captures_per_uid,
		.hz_per_user = c->server.hz_per_user,
		.duration_ns_per_user = c->server.duration_ns_per_user,
		.idle_timeout_ns = c->server.idle_timeout_ns,
	};
}

static int engine_new_server(struct engine *e)
{
	const struct config *c = e->options.config;
	struct server_options options = {
		.event = e->event,
		.sessions = e->sessions,
		.continuous = e->continuous,
		.history = e->history,
		.socket_path = e->options.socket_path,
		.socket_fd = e->options.socket_fd,
		.private_fd = e->options.private_fd,
		.listen = e->options.listen ?: c->server.listen,
		.token_file = c->server.token_file,
		.allowed_hosts = c->server.allowed_hosts,
		.limits = engine_limits(c),
		.callbacks = {
			.status = engine_status,
			.targets = engine_targets,
			.metrics = engine_metrics,
			.private_gone = on_private_gone,
			.arg = e,
		},
	};
	_cleanup_free_ char *error = NULL;
	int r;

	r = server_new(&e->server, &options, &error);
	if (r < 0)
		log_error("%s", error ?: strerror(-r));
	return r;
}

static int engine_build(struct engine *e)
{
	int r;

	/* first, while the process is small: the zygote is a fork of it */
	r = engine_new_pool(e);
	if (r < 0)
		return r;
	r = engine_new_sampler(e);
	if (r < 0)
		return r;
	r = object_table_new(&e->objects, MAX_OBJECTS);
	if (r < 0)
		return r;
	engine_new_debuginfod(e);
	r = engine_new_symbolizer(e);
	if (r < 0)
		return r;
	r = engine_new_tables(e);
	if (r < 0)
		return r;
	r = engine_new_tracker(e);
	if (r < 0)
		return r;
	r = engine_new_sessions(e);
	if (r < 0)
		return r;
	r = sd_event_add_time_relative(e->event, &e->drain_timer, CLOCK_MONOTONIC,
				       DRAIN_NS / NSEC_PER_USEC, 1, on_drain, e);
	if (r < 0)
		return r;
	r = tracker_scan(e->tracker);
	if (r < 0)
		return r;
	r = always_new(e);
	if (r < 0) {
		log_error("continuous profiling does not start: %s", strerror(-r));
		return r;
	}
	r = engine_new_server(e);
	if (r < 0)
		return r;
	always_start(e);
	/* a private one's client says what was lost */
	return e->options.private_fd < 0 ? trouble_new(&e->trouble, e) : 0;
}

DEFINE_CLEANUP(struct engine *, engine_free);

int engine_new(struct engine **ret, sd_event *event, const struct engine_options *options)
{
	_cleanup_(engine_freep) struct engine *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;

	e->started_ns = clock_ns(CLOCK_MONOTONIC);
	e->event = sd_event_ref(event);
	e->options = *options;
	r = engine_build(e);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(e);
	return 0;
}

struct engine *engine_free(struct engine *e)
{
	if (!e)
		return NULL;

	/* who uses another goes before it */
	trouble_free(e->trouble);
	server_free(e->server);
	always_free(e);
	sd_event_source_disable_unref(e->drain_timer);
	sessions_free(e->sessions);
	sd_event_source_disable_unref(e->kick_source);
	tracker_free(e->tracker);
	tables_free(e->tables);
	debuginfod_free(e->debuginfod);
	symbolizer_free(e->symbolizer);
	sampler_free(e->sampler);
	pool_free(e->pool);
	object_table_free(e->objects);
	usage_snapshot_free(e->usage);
	sd_event_unref(e->event);
	free(e);
	return NULL;
}

void engine_reload(struct engine *e)
{
	const struct config *c = e->options.config;
	struct server_limits limits = engine_limits(c);
	_cleanup_free_ char *error = NULL;
	int r;

	r = server_reload(e->server, &limits, c->server.token_file, c->server.allowed_hosts,
			  &error);
	if (r < 0)
		log_error("%s: what was before stays in force", error ?: strerror(-r));
	always_reload(e);
}
