/* SPDX-License-Identifier: Apache-2.0 */
#include "comments.h"

#include <inttypes.h>
#include <string.h>

#define COMMENTS_PREFIX      "cprofd "
#define COMMENTS_MAX_NUMBERS 32

struct comment {
	char *shape; /* '\0' in place of each number that counts, n_numbers of them, then one more */
	size_t shape_bytes;
	size_t n_numbers;
	uint64_t numbers[COMMENTS_MAX_NUMBERS];
};

void comments_done(struct comments *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->items[i].shape);
	free(c->items);
	*c = (struct comments){};
}

/* Where the part that counts begins: behind ": ", or at the end. */
static size_t comments_counts_from(const char *s, size_t size)
{
	const char *colon;

	if (size < strlen(COMMENTS_PREFIX) ||
	    memcmp(s, COMMENTS_PREFIX, strlen(COMMENTS_PREFIX)) != 0)
		return size;
	colon = memmem(s, size, ": ", 2);
	return colon ? (size_t)(colon - s) + 2 : size;
}

/* A number that stands alone: "12" of "lost 12 (", not of "x86_64" or "1.5". */
static size_t comments_number(const char *s, size_t size, size_t at, uint64_t *ret)
{
	size_t n = 0;
	uint64_t v = 0;

	if (at == 0 || (s[at - 1] != ' ' && s[at - 1] != '('))
		return 0;
	while (at + n < size && s[at + n] >= '0' && s[at + n] <= '9')
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s[at + n++] - '0'), &v))
			return 0;
	if (n > 0 && at + n < size && !strchr(" ,;)", s[at + n]))
		return 0;
	*ret = v;
	return n;
}

/* Its shape is to be freed. */
static int comments_parse(const char *s, size_t size, struct comment *ret)
{
	size_t from = comments_counts_from(s, size);
	struct comment c = { .shape = malloc(size + 1) };

	if (!c.shape)
		return -ENOMEM;
	for (size_t i = 0; i < size;) {
		size_t n = 0;

		if (i >= from && c.n_numbers < COMMENTS_MAX_NUMBERS)
			n = comments_number(s, size, i, &c.numbers[c.n_numbers]);
		if (n > 0) {
			c.shape[c.shape_bytes++] = '\0';
			c.n_numbers++;
			i += n;
		} else {
			/* a NUL of the line's own would be taken for a number */
			c.shape[c.shape_bytes++] = s[i] ? s[i] : '?';
			i++;
		}
	}
	c.shape[c.shape_bytes] = '\0';
	*ret = c;
	return 0;
}

static struct comment *comments_find(struct comments *c, const struct comment *like)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->items[i].shape_bytes == like->shape_bytes &&
		    memcmp(c->items[i].shape, like->shape, like->shape_bytes) == 0)
			return &c->items[i];
	return NULL;
}

int comments_add(struct comments *c, const char *s, size_t size)
{
	struct comment new, *have;
	int r = comments_parse(s, size, &new);

	if (r < 0)
		return r;

	have = comments_find(c, &new);
	for (size_t i = 0; have && i < have->n_numbers; i++)
		if (__builtin_add_overflow(have->numbers[i], new.numbers[i], &have->numbers[i]))
			have->numbers[i] = UINT64_MAX;
	if (have || c->n == COMMENTS_MAX) {
		c->left_out += !have;
		free(new.shape);
		return 0;
	}

	if (c->n == c->allocated) {
		size_t allocated = c->allocated ? c->allocated * 2 : 4;
		struct comment *items = realloc(c->items, allocated * sizeof(*items));

		if (!items) {
			free(new.shape);
			return -ENOMEM;
		}
		c->items = items;
		c->allocated = allocated;
	}
	c->items[c->n++] = new;
	return 0;
}

int comments_line(const struct comments *c, size_t i, struct buf *out)
{
	const struct comment *line = &c->items[i];
	size_t number = 0;

	for (size_t j = 0; j < line->shape_bytes; j++) {
		if (line->shape[j])
			buf_putc(out, line->shape[j]);
		else
			buf_printf(out, "%" PRIu64, line->numbers[number++]);
	}
	return out->error;
}
