/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Ownership by attribute, in the manner of systemd: a local that owns something is declared with
 * _cleanup_(fn), and handed over with TAKE_PTR or TAKE_FD.
 */

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f)        __attribute__((cleanup(f)))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define _unused_            __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                                  \
	({                                         \
		__typeof__(a) _min_a = (a);        \
		__typeof__(b) _min_b = (b);        \
		_min_a < _min_b ? _min_a : _min_b; \
	})
#define MAX(a, b)                                  \
	({                                         \
		__typeof__(a) _max_a = (a);        \
		__typeof__(b) _max_b = (b);        \
		_max_a > _max_b ? _max_a : _max_b; \
	})

#define NSEC_PER_SEC  1000000000ULL
#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_USEC 1000ULL

#define TAKE_PTR(p)                               \
	({                                        \
		__typeof__(p) *_take_p = &(p);    \
		__typeof__(p) _take_v = *_take_p; \
		*_take_p = NULL;                  \
		_take_v;                          \
	})
#define TAKE_FD(fd)                      \
	({                               \
		int *_take_fd = &(fd);   \
		int _take_n = *_take_fd; \
		*_take_fd = -1;          \
		_take_n;                 \
	})

/* Defines NAMEp(), for _cleanup_, from a destructor that accepts NULL. */
#define DEFINE_CLEANUP(type, fn)          \
	static inline void fn##p(type *p) \
	{                                 \
		if (*p)                   \
			fn(*p);           \
	}

static inline void freep(void *p)
{
	free(*(void **)p);
}

/* Closes and keeps errno; always returns -1, so that `fd = safe_close(fd)` reads well. */
static inline int safe_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		close(fd);
		errno = saved;
	}
	return -1;
}

static inline void closep(int *fd)
{
	safe_close(*fd);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_free_   _cleanup_(freep)
#define _cleanup_close_  _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)
