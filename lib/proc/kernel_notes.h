/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What /sys tells of the kernel's code and of its modules' (Documentation/ABI, sysfs-module). */

#include <stdbool.h>
#include <stddef.h>

#include "cprof/symbolize.h"

#define KERNEL_BUILD_ID_BYTES 64
#define KERNEL_BUILD_ID_HEX   (2 * KERNEL_BUILD_ID_BYTES + 1)

/* The GNU build-id, lowercase hex, of a file of ELF notes: /sys/kernel/notes, or a module's
 * notes/.note.gnu.build-id. The bytes are the kernel's own. */
bool kernel_notes_build_id(const char *path, char hex[KERNEL_BUILD_ID_HEX]);

/* The run-time addresses of the sections with code in folder, a module's sections/: how many, at most max;
 * 0 also where they are hidden (kptr_restrict). */
size_t kernel_module_sections(const char *folder, struct symbolize_section *ret, size_t max);
