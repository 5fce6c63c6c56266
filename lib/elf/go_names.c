/* SPDX-License-Identifier: Apache-2.0 */
#include "go_names.h"

#include <string.h>

#include "gopclntab.h"

static uint32_t go_add(struct symbol_names *names, const char *s)
{
	return s ? symbol_names_add(names, s, strlen(s)) : 0;
}

static bool go_is_wanted(const struct address *p, bool dwarf)
{
	return p->vaddr != ADDRESS_NONE && (dwarf ? p->n_lines == 0 : !p->name);
}

static bool go_is_needed(const struct addresses *a, bool dwarf)
{
	for (size_t i = 0; i < a->n; i++)
		if (go_is_wanted(&a->items[i], dwarf))
			return true;
	return false;
}

static int go_add_lines(const struct gopclntab *g, const struct elf_file *f,
			const struct gopclntab_function *function, struct address *p,
			struct symbol_names *names, struct dwarf_lines *lines)
{
	struct gopclntab_frame frames[SYMBOLIZE_MAX_LINES];
	int n = gopclntab_frames(g, f, function, p->vaddr, frames, ARRAY_SIZE(frames));

	if (n < 0)
		return n;
	p->first_line = (uint32_t)lines->n;
	for (int i = 0; i < n; i++) {
		struct symbolize_line *line = dwarf_lines_add(lines);

		if (!line)
			return -ENOMEM;
		line->name = line->system_name = go_add(names, frames[i].name);
		line->file = frames[i].file ? symbol_names_add_path(names, NULL, frames[i].file)
					    : 0;
		line->line = line->file ? frames[i].line : 0;
		line->start_line = frames[i].start_line;
	}
	p->n_lines = (uint32_t)n;
	return 0;
}

static int go_resolve_address(const struct gopclntab *g, const struct elf_file *f, bool dwarf,
			      struct address *p, struct symbol_names *names,
			      struct dwarf_lines *lines)
{
	struct gopclntab_function function;
	uint32_t name;
	int r = 0;

	if (!gopclntab_find(g, p->vaddr, &function))
		return 0;
	if (dwarf)
		r = go_add_lines(g, f, &function, p, names, lines);
	name = go_add(names, gopclntab_name(g, &function));
	if (name && (!p->name || p->n_lines > 0)) {
		p->name = p->system_name = name;
		p->function = function.start;
		p->source = SYMBOLIZE_SOURCE_GO;
	}
	return r;
}

int go_resolve(const struct elf_file *f, bool dwarf, struct addresses *a,
	       struct symbol_names *names, struct dwarf_lines *lines)
{
	_cleanup_(gopclntab_freep) struct gopclntab *g = NULL;
	int r, broken = 0;

	if (!go_is_needed(a, dwarf))
		return 0;
	r = gopclntab_new(&g, f);
	if (r == -ENOMEM || r == -ENOENT)
		return r == -ENOENT ? 0 : r;
	if (r < 0)
		return 1;
	if (dwarf)
		gopclntab_find_inlines(g, f);

	for (size_t i = 0; i < a->n; i++) {
		if (!go_is_wanted(&a->items[i], dwarf))
			continue;
		r = go_resolve_address(g, f, dwarf, &a->items[i], names, lines);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			broken = 1;
	}
	return broken;
}
