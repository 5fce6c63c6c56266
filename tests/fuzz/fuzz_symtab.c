/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbol tables and what else names functions or files: .symtab, .strtab, .gnu_debuglink, notes, and the first
 * two once more as .gnu_debugdata, packed here. The input is lengths and bytes, one after another.
 */
#include <lzma.h>
#include <stdlib.h>

#include "elf_file.h"
#include "sections.h"
#include "symanswer.h"
#include "symbolize.h"

#define N_OFFSETS    128
#define PACKED_BYTES (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t pack(int fd, uint8_t *to)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(PACKED_BYTES);
	size_t n = 0;

	if (lseek(fd, 0, SEEK_SET) < 0 || buf_read_fd(&b, fd) < 0 ||
	    lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, (const uint8_t *)b.data, b.size, to,
				    &n, PACKED_BYTES) != LZMA_OK)
		return 0;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t packed[PACKED_BYTES];
	_cleanup_(buf_done) struct buf answer = BUF_INIT(64 << 20);
	_cleanup_close_ int fd = -1, inner = -1;
	struct section_part parts[6];
	uint64_t offsets[N_OFFSETS];
	struct symbolize_request request = { .offsets = offsets, .n_offsets = N_OFFSETS };
	struct symanswer a;

	parts[0] = sections_next(&data, &size, ".symtab", SHT_SYMTAB);
	parts[0].link = 3;
	parts[1] = sections_next(&data, &size, ".strtab", SHT_STRTAB);
	inner = sections_file(parts, 2);
	parts[2] = sections_next(&data, &size, ".gnu_debuglink", SHT_PROGBITS);
	parts[3] = sections_next(&data, &size, ".note.gnu.build-id", SHT_NOTE);
	parts[4] = sections_next(&data, &size, ".gnu_debugaltlink", SHT_PROGBITS);
	if (inner < 0)
		return 0;
	parts[5] = (struct section_part){ .name = ".gnu_debugdata",
					  .type = SHT_PROGBITS,
					  .data = packed,
					  .bytes = pack(inner, packed) };
	fd = sections_file(parts, ARRAY_SIZE(parts));
	if (fd < 0)
		return 0;
	for (size_t i = 0; i < N_OFFSETS; i++)
		offsets[i] = SECTIONS_TEXT_START + 8 * i;

	request.fd = fd;
	if (symbolize_file(&request, &answer) == 0 &&
	    symanswer_check(answer.data, answer.size, offsets, N_OFFSETS, &a) < 0)
		abort();
	return 0;
}
