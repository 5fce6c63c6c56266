/* SPDX-License-Identifier: Apache-2.0 */
#include "symbol_names.h"

#include <string.h>

#include "cprof/symbolize.h"
#include "demangle.h"
#include "text.h"

#define NAMES_FIRST   1024
#define NAMES_UNKNOWN UINT32_MAX

struct symbol_name {
	uint32_t offset; /* 0: free */
	uint32_t hash;
	uint32_t demangled; /* offset, or NAMES_UNKNOWN */
};

int symbol_names_init(struct symbol_names *n, bool short_form, size_t max_bytes)
{
	*n = (struct symbol_names){
		.bytes = BUF_INIT(MIN(max_bytes, (size_t)UINT32_MAX - 1)),
		.short_form = short_form,
		.scratch = BUF_INIT(4 * SYMBOLIZE_MAX_NAME_BYTES),
		.allocated = NAMES_FIRST,
	};
	n->table = calloc(n->allocated, sizeof(*n->table));
	if (!n->table)
		return -ENOMEM;
	return buf_append(&n->bytes, "", 1);
}

void symbol_names_done(struct symbol_names *n)
{
	buf_done(&n->bytes);
	buf_done(&n->scratch);
	free(n->table);
	n->table = NULL;
}

/* FNV-1a */
static uint32_t symbol_names_hash(const char *s, size_t size)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < size; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3ULL;
	return (uint32_t)(h ^ h >> 32);
}

static struct symbol_name *symbol_names_slot(struct symbol_names *n, const char *s, size_t size,
					     uint32_t hash)
{
	for (size_t i = hash & (n->allocated - 1);; i = (i + 1) & (n->allocated - 1)) {
		struct symbol_name *e = &n->table[i];
		const char *have = n->bytes.data + e->offset;

		if (e->offset == 0)
			return e;
		/* strncmp: size may reach past the end of the last string */
		if (e->hash == hash && strncmp(have, s, size) == 0 && have[size] == '\0')
			return e;
	}
}

static int symbol_names_grow(struct symbol_names *n)
{
	struct symbol_name *table, *old = n->table;
	size_t allocated = n->allocated * 2;

	table = calloc(allocated, sizeof(*table));
	if (!table)
		return -ENOMEM;

	for (size_t i = 0; i < n->allocated; i++) {
		size_t j = old[i].hash & (allocated - 1);

		if (old[i].offset == 0)
			continue;
		while (table[j].offset != 0)
			j = (j + 1) & (allocated - 1);
		table[j] = old[i];
	}
	free(old);
	n->table = table;
	n->allocated = allocated;
	return 0;
}

/* Valid UTF-8 of bounded length; where s is not, a copy in scratch. */
static const char *symbol_names_clean(struct symbol_names *n, const char *s, size_t *size)
{
	size_t length = MIN(*size, (size_t)SYMBOLIZE_MAX_NAME_BYTES);

	length = strnlen(s, length);
	/* not in the middle of a character */
	if (length < *size)
		while (length > 0 && ((unsigned char)s[length] & 0xc0) == 0x80)
			length--;
	*size = length;
	if (text_is_utf8(s, length))
		return s;

	buf_reset(&n->scratch);
	if (text_append_utf8(&n->scratch, s, length) < 0) {
		n->bytes.error = n->scratch.error;
		return NULL;
	}
	*size = n->scratch.size;
	return n->scratch.data;
}

uint32_t symbol_names_add(struct symbol_names *n, const char *s, size_t size)
{
	struct symbol_name *e;
	uint32_t hash, offset;

	if (size == 0 || !n->table)
		return 0;
	s = symbol_names_clean(n, s, &size);
	if (!s || size == 0)
		return 0;

	hash = symbol_names_hash(s, size);
	e = symbol_names_slot(n, s, size, hash);
	if (e->offset)
		return e->offset;

	if (n->n >= n->allocated / 2) {
		if (symbol_names_grow(n) < 0) {
			n->bytes.error = -ENOMEM;
			return 0;
		}
		e = symbol_names_slot(n, s, size, hash);
	}
	offset = (uint32_t)n->bytes.size;
	if (!buf_reserve(&n->bytes, size + 1))
		return 0;
	buf_append(&n->bytes, s, size);
	buf_append(&n->bytes, "", 1);
	*e = (struct symbol_name){ .offset = offset, .hash = hash, .demangled = NAMES_UNKNOWN };
	n->n++;
	return offset;
}

uint32_t symbol_names_demangled(struct symbol_names *n, uint32_t linkage_name)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT(4 * SYMBOLIZE_MAX_NAME_BYTES);
	const char *s = n->bytes.data + linkage_name;
	size_t size = linkage_name ? strlen(s) : 0;
	uint32_t hash, demangled;
	struct symbol_name *e;
	int r;

	if (size == 0)
		return 0;
	hash = symbol_names_hash(s, size);
	e = symbol_names_slot(n, s, size, hash);
	if (e->offset && e->demangled != NAMES_UNKNOWN)
		return e->demangled;

	r = demangle(s, n->short_form, &out);
	if (r < 0) {
		n->bytes.error = r;
		return 0;
	}
	demangled = out.size > 0 ? symbol_names_add(n, out.data, out.size) : linkage_name;
	if (!demangled)
		return 0;

	/* adding may have moved both tables */
	e = symbol_names_slot(n, n->bytes.data + linkage_name, size, hash);
	if (e->offset)
		e->demangled = demangled;
	return demangled;
}

/* Appends the parts of path to out, which is a normalized path without its last slash. */
static void symbol_names_join(struct buf *out, const char *path)
{
	while (*path) {
		size_t length = strcspn(path, "/");
		char *slash;

		if (length == 2 && memcmp(path, "..", 2) == 0) {
			slash = out->size ? memrchr(out->data, '/', out->size) : NULL;
			out->size = slash ? (size_t)(slash - out->data) : 0;
		} else if (length > 0 && !(length == 1 && *path == '.')) {
			buf_putc(out, '/');
			buf_append(out, path, length);
		}
		path += length;
		path += strspn(path, "/");
	}
}

uint32_t symbol_names_add_path(struct symbol_names *n, const char *folder, const char *path)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT(4 * SYMBOLIZE_MAX_NAME_BYTES);
	bool absolute = path[0] == '/' || (folder && folder[0] == '/');

	/* `<stdin>`, `<built-in>`: no files */
	if (!*path || *path == '<')
		return symbol_names_add(n, path, strlen(path));

	if (path[0] != '/' && folder && *folder)
		symbol_names_join(&out, folder);
	symbol_names_join(&out, path);
	if (out.error < 0 || out.size < 2)
		return 0;
	return symbol_names_add(n, out.data + (absolute ? 0 : 1), out.size - (absolute ? 0 : 1));
}
