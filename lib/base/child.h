/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <spawn.h>

/* Fills initialized attributes for a helper process that posix_spawn() starts: no signal blocked or
 * ignored, and a group of its own, as a terminal's Ctrl-C is for its parent to handle. Negative errno. */
int child_attributes(posix_spawnattr_t *attributes);
