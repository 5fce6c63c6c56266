/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the daemon and cprof-worker say to one another. The zygote reads struct job_header
 * datagrams (SOCK_SEQPACKET) from descriptor JOB_ZYGOTE_FD, each with the job's own socket
 * (SOCK_STREAM) attached, and forks one confined process for each; a JOB_KILL has no socket and
 * ends the job that it names. Back come struct job_report datagrams: one JOB_REPORT_HELLO once the
 * sandbox stands, then for each job JOB_REPORT_STARTED (not promised) and JOB_REPORT_EXIT (always).
 * End of file on either side ends the zygote and its jobs. On the job's socket:
 *
 *	daemon → job	struct job_message JOB_MSG_INPUT + payload, its descriptors attached to the first byte
 *	job → daemon	JOB_MSG_OPEN + struct job_open (it wants a debug file); answered by
 *	daemon → job	JOB_MSG_OPENED, one descriptor attached, or none and a negative errno in `value`
 *	job → daemon	JOB_MSG_ANSWER + payload; value is 0 or the negative errno that the job ended with
 *
 * JOB_SYMBOLIZE_SESSION, which the client starts, goes on after an answer of 0: the next INPUT comes
 * without descriptors, and the end of the socket ends it. Of a JOB_LAST there are no reports: the
 * control socket's end says that it has begun.
 *
 * A job reads its whole input before it says anything. While an OPEN is out nothing else is read
 * from it, and nothing at all after its answer.
 *
 * All integers are native; both ends are built together. The daemon trusts nothing that a job
 * says: sizes, order and ranges are checked where the answer is used.
 */

#include <stdint.h>

#define JOB_ZYGOTE_FD         3
#define JOB_MAX_FDS           16
#define JOB_MAX_INPUT_BYTES   (64U << 20)
#define JOB_MAX_ANSWER_BYTES  (256U << 20)
#define JOB_MAX_OPENS         65536 /* that one job may ask for */
#define JOB_MAX_OPEN_ID_BYTES 4096
#define JOB_MAX_PARALLEL      64 /* jobs of one zygote at a time */

enum job_kind {
	JOB_SYMBOLIZE = 1, /* fds: file. cprof/symbolize.h */
	JOB_TABLE = 2,     /* fds: file, memfd to write the blob to. Input: empty. Answer: empty */
	JOB_WALK = 3,      /* fds: tables. walk.h */
	JOB_MERGE = 4,     /* daemon/jobs/merge.h */
	JOB_SELFTEST = 5,  /* input: a command for tests of the sandbox itself */
	JOB_BUILD_ID = 8,  /* fds: file. Input: empty. Answer: the bytes of its build-id */
	JOB_JIT = 7,       /* fds: perf map, jitdump. cprof/symbolize.h */
	JOB_SYMBOLIZE_SESSION = 16, /* as JOB_SYMBOLIZE, and again */
	JOB_KILL = 0xffffffffU,     /* only in job_header: end the job `id` */
};

enum job_flags {
	JOB_LAST = 1 << 0, /* no other runs and none comes: the zygote itself becomes the job */
};

struct job_header {
	uint32_t kind;
	uint32_t memory_bytes_mib; /* RLIMIT_DATA */
	uint32_t cpu_seconds;      /* RLIMIT_CPU */
	uint32_t flags;            /* enum job_flags */
	uint64_t id; /* of the job, the daemon's choice; not reused while the zygote lives */
};
_Static_assert(sizeof(struct job_header) == 24, "wire layout");

enum job_report_kind { JOB_REPORT_HELLO = 1, JOB_REPORT_STARTED, JOB_REPORT_EXIT };

enum job_sandbox {
	JOB_SANDBOX_SECCOMP = 1 << 0,
	JOB_SANDBOX_LANDLOCK = 1 << 1,
	JOB_SANDBOX_UID = 1 << 2, /* ids other than the daemon's */
};

/* zygote → daemon */
struct job_report {
	uint32_t kind;    /* enum job_report_kind */
	int32_t error;    /* HELLO: why there is no sandbox; EXIT: why there was no process; or 0 */
	uint64_t id;      /* STARTED, EXIT */
	int32_t pid;      /* STARTED, EXIT */
	int32_t status;   /* EXIT: as from waitpid() */
	uint32_t sandbox; /* HELLO: enum job_sandbox */
	uint32_t reserved;
	uint64_t cpu_ns;        /* EXIT: user and system, of the job */
	uint64_t max_rss_bytes; /* EXIT: of the job */
	uint64_t zygote_cpu_ns; /* all kinds: the zygote's own so far */
};
_Static_assert(sizeof(struct job_report) == 56, "wire layout");

/* Exit statuses of a job that ends without an answer. */
#define JOB_EXIT_NO_MEMORY 112
#define JOB_EXIT_LOST      113 /* the daemon or the zygote is gone */

enum job_message_kind { JOB_MSG_INPUT = 1, JOB_MSG_OPEN, JOB_MSG_OPENED, JOB_MSG_ANSWER };

#define JOB_INPUT_SENSITIVE 1 /* in `value` of JOB_MSG_INPUT: zeroed after use */

struct job_message {
	uint32_t kind; /* enum job_message_kind */
	int32_t value;
	uint64_t size_bytes; /* of the payload that follows */
};

enum job_open_kind {
	JOB_OPEN_BUILD_ID = 1,  /* id: build-id bytes */
	JOB_OPEN_DEBUGLINK = 2, /* id: file name; crc set */
	JOB_OPEN_DWZ = 3,       /* id: path as in .gnu_debugaltlink; build_id set */
	JOB_OPEN_DWO = 4,       /* id: path */
	JOB_OPEN_DWP = 5,       /* id: "" : FILE.dwp beside the file */
	JOB_OPEN_PROFILE = 6,   /* id: number of a file of a JOB_MERGE, 4 bytes */
};

struct job_open {
	uint32_t kind;
	uint32_t crc;
	uint32_t build_id_bytes;
	uint8_t build_id[64];
	uint32_t id_bytes; /* follows */
};

/* What `cprof-worker --attach` ends with: a process that asks one Java program for its perf-PID.map. */
enum attach_exit {
	ATTACH_DONE = 0,    /* the program says that it was written */
	ATTACH_FAILED = 1,  /* it went, did not answer, or knows no such command */
	ATTACH_REFUSED = 3, /* it is none that may be asked */
};

#define ATTACH_DEADLINE_NS \
	(5 * 1000000000ULL) /* for the program to open its socket; then, to answer */
