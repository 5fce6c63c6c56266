/* SPDX-License-Identifier: Apache-2.0 */
#include "buf.h"

#include <string.h>

#define BUF_FIRST_BYTES 256
#define BUF_READ_BYTES  65536

void buf_done(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT(b->max);
}

void buf_reset(struct buf *b)
{
	b->size = 0;
	b->error = 0;
	if (b->data)
		b->data[0] = '\0';
}

static int buf_fail(struct buf *b, int error)
{
	if (!b->error)
		b->error = error;
	return error;
}

void *buf_reserve(struct buf *b, size_t size)
{
	size_t need, allocated;
	char *data;

	if (size > b->max || b->size > b->max - size) {
		buf_fail(b, -ENOSPC);
		return NULL;
	}

	need = b->size + size + 1;
	if (need <= b->allocated)
		return b->data + b->size;

	allocated = MAX(b->allocated, (size_t)BUF_FIRST_BYTES);
	while (allocated < need)
		allocated = allocated > SIZE_MAX / 2 ? need : allocated * 2;
	allocated = MAX(need, MIN(allocated, b->max < SIZE_MAX ? b->max + 1 : SIZE_MAX));

	data = realloc(b->data, allocated);
	if (!data) {
		buf_fail(b, -ENOMEM);
		return NULL;
	}

	b->data = data;
	b->allocated = allocated;
	b->data[b->size] = '\0';
	return b->data + b->size;
}

int buf_append(struct buf *b, const void *data, size_t size)
{
	void *p = buf_reserve(b, size);

	if (!p)
		return b->error;

	if (size > 0)
		memcpy(p, data, size);
	b->size += size;
	b->data[b->size] = '\0';
	return 0;
}

int buf_puts(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

int buf_putc(struct buf *b, char c)
{
	return buf_append(b, &c, 1);
}

int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n >= 0 && buf_reserve(b, (size_t)n)) {
		vsnprintf(b->data + b->size, (size_t)n + 1, fmt, again);
		b->size += (size_t)n;
	}
	va_end(again);

	return n < 0 ? buf_fail(b, -EINVAL) : b->error;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return r;
}

int buf_read_fd(struct buf *b, int fd)
{
	for (;;) {
		size_t room = MIN((size_t)BUF_READ_BYTES, b->max - b->size);
		char probe, *p = room ? buf_reserve(b, room) : &probe;
		ssize_t n;

		if (!p)
			return b->error;

		n = read(fd, p, room ? room : 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return buf_fail(b, -errno);
		if (n == 0)
			return 0;
		if (!room)
			return buf_fail(b, -ENOSPC);

		b->size += (size_t)n;
		b->data[b->size] = '\0';
	}
}

char *buf_take(struct buf *b, size_t *ret_size)
{
	char *data = TAKE_PTR(b->data);

	if (ret_size)
		*ret_size = b->size;
	*b = BUF_INIT(b->max);
	return data;
}
