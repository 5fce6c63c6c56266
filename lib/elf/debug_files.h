/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The files that hold what was stripped off: by build-id, by .gnu_debuglink (name and CRC-32 of the
 * whole file), and the common part that dwz(1) took out (.gnu_debugaltlink). A file counts only if
 * it fits: the same build-id, or the checksum where one of the two has none.
 */

#include "elf_file.h"
#include "symbolize.h"

struct debug_files {
	int fd; /* of the debug file, -1 none */
	struct elf_file *elf;
	int alt_fd;   /* of the dwz file that main or debug file refer to, -1 none */
	bool missing; /* one is named and was not found */
};

#define DEBUG_FILES_INIT ((struct debug_files){ .fd = -1, .alt_fd = -1 })

void debug_files_done(struct debug_files *d);
/* Looks for what `main` lacks. Only -ENOMEM is an error. */
int debug_files_open(struct debug_files *d, const struct elf_file *main,
		     const struct symbolize_request *request);
