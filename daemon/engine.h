/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The wiring: every stage of the sample's way is made here and given to the one before it as a
 * callback. Nothing else in the daemon knows more than its neighbours.
 */

#include <systemd/sd-event.h>

#include "config.h"

struct engine;

struct engine_options {
	const struct config *config; /* outlives the engine */
	const char *socket_path;     /* NULL: none */
	const char *state_dir;       /* NULL: nothing is kept on disk */
	const char *listen;          /* NULL: as configured */
	int socket_fd;               /* -1, or a listening socket */
	int private_fd;              /* -1, or the one client there will be */
};

/* Failures are logged. */
int engine_new(struct engine **ret, sd_event *event, const struct engine_options *options);
struct engine *engine_free(struct engine *e);
/* Closes the open window, has it stored, and ends the event loop, within some seconds. */
void engine_stop(struct engine *e);
/* The configuration has changed: what may change while the daemon runs (cprofd.conf(5)) is put into
 * force. Failures are logged, and leave things as they were. */
void engine_reload(struct engine *e);
