/* SPDX-License-Identifier: Apache-2.0 */
#include "maps.h"

#include <errno.h>
#include <string.h>

struct cursor {
	const char *p, *end;
};

static bool take(struct cursor *c, char wanted)
{
	if (c->p == c->end || *c->p != wanted)
		return false;
	c->p++;
	return true;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return 16;
}

/* At least one digit, no overflow. */
static bool number(struct cursor *c, unsigned base, uint64_t *ret)
{
	const char *first = c->p;
	uint64_t v = 0;

	for (; c->p < c->end && digit(*c->p) < (int)base; c->p++)
		if (__builtin_mul_overflow(v, base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)digit(*c->p), &v))
			return false;

	*ret = v;
	return c->p > first;
}

static bool permission(struct cursor *c, char on, char off, bool *ret)
{
	*ret = c->p < c->end && *c->p == on;
	return take(c, on) || take(c, off);
}

int maps_parse_line(const char *line, size_t size, struct maps_entry *ret)
{
	struct cursor c = { line, line + size };
	struct maps_entry e = { 0 };
	uint64_t major, minor;

	if (!number(&c, 16, &e.start) || !take(&c, '-') || !number(&c, 16, &e.limit) ||
	    !take(&c, ' ') || e.start >= e.limit)
		return -EBADMSG;

	if (!permission(&c, 'r', '-', &e.readable) || !permission(&c, 'w', '-', &e.writable) ||
	    !permission(&c, 'x', '-', &e.executable) || !permission(&c, 's', 'p', &e.shared) ||
	    !take(&c, ' '))
		return -EBADMSG;

	if (!number(&c, 16, &e.offset) || !take(&c, ' ') || !number(&c, 16, &major) ||
	    !take(&c, ':') || !number(&c, 16, &minor) || !take(&c, ' ') ||
	    !number(&c, 10, &e.inode) || major > UINT32_MAX || minor > UINT32_MAX)
		return -EBADMSG;

	if (c.p < c.end && *c.p != ' ')
		return -EBADMSG;
	while (take(&c, ' '))
		;

	e.major = (uint32_t)major;
	e.minor = (uint32_t)minor;
	e.path = c.p;
	e.path_bytes = (size_t)(c.end - c.p);
	*ret = e;
	return 0;
}

int maps_each(const char *text, size_t size, int (*fn)(void *arg, const struct maps_entry *entry),
	      void *arg, uint64_t *ret_bad)
{
	const char *end = text + size;
	uint64_t bad = 0;
	int r = 0;

	for (const char *p = text; p < end && r == 0;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((newline ? newline : end) - p);
		struct maps_entry e;

		if (maps_parse_line(p, n, &e) == 0)
			r = fn(arg, &e);
		else
			bad++;
		p += n + (newline ? 1 : 0);
	}

	if (ret_bad)
		*ret_bad = bad;
	return r;
}
