/* SPDX-License-Identifier: Apache-2.0 */
/* demangle() over any name. */
#include <stdlib.h>
#include <string.h>

#include "cprof/symbolize.h"
#include "demangle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int i = 0; i < 2; i++) {
		_cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);
		_cleanup_free_ char *name = strndup((const char *)data, size);

		if (!name)
			return 0;
		if (demangle(name, i == 1, &out) >= 0 && out.size > 2 * SYMBOLIZE_MAX_NAME_BYTES)
			abort();
	}
	return 0;
}
