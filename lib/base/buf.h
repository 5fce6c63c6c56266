/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A growing byte buffer with a maximum it was born with. An append that would pass the maximum, or
 * finds no memory, fails with -ENOSPC or -ENOMEM, changes nothing, and is remembered: a caller may
 * append many times and look at `error` once. data is NULL or followed by a NUL that size does not
 * count, so that text can be printed.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"

struct buf {
	char *data;
	size_t size;
	size_t allocated;
	size_t max;
	int error; /* the first failure of an append, 0 or negative errno */
};

#define BUF_INIT(max_bytes) ((struct buf){ .max = (max_bytes) })

void buf_done(struct buf *b);  /* frees; the buffer is empty and usable again */
void buf_reset(struct buf *b); /* empties, keeps the memory and forgets the error */
int buf_append(struct buf *b, const void *data, size_t size);
int buf_puts(struct buf *b, const char *s);
int buf_putc(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) _printf_(2, 3);
int buf_vprintf(struct buf *b, const char *fmt, va_list ap) _printf_(2, 0);
/* Makes room for size further bytes and returns where they go (size is not advanced), or NULL. */
void *buf_reserve(struct buf *b, size_t size);
/* Reads fd to its end. */
int buf_read_fd(struct buf *b, int fd);
/* Hands the memory over to the caller, who frees it; the buffer is empty. */
char *buf_take(struct buf *b, size_t *ret_size);
