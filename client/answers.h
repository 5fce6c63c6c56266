/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names of addresses as addr2line(1) prints them, each formatted once: a program's hot addresses are
 * asked for again and again. When the texts have grown over their maximum all are forgotten.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "symanswer.h"

/* addr2line's options */
struct answers_format {
	bool addresses;  /* -a */
	bool functions;  /* -f */
	bool inlines;    /* -i */
	bool demangle;   /* -C */
	bool base_names; /* -s */
	bool pretty;     /* -p */
};

struct answers {
	struct answers_format format;
	struct buf text;
	struct answers_slot *slots; /* open addressing, power of two */
	size_t n, allocated;
};

int answers_init(struct answers *a, const struct answers_format *format);
void answers_done(struct answers *a);
/* The text of an address; NULL when it is not known. Valid until the next answers_add(). */
const char *answers_find(const struct answers *a, uint64_t address, size_t *ret_bytes);
/* The answer to a question for these addresses. -ENOMEM. */
int answers_add(struct answers *a, const struct symanswer *answer, const uint64_t *addresses,
		size_t n);
/* Forgets all once they have grown: before a question whose answer must be found. */
void answers_trim(struct answers *a);
