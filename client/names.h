/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Command names that a capture waits for. */

#include "daemon.h"
#include "options.h"

/* A note for each target of kind comm that no process is called now: it may be misspelt, or yet to come. */
void names_note_missing(struct daemon *d, const struct capture_options *o);
