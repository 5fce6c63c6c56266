/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The worker that a test starts: $CPROF_WORKER, or the one that was built with the test. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char worker_path[PATH_MAX];

static void find_worker(void)
{
	const char *given = getenv("CPROF_WORKER");
	ssize_t n;
	char *slash;

	if (given) {
		snprintf(worker_path, sizeof(worker_path), "%s", given);
		return;
	}
	n = readlink("/proc/self/exe", worker_path, sizeof(worker_path) - 32);
	assert_true(n > 0);
	worker_path[n] = '\0';
	slash = strrchr(worker_path, '/');
	*slash = '\0';
	slash = strrchr(worker_path, '/');
	strcpy(slash, "/cprof-worker");
}
