/* SPDX-License-Identifier: Apache-2.0 */
#include "kallsyms_table.h"

#include <string.h>

#include "buf.h"
#include "kallsyms.h"

#define LINE_BYTES 1024
#define BASE_BEFORE \
	(2ULL << 30) /* vmlinux and everything made at run time lie within 2 GiB of one another */
#define LAST_BYTES 4096 /* of a symbol that none follows */

struct kallsyms_line {
	uint64_t address;
	char type;
	const char *name;
	const char *module; /* "" vmlinux */
};

struct kallsyms_reader {
	struct kallsyms_table *table;
	struct buf symbols, names, modules;
	size_t zero;    /* text symbols with address 0 */
	uint64_t stext; /* where there is no _text */
	uint64_t end;   /* where there is no _end: of the last text symbol of vmlinux */
};

void kallsyms_table_done(struct kallsyms_table *t)
{
	free(t->symbols);
	free(t->names);
	free(t->modules);
	*t = (struct kallsyms_table){ 0 };
}

size_t kallsyms_table_bytes(const struct kallsyms_table *t)
{
	return t->n * sizeof(*t->symbols) + t->names_bytes + t->n_modules * sizeof(*t->modules);
}

/* "ffffffffc0a01000 t nft_do_chain\t[nf_tables]\n"; cuts the line into its words */
static bool kallsyms_parse(char *line, struct kallsyms_line *ret)
{
	char *p = line;
	uint64_t address = 0;
	size_t digits = 0;

	for (;; p++, digits++) {
		unsigned c = (unsigned char)*p;
		unsigned v = c - '0' < 10           ? c - '0'
			     : (c | 0x20) - 'a' < 6 ? (c | 0x20) - 'a' + 10
						    : 16;

		if (v == 16)
			break;
		address = address << 4 | v;
	}
	if (digits == 0 || digits > 16 || p[0] != ' ' || !p[1] || p[2] != ' ' || !p[3])
		return false;

	*ret = (struct kallsyms_line){
		.address = address, .type = p[1], .name = p + 3, .module = ""
	};
	p += 3;
	p[strcspn(p, "\n")] = '\0';
	p += strcspn(p, "\t");
	if (*p == '\t' && p[1] == '[') {
		*p = '\0';
		ret->module = p + 2;
		p += 2;
		p[strcspn(p, "]")] = '\0';
	}
	return ret->name[0] != '\0';
}

static bool kallsyms_is_text(char type)
{
	return type == 'T' || type == 't' || type == 'W' || type == 'w';
}

/* The file has each module's symbols in one piece. */
static int kallsyms_add_module(struct kallsyms_reader *r, const struct kallsyms_line *line)
{
	size_t n = r->modules.size / sizeof(struct kallsyms_module);
	struct kallsyms_module *last = n ? (struct kallsyms_module *)r->modules.data + n - 1 : NULL;
	struct kallsyms_module m = { .start = UINT64_MAX, .first_name = (uint32_t)r->names.size };

	snprintf(m.name, sizeof(m.name), "%s", line->module);
	if (n == 0 ? m.name[0] == '\0' : strcmp(last->name, m.name) == 0)
		return 0;
	return buf_append(&r->modules, &m, sizeof(m));
}

static int kallsyms_add_text(struct kallsyms_reader *r, const struct kallsyms_line *line,
			     uint32_t *ret_name)
{
	struct kallsyms_module *m;

	if (kallsyms_add_module(r, line) < 0 || !buf_reserve(&r->names, strlen(line->name) + 2))
		return -ENOSPC;
	buf_putc(&r->names, line->type);
	*ret_name = (uint32_t)r->names.size;
	buf_append(&r->names, line->name, strlen(line->name) + 1);

	if (r->modules.size > 0) {
		m = (struct kallsyms_module *)(r->modules.data + r->modules.size) - 1;
		m->start = MIN(m->start, line->address);
		m->limit = MAX(m->limit, line->address + 1);
	}
	return 0;
}

/* Where parts of vmlinux begin and end. */
static void kallsyms_add_bound(struct kallsyms_reader *r, const struct kallsyms_line *line)
{
	struct kallsyms_table *t = r->table;
	const struct {
		const char *name;
		uint64_t *address;
	} bounds[] = { { "_text", &t->text },
		       { "_stext", &r->stext },
		       { "_end", &t->text_limit },
		       { "__entry_text_start", &t->entry },
		       { "__entry_text_end", &t->entry_limit } };

	for (size_t i = 0; line->name[0] == '_' && i < ARRAY_SIZE(bounds); i++)
		if (strcmp(line->name, bounds[i].name) == 0)
			*bounds[i].address = line->address;
}

static void kallsyms_add(struct kallsyms_reader *r, const struct kallsyms_line *line)
{
	struct kallsyms_table *t = r->table;
	bool text = kallsyms_is_text(line->type);
	struct kallsyms_symbol s = { 0 };

	if (line->address == 0) {
		r->zero += text;
		return;
	}
	/* not of the upper half: per-CPU offsets and constants */
	if (line->address < 1ULL << 63)
		return;
	if (!line->module[0]) {
		kallsyms_add_bound(r, line);
		if (text)
			r->end = MAX(r->end, line->address + LAST_BYTES);
	}

	if (t->base == 0) {
		if (!text)
			return;
		t->base = line->address - BASE_BEFORE;
	}
	if (line->address - t->base > UINT32_MAX) {
		t->dropped += text;
		return;
	}
	s.offset = (uint32_t)(line->address - t->base);
	if ((text && kallsyms_add_text(r, line, &s.name) < 0) ||
	    buf_append(&r->symbols, &s, sizeof(s)) < 0)
		t->dropped++;
}

static int kallsyms_compare(const void *a, const void *b)
{
	const struct kallsyms_symbol *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

/* Of two names of one address: a global one, fewer underscores, the shorter, the alphabet. */
static bool kallsyms_better(const char *a, const char *b)
{
	bool x = a[-1] < 'a', y = b[-1] < 'a';
	size_t i = strspn(a, "_"), j = strspn(b, "_");

	if (x != y)
		return x;
	if (i != j)
		return i < j;
	i = strlen(a);
	j = strlen(b);
	return i != j ? i < j : strcmp(a, b) < 0;
}

/* One entry an address, and of what is no text only where it ends text. */
static void kallsyms_compact(struct kallsyms_table *t, struct kallsyms_symbol *s, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		struct kallsyms_symbol *last = to ? &s[to - 1] : NULL;

		if (last && last->offset == s[i].offset) {
			if (!last->name || (s[i].name && kallsyms_better(t->names + s[i].name,
									 t->names + last->name)))
				*last = s[i];
		} else if (s[i].name || (last && last->name)) {
			s[to++] = s[i];
		}
	}
	t->symbols = s;
	t->n = to;
}

static int kallsyms_finish(struct kallsyms_reader *r)
{
	struct kallsyms_table *t = r->table;
	struct kallsyms_symbol *symbols = (struct kallsyms_symbol *)r->symbols.data, *fit;
	size_t n = r->symbols.size / sizeof(*symbols);
	char *names;

	if (n == 0 && r->zero == 0)
		return -EBADMSG;
	t->hidden = n == 0;
	if (t->text == 0)
		t->text = r->stext;
	if (t->text_limit < t->text)
		t->text_limit = r->end;

	if (n > 0)
		qsort(symbols, n, sizeof(*symbols), kallsyms_compare);
	t->names = buf_take(&r->names, &t->names_bytes);
	t->n_modules = r->modules.size / sizeof(*t->modules);
	t->modules = (struct kallsyms_module *)(void *)buf_take(&r->modules, NULL);
	kallsyms_compact(t, symbols, n);
	buf_take(&r->symbols, NULL);

	/* both grew by doubling */
	fit = realloc(t->symbols, MAX(t->n, (size_t)1) * sizeof(*fit));
	if (fit)
		t->symbols = fit;
	names = realloc(t->names, MAX(t->names_bytes, (size_t)1));
	if (names)
		t->names = names;
	return 0;
}

int kallsyms_table_read(struct kallsyms_table *t, FILE *file)
{
	struct kallsyms_reader r = {
		.table = t,
		.symbols = BUF_INIT(KALLSYMS_MAX_SYMBOLS * sizeof(struct kallsyms_symbol)),
		.names = BUF_INIT(KALLSYMS_MAX_NAMES_BYTES),
		.modules = BUF_INIT(KALLSYMS_MAX_MODULES * sizeof(struct kallsyms_module)),
	};
	struct kallsyms_line line;
	char text[LINE_BYTES];
	int result;

	buf_append(&r.names, "", 1); /* offset 0 is no name */
	while (fgets(text, sizeof(text), file)) {
		if (kallsyms_parse(text, &line))
			kallsyms_add(&r, &line);
	}

	result = r.symbols.error == -ENOMEM || r.names.error == -ENOMEM ? -ENOMEM
									: kallsyms_finish(&r);
	buf_done(&r.symbols);
	buf_done(&r.names);
	buf_done(&r.modules);
	return result;
}

static const struct kallsyms_module *kallsyms_module_of(const struct kallsyms_table *t,
							uint32_t name)
{
	size_t low = 0, high = t->n_modules;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->modules[middle].first_name <= name)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 || !t->modules[low - 1].name[0] ? NULL : &t->modules[low - 1];
}

bool kallsyms_table_find(const struct kallsyms_table *t, uint64_t ip, struct kallsyms_found *ret)
{
	size_t low = 0, high = t->n;
	const struct kallsyms_symbol *s;

	if (ip < t->base || ip - t->base > UINT32_MAX)
		return false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->symbols[middle].offset <= ip - t->base)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || !t->symbols[low - 1].name)
		return false;

	s = &t->symbols[low - 1];
	*ret = (struct kallsyms_found){
		.name = t->names + s->name,
		.module = kallsyms_module_of(t, s->name),
		.start = t->base + s->offset,
		.limit = low < t->n ? t->base + t->symbols[low].offset
				    : t->base + s->offset + LAST_BYTES,
	};
	return ip < ret->limit;
}

const struct kallsyms_module *kallsyms_table_module(const struct kallsyms_table *t,
						    const char *name)
{
	for (size_t i = 0; i < t->n_modules; i++)
		if (strcmp(t->modules[i].name, name) == 0)
			return &t->modules[i];
	return NULL;
}
