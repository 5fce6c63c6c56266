/* SPDX-License-Identifier: Apache-2.0 */
/* Names on disk: what passes the check can be walked. The checksum is made to fit, or nothing would. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "symfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct symfile_head head;
	struct symfile f;
	size_t total = 0;
	uint8_t *copy;

	if (size < sizeof(head) || !(copy = malloc(size)))
		return 0;
	memcpy(copy, data, size);
	memcpy(&head, data, sizeof(head));
	head.checksum = symfile_checksum(data, size);
	memcpy(copy, &head, sizeof(head));

	if (symfile_check(copy, size, &f) == 0) {
		for (uint32_t i = 0; i < f.head->n_files; i++)
			total += strlen(f.strings + f.files[i].path);
		for (uint32_t i = 0; i < f.head->n_entries; i++)
			for (uint32_t j = 0; j < f.entries[i].n_lines; j++)
				total += strlen(f.strings +
						f.lines[f.entries[i].first_line + j].system_name);
		if (f.head->n_entries > 0 && symfile_find(&f, f.entries[0].address) != f.entries)
			abort();
	}
	free(copy);
	return total == SIZE_MAX;
}
