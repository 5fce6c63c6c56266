/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names that mean nothing that runs: misspelt, or yet to come. */

#include "daemon.h"
#include "options.h"

/* Whether a process of this command name, unit or container (kind) runs; true also where it cannot be told, as of all
 * other kinds. */
bool names_runs(struct daemon *d, const char *kind, const char *value);
/* A note for each command name that a capture waits for. */
void names_note_missing(struct daemon *d, const struct capture_options *o);
