/* SPDX-License-Identifier: Apache-2.0 */
#include "symanswer.h"

#include <string.h>

#include "cleanup.h"
#include "text.h"

/* Takes size bytes off the front, or returns NULL. */
static const char *symanswer_take(const char **at, size_t *left, uint64_t size)
{
	const char *p = *at;

	if (size > *left)
		return NULL;
	*at += size;
	*left -= (size_t)size;
	return p;
}

/* A string area is strings, one after another, the first one empty. */
static bool symanswer_check_strings(const char *s, uint64_t bytes)
{
	if (bytes == 0 || s[0] != '\0' || s[bytes - 1] != '\0')
		return false;

	for (uint64_t at = 1; at < bytes;) {
		size_t length = strlen(s + at);

		if (length == 0 || length > SYMBOLIZE_MAX_NAME_BYTES * 3 ||
		    !text_is_utf8(s + at, length))
			return false;
		at += length + 1;
	}
	return true;
}

static bool symanswer_is_string(const struct symanswer *a, uint32_t offset)
{
	if (offset == 0)
		return true;
	return offset < a->head.strings_bytes && a->strings[offset - 1] == '\0';
}

static bool symanswer_check_segments(const struct symanswer *a)
{
	for (uint32_t i = 0; i < a->head.n_segments; i++) {
		struct symbolize_segment s;
		uint64_t sum;

		memcpy(&s, a->segments + i * sizeof(s), sizeof(s));
		if (__builtin_add_overflow(s.file_offset, s.file_bytes, &sum) ||
		    __builtin_add_overflow(s.vaddr, s.file_bytes, &sum))
			return false;
	}
	return true;
}

static bool symanswer_check_vaddr(const struct symanswer *a, uint64_t offset, uint64_t vaddr)
{
	for (uint32_t i = 0; i < a->head.n_segments; i++) {
		struct symbolize_segment s;

		memcpy(&s, a->segments + i * sizeof(s), sizeof(s));
		if (offset >= s.file_offset && offset - s.file_offset < s.file_bytes &&
		    s.vaddr + (offset - s.file_offset) == vaddr)
			return true;
	}
	return vaddr == UINT64_MAX;
}

static bool symanswer_check_location(const struct symanswer *a, uint64_t asked, bool is_vaddr,
				     const struct symbolize_location *l)
{
	if (l->n_lines > SYMBOLIZE_MAX_LINES || l->source >= SYMBOLIZE_SOURCE_MAX)
		return false;
	if (l->function != UINT64_MAX && (l->vaddr == UINT64_MAX || l->function > l->vaddr))
		return false;
	if (is_vaddr)
		return l->vaddr == asked || l->vaddr == UINT64_MAX;
	return symanswer_check_vaddr(a, asked, l->vaddr);
}

static bool symanswer_check_line(const struct symanswer *a, const struct symbolize_line *l)
{
	return l->name != 0 && symanswer_is_string(a, l->name) &&
	       symanswer_is_string(a, l->system_name) && symanswer_is_string(a, l->file);
}

/* Finds where the locations end; the strings are what remains. */
static int symanswer_split(struct symanswer *a, const char *at, size_t left)
{
	struct symbolize_location l;
	const char *p;

	a->segments = symanswer_take(
		&at, &left, (uint64_t)a->head.n_segments * sizeof(struct symbolize_segment));
	if (!a->segments)
		return -EBADMSG;

	a->locations = at;
	for (uint32_t i = 0; i < a->head.n_locations; i++) {
		p = symanswer_take(&at, &left, sizeof(l));
		if (!p)
			return -EBADMSG;
		memcpy(&l, p, sizeof(l));
		if (!symanswer_take(&at, &left,
				    (uint64_t)l.n_lines * sizeof(struct symbolize_line)))
			return -EBADMSG;
	}
	if (left != a->head.strings_bytes)
		return -EBADMSG;
	a->strings = at;
	return 0;
}

static int symanswer_check_all(const void *data, size_t bytes, const uint64_t *asked,
			       size_t n_asked, bool is_vaddr, struct symanswer *ret)
{
	struct symanswer_cursor cursor;
	struct symanswer a;

	if (bytes < sizeof(a.head))
		return -EBADMSG;
	memcpy(&a.head, data, sizeof(a.head));
	if (a.head.n_locations != n_asked || a.head.n_segments > SYMBOLIZE_MAX_SEGMENTS ||
	    a.head.debug_missing > 1 || a.head.debug_broken > 1)
		return -EBADMSG;
	if (symanswer_split(&a, (const char *)data + sizeof(a.head), bytes - sizeof(a.head)) < 0)
		return -EBADMSG;
	if (!symanswer_check_strings(a.strings, a.head.strings_bytes) ||
	    !symanswer_check_segments(&a) || !symanswer_is_string(&a, a.head.build_id) ||
	    !symanswer_is_string(&a, a.head.soname))
		return -EBADMSG;
	if (strspn(a.strings + a.head.build_id, "0123456789abcdef") !=
	    strlen(a.strings + a.head.build_id))
		return -EBADMSG;

	cursor.at = a.locations;
	for (size_t i = 0; i < n_asked; i++) {
		struct symbolize_location location;
		struct symbolize_line line;
		const char *lines;

		symanswer_next(&a, &cursor, &location, &lines);
		if (!symanswer_check_location(&a, asked[i], is_vaddr, &location))
			return -EBADMSG;
		for (uint32_t j = 0; j < location.n_lines; j++) {
			symanswer_line(lines, j, &line);
			if (!symanswer_check_line(&a, &line))
				return -EBADMSG;
		}
	}

	*ret = a;
	return 0;
}

int symanswer_check(const void *data, size_t bytes, const uint64_t *offsets, size_t n_offsets,
		    struct symanswer *ret)
{
	return symanswer_check_all(data, bytes, offsets, n_offsets, false, ret);
}

int symanswer_check_vaddrs(const void *data, size_t bytes, const uint64_t *vaddrs, size_t n_vaddrs,
			   struct symanswer *ret)
{
	return symanswer_check_all(data, bytes, vaddrs, n_vaddrs, true, ret);
}

void symanswer_next(const struct symanswer *a, struct symanswer_cursor *cursor,
		    struct symbolize_location *ret, const char **ret_lines)
{
	if (!cursor->at)
		cursor->at = a->locations;
	memcpy(ret, cursor->at, sizeof(*ret));
	*ret_lines = cursor->at + sizeof(*ret);
	cursor->at += sizeof(*ret) + ret->n_lines * sizeof(struct symbolize_line);
}

void symanswer_line(const char *lines, uint32_t index, struct symbolize_line *ret)
{
	memcpy(ret, lines + index * sizeof(*ret), sizeof(*ret));
}
