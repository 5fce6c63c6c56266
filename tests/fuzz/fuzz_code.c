/* SPDX-License-Identifier: Apache-2.0 */
/* code_rows_add() over any bytes: rows ascend, lie within, and end with one that says nothing. */
#include <stdlib.h>

#include "cleanup.h"
#include "code.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(code_rows_done) struct code_rows r = {};
	const uint64_t starts[] = { 0x1000, 0x1000 + size / 2 };

	if (size < 2 || size > CODE_MAX_BYTES)
		return 0;
	if (code_rows_add(&r, data, size, 0x1000, starts, ARRAY_SIZE(starts)) < 0)
		return 0;
	for (size_t i = 0; i < r.n; i++)
		if (r.rows[i].addr < 0x1000 || r.rows[i].addr > 0x1000 + size ||
		    (i > 0 && r.rows[i].addr <= r.rows[i - 1].addr))
			abort();
	if (r.n == 0 || r.rows[r.n - 1].cfa != 0)
		abort();
	return 0;
}
