/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Denies this process and its children all paths, TCP and, outward, signals and abstract sockets, as
 * far as the kernel knows Landlock. 1 in force, 0 not to be had. Needs no_new_privs. */
int landlock_deny_all(void);
