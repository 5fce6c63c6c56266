/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "config_keys.h"

#define COMMENT_COLUMN  40
#define MAX_VALUE_BYTES (2 * CONFIG_MAX_LIST_BYTES)

/* The next of the pieces of *s that sep separates; *s moves behind it. */
static const char *next_piece(const char **s, char sep, size_t *ret_size)
{
	const char *piece = *s, *end = strchrnul(piece, sep);

	*ret_size = (size_t)(end - piece);
	*s = end + (*end != '\0');
	return piece;
}

static void print_line(const struct config_key *key, const char *value, size_t size,
		       const char **origins, struct buf *out)
{
	size_t begin = out->size, origin_size;
	const char *origin;

	buf_printf(out, "%s=", key->name);
	buf_append(out, value, size);
	do
		buf_putc(out, ' ');
	while (out->error == 0 && out->size - begin < COMMENT_COLUMN);
	buf_puts(out, "; ");
	if (*origins && **origins) {
		origin = next_piece(origins, '\n', &origin_size);
		buf_append(out, origin, origin_size);
	} else {
		buf_puts(out, "default");
	}
	buf_putc(out, '\n');
}

static void print_key(const struct config_key *key, const struct config *c, struct buf *out)
{
	_cleanup_(buf_done) struct buf value = BUF_INIT(MAX_VALUE_BYTES);
	const char *origins = c->origins[config_key_index(key)], *v;
	size_t size;

	key->type->format(config_key_field(key, c), &value);
	v = value.data ? value.data : "";
	/* an entry a line: a file's line is bounded, a list is not */
	do {
		const char *entry = v;

		if (key->type->list)
			entry = next_piece(&v, ' ', &size);
		else
			size = strlen(entry);
		print_line(key, entry, size, &origins, out);
	} while (key->type->list && *v);
}

int config_print(const struct config *c, struct buf *out)
{
	const struct config_key *key;
	const char *section = "";

	for (size_t i = 0; (key = config_key_at(i)); i++) {
		if (strcmp(section, key->section) != 0)
			buf_printf(out, "%s[%s]\n", *section ? "\n" : "", key->section);
		section = key->section;
		print_key(key, c, out);
	}
	return out->error;
}

static void swap(void *a, void *b, size_t size)
{
	char bytes[64];

	memcpy(bytes, a, size);
	memcpy(a, b, size);
	memcpy(b, bytes, size);
}

static int adopt_key(const struct config_key *key, struct config *running, struct config *loaded,
		     config_change_t change, void *arg)
{
	_cleanup_(buf_done) struct buf from = BUF_INIT(MAX_VALUE_BYTES),
				       to = BUF_INIT(MAX_VALUE_BYTES);
	size_t i = config_key_index(key);
	bool differs;

	key->type->format(config_key_field(key, running), &from);
	key->type->format(config_key_field(key, loaded), &to);
	if (from.error || to.error)
		return -ENOMEM;

	differs = strcmp(from.data ? from.data : "", to.data ? to.data : "") != 0;
	if (!differs || key->when == CONFIG_AT_RELOAD) {
		swap(config_key_field(key, running), config_key_field(key, loaded),
		     key->field_bytes);
		swap(&running->origins[i], &loaded->origins[i], sizeof(running->origins[i]));
	}
	if (differs)
		change(arg, key->section, key->name, from.data ? from.data : "",
		       to.data ? to.data : "", key->when == CONFIG_AT_RELOAD);
	return 0;
}

int config_adopt(struct config *running, struct config *loaded, config_change_t change, void *arg)
{
	const struct config_key *key;
	int r = 0;

	for (size_t i = 0; r == 0 && (key = config_key_at(i)); i++)
		r = adopt_key(key, running, loaded, change, arg);
	config_done(loaded);
	return r;
}
