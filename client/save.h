/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The end of a capture: fetch it, give it its format, write it, say what there is to say. */

#include "output.h"
#include "remote.h"
#include "signals.h"

/* The program's exit status. */
int save_capture(struct remote *c, const struct capture_options *o, struct output *out,
		 const struct remote_progress *p, struct signals *signals);
/* EXIT_USAGE, said, where a compressed profile would go to a terminal; else 0. */
int save_refuses_terminal(const struct capture_options *o);
