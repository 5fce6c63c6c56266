/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A job has no way to open a file: it asks the daemon, which decides what it may have. Debug files
 * that are asked for by name go through broker_open(). libdw opens .dwo files by path itself: the
 * job's filter turns open() and openat() into SIGSYS, and the handler asks in its place. Chosen over
 * seccomp's user notification because the path is then read by the job itself and sent as data: the
 * daemon never reads a job's memory, and there is no listener to pass on.
 */

#include "protocol.h"
#include "task.h"

/* A descriptor or a negative errno. id_bytes is taken from the request. */
int broker_open(struct task *t, const struct job_open *request, const char *id);

/* From here on, in this process, traps are answered on behalf of t. Before the filter. */
int broker_install(struct task *t);
