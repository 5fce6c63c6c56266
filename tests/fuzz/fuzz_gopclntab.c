/* SPDX-License-Identifier: Apache-2.0 */
/* .gopclntab over any file: every function, its names, lines and inlined calls. */
#include <sys/mman.h>
#include <unistd.h>

#include "elf_file.h"
#include "gopclntab.h"

#define MAX_FUNCTIONS 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore_depth(void *arg, uint64_t addr, int32_t depth)
{
	(void)arg;
	(void)addr;
	(void)depth;
}

static void read_function(const struct gopclntab *g, const struct elf_file *elf,
			  const struct gopclntab_function *f)
{
	struct gopclntab_frame frames[16];

	gopclntab_name(g, f);
	gopclntab_depths(g, f, ignore_depth, NULL);
	for (uint64_t at = 0; at < 64; at += 7)
		gopclntab_frames(g, elf, f, f->start + at, frames, ARRAY_SIZE(frames));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(gopclntab_freep) struct gopclntab *g = NULL;
	_cleanup_(elf_file_freep) struct elf_file *elf = NULL;
	_cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct gopclntab_function f;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || elf_file_new(&elf, fd) < 0 ||
	    gopclntab_new(&g, elf) < 0)
		return 0;
	gopclntab_find_inlines(g, elf);
	for (size_t i = 0; i < gopclntab_count(g) && i < MAX_FUNCTIONS; i++)
		if (gopclntab_function(g, i, &f))
			read_function(g, elf, &f);
	return 0;
}
