/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The configuration: /etc/cprofd/cprofd.conf, then cprofd.conf.d/ *.conf beside it in the order of
 * their names, as cprofd.conf(5) describes. Section and key names are case-sensitive. A later
 * assignment replaces an earlier one; for lists it appends. An empty value resets a key to its
 * default. Lines are cut by the INI library at 199 bytes, so a longer one is an error, never half
 * a value.
 *
 * Lists are kept as one string, entries separated by single spaces, NULL when empty.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define CONFIG_PATH             "/etc/cprofd/cprofd.conf"
#define CONFIG_MAX_FILE_BYTES   (1024 * 1024)
#define CONFIG_MAX_LIST_BYTES   4096
#define CONFIG_MAX_DROPINS      256
#define CONFIG_MAX_KEYS         64
#define CONFIG_MAX_ORIGIN_BYTES (256 * 1024) /* of one list: "FILE:LINE" an entry */

struct config {
	struct {
		uint32_t frequency_hz; /* Frequency= */
	} sampling;
	struct {
		bool enabled;       /* Enabled= */
		uint64_t window_ns; /* Window= */
		char *include;      /* Include=: list of KIND:VALUE, NULL is everything */
		char *exclude;      /* Exclude=: the same, NULL is nothing */
	} continuous;
	struct {
		uint64_t max_bytes;       /* MaxBytes= */
		uint64_t max_age_ns;      /* MaxAge= */
		uint64_t keep_free_bytes; /* KeepFree=: below it nothing is written */
	} store;
	struct {
		uint32_t cpu_ppm;      /* CPU=: millionths of all online CPUs together */
		uint64_t mean_ns;      /* Mean=: the time over which the share is taken */
		uint64_t memory_bytes; /* Memory=: daemon, worker and BPF maps */
	} budget;
	struct {
		char *listen;        /* Listen=: list of ADDR:PORT, IPv6 in brackets */
		char *token_file;    /* TokenFile=: absolute path, or NULL */
		char *allowed_hosts; /* AllowedHosts=: list of names that a Host header may carry */
		uint32_t connections;          /* MaxConnections= */
		uint32_t connections_per_uid;  /* MaxConnectionsPerUser= */
		uint32_t captures;             /* MaxCaptures= */
		uint32_t captures_per_uid;     /* MaxCapturesPerUser= */
		uint32_t hz_per_user;          /* MaxFrequencyPerUser= */
		uint64_t duration_ns_per_user; /* MaxDurationPerUser= */
		uint64_t idle_timeout_ns;      /* IdleTimeout= */
	} server;
	struct {
		char *debuginfod_urls;       /* DebuginfodUrls=: list, NULL is off */
		uint64_t cache_bytes;        /* CacheBytes= */
		uint64_t debuginfod_wait_ns; /* DebuginfodWait=: that a capture's names wait */
		uint64_t names_bytes;        /* NamesBytes=: answers kept on disk, 0 none */
		bool jvm_attach;             /* JvmAttach= */
	} symbols;
	/* Where each key's value was read, in the order of the keys: printable "FILE:LINE", one a
	 * line for each entry of a list; NULL for the built-in value. */
	char *origins[CONFIG_MAX_KEYS];
};

enum config_level {
	CONFIG_WARNING, /* the line is ignored and all else holds: unknown section or key */
	CONFIG_ERROR, /* config_load() will fail: a value that cannot be, a line too long, no file */
};

/* line is 0 when the file as a whole is meant. message is printable and has no newline. */
typedef void (*config_warn_t)(void *arg, enum config_level level, const char *file, unsigned line,
			      const char *message);

/*
 * Reads path, or CONFIG_PATH when path is NULL, and its drop-ins. A missing default file is no
 * error, a missing named one is -ENOENT. All files are read to their ends, so that every problem is
 * told at once; with any CONFIG_ERROR the result is -EINVAL (-EIO, -ENOMEM as they come) and *ret
 * is untouched. On success *ret belongs to the caller: config_done().
 */
int config_load(struct config *ret, const char *path, config_warn_t warn, void *arg);

/* The built-in values. Owns nothing yet; config_done() is allowed. */
void config_defaults(struct config *ret);
void config_done(struct config *c);

/* One file's text over what is in c already. 0 or -EINVAL; for config_load() and the fuzzer. */
int config_parse(struct config *c, const char *data, size_t size, const char *file,
		 config_warn_t warn, void *arg);

/* Appends the whole configuration in the syntax of its files, each value with the file and the line
 * that it comes from in a comment behind it. 0, -ENOMEM or -ENOSPC. */
int config_print(const struct config *c, struct buf *out);

/* A key whose value in the files is another than the one in force; values as in a file. */
typedef void (*config_change_t)(void *arg, const char *section, const char *name, const char *from,
				const char *to, bool applied);
/*
 * The files have been read again, into *loaded: what may change while the daemon runs moves to
 * *running, all else stays in force there. Each difference is told. *loaded is emptied. 0 or -ENOMEM
 * (then some keys have moved, and some not).
 */
int config_adopt(struct config *running, struct config *loaded, config_change_t change, void *arg);
