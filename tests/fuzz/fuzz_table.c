/* SPDX-License-Identifier: Apache-2.0 */
/* table_check() and table_check_head() over any bytes, and the readers over what the latter, which lets
 * more through, leaves. */
#include "table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(TABLE_MAX_BYTES);
	uint64_t vaddr;

	if (buf_append(&b, data, size) < 0 || table_check_head(b.data, b.size) < 0)
		return 0;
	table_check(b.data, b.size);
	for (uint64_t at = 0; at < 1 << 16; at += 61) {
		uint16_t rule = table_find(b.data,
					   ((const struct cprof_table *)(void *)b.data)->base + at);

		const struct cprof_rule *r = table_rule(b.data, rule);

		if (r)
			(void)*(const volatile uint8_t *)&r->cfa_kind;
		table_vaddr(b.data, at, &vaddr);
	}
	return 0;
}
