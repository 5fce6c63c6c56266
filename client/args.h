/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Command lines of the verbs that take nothing, or only --json. */

#include "client.h"

/* 0; EXIT_USAGE when a line has been said; -1 when help was asked for and printed. ret_json NULL:
 * the verb has no --json. */
int args_parse(const struct verb *v, int argc, char **argv, bool *ret_json);
