/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "spec.h"
#include "text.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode(struct buf *b, const char *s, size_t size)
{
	buf_reset(b);
	for (size_t i = 0; i < size; i++) {
		char c = s[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int high = size - i > 2 ? hex_digit(s[i + 1]) : -1;
			int low = size - i > 2 ? hex_digit(s[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0')
			return -EINVAL;
		buf_putc(b, c);
	}
	if (b->error)
		return b->error;
	/* so that data is a string also when it is empty */
	if (!b->data && !buf_reserve(b, 1))
		return b->error;
	b->data[b->size] = '\0';
	return text_is_utf8(b->data, b->size) ? 0 : -EINVAL;
}

int query_next(const char **cursor, struct buf *key, struct buf *value)
{
	const char *pair = *cursor + strspn(*cursor, "&"), *equals;
	size_t size = strcspn(pair, "&"), key_bytes;
	int r;

	*cursor = pair + size;
	if (size == 0)
		return 0;

	equals = memchr(pair, '=', size);
	key_bytes = equals ? (size_t)(equals - pair) : size;
	r = decode(key, pair, key_bytes);
	if (r < 0)
		return r;
	r = decode(value, equals ? equals + 1 : "", equals ? size - key_bytes - 1 : 0);
	return r < 0 ? r : 1;
}
