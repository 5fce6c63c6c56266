/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What client and daemon agree on: paths, limits, routes. The routes under /api/v1/ speak JSON.
 *
 *	GET    /debug/pprof/			index (text/html)
 *	GET    /debug/pprof/profile		?seconds= &hz= and targets (pid, comm, unit, cgroup, container, all; repeatable),
 *						children=0: capture, then the gzip pprof
 *	GET    /debug/pprof/cmdline		of the daemon, NUL separated
 *	GET|POST /debug/pprof/symbol		num_symbols: 1, and addresses of the kernel
 *	GET    /metrics				Prometheus text
 *	GET    /api/v1/version			{"version","kernel","api"}
 *	GET    /api/v1/status			the document of `cprofctl status --json`
 *	GET    /api/v1/targets			[{"pid","comm","unit","container","user","cpu"}], cpu a share of one CPU
 *	POST   /api/v1/captures			a struct below as JSON → 201 {"id"} and Location
 *	GET    /api/v1/captures/ID		progress: {"id","state","elapsed_ns","duration_ns","samples", ...}
 *	POST   /api/v1/captures/ID/stop		ends it now; what there is becomes the result
 *	GET    /api/v1/captures/ID/profile	waits for the end; the gzip pprof
 *	DELETE /api/v1/captures/ID		gives it up
 *
 * Continuous profiling, for root and members of group cprofd:
 *
 *	GET    /api/v1/windows			?since= &until= &step= &by=unit|comm|exe|container|pid and filters: [{"id",
 *						"start" (RFC 3339),"duration_ns","samples","cpu_ns","bytes","lost","truncated",
 *						"frequency_hz","top":[{"name","cpu_ns"}, at most 3]}], oldest first; the open
 *						window last, with "open":true and the id "open". With step= (nanoseconds or a
 *						span) rows are aligned stretches of that length, with an empty id
 *	GET    /api/v1/windows/ID/profile	one window as gzip pprof
 *	GET    /api/v1/profile			?since= &until= and filters: all windows that overlap, merged, the open one up
 *						to now. &baseline_since= &baseline_until=: these windows' samples negated, with
 *						the label pprof::base=true. Also as /debug/pprof/profile?since=
 *	POST   /api/v1/snapshot			closes the open window: {"id","start","duration_ns","samples","cpu_ns"}
 *	GET    /api/v1/targets/rules		{"all","include":[{"kind","value"}],"exclude":[...]}: whom it takes
 *	POST   /api/v1/targets			{"action":"add|remove","targets":[{"kind":"pid|comm|unit|cgroup|container|
 *						user","value"}]}: from now on, until a restart; answered with the rules
 *	POST   /api/v1/pause			{"seconds": N, 0: until resumed}; POST /api/v1/resume. Both answer with
 *						{"running","paused","paused_until"}
 *
 * Times are nanoseconds since 1970, or as people write them (lib/base/when.h). Filters: pid, comm, unit, cgroup,
 * container (repeatable: the union), and of these who is also of one of exe= (a path or a file's name),
 * build_id= and user=. 404 when no window is in the range.
 *
 * POST /api/v1/captures takes {"targets":[{"kind":"pid|comm|unit|cgroup|container|all","value":"..."}],
 * "seconds":30.0 (0: until stopped), "hz":100, "children":true, "symbols":"full|fast"}.
 *
 * Progress is {"id","state":"running|naming|done|failed","elapsed_ns","duration_ns" (0: until
 * stopped),"samples","cpu_ns","due","target_cpu_ns","lost":{"missed_tick","ring_full",
 * "aggregate_full","other"},"not_permitted","truncated","complete","target_ended":bool,
 * "waiting":"","error": why, only when failed}: struct capture_progress of the daemon, whose
 * lost_ members are the members of "lost". A reader takes a missing number for 0.
 *
 * A capture belongs to the connection that made it: when that goes away before the result was
 * fetched, the capture ends. Errors are text/plain, one line that says what was wrong and what to
 * do, with X-Go-Pprof: 1.
 */

#define CPROF_VERSION     "0.1.0"
#define CPROF_API_VERSION 1
#define CPROF_SOCKET      "/run/cprofd/cprofd.sock"
#define CPROF_SOCKET_ENV  "CPROFD_SOCKET"
#define CPROF_GROUP       "cprofd"
#define CPROF_USER        "cprofd"

#define CPROF_DEFAULT_SECONDS   30
#define CPROF_DEFAULT_HZ        100
#define CPROF_MIN_HZ            1
#define CPROF_MAX_HZ            10000
#define CPROF_MAX_SECONDS       (24 * 3600)
#define CPROF_MAX_TARGETS       64
#define CPROF_MAX_REQUEST_BYTES (64 * 1024)
