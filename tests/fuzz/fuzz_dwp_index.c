/* SPDX-License-Identifier: Apache-2.0 */
/* dwp_index_find() over any index, for each id that it may hold. */
#include <string.h>

#include "dwp_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dwp_part parts[DWP_SECTIONS];

	for (size_t at = 0; at + 8 <= size; at += 8) {
		uint64_t id;

		memcpy(&id, data + at, sizeof(id));
		dwp_index_find(data, size, id, parts);
	}
	return 0;
}
