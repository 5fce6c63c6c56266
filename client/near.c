/* SPDX-License-Identifier: Apache-2.0 */
#include "near.h"

#include <string.h>

#include "cleanup.h"

#define NEAR_PREFIX_BYTES 3
#define NEAR_SHORT_BYTES  4

/* Edits (insertions, removals, changes and swaps of neighbours) from a to b. */
static unsigned near_distance(const char *a, const char *b)
{
	unsigned rows[3][32];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2];
	size_t n = strlen(b);

	if (n + 1 > ARRAY_SIZE(rows[0]) || strlen(a) + 1 > ARRAY_SIZE(rows[0]))
		return ~0U;

	for (size_t j = 0; j <= n; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; a[i - 1]; i++) {
		unsigned *spare = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= n; j++) {
			row[j] = last[j - 1] + (a[i - 1] != b[j - 1]);
			row[j] = MIN(row[j], last[j] + 1);
			row[j] = MIN(row[j], row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = MIN(row[j], before[j - 2] + 1);
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[n];
}

void near_offer(struct near *n, const char *name)
{
	size_t length = strlen(n->word);
	unsigned most = length > NEAR_SHORT_BYTES ? 2 : 1, slips;

	if (length >= NEAR_PREFIX_BYTES && strncmp(n->word, name, length) == 0)
		slips = 0;
	else
		slips = near_distance(n->word, name);
	if (slips > most || (n->best && slips >= n->slips))
		return;
	n->best = name;
	n->slips = slips;
}
