/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The table of configuration keys: how each is read, written, and where it lies in struct config.
 * For config.c, which reads files, and config_print.c; the rest of the daemon knows config.h.
 */

#include "buf.h"
#include "config.h"

struct config_key;

/* What a value is. parse takes a non-empty string and returns -EINVAL, -ERANGE, -E2BIG (lists) or
 * -ENOMEM; format appends what parse would read back. */
struct config_type {
	int (*parse)(const struct config_key *key, const char *value, void *field);
	void (*format)(const void *field, struct buf *out);
	bool owned; /* the field is a string of its own */
	bool list;  /* a later assignment appends */
};

/* When a change of the file is in force. A part of the daemon that reads a key only when it is made
 * cannot follow: its key says CONFIG_AT_START. */
enum config_when { CONFIG_AT_START, CONFIG_AT_RELOAD };

struct config_key {
	const char *section, *name;
	const struct config_type *type;
	size_t offset, field_bytes;
	uint64_t min, max;   /* of the parsed value */
	const char *expects; /* for the error line */
	enum config_when when;
};

/* In the order of the manual; a section's keys stand together. NULL behind the last. */
const struct config_key *config_key_at(size_t i);
const struct config_key *config_key_find(const char *section, const char *name);
size_t config_key_index(const struct config_key *key);
bool config_section_exists(const char *name);

static inline void *config_key_field(const struct config_key *key, const struct config *c)
{
	return (char *)c + key->offset;
}

/* To the default. */
void config_key_reset(const struct config_key *key, struct config *c);
