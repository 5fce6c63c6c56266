/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `targets add`, `targets remove` and `targets rules`: argv[0] is that word. The program's exit status. */

#include "client.h"

int targets_change(const struct client *c, int argc, char **argv);
int targets_rules(const struct client *c, int argc, char **argv);
