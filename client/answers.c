/* SPDX-License-Identifier: Apache-2.0 */
#include "answers.h"

#include <string.h>

#define TEXT_MAX_BYTES  (1U << 30)
#define TEXT_KEEP_BYTES (32U << 20)
#define FIRST_SLOTS     1024

struct answers_slot {
	uint64_t address;
	uint32_t start, bytes; /* bytes: 0 free */
};

int answers_init(struct answers *a, const struct answers_format *format)
{
	*a = (struct answers){
		.format = *format,
		.text = BUF_INIT(TEXT_MAX_BYTES),
		.slots = calloc(FIRST_SLOTS, sizeof(*a->slots)),
		.allocated = FIRST_SLOTS,
	};
	return a->slots ? 0 : -ENOMEM;
}

void answers_done(struct answers *a)
{
	buf_done(&a->text);
	free(a->slots);
	a->slots = NULL;
}

static struct answers_slot *answers_slot(struct answers_slot *slots, size_t allocated,
					 uint64_t address)
{
	size_t i = (size_t)((address * 0x9e3779b97f4a7c15ULL) >> 32) & (allocated - 1);

	while (slots[i].bytes && slots[i].address != address)
		i = (i + 1) & (allocated - 1);
	return &slots[i];
}

const char *answers_find(const struct answers *a, uint64_t address, size_t *ret_bytes)
{
	const struct answers_slot *s = answers_slot(a->slots, a->allocated, address);

	*ret_bytes = s->bytes;
	return s->bytes ? a->text.data + s->start : NULL;
}

static int answers_grow(struct answers *a)
{
	size_t allocated = a->allocated * 2;
	struct answers_slot *slots = calloc(allocated, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < a->allocated; i++)
		if (a->slots[i].bytes)
			*answers_slot(slots, allocated, a->slots[i].address) = a->slots[i];
	free(a->slots);
	a->slots = slots;
	a->allocated = allocated;
	return 0;
}

void answers_trim(struct answers *a)
{
	if (a->text.size <= TEXT_KEEP_BYTES)
		return;
	buf_reset(&a->text);
	memset(a->slots, 0, a->allocated * sizeof(*a->slots));
	a->n = 0;
}

/* Functions and places of one frame. A name without a place, and a place without a name, have marks of
 * their own. */
static void answers_format_frame(struct answers *a, const char *name, const char *file,
				 uint32_t line)
{
	const char *slash = a->format.base_names ? strrchr(file, '/') : NULL;

	if (a->format.functions) {
		buf_puts(&a->text, *name ? name : "??");
		buf_puts(&a->text, a->format.pretty ? " at " : "\n");
	}
	buf_puts(&a->text, slash ? slash + 1 : *file ? file : "??");
	if (line)
		buf_printf(&a->text, ":%u\n", line);
	else
		buf_puts(&a->text, ":?\n");
}

static void answers_format_address(struct answers *a, const struct symanswer *answer,
				   uint64_t address, const char *lines, uint32_t n_lines)
{
	if (a->format.addresses)
		buf_printf(&a->text, "0x%016llx%s", (unsigned long long)address,
			   a->format.pretty ? ": " : "\n");
	if (n_lines == 0) {
		if (a->format.functions)
			buf_puts(&a->text, a->format.pretty ? "?? " : "??\n");
		buf_puts(&a->text, "??:0\n");
	}
	for (uint32_t i = 0; i < n_lines && (i == 0 || a->format.inlines); i++) {
		struct symbolize_line line;

		symanswer_line(lines, i, &line);
		if (i > 0 && a->format.pretty)
			buf_puts(&a->text, " (inlined by) ");
		answers_format_frame(a,
				     answer->strings + (a->format.demangle || !line.system_name
								? line.name
								: line.system_name),
				     answer->strings + line.file, line.line);
	}
}

int answers_add(struct answers *a, const struct symanswer *answer, const uint64_t *addresses,
		size_t n)
{
	struct symanswer_cursor cursor = { 0 };

	for (size_t i = 0; i < n; i++) {
		struct symbolize_location location;
		size_t start = a->text.size;
		struct answers_slot *slot;
		const char *lines;

		symanswer_next(answer, &cursor, &location, &lines);
		answers_format_address(a, answer, addresses[i], lines, location.n_lines);
		if (a->text.error)
			return a->text.error;
		if (a->n >= a->allocated / 2 && answers_grow(a) < 0)
			return -ENOMEM;
		slot = answers_slot(a->slots, a->allocated, addresses[i]);
		a->n += slot->bytes == 0;
		*slot = (struct answers_slot){
			.address = addresses[i],
			.start = (uint32_t)start,
			.bytes = (uint32_t)(a->text.size - start),
		};
	}
	return 0;
}
