/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A worker of our own: `cprof-worker`, confined as the daemon's is (cprof/jobs.h), to which this process is
 * what the daemon is to that one. Files are opened here, with the caller's rights, and read there. One
 * session at a time; calls wait.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "symanswer.h"

struct worker;

/* -ENOENT: there is no such program; -EPROTONOSUPPORT: it cannot be confined here, and then nothing
 * is read; others as they come. */
int worker_new(struct worker **ret);
struct worker *worker_free(struct worker *w);
DEFINE_CLEANUP(struct worker *, worker_free);

/*
 * From here on questions are about this file; fd is duplicated. path: its name, which its debug
 * files are looked for by. debug_folder: where they are looked for first, or NULL. flags: enum
 * symbolize_flags, of all questions. section: of an object file, that they are about, or NULL; it and
 * debug_folder stay the caller's. last: no other file will be opened, which spares a process.
 */
int worker_open(struct worker *w, int fd, const char *path, const char *debug_folder,
		uint32_t flags, const char *section, bool last);
/*
 * One question: sorted and distinct offsets (link-time addresses with SYMBOLIZE_VADDR), at most
 * WORKER_MAX_OFFSETS. The answer has been checked and lives until the next call. -ENOEXEC: no ELF file
 * of this machine; -EPIPE: the worker crashed over it; -EBADMSG, -ENOMEM. After an error the file
 * must be opened again.
 */
#define WORKER_MAX_OFFSETS 65536U
int worker_ask(struct worker *w, const uint64_t *offsets, size_t n, struct symanswer *ret);

/* What to tell of a failure of worker_new(), and of the others. */
const char *worker_start_error(int error);
const char *worker_error(int error);
