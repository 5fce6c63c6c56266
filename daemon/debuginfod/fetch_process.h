/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One cprof-fetch: started, told what to fetch, and waited for. */

#include <systemd/sd-event.h>

#include "cprof/fetch.h"

struct fetch_process;

/* reply->error is -EIO where it ended without one. Not from inside fetch_process_new(); the
 * callback may free it. */
typedef void (*fetch_done_t)(void *arg, const struct fetch_reply *reply);

/* Runs as a free uid where the daemon may change ids. fd stays the caller's. */
int fetch_process_new(struct fetch_process **ret, sd_event *event, const char *path,
		      const char *urls, const struct fetch_request *request, int fd,
		      fetch_done_t done, void *arg);
/* Ends it where it still runs. */
struct fetch_process *fetch_process_free(struct fetch_process *p);
