/* SPDX-License-Identifier: Apache-2.0 */
#include "symfile.h"

#include <string.h>
#include <xxhash.h>

#include "cprof/symbolize.h"
#include "symbolizer.h"
#include "text.h"

_Static_assert(sizeof(struct symfile_head) == 48, "layout");
_Static_assert(sizeof(struct symfile_debug) == 48, "layout");
_Static_assert(sizeof(struct symfile_entry) == 16, "layout");
_Static_assert(sizeof(struct symfile_line) == 24, "layout");

uint64_t symfile_checksum(const void *data, size_t bytes)
{
	struct symfile_head head;
	XXH64_hash_t body;

	memcpy(&head, data, sizeof(head));
	head.checksum = 0;
	body = XXH3_64bits((const char *)data + sizeof(head), bytes - sizeof(head));
	return XXH3_64bits_withSeed(&head, sizeof(head), body);
}

static bool symfile_check_strings(const struct symfile *f)
{
	uint64_t bytes = f->head->strings_bytes;

	if (bytes == 0 || f->strings[0] != '\0' || f->strings[bytes - 1] != '\0')
		return false;
	for (uint64_t at = 1; at < bytes;) {
		size_t length = strlen(f->strings + at);

		if (length == 0 || !text_is_utf8(f->strings + at, length))
			return false;
		at += length + 1;
	}
	return true;
}

static bool symfile_is_string(const struct symfile *f, uint32_t at)
{
	return at == 0 || (at < f->head->strings_bytes && f->strings[at - 1] == '\0');
}

static bool symfile_check_entries(const struct symfile *f)
{
	for (uint32_t i = 0; i < f->head->n_entries; i++) {
		const struct symfile_entry *e = &f->entries[i];

		if (i > 0 && e->address <= f->entries[i - 1].address)
			return false;
		if (e->n_lines == 0 || e->n_lines > SYMBOLIZE_MAX_LINES ||
		    e->first_line > f->head->n_lines ||
		    e->n_lines > f->head->n_lines - e->first_line)
			return false;
		if (e->mode != SYMBOLS_FAST && e->mode != SYMBOLS_FULL)
			return false;
	}
	for (uint32_t i = 0; i < f->head->n_lines; i++) {
		const struct symfile_line *l = &f->lines[i];

		if (l->name == 0 || !symfile_is_string(f, l->name) ||
		    !symfile_is_string(f, l->system_name) || !symfile_is_string(f, l->file))
			return false;
	}
	return true;
}

static bool symfile_check_head(const struct symfile *f)
{
	const struct symfile_head *h = f->head;

	for (uint32_t i = 0; i < h->n_files; i++)
		if (f->files[i].path == 0 || !symfile_is_string(f, f->files[i].path) ||
		    f->files[i].present > 1)
			return false;
	if (!symfile_is_string(f, h->build_id))
		return false;
	return strlen(f->strings + h->build_id) <= 128 &&
	       f->strings[h->build_id + strspn(f->strings + h->build_id, "0123456789abcdef")] == 0;
}

int symfile_check(const void *data, size_t bytes, struct symfile *ret)
{
	const struct symfile_head *h = data;
	struct symfile f = { .head = h };
	uint64_t expected;

	if (bytes < sizeof(*h) || bytes > SYMFILE_MAX_BYTES || h->magic != SYMFILE_MAGIC ||
	    h->version != SYMFILE_VERSION || h->n_files > SYMFILE_MAX_FILES ||
	    h->n_entries > SYMFILE_MAX_ENTRIES || h->n_lines > SYMFILE_MAX_BYTES ||
	    h->strings_bytes > SYMFILE_MAX_BYTES)
		return -EBADMSG;
	expected = sizeof(*h) + h->n_files * sizeof(*f.files) + h->n_entries * sizeof(*f.entries) +
		   (uint64_t)h->n_lines * sizeof(*f.lines) + h->strings_bytes;
	if (expected != bytes || symfile_checksum(data, bytes) != h->checksum)
		return -EBADMSG;

	f.files = (const struct symfile_debug *)(h + 1);
	f.entries = (const struct symfile_entry *)(f.files + h->n_files);
	f.lines = (const struct symfile_line *)(f.entries + h->n_entries);
	f.strings = (const char *)(f.lines + h->n_lines);
	if (!symfile_check_strings(&f) || !symfile_check_entries(&f) || !symfile_check_head(&f))
		return -EBADMSG;
	*ret = f;
	return 0;
}

const struct symfile_entry *symfile_find(const struct symfile *f, uint64_t address)
{
	uint32_t low = 0, high = f->head ? f->head->n_entries : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (f->entries[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!f->head || low == f->head->n_entries || f->entries[low].address != address)
		return NULL;
	return &f->entries[low];
}
