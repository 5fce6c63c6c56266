/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DWARF sections of a program, of its .dwo or .dwp file, each with any contents. The input is their
 * lengths and bytes, one after another; the other files that are asked for are the same one.
 */
#include <stdlib.h>

#include "sections.h"
#include "symanswer.h"
#include "symbolize.h"

#define N_OFFSETS 128

static const char *const names[] = {
	".debug_info",     ".debug_abbrev",       ".debug_line",
	".debug_str",      ".debug_line_str",     ".debug_addr",
	".debug_rnglists", ".debug_ranges",       ".debug_str_offsets",
	".debug_aranges",  ".debug_info.dwo",     ".debug_abbrev.dwo",
	".debug_str.dwo",  ".debug_rnglists.dwo", ".debug_str_offsets.dwo",
	".debug_cu_index",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int open_same(void *arg, const struct symbolize_open *want)
{
	(void)want;
	return dup(*(int *)arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(buf_done) struct buf answer = BUF_INIT(64 << 20);
	struct section_part parts[ARRAY_SIZE(names)];
	uint64_t offsets[N_OFFSETS];
	_cleanup_close_ int fd = -1;
	struct symbolize_request request = { .flags = SYMBOLIZE_DWARF,
					     .offsets = offsets,
					     .n_offsets = N_OFFSETS,
					     .open = open_same,
					     .arg = &fd };
	struct symanswer a;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		parts[i] = sections_next(&data, &size, names[i], SHT_PROGBITS);
	fd = sections_file(parts, ARRAY_SIZE(names));
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
