/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The running kernel's vmlinux with debug information, where the host's root has one: by build-id, and
 * under the names that debug packages and kernel builders use. It counts only if its GNU build-id is
 * the one that /sys/kernel/notes tells of the running kernel, which is known when a job has read it:
 * the daemon parses no ELF file. Modules have none; /proc/kallsyms names them.
 */

#include <stdbool.h>
#include <stdint.h>

#include "object.h"

struct kernel_debug;

/* notes_path NULL: /sys/kernel/notes; root NULL: the host's; release NULL: uname's. */
int kernel_debug_new(struct kernel_debug **ret, const char *notes_path, const char *root,
		     const char *release);
struct kernel_debug *kernel_debug_free(struct kernel_debug *k);

/* Whether a vmlinux would be believed at all: the running kernel's build-id is known. */
bool kernel_debug_possible(const struct kernel_debug *k);
/* An encoded address of kallsyms.h that vmlinux may have lines for. */
bool kernel_debug_is_text(uint64_t address);
/* The candidate at hand, or NULL; stays the callee's. Looked for anew once a while. */
struct object *kernel_debug_file(struct kernel_debug *k, uint64_t now_ns);
/* A file that vmlinux's debug information goes on in, by its path on the host. A descriptor or -errno. */
int kernel_debug_open_path(const struct kernel_debug *k, const char *path);
/* hex: of the file, as a job read it. */
bool kernel_debug_matches(const struct kernel_debug *k, const char *hex);
/* That file is no vmlinux of this kernel: the next candidate's turn. */
void kernel_debug_reject(struct kernel_debug *k);
