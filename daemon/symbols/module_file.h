/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where the files of a kernel module lie. */

#include <stdbool.h>

/*
 * The module's file below root/lib/modules/RELEASE, "kernel/fs/xfs/xfs.ko": as modprobe finds it (modules.dep(5)), or where that
 * folder cannot be read, as it is in a tree of debug files. NULL: it is in neither. The caller's. *ret_packed: the
 * module itself is compressed, or not known.
 */
char *module_file_find(const char *root, const char *release, const char *module, bool *ret_packed);
