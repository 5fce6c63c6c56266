/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Debug information of the running kernel and its modules, where the host's root has some: by build-id, and
 * under the names that debug packages and kernel builders use. A file counts only if its GNU build-id is
 * the one that /sys tells of the kernel or the module, which is known when a job has read it:
 * the daemon parses no ELF file. A module's sections lie where /sys/module/NAME/sections has them.
 */

#include <stdbool.h>
#include <stdint.h>

#include "kallsyms.h"
#include "cprof/symbolize.h"
#include "object.h"

#define KERNEL_DEBUG_MAX_MODULES 256 /* with an open file */

struct kernel_debug;
struct kernel_image; /* vmlinux or a module; lives as long as the kernel_debug */

struct kernel_debug_paths {
	const char *notes;   /* NULL: /sys/kernel/notes */
	const char *modules; /* NULL: /sys/module */
	const char *root;    /* NULL: the host's */
	const char *release; /* NULL: uname's */
};

int kernel_debug_new(struct kernel_debug **ret, const struct kernel_debug_paths *paths);
struct kernel_debug *kernel_debug_free(struct kernel_debug *k);

/* What an encoded address of kallsyms.h may have lines of, or NULL: other text, or the build-id is not known and
 * no file would be believed. *ret_place: where it lies. */
struct kernel_image *kernel_debug_image(struct kernel_debug *k, const struct kallsyms *names,
					uint64_t address, uint64_t now_ns,
					struct kallsyms_place *ret_place);
bool kernel_image_is_module(const struct kernel_image *i);
/* The candidate at hand, or NULL; stays the callee's. Looked for anew once a while. */
struct object *kernel_image_file(struct kernel_debug *k, struct kernel_image *i, uint64_t now_ns);
/* Its sections, as question and answer have them, and its build-id, as the kernel has them now: how many. */
size_t kernel_image_sections(struct kernel_debug *k, struct kernel_image *i,
			     const struct kallsyms *names, const struct kallsyms_place *place,
			     struct symbolize_section *ret, size_t max);
/* hex: of the file, as a job read it. */
bool kernel_image_matches(const struct kernel_image *i, const char *hex);
/* That file is not this kernel's: the next candidate's turn. */
void kernel_image_reject(struct kernel_image *i);
/* A file that debug information goes on in, by its path on the host. A descriptor or -errno. */
int kernel_debug_open_path(const struct kernel_debug *k, const char *path);
