/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize_file() over any bytes: symbol tables, relocations, notes, debug links, .gnu_debugdata, DWARF and
 * .gopclntab; object files, too. The addresses asked for are spread over the file. What it answers passes the
 * daemon's check.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "elf_file.h"
#include "symanswer.h"
#include "symbolize.h"

#define N_OFFSETS 64

/* Of an object file: where it was loaded, or NULL and offsets. */
static const struct symbolize_section loaded[] = {
	{ 0x20, ".text" },
	{ 1 << 12, ".init.text" },
	{ UINT64_MAX - 8, ".text.unlikely" },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct opener {
	const uint8_t *data;
	size_t size;
	unsigned left;
};

static int make_file(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		return -ENOENT;
	return TAKE_FD(fd);
}

/* Every other file that is asked for is the same one. */
static int open_same(void *arg, const struct symbolize_open *want)
{
	struct opener *o = arg;

	(void)want;
	if (o->left == 0)
		return -ENOENT;
	o->left--;
	return make_file(o->data, o->size);
}

static void ask(const struct symbolize_request *request)
{
	_cleanup_(buf_done) struct buf answer = BUF_INIT(64 << 20);
	struct symanswer a;

	if (symbolize_file(request, &answer) < 0)
		return;
	if ((request->flags & SYMBOLIZE_VADDR ? symanswer_check_vaddrs : symanswer_check)(
		    answer.data, answer.size, request->offsets, request->n_offsets, &a) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = size >= 64 ? make_file(data, size) : -1;
	uint64_t offsets[N_OFFSETS];
	struct opener opener = { data, size, 4 };
	struct symbolize_request request = {
		.fd = fd,
		.offsets = offsets,
		.open = open_same,
		.arg = &opener,
	};

	if (fd < 0)
		return 0;
	for (size_t i = 0; i < N_OFFSETS; i++) {
		uint64_t at = i * (size / N_OFFSETS + 1);

		if (request.n_offsets == 0 || at > offsets[request.n_offsets - 1])
			offsets[request.n_offsets++] = at;
	}

	for (uint32_t flags = 0; flags < 4; flags++) {
		request.flags = flags;
		ask(&request);
	}
	request.flags = SYMBOLIZE_DWARF | SYMBOLIZE_VADDR;
	ask(&request);
	request.sections = loaded;
	request.n_sections = ARRAY_SIZE(loaded);
	ask(&request);
	return 0;
}
