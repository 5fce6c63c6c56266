/* SPDX-License-Identifier: Apache-2.0 */
#include "cell.h"

#include <string.h>

#include "text.h"

#define CELL_MAX_BYTES (1U << 20)

/* Bytes of the first n characters: continuation bytes of UTF-8 take no room. */
static size_t cell_bytes(const char *s, int n, int *ret_columns)
{
	size_t i = 0;
	int columns = 0;

	while (s[i]) {
		if ((s[i] & 0xc0) != 0x80 && columns++ == n) {
			columns = n;
			break;
		}
		i++;
	}
	*ret_columns = columns;
	return i;
}

int cell_append(struct buf *b, const char *s, int width, int most)
{
	_cleanup_free_ char *text = text_printable(s);
	int columns, all;
	size_t n;

	if (!text)
		return 0;
	n = cell_bytes(text, most > 0 ? most : INT32_MAX, &columns);
	if (text[n] && most > 1) {
		n = cell_bytes(text, most - 1, &all);
		buf_append(b, text, n);
		buf_puts(b, "…");
	} else {
		buf_append(b, text, n);
	}
	for (; columns < width; columns++)
		buf_putc(b, ' ');
	return columns;
}

void cell_print(FILE *f, const char *s, int width)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(CELL_MAX_BYTES);

	cell_append(&b, s, width, 0);
	if (b.size > 0)
		fwrite(b.data, 1, b.size, f);
}
