/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What confines the worker (docs/security.md 3). The zygote goes in once, with all that its children
 * will need already in its hands; each job then gives up what only the zygote needs: making
 * processes, waiting for them, and setting limits.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol.h"

struct sandbox {
	uint32_t flags; /* enum job_sandbox */
	pid_t zygote;
};

/* uid and gid 0: they stay as they are. -EPROTONOSUPPORT without seccomp; otherwise the errno of
 * what failed, and then nothing foreign may be read. */
int sandbox_enter(struct sandbox *ret, uid_t uid, gid_t gid);
/* These ids, no other group, no capabilities and no way to new ones, not dumpable. Part of
 * sandbox_enter(). */
int sandbox_become(bool change_ids, uid_t uid, gid_t gid);
/* In a job's process, which JOB_LAST makes the zygote's. An error means that it must end. */
int sandbox_enter_job(const struct sandbox *s, const struct job_header *header);
