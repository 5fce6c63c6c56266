/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time as people write them: what is one can be written and read again. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "when.h"

#define NOW_NS 1795523400000000000LL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), stamp[WHEN_TEXT_BYTES];
	int64_t ns = 0, again;
	enum when_kind kind;
	int r;

	if (!text)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';

	r = when_parse(text, NOW_NS, &ns, &kind);
	if (r < 0 && r != -EINVAL && r != -ERANGE)
		abort();
	if (r == 0) {
		if (ns < 0 || (kind != WHEN_POINT && ns > NOW_NS))
			abort();
		if (when_parse(when_rfc3339(stamp, ns), 0, &again, NULL) < 0 || again != ns)
			abort();
		if (kind != WHEN_POINT && when_clock_after(ns, kind, NOW_NS) <= NOW_NS)
			abort();
	}
	free(text);
	return 0;
}
