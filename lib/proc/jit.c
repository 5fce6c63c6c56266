/* SPDX-License-Identifier: Apache-2.0 */
#include "jit.h"

#include <string.h>

#include "text.h"

#define JIT_MAX_NUMBER_DIGITS 9

/* V8's kinds of code, before whose names nothing stands: "JS:*fib /srv/app.js:2:13". */
static const char *const v8_kinds[] = { "JS:", "LazyCompile:", "Function:", "Eval:", "Script:" };

void jit_found_clear(struct jit_found *f)
{
	free(f->name);
	free(f->file);
	*f = (struct jit_found){ 0 };
}

int jit_parse_input(const void *input, size_t input_bytes, struct jit_request *request)
{
	const struct jit_input *head = input;
	const uint64_t *a;

	if (input_bytes < sizeof(*head) || head->n_addresses > SYMBOLIZE_MAX_OFFSETS ||
	    input_bytes != sizeof(*head) + (size_t)head->n_addresses * sizeof(*a) ||
	    (head->files & ~(uint32_t)(JIT_INPUT_PARENT_MAP | JIT_INPUT_MAP | JIT_INPUT_DUMP)))
		return -EBADMSG;

	a = (const uint64_t *)(head + 1);
	for (size_t i = 1; i < head->n_addresses; i++)
		if (a[i] <= a[i - 1])
			return -EBADMSG;

	request->until_ns = head->until_ns;
	request->addresses = a;
	request->n_addresses = head->n_addresses;
	return 0;
}

size_t jit_find(const struct jit_request *request, uint64_t start, uint64_t size, size_t *ret_first)
{
	size_t low = 0, high = request->n_addresses, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (request->addresses[middle] < start)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < request->n_addresses && request->addresses[low + n] - start < size)
		n++;
	*ret_first = low;
	return n;
}

/* Digits at the end of s[0..*size): takes them and the colon before them away. */
static bool jit_take_number(const char *s, size_t *size, uint32_t *ret)
{
	size_t n = *size, scale = 1;
	uint32_t value = 0;

	while (n > 0 && *size - n < JIT_MAX_NUMBER_DIGITS && s[n - 1] >= '0' && s[n - 1] <= '9') {
		n--;
		value += (uint32_t)((size_t)(s[n] - '0') * scale);
		scale *= 10;
	}
	if (n == *size || n == 0 || s[n - 1] != ':')
		return false;
	*size = n - 1;
	*ret = value;
	return true;
}

/* V8 writes where a function begins behind its name. */
static bool jit_v8_place(const char *name, const char **ret_file, size_t *ret_bytes,
			 uint32_t *ret_line)
{
	const char *space = NULL;
	uint32_t column;
	size_t size;

	for (size_t i = 0; i < ARRAY_SIZE(v8_kinds); i++)
		if (strncmp(name, v8_kinds[i], strlen(v8_kinds[i])) == 0)
			space = strchr(name, ' ');
	if (!space)
		return false;

	*ret_file = space + 1;
	size = strlen(*ret_file);
	if (!jit_take_number(*ret_file, &size, &column) ||
	    !jit_take_number(*ret_file, &size, ret_line) || size == 0)
		return false;
	*ret_bytes = size;
	return true;
}

/* The string's place; 0 for an empty one. */
static uint32_t jit_string(struct buf *strings, const char *s, size_t size)
{
	uint32_t at = (uint32_t)strings->size;

	size = MIN(size, (size_t)SYMBOLIZE_MAX_NAME_BYTES);
	if (size == 0)
		return 0;
	text_append_utf8(strings, s, size);
	buf_append(strings, "", 1);
	return at;
}

static bool jit_is_same(const struct jit_found *a, const struct jit_found *b)
{
	return a->name && b->name && a->start == b->start && strcmp(a->name, b->name) == 0;
}

/* previous, its line: whose strings serve again where it is the same function. */
static void jit_line(struct buf *strings, const struct jit_found *f,
		     const struct jit_found *previous, struct symbolize_line *line)
{
	const char *file = f->file ?: "";
	size_t file_bytes = strlen(file);
	struct symbolize_line l = { 0 };
	uint32_t start_line = 0;

	if (previous && jit_is_same(f, previous))
		l.name = line->name;
	else
		l.name = jit_string(strings, f->name, strlen(f->name));
	if (jit_v8_place(f->name, &file, &file_bytes, &start_line))
		l.start_line = start_line;
	if (f->file) {
		/* of inlined code, maybe: what the instruction belongs to */
		file = f->file;
		file_bytes = strlen(file);
		l.line = f->line;
	}
	l.system_name = l.name;
	l.file = jit_string(strings, file, file_bytes);
	*line = l;
}

static int jit_answer(const struct jit_request *request, const struct jit_found *found,
		      struct buf *answer)
{
	_cleanup_(buf_done) struct buf strings = BUF_INIT(JIT_MAX_ANSWER_BYTES);
	struct symbolize_answer head = { .n_locations = (uint32_t)request->n_addresses };
	const struct jit_found *previous = NULL;
	struct symbolize_line line = { 0 };
	size_t at = answer->size;

	buf_append(&strings, "", 1);
	buf_append(answer, &head, sizeof(head));
	for (size_t i = 0; i < request->n_addresses; i++) {
		const struct jit_found *f = &found[i];
		struct symbolize_location l = {
			.vaddr = UINT64_MAX,
			.function = UINT64_MAX,
			.n_lines = f->name && *f->name,
			.source = f->name ? SYMBOLIZE_SOURCE_JIT : SYMBOLIZE_SOURCE_NONE,
		};

		buf_append(answer, &l, sizeof(l));
		if (!l.n_lines)
			continue;
		jit_line(&strings, f, previous, &line);
		buf_append(answer, &line, sizeof(line));
		previous = f;
	}
	if (strings.error)
		return strings.error;
	if (answer->error)
		return answer->error;

	head.strings_bytes = strings.size;
	memcpy(answer->data + at, &head, sizeof(head));
	return buf_append(answer, strings.data, strings.size);
}

int jit_names(const struct jit_request *request, struct buf *answer)
{
	_cleanup_free_ struct jit_found *found = calloc(request->n_addresses + 1, sizeof(*found));
	int r = 0;

	if (!found)
		return -ENOMEM;
	/* the dump knows times and lines: what it has stands */
	if (request->parent_map_fd >= 0)
		r = perf_map_read(request, request->parent_map_fd, found);
	if (r == 0 && request->map_fd >= 0)
		r = perf_map_read(request, request->map_fd, found);
	if (r == 0 && request->dump_fd >= 0)
		r = jitdump_read(request, found);
	if (r == 0)
		r = jit_answer(request, found, answer);

	for (size_t i = 0; i < request->n_addresses; i++)
		jit_found_clear(&found[i]);
	return r;
}
