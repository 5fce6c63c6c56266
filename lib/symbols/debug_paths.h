/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where a debug file may lie, as gdb looks for it ("Separate Debug Files" in its manual): the next
 * candidate each time that a job asks again for the same.
 */

#include <stddef.h>

#include "cprof/jobs.h"

struct debug_paths {
	uint32_t kind; /* of the last request */
	char *id;      /* of the last request; freed by debug_paths_done() */
	unsigned next; /* candidate */
	unsigned requests;
	char *debug; /* the last path of a debug file, beside which others are; freed there, too */
};

#define DEBUG_PATHS_MAX_REQUESTS 8192 /* of one job: several a unit with split DWARF */

void debug_paths_done(struct debug_paths *d);
/* The path of the next candidate, owned by the caller. id: JOB_OPEN's, object_path: of the file
 * that is symbolized. -ENOENT: there is none left; -EINVAL: not a name that we would open. */
int debug_paths_next(struct debug_paths *d, const struct job_open *request, const char *id,
		     const char *object_path, char **ret);
