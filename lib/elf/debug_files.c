/* SPDX-License-Identifier: Apache-2.0 */
#include "debug_files.h"

#include <libdeflate.h>
#include <string.h>

#define DEBUG_FILES_TRIES     4
#define DEBUG_FILES_MAX_NAME  4096
#define DEBUG_FILES_CRC_BYTES 65536

void debug_files_done(struct debug_files *d)
{
	d->elf = elf_file_free(d->elf);
	d->fd = safe_close(d->fd);
	d->alt_fd = safe_close(d->alt_fd);
}

/* The CRC-32 of .gnu_debuglink is gzip's. */
static bool debug_files_has_crc(int fd, uint32_t crc)
{
	uint8_t data[DEBUG_FILES_CRC_BYTES];
	uint32_t sum = 0;
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, data, sizeof(data), at)) > 0) {
		sum = libdeflate_crc32(sum, data, (size_t)n);
		at += n;
	}
	return n == 0 && sum == crc;
}

static bool debug_files_fits(const struct elf_file *elf, const struct symbolize_open *want)
{
	uint8_t id[64];
	int n = elf_file_build_id(elf, id, sizeof(id));

	if (n > 0 && want->build_id_bytes > 0)
		return (size_t)n == want->build_id_bytes &&
		       memcmp(id, want->build_id, (size_t)n) == 0;
	return want->kind == SYMBOLIZE_OPEN_DEBUGLINK && debug_files_has_crc(elf->fd, want->crc);
}

/* The first candidate that fits. -ENOENT. */
static int debug_files_try(const struct symbolize_request *request,
			   const struct symbolize_open *want, int *ret_fd, struct elf_file **ret)
{
	for (int i = 0; i < DEBUG_FILES_TRIES; i++) {
		_cleanup_(elf_file_freep) struct elf_file *elf = NULL;
		_cleanup_close_ int fd = request->open ? request->open(request->arg, want)
						       : -ENOENT;
		int r;

		if (fd < 0)
			return -ENOENT;
		r = elf_file_new(&elf, fd);
		if (r == -ENOMEM)
			return r;
		if (r < 0 || !debug_files_fits(elf, want))
			continue;

		*ret_fd = TAKE_FD(fd);
		*ret = TAKE_PTR(elf);
		return 0;
	}
	return -ENOENT;
}

/* "name\0", padding to 4, CRC-32 */
static int debug_files_debuglink(const struct elf_file *f, struct elf_data *data,
				 struct symbolize_open *want)
{
	const struct elf_section *s = elf_file_section(f, ".gnu_debuglink");
	size_t length, at;
	int r;

	if (!s)
		return -ENOENT;
	r = elf_section_load(f, s, DEBUG_FILES_MAX_NAME, data);
	if (r < 0)
		return r == -ENOMEM ? r : -ENOENT;

	length = strnlen((char *)data->data, data->bytes);
	at = (length + 4) & ~(size_t)3;
	if (length == 0 || at + 4 > data->bytes || memchr(data->data, '/', length))
		return -ENOENT;
	want->kind = SYMBOLIZE_OPEN_DEBUGLINK;
	want->name = (const char *)data->data;
	memcpy(&want->crc, data->data + at, sizeof(want->crc));
	return 0;
}

static int debug_files_open_debug(struct debug_files *d, const struct elf_file *main,
				  const struct symbolize_request *request)
{
	_cleanup_(elf_data_done) struct elf_data link = { 0 };
	struct symbolize_open want = { .kind = SYMBOLIZE_OPEN_BUILD_ID, .name = "" };
	uint8_t id[64];
	int n, r;

	n = elf_file_build_id(main, id, sizeof(id));
	if (n > 0) {
		want.build_id = id;
		want.build_id_bytes = (size_t)n;
		r = debug_files_try(request, &want, &d->fd, &d->elf);
		if (r != -ENOENT)
			return r;
	}

	r = debug_files_debuglink(main, &link, &want);
	if (r < 0)
		return r;
	d->missing = true;
	r = debug_files_try(request, &want, &d->fd, &d->elf);
	if (r == 0)
		d->missing = false;
	return r;
}

/* "path\0", then the build-id */
static int debug_files_open_alt(struct debug_files *d, const struct elf_file *f,
				const struct symbolize_request *request)
{
	const struct elf_section *s = elf_file_section(f, ".gnu_debugaltlink");
	_cleanup_(elf_file_freep) struct elf_file *elf = NULL;
	_cleanup_(elf_data_done) struct elf_data data = { 0 };
	struct symbolize_open want = { .kind = SYMBOLIZE_OPEN_DWZ };
	size_t length;
	int r;

	if (!s)
		return 0;
	r = elf_section_load(f, s, DEBUG_FILES_MAX_NAME, &data);
	if (r < 0)
		return r == -ENOMEM ? r : 0;

	length = strnlen((char *)data.data, data.bytes);
	if (length == 0 || length + 1 >= data.bytes || data.bytes - length - 1 > 64)
		return 0;
	want.name = (const char *)data.data;
	want.build_id = data.data + length + 1;
	want.build_id_bytes = data.bytes - length - 1;

	r = debug_files_try(request, &want, &d->alt_fd, &elf);
	if (r == -ENOENT)
		d->missing = true;
	return r == -ENOMEM ? r : 0;
}

int debug_files_open(struct debug_files *d, const struct elf_file *main,
		     const struct symbolize_request *request)
{
	const struct elf_section *info = elf_file_section(main, ".debug_info");
	bool symtab = false;
	int r;

	for (size_t i = 0; i < main->n_sections && !symtab; i++)
		symtab = main->sections[i].type == SHT_SYMTAB;

	if (!symtab || (!info && (request->flags & SYMBOLIZE_DWARF))) {
		r = debug_files_open_debug(d, main, request);
		if (r == -ENOMEM)
			return r;
	}

	if (!(request->flags & SYMBOLIZE_DWARF))
		return 0;
	return debug_files_open_alt(d, !info && d->elf ? d->elf : main, request);
}
