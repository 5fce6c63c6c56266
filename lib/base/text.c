/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <string.h>

/* Length of the valid UTF-8 character at s, its code point in *ret; 0 where there is none. */
static size_t text_decode(const unsigned char *s, size_t size, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80   ? 1
		   : s[0] < 0xc2 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf5 ? 4
				 : 0;
	uint32_t c;

	if (n == 0 || n > size || s[0] == 0)
		return 0;

	c = n == 1 ? s[0] : s[0] & (0xffU >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;

	*ret = c;
	return n;
}

bool text_is_utf8(const char *s, size_t size)
{
	const unsigned char *p = (const unsigned char *)s;
	uint32_t c;

	while (size > 0) {
		size_t n = text_decode(p, size, &c);

		if (n == 0)
			return false;
		p += n;
		size -= n;
	}
	return true;
}

int text_append_utf8(struct buf *b, const char *s, size_t size)
{
	const unsigned char *p = (const unsigned char *)s;
	uint32_t c;

	while (size > 0) {
		size_t n = text_decode(p, size, &c);

		if (n > 0)
			buf_append(b, p, n);
		else
			buf_puts(b, "\xef\xbf\xbd");
		p += n ? n : 1;
		size -= n ? n : 1;
	}
	return b->error;
}

/* Characters that move the cursor, hide text or turn its direction. */
static bool text_is_unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

int text_append_printable(struct buf *b, const char *s, size_t size)
{
	const unsigned char *p = (const unsigned char *)s;
	uint32_t c;

	while (size > 0) {
		size_t n = text_decode(p, size, &c);

		if (n == 0)
			buf_printf(b, "\\x%02x", *p);
		else if (text_is_unsafe(c))
			buf_printf(b, c < 0x100 ? "\\x%02x" : "\\u{%04x}", c);
		else
			buf_append(b, p, n);
		p += n ? n : 1;
		size -= n ? n : 1;
	}
	return b->error;
}

char *text_printable(const char *s)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(SIZE_MAX / 2);

	buf_puts(&b, "");
	if (text_append_printable(&b, s, strlen(s)) < 0)
		return NULL;
	return buf_take(&b, NULL);
}

bool text_ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

int text_parse_u64(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*s)
		return -EINVAL;
	for (const char *p = s; *p; p++)
		if (*p < '0' || *p > '9')
			return -EINVAL;

	for (; *s; s++) {
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	}
	if (v > max)
		return -ERANGE;

	*ret = v;
	return 0;
}

struct text_unit {
	const char *name;
	uint64_t factor;
};

static const struct text_unit span_units[] = {
	{ "", NSEC_PER_SEC },
	{ "s", NSEC_PER_SEC },
	{ "sec", NSEC_PER_SEC },
	{ "second", NSEC_PER_SEC },
	{ "seconds", NSEC_PER_SEC },
	{ "ns", 1 },
	{ "us", NSEC_PER_USEC },
	{ "ms", NSEC_PER_MSEC },
	{ "msec", NSEC_PER_MSEC },
	{ "m", 60 * NSEC_PER_SEC },
	{ "min", 60 * NSEC_PER_SEC },
	{ "minute", 60 * NSEC_PER_SEC },
	{ "minutes", 60 * NSEC_PER_SEC },
	{ "h", 3600 * NSEC_PER_SEC },
	{ "hr", 3600 * NSEC_PER_SEC },
	{ "hour", 3600 * NSEC_PER_SEC },
	{ "hours", 3600 * NSEC_PER_SEC },
	{ "d", 86400 * NSEC_PER_SEC },
	{ "day", 86400 * NSEC_PER_SEC },
	{ "days", 86400 * NSEC_PER_SEC },
	{ "w", 7 * 86400 * NSEC_PER_SEC },
	{ "week", 7 * 86400 * NSEC_PER_SEC },
	{ "weeks", 7 * 86400 * NSEC_PER_SEC },
};

static const struct text_unit byte_units[] = {
	{ "", 1 },           { "B", 1 },          { "K", 1ULL << 10 },
	{ "M", 1ULL << 20 }, { "G", 1ULL << 30 }, { "T", 1ULL << 40 },
};

/* One "number[.fraction] unit" term; *s is moved behind it and the space that follows. */
static int text_parse_term(const char **s, const struct text_unit *units, size_t n_units,
			   uint64_t *ret)
{
	uint64_t whole = 0, fraction = 0, scale = 1, v;
	const char *p = *s, *digits = p;
	size_t i, len = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
			return -ERANGE;
	if (p == digits)
		return -EINVAL;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++)
			if (scale < 1000000000) {
				fraction = fraction * 10 + (uint64_t)(*p - '0');
				scale *= 10;
			}

	p += strspn(p, " ");
	while ((p[len] | 0x20) >= 'a' && (p[len] | 0x20) <= 'z')
		len++;
	for (i = 0; i < n_units; i++)
		if (strlen(units[i].name) == len && strncmp(units[i].name, p, len) == 0)
			break;
	if (i == n_units)
		return -EINVAL;

	if (__builtin_mul_overflow(whole, units[i].factor, &v))
		return -ERANGE;
	/* fraction < 1e9 and factor <= 6.05e14 (a week): in long double to stay exact enough */
	v += (uint64_t)((long double)fraction / scale * units[i].factor);

	p += len;
	*s = p + strspn(p, " ");
	*ret = v;
	return 0;
}

int text_parse_span_ns(const char *s, uint64_t *ret_ns)
{
	uint64_t sum = 0, v;
	int r;

	do {
		r = text_parse_term(&s, span_units, ARRAY_SIZE(span_units), &v);
		if (r < 0)
			return r;
		if (__builtin_add_overflow(sum, v, &sum))
			return -ERANGE;
	} while (*s);

	*ret_ns = sum;
	return 0;
}

int text_parse_bytes(const char *s, uint64_t *ret_bytes)
{
	uint64_t v;
	int r = text_parse_term(&s, byte_units, ARRAY_SIZE(byte_units), &v);

	if (r < 0)
		return r;
	if (*s)
		return -EINVAL;

	*ret_bytes = v;
	return 0;
}
