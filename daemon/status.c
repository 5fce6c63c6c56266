/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that is counted, as the status document and as Prometheus metrics, from one table. */
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#include "clock.h"
#include "parts.h"
#include "text.h"
#include "when.h"

#define MAX_SECTION_DEPTH 4

/* _NS: nanoseconds in the status document, seconds in the metric, as Prometheus wants it. */
enum counter_type { COUNTER, GAUGE, COUNTER_NS, GAUGE_NS };

/* One number: where it is, where it stands in the status document (dots separate objects), and the
 * metric that carries it. Rows of one metric stand together. */
struct counter {
	uint32_t offset, size;
	const char *path;
	const char *metric, *label; /* label: `name="value"` or NULL */
	enum counter_type type;
	const char *help; /* of the metric's first row */
};

#define AT(member) offsetof(struct engine_stats, member), sizeof(((struct engine_stats *)0)->member)
#define LOST(member, name)                                                     \
	{                                                                      \
		AT(member), "samples.lost." name, "cprofd_samples_lost_total", \
			"reason=\"" name "\"", COUNTER,                        \
			"Samples that were due and are in no profile."         \
	}
#define ENDED(end, section, name)                                                              \
	{                                                                                      \
		AT(tracker.finished[end]), "samples." section "." name, "cprofd_stacks_total", \
			"end=\"" name "\"", COUNTER, "Stacks by how their user side ended."    \
	}
#define MEMORY(member, name)                                                                   \
	{                                                                                      \
		AT(member), "memory." name, "cprofd_memory_bytes", "part=\"" name "\"", GAUGE, \
			"Memory in use, by part."                                              \
	}
#define CPU(member, name)                                                                       \
	{                                                                                       \
		AT(member), "cpu." name "_ns", "cprofd_cpu_seconds_total", "part=\"" name "\"", \
			COUNTER_NS, "CPU time that cprofd itself used, by part."                \
	}
#define ONE(member, path, metric, type, help)              \
	{                                                  \
		AT(member), path, metric, NULL, type, help \
	}

static const struct counter counters[] = {
	ONE(uptime_ns, "uptime_ns", "cprofd_uptime_seconds", GAUGE_NS,
	    "Time since the daemon's start."),
	ONE(sampler.taken, "samples.taken", "cprofd_samples_taken_total", COUNTER,
	    "Samples that BPF recorded."),
	LOST(sampler.lost_missed_tick, "missed_tick"),
	LOST(sampler.lost_ring_full, "ring_full"),
	LOST(sampler.lost_nested, "nested"),
	LOST(sampler.lost_internal, "internal"),
	LOST(tracker.lost_pending_full, "pending_full"),
	LOST(lost_aggregate_full, "aggregate_full"),
	ENDED(CPROF_END_COMPLETE, "complete", "user"),
	ENDED(CPROF_END_KTHREAD, "complete", "kernel_thread"),
	ENDED(CPROF_END_EXEC, "complete", "exec"),
	ENDED(CPROF_END_EXIT, "complete", "exit"),
	ENDED(CPROF_END_NO_UNWIND_INFO, "truncated", "no_unwind_info"),
	ENDED(CPROF_END_UNREADABLE, "truncated", "unreadable_stack"),
	ENDED(CPROF_END_DEPTH, "truncated", "depth"),
	ENDED(CPROF_END_BROKEN_CFI, "truncated", "broken_cfi"),
	ENDED(CPROF_END_JIT, "truncated", "jit"),
	ENDED(CPROF_END_32BIT, "truncated", "32bit"),
	ENDED(CPROF_END_BUDGET, "truncated", "budget"),
	ONE(sampler.idle, "samples.idle", "cprofd_ticks_idle_total", COUNTER,
	    "Ticks that hit an idle CPU."),
	ONE(sampler.filtered, "samples.filtered", "cprofd_ticks_filtered_total", COUNTER,
	    "Ticks that hit what nobody asked for."),
	ONE(tracker.unknown_process, "samples.unknown_process",
	    "cprofd_samples_unknown_process_total", COUNTER,
	    "Samples of processes that could not be read any more: kept, with what their record "
	    "says."),
	ONE(sessions.not_permitted, "samples.not_permitted", "cprofd_samples_not_permitted_total",
	    COUNTER, "Samples kept from a capture because its owner may not see the process."),
	ONE(sampler.stack_copies, "samples.stack_copies", "cprofd_stack_copies_total", COUNTER,
	    "Samples that came with a copy of the stack, to be finished by the worker."),
	ONE(tracker.walked, "samples.walked", "cprofd_stacks_walked_total", COUNTER,
	    "Stacks that the worker finished."),
	ONE(tracker.walk_failed, "samples.walk_failed", "cprofd_stacks_walk_failed_total", COUNTER,
	    "Stacks that the worker could not finish."),
	ONE(sampler.cpus, "cpus", "cprofd_cpus", GAUGE, "CPUs that have events."),
	ONE(tracker.processes, "processes", "cprofd_processes", GAUGE, "Processes known."),
	ONE(tracker.mappings, "mappings", "cprofd_mappings", GAUGE, "Executable mappings known."),
	ONE(tracker.spaces, "spaces", "cprofd_spaces", GAUGE,
	    "Address spaces whose mappings BPF has."),
	ONE(objects, "objects.count", "cprofd_objects", GAUGE, "Files and other objects held."),
	ONE(objects_refused, "objects.refused", "cprofd_objects_refused_total", COUNTER,
	    "Objects refused because the table was full."),
	ONE(tracker.opened, "objects.opened", "cprofd_files_opened_total", COUNTER,
	    "Mapped files opened."),
	ONE(tracker.open_failed, "objects.open_failed", "cprofd_files_open_failed_total", COUNTER,
	    "Mapped files that could not be opened."),
	ONE(tracker.open_timeout, "objects.open_timeout", "cprofd_files_open_timeout_total",
	    COUNTER, "Opens of mapped files given up at their deadline."),
	ONE(tracker.sideband_records, "sideband.records", "cprofd_sideband_records_total", COUNTER,
	    "Side-band records of processes and mappings."),
	ONE(tracker.sideband_lost, "sideband.lost", "cprofd_sideband_lost_total", COUNTER,
	    "Side-band records that the kernel lost; processes are read again from /proc."),
	ONE(tracker.rescans, "sideband.rescans", "cprofd_rescans_total", COUNTER,
	    "Processes read again from /proc."),
	MEMORY(daemon_rss_bytes, "daemon"),
	MEMORY(pool.memory_bytes, "worker"),
	MEMORY(sampler.map_bytes, "bpf_maps"),
	MEMORY(objects_bytes, "objects"),
	MEMORY(tracker.bytes, "tracker"),
	MEMORY(symbols.bytes, "symbols"),
	MEMORY(symbols.kernel_bytes, "kernel_symbols"),
	MEMORY(tables.memory_bytes, "tables"),
	MEMORY(tables.kernel_bytes, "kernel_tables"),
	MEMORY(sessions.bytes, "sessions"),
	MEMORY(continuous.bytes, "continuous"),
	CPU(daemon_cpu_ns, "daemon"),
	CPU(pool.cpu_ns, "worker"),
	CPU(sampler.bpf_ns, "bpf"),
	ONE(sampler.bpf_runs, "cpu.bpf_runs", "cprofd_bpf_runs_total", COUNTER,
	    "Runs of the sampling program."),
	ONE(pool.zygote_restarts, "worker.restarts", "cprofd_worker_restarts_total", COUNTER,
	    "Times that the worker had to be started again."),
	ONE(pool.jobs, "worker.jobs", "cprofd_worker_jobs_total", COUNTER,
	    "Jobs given to the worker."),
	ONE(pool.crashed, "worker.crashed", "cprofd_worker_crashed_total", COUNTER,
	    "Jobs that crashed."),
	ONE(pool.timed_out, "worker.timed_out", "cprofd_worker_timed_out_total", COUNTER,
	    "Jobs ended at their deadline."),
	ONE(pool.out_of_memory, "worker.out_of_memory", "cprofd_worker_out_of_memory_total",
	    COUNTER, "Jobs that passed their memory budget."),
	ONE(pool.refused, "worker.refused", "cprofd_worker_refused_total", COUNTER,
	    "Jobs refused: too many waiting."),
	ONE(tables.loaded, "tables.loaded", "cprofd_tables_loaded", GAUGE,
	    "Unwind tables in the kernel."),
	ONE(tables.rows, "tables.rows", "cprofd_table_rows", GAUGE, "Rows of the tables held."),
	ONE(tables.built, "tables.built", "cprofd_tables_built_total", COUNTER,
	    "Unwind tables made from files."),
	ONE(tables.from_cache, "tables.from_cache", "cprofd_tables_from_cache_total", COUNTER,
	    "Unwind tables taken from the cache on disk."),
	ONE(tables.failed, "tables.failed", "cprofd_tables_failed_total", COUNTER,
	    "Files whose table could not be made."),
	ONE(tables.evicted, "tables.evicted", "cprofd_tables_evicted_total", COUNTER,
	    "Tables evicted under the budget."),
	ONE(tables.reloaded, "tables.reloaded", "cprofd_tables_reloaded_total", COUNTER,
	    "Evicted tables loaded again."),
	ONE(symbols.lookups, "symbols.lookups", "cprofd_symbol_lookups_total", COUNTER,
	    "Addresses looked up."),
	ONE(symbols.hits, "symbols.hits", "cprofd_symbol_hits_total", COUNTER,
	    "Lookups answered from memory."),
	ONE(symbols.jobs, "symbols.jobs", "cprofd_symbol_jobs_total", COUNTER,
	    "Files given to the worker for names."),
	ONE(symbols.unnamed, "symbols.unnamed", "cprofd_symbols_unnamed_total", COUNTER,
	    "Addresses for which no symbol was found."),
	ONE(symbols.store_hits, "symbols.names.hits", "cprofd_symbol_names_hits_total", COUNTER,
	    "Names that came from disk."),
	ONE(symbols.store_bad, "symbols.names.bad", "cprofd_symbol_names_bad_total", COUNTER,
	    "Files of names that were broken, and removed."),
	ONE(symbols.store_stale, "symbols.names.stale", "cprofd_symbol_names_stale_total", COUNTER,
	    "Files of names that came from other debug files than there are now, and were "
	    "removed."),
	ONE(symbols.store_errors, "symbols.names.errors", "cprofd_symbol_names_errors_total",
	    COUNTER, "Files of names that could not be written."),
	ONE(symbols.store_bytes, "symbols.names.bytes", "cprofd_symbol_names_bytes", GAUGE,
	    "Names on disk."),
	ONE(symbols.failed_files, "symbols.failed_files", "cprofd_symbol_failures_total", COUNTER,
	    "Files whose symbols could not be read."),
	ONE(debuginfod.fetched, "debuginfod.fetched", "cprofd_debuginfod_fetched_total", COUNTER,
	    "Debug files fetched from debuginfod servers."),
	ONE(debuginfod.missing, "debuginfod.missing", "cprofd_debuginfod_missing_total", COUNTER,
	    "Build-ids that no debuginfod server has."),
	ONE(debuginfod.failed, "debuginfod.failed", "cprofd_debuginfod_failed_total", COUNTER,
	    "Downloads that failed."),
	ONE(debuginfod.too_large, "debuginfod.too_large", "cprofd_debuginfod_too_large_total",
	    COUNTER, "Downloads over the limit of their size."),
	ONE(debuginfod.wrong, "debuginfod.wrong", "cprofd_debuginfod_wrong_total", COUNTER,
	    "Downloads that were not the file that was asked for."),
	ONE(debuginfod.refused, "debuginfod.refused", "cprofd_debuginfod_refused_total", COUNTER,
	    "Downloads refused: too many waiting."),
	ONE(symbols.fetch_late, "debuginfod.late", "cprofd_debuginfod_late_total", COUNTER,
	    "Files that were named without their debug file, which took too long."),
	ONE(debuginfod.running, "debuginfod.running", "cprofd_debuginfod_running", GAUGE,
	    "Downloads under way."),
	ONE(debuginfod.waiting, "debuginfod.waiting", "cprofd_debuginfod_waiting", GAUGE,
	    "Downloads that wait for their turn."),
	ONE(debuginfod.cache_bytes, "debuginfod.cache_bytes", "cprofd_debuginfod_cache_bytes",
	    GAUGE, "Size of the fetched debug files."),
	ONE(tracker.jits, "jit.programs", "cprofd_jit_programs", GAUGE,
	    "Programs whose JIT code was sampled, known now."),
	ONE(tracker.jit_maps, "jit.maps", "cprofd_jit_maps_total", COUNTER,
	    "Files perf-PID.map that were found."),
	ONE(tracker.jit_dumps, "jit.dumps", "cprofd_jit_dumps_total", COUNTER,
	    "Files jit-PID.dump that were found."),
	ONE(tracker.jit_refused, "jit.refused", "cprofd_jit_refused_total", COUNTER,
	    "Such files that were not the process's own."),
	ONE(tracker.jit_full, "jit.full", "cprofd_jit_full_total", COUNTER,
	    "Programs with JIT code beyond the table."),
	ONE(tracker.jit_seen, "jit.seen", "cprofd_jit_seen", GAUGE,
	    "Programs with executable memory of no file whose root and user are known."),
	ONE(tracker.jit_forgotten, "jit.forgotten", "cprofd_jit_forgotten_total", COUNTER,
	    "Such programs that were forgotten, since there were too many."),
	ONE(tracker.jvm.asked, "jvm.asked", "cprofd_jvm_asked_total", COUNTER,
	    "Times that a Java program was to be asked for its map."),
	ONE(tracker.jvm.written, "jvm.written", "cprofd_jvm_written_total", COUNTER,
	    "Times that it wrote one."),
	ONE(tracker.jvm.refused, "jvm.refused", "cprofd_jvm_refused_total", COUNTER,
	    "Times that it was none that may be asked."),
	ONE(tracker.jvm.failed, "jvm.failed", "cprofd_jvm_failed_total", COUNTER,
	    "Times that it wrote none."),
	ONE(symbols.jit_named, "jit.named", "cprofd_jit_named_total", COUNTER,
	    "Addresses of JIT code that got a name."),
	ONE(symbols.jit_unnamed, "jit.unnamed", "cprofd_jit_unnamed_total", COUNTER,
	    "Addresses of JIT code that have none in its files."),
	ONE(sessions.captures, "captures.running", "cprofd_captures", GAUGE, "Captures that run."),
	ONE(sessions.captures_total, "captures.total", "cprofd_captures_total", COUNTER,
	    "Captures since the start."),
	ONE(continuous.samples, "continuous.samples", "cprofd_continuous_samples_total", COUNTER,
	    "Samples that continuous profiling took."),
	ONE(continuous.excluded, "continuous.excluded", "cprofd_continuous_excluded_total", COUNTER,
	    "Samples that Include= and Exclude= keep out of it."),
	ONE(continuous.windows, "continuous.windows_written", "cprofd_windows_total", COUNTER,
	    "Windows closed and named."),
	ONE(continuous.failed, "continuous.windows_failed", "cprofd_windows_failed_total", COUNTER,
	    "Windows whose profile could not be made."),
	ONE(continuous.waiting, "continuous.windows_waiting", "cprofd_windows_waiting", GAUGE,
	    "Windows closed and not named yet."),
	ONE(continuous.hz, "continuous.frequency_hz", "cprofd_continuous_frequency_hertz", GAUGE,
	    "The frequency at which it samples."),
	ONE(continuous.configured_hz, "continuous.configured_hz",
	    "cprofd_continuous_configured_hertz", GAUGE, "The frequency that is configured."),
	ONE(continuous.window_ns, "continuous.window_ns", "cprofd_window_seconds", GAUGE_NS,
	    "Length of a window."),
	ONE(budget.limit_ppm, "budget.cpu_ppm_limit", "cprofd_budget_cpu_limit_ppm", GAUGE,
	    "Millionths of the machine that continuous profiling may use."),
	ONE(budget.used_ppm, "budget.cpu_ppm_used", "cprofd_budget_cpu_used_ppm", GAUGE,
	    "Millionths of the machine that it uses, as a mean."),
	ONE(budget.steps, "budget.steps", "cprofd_budget_steps_total", COUNTER,
	    "Times that the budget changed what is done."),
	ONE(history.store.bytes, "store.bytes", "cprofd_store_bytes", GAUGE,
	    "Size of the store on disk."),
	ONE(store_max_bytes, "store.max_bytes", "cprofd_store_max_bytes", GAUGE,
	    "Size that it may have."),
	ONE(history.store.windows, "store.windows", "cprofd_store_files", GAUGE,
	    "Profiles in the store."),
	ONE(history.store.held_ns, "store.held_ns", "cprofd_store_held_seconds", GAUGE_NS,
	    "Time that the store reaches back."),
	ONE(history.store.written, "store.written", "cprofd_store_written_total", COUNTER,
	    "Profiles written."),
	ONE(history.store.written_bytes, "store.written_bytes", "cprofd_store_written_bytes_total",
	    COUNTER, "Bytes of these."),
	ONE(history.store.deleted_for_bytes, "store.deleted_for_bytes",
	    "cprofd_store_deleted_for_bytes_total", COUNTER, "Profiles deleted for MaxBytes=."),
	ONE(history.store.deleted_for_age, "store.deleted_for_age",
	    "cprofd_store_deleted_for_age_total", COUNTER, "Profiles deleted for MaxAge=."),
	ONE(history.store.write_failures, "store.write_failures",
	    "cprofd_store_write_failures_total", COUNTER,
	    "Windows lost because they could not be written."),
	ONE(history.store.keep_free, "store.keep_free", "cprofd_store_keep_free_total", COUNTER,
	    "Windows not written for KeepFree=."),
	ONE(history.store.set_aside, "store.set_aside", "cprofd_store_set_aside_total", COUNTER,
	    "Damaged profiles set aside."),
	ONE(history.store.newer, "store.newer", "cprofd_store_newer_total", COUNTER,
	    "Profiles of a newer version, left alone."),
	ONE(history.store.index_rebuilt, "store.index_rebuilt", "cprofd_store_index_rebuilt_total",
	    COUNTER, "Times that the index was made anew from the profiles."),
	ONE(history.store.index_failures, "store.index_failures",
	    "cprofd_store_index_failures_total", COUNTER, "Writes to the index that failed."),
	ONE(history.store.compacted, "store.compacted", "cprofd_store_compacted_total", COUNTER,
	    "Profiles merged into larger ones."),
	ONE(history.store.compaction_failures, "store.compaction_failures",
	    "cprofd_store_compaction_failures_total", COUNTER, "Compactions that failed."),
	ONE(history.store.compaction_aside, "store.compaction_aside",
	    "cprofd_store_compaction_aside", GAUGE,
	    "Groups of windows that could not be merged and wait to be tried again."),
	ONE(history.queries, "store.queries", "cprofd_store_queries_total", COUNTER,
	    "Questions about stored windows."),
	ONE(history.merges, "store.merges", "cprofd_store_merges_total", COUNTER,
	    "Merges in the worker."),
	ONE(history.merge_failures, "store.merge_failures", "cprofd_store_merge_failures_total",
	    COUNTER, "Merges that failed."),
	ONE(history.waiting, "store.waiting", "cprofd_store_waiting", GAUGE,
	    "Requests that wait for the store."),
	ONE(server.connections, "server.connections", "cprofd_connections", GAUGE,
	    "Open connections."),
	ONE(server.requests, "server.requests", "cprofd_requests_total", COUNTER, "Requests."),
	ONE(server.refused, "server.refused", "cprofd_requests_refused_total", COUNTER,
	    "Requests refused."),
	ONE(server.bad_requests, "server.bad_requests", "cprofd_requests_bad_total", COUNTER,
	    "Malformed requests."),
};

static uint64_t counter_value(const struct engine_stats *stats, const struct counter *c)
{
	const char *p = (const char *)stats + c->offset;
	uint64_t v64;
	uint32_t v32;

	if (c->size == sizeof(v64)) {
		memcpy(&v64, p, sizeof(v64));
		return v64;
	}
	memcpy(&v32, p, sizeof(v32));
	return v32;
}

static uint64_t own_rss_bytes(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long total, resident;

	if (!f || fscanf(f, "%llu %llu", &total, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t timeval_ns(struct timeval t)
{
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_usec * NSEC_PER_USEC;
}

void engine_stats(const struct engine *e, struct engine_stats *ret)
{
	struct rusage usage;

	*ret = (struct engine_stats){};
	sampler_stats(e->sampler, -1, &ret->sampler);
	tracker_stats(e->tracker, &ret->tracker);
	tables_stats(e->tables, &ret->tables);
	symbolizer_stats(e->symbolizer, &ret->symbols);
	sessions_stats(e->sessions, &ret->sessions);
	pool_stats(e->pool, &ret->pool);
	debuginfod_stats(e->debuginfod, &ret->debuginfod);
	server_stats(e->server, &ret->server);
	if (e->continuous) {
		continuous_stats(e->continuous, &ret->continuous);
		history_stats(e->history, &ret->history);
		ret->budget = e->budget;
		ret->store_max_bytes = e->options.config->store.max_bytes;
	}
	ret->lost_aggregate_full = ret->sessions.lost_aggregate_full +
				   ret->continuous.lost_aggregate_full;
	ret->objects = object_table_count(e->objects);
	ret->objects_bytes = object_table_bytes(e->objects);
	ret->objects_refused = object_table_refused(e->objects);

	getrusage(RUSAGE_SELF, &usage);
	ret->daemon_cpu_ns = timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
	ret->daemon_rss_bytes = own_rss_bytes();
	ret->uptime_ns = clock_ns(CLOCK_MONOTONIC) - e->started_ns;
}

/* Puts a value at "a.b.c", making the objects on the way. */
static int json_put(json_t *root, const char *path, json_t *value)
{
	const char *dot;
	json_t *at = root;

	for (; (dot = strchr(path, '.')); path = dot + 1) {
		char name[64];
		json_t *next;

		snprintf(name, sizeof(name), "%.*s", (int)(dot - path), path);
		next = json_object_get(at, name);
		if (!next) {
			next = json_object();
			json_object_set_new(at, name, next);
		}
		at = next;
	}
	return json_object_set_new(at, path, value);
}

static void add_failure(void *arg, const char *path, const char *why)
{
	_cleanup_free_ char *safe = text_printable(path);

	json_array_append_new(arg, json_pack("{s:s, s:s}", "file", safe ?: "", "why", why));
}

static json_t *time_or_null(int64_t ns)
{
	char text[WHEN_TEXT_BYTES];

	return ns ? json_string(when_rfc3339(text, ns)) : json_null();
}

/* What is no number. */
static void put_continuous(json_t *root, const struct engine *e, const struct engine_stats *stats)
{
	const struct continuous_stats *c = &stats->continuous;
	const struct store_stats *s = &stats->history.store;
	double days = s->days_at_this_rate;

	json_put(root, "continuous.enabled",
		 json_boolean(e->continuous && e->options.config->continuous.enabled));
	json_put(root, "continuous.running", json_boolean(c->running));
	json_put(root, "continuous.paused", json_boolean(c->paused));
	json_put(root, "continuous.paused_until", time_or_null(c->paused_until_ns));
	json_put(root, "continuous.open_since", time_or_null(c->open_since_ns));
	json_put(root, "store.oldest", time_or_null(s->oldest_ns));
	json_put(root, "store.newest", time_or_null(s->newest_ns));
	json_put(root, "store.days_at_this_rate", days > 0 ? json_real(days) : json_null());
	json_put(root, "budget.state", json_string(budget_state_name(stats->budget.state)));
}

json_t *engine_status(void *arg, const struct peer *peer)
{
	struct engine *e = arg;
	json_t *root = json_object(), *failures;
	struct engine_stats stats;
	struct utsname u = {};

	uname(&u);
	engine_stats(e, &stats);
	json_put(root, "version", json_string(CPROF_VERSION));
	json_put(root, "kernel", json_string(u.release));
	json_put(root, "architecture", json_string(u.machine));
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		json_put(root, counters[i].path,
			 json_integer((json_int_t)counter_value(&stats, &counters[i])));
	put_continuous(root, e, &stats);
	json_put(root, "worker.sandbox", json_string(stats.pool.sandbox ?: ""));
	json_put(root, "symbols.kernel_names",
		 json_boolean(symbolizer_kernel_names(e->symbolizer)));

	/* which files others run is theirs */
	if (peer->privileged) {
		failures = json_array();
		symbolizer_each_failure(e->symbolizer, add_failure, failures);
		json_put(root, "symbols.failures", failures);
	}
	return root;
}

static void append_metric(struct buf *out, const struct counter *c, uint64_t value)
{
	bool seconds = c->type == COUNTER_NS || c->type == GAUGE_NS;

	buf_printf(out, c->label ? "%s{%s} " : "%s%s ", c->metric, c->label ?: "");
	if (seconds)
		buf_printf(out, "%llu.%09llu\n", (unsigned long long)(value / NSEC_PER_SEC),
			   (unsigned long long)(value % NSEC_PER_SEC));
	else
		buf_printf(out, "%llu\n", (unsigned long long)value);
}

/* The one number of the status that is no integer; unknown, and left out, until something is stored. */
static void append_capacity(struct buf *out, double days)
{
	if (!(days > 0))
		return;
	buf_printf(out,
		   "# HELP cprofd_store_capacity_seconds Time that the store holds at this rate.\n"
		   "# TYPE cprofd_store_capacity_seconds gauge\n"
		   "cprofd_store_capacity_seconds %.0f\n",
		   days * 86400);
}

int engine_metrics(void *arg, struct buf *out)
{
	struct engine_stats stats;
	const char *last = "";

	engine_stats(arg, &stats);
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		const struct counter *c = &counters[i];

		if (strcmp(last, c->metric) != 0)
			buf_printf(
				out, "# HELP %s %s\n# TYPE %s %s\n", c->metric, c->help, c->metric,
				c->type == COUNTER || c->type == COUNTER_NS ? "counter" : "gauge");
		last = c->metric;
		append_metric(out, c, counter_value(&stats, c));
	}
	append_capacity(out, stats.history.store.days_at_this_rate);
	buf_printf(
		out,
		"# HELP cprofd_build_info The version that runs.\n# TYPE cprofd_build_info gauge\n"
		"cprofd_build_info{version=\"%s\"} 1\n",
		CPROF_VERSION);
	return out->error;
}
