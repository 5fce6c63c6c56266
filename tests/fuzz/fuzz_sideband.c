/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sideband_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = calloc(1, size ? size : 1);
	struct sideband_event e;

	if (!copy)
		return 0;
	if (size > 0)
		memcpy(copy, data, size);
	if (sideband_parse(copy, size, &e) == 1 &&
	    (strlen(e.text) >= size || (e.kind == SIDEBAND_MMAP && e.start >= e.limit)))
		abort();
	free(copy);
	return 0;
}
