/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize.h"

#include <string.h>

#include "addresses.h"
#include "answer_strings.h"
#include "debug_files.h"
#include "dw_index.h"
#include "dwarf_lines.h"
#include "elf_file.h"
#include "elf_rel.h"
#include "fde.h"
#include "go_names.h"
#include "plt.h"
#include "symbol_names.h"
#include "symtab.h"

#define ENTRY_CODE_BYTES 64 /* of a _start without an FDE */
#define NAMES_MAX_BYTES  (192U << 20)
#define NAMES_KEEP_BYTES (16U << 20) /* for the next question */
#define INDEX_MAX_BYTES  (48U << 20)

struct symbolize {
	struct symbolize_request request;
	struct elf_file *elf;
	struct elf_rel rel; /* where elf is ET_REL */
	struct debug_files debug;
	struct elf_file *alt; /* of debug.alt_fd */
	struct dw_index *index;
	struct symtabs symtabs;
	struct symbol_names names;
	bool symtabs_read, broken;
	/* the question at hand */
	struct addresses addresses;
	struct dwarf_lines lines;
};

DEFINE_CLEANUP(struct symbolize *, symbolize_free)

struct symbolize *symbolize_free(struct symbolize *s)
{
	if (!s)
		return NULL;
	dwarf_lines_done(&s->lines);
	addresses_done(&s->addresses);
	symbol_names_done(&s->names);
	symtabs_done(&s->symtabs);
	dw_index_free(s->index);
	elf_file_free(s->alt);
	debug_files_done(&s->debug);
	elf_rel_done(&s->rel);
	elf_file_free(s->elf);
	free(s);
	return NULL;
}

static int symbolize_check(const struct symbolize_request *request)
{
	const uint32_t known = SYMBOLIZE_DWARF | SYMBOLIZE_SHORT | SYMBOLIZE_VADDR;

	if (request->n_offsets > SYMBOLIZE_MAX_OFFSETS || request->flags & ~known ||
	    request->n_sections > SYMBOLIZE_MAX_SECTIONS)
		return -EINVAL;
	for (size_t i = 0; i < request->n_sections; i++)
		if (!memchr(request->sections[i].name, 0, sizeof(request->sections[i].name)))
			return -EINVAL;
	for (size_t i = 1; i < request->n_offsets; i++)
		if (request->offsets[i] <= request->offsets[i - 1])
			return -EINVAL;
	return 0;
}

int symbolize_parse_input(const void *input, size_t input_bytes, struct symbolize_request *request)
{
	struct symbolize_request parsed = *request;
	struct symbolize_input head;

	if (input_bytes < sizeof(head) || (uintptr_t)input % 8 != 0)
		return -EBADMSG;
	memcpy(&head, input, sizeof(head));
	if (head.n_offsets > SYMBOLIZE_MAX_OFFSETS || head.n_sections > SYMBOLIZE_MAX_SECTIONS ||
	    head.zero != 0 ||
	    input_bytes != sizeof(head) + head.n_offsets * sizeof(uint64_t) +
				   head.n_sections * sizeof(struct symbolize_section))
		return -EBADMSG;

	parsed.flags = head.flags;
	parsed.offsets = (const uint64_t *)((const char *)input + sizeof(head));
	parsed.n_offsets = head.n_offsets;
	parsed.sections = (const struct symbolize_section *)(parsed.offsets + head.n_offsets);
	parsed.n_sections = head.n_sections;
	if (symbolize_check(&parsed) < 0)
		return -EBADMSG;
	*request = parsed;
	return 0;
}

static int symbolize_read_symtabs(struct symbolize *s)
{
	int r;

	if (s->symtabs_read)
		return 0;
	s->symtabs_read = true;
	r = symtabs_add_file(&s->symtabs, s->elf);
	if (r == -ENOMEM)
		return r;
	s->broken |= r < 0;

	if (s->debug.elf) {
		r = symtabs_add_file(&s->symtabs, s->debug.elf);
		if (r == -ENOMEM)
			return r;
		s->broken |= r < 0;
	}
	r = symtabs_add_debugdata(&s->symtabs, s->elf);
	if (r == -ENOMEM)
		return r;
	s->broken |= r < 0 && r != -ENOENT;
	return 0;
}

static bool symbolize_lacks_name(const struct address *p)
{
	return p->vaddr != ADDRESS_NONE && p->source == SYMBOLIZE_SOURCE_NONE;
}

/* The functions that DWARF does not know. */
static int symbolize_symbols(struct symbolize *s)
{
	struct addresses some;
	int r;

	r = addresses_select(&some, &s->addresses, symbolize_lacks_name);
	if (r < 0)
		return r;
	if (some.n > 0) {
		r = symbolize_read_symtabs(s);
		if (r == 0) {
			symtabs_match(&s->symtabs, &some);
			symtabs_resolve(&s->symtabs, &some, &s->names);
			r = plt_resolve(s->elf, &s->symtabs, &some, &s->names);
		}
		if (r >= 0)
			r = fde_resolve(s->elf, &some);
	}
	addresses_join(&s->addresses, &some);
	return r;
}

/* What a stripped program begins with is known all the same. */
static void symbolize_entry(struct symbolize *s)
{
	uint64_t entry = s->elf->entry;

	if (entry == 0)
		return;
	for (size_t i = addresses_find(&s->addresses, entry); i < s->addresses.n; i++) {
		struct address *p = &s->addresses.items[i];

		if (p->vaddr == ADDRESS_NONE || p->vaddr - entry >= ENTRY_CODE_BYTES)
			break;
		if (p->name || (p->function != ADDRESS_NONE && p->function != entry))
			continue;
		p->name = p->system_name = symbol_names_add(&s->names, "_start", 6);
		p->function = entry;
		p->source = SYMBOLIZE_SOURCE_ENTRY;
	}
}

/* The file that has the DWARF, NULL none. */
static const struct elf_file *symbolize_dwarf_file(const struct symbolize *s)
{
	if (elf_file_section(s->elf, ".debug_info"))
		return s->elf;
	if (s->debug.elf && elf_file_section(s->debug.elf, ".debug_info"))
		return s->debug.elf;
	return NULL;
}

static int symbolize_open_index(struct symbolize *s)
{
	const struct elf_file *elf = symbolize_dwarf_file(s);
	int r;

	if (!(s->request.flags & SYMBOLIZE_DWARF) || !elf)
		return 0;
	if (elf->bytes > SYMBOLIZE_MAX_DWARF_FILE_BYTES)
		return -EFBIG;
	if (s->debug.alt_fd >= 0) {
		r = elf_file_new(&s->alt, s->debug.alt_fd);
		if (r == -ENOMEM)
			return r;
		s->broken |= r < 0 || s->alt->sections_broken;
	}
	r = dw_index_new(&s->index, elf, s->alt, INDEX_MAX_BYTES);
	if (r == -ENOMEM)
		return r;
	s->broken |= r < 0 && r != -ENOENT;
	return r == 0 ? dw_index_open_splits(s->index, s->request.open, s->request.arg) : 0;
}

static int symbolize_dwarf(struct symbolize *s)
{
	struct dw_index_stats stats;
	int r;

	if (!s->index)
		return 0;
	r = dw_index_resolve(s->index, &s->addresses, &s->names, &s->lines);
	if (r < 0)
		return r;
	dw_index_stats(s->index, &stats);
	s->broken |= stats.broken;
	s->debug.missing |= stats.missing;
	return 0;
}

static int symbolize_go(struct symbolize *s)
{
	int r = go_resolve(s->elf, s->request.flags & SYMBOLIZE_DWARF, &s->addresses, &s->names,
			   &s->lines);

	if (r < 0)
		return r;
	s->broken |= r != 0;
	return 0;
}

/* Names of the symbol table where DWARF has none. */
static int symbolize_name_lines(struct symbolize *s)
{
	for (size_t i = 0; i < s->addresses.n; i++) {
		struct address *p = &s->addresses.items[i];
		struct symbolize_line *line;

		if (p->n_lines > 0) {
			line = &s->lines.items[p->first_line + p->n_lines - 1];
			if (line->name)
				continue;
			/* a line that belongs to no function names nothing */
			if (!p->name) {
				p->n_lines--;
				continue;
			}
		} else {
			if (!p->name)
				continue;
			p->first_line = (uint32_t)s->lines.n;
			line = dwarf_lines_add(&s->lines);
			if (!line)
				return -ENOMEM;
			p->n_lines = 1;
		}
		line->name = p->name;
		line->system_name = p->system_name;
	}
	return 0;
}

static void symbolize_build_id(struct symbolize *s, struct symbolize_answer *head)
{
	uint8_t id[64];
	char hex[2 * sizeof(id) + 1];
	int n = elf_file_build_id(s->elf, id, sizeof(id));

	for (int i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	if (n > 0)
		head->build_id = symbol_names_add(&s->names, hex, 2 * (size_t)n);
}

static void symbolize_soname(struct symbolize *s, struct symbolize_answer *head)
{
	uint64_t strings, offset, at, bytes;
	char name[256];

	if (elf_file_dynamic(s->elf, DT_SONAME, &offset) < 0 ||
	    elf_file_dynamic(s->elf, DT_STRTAB, &strings) < 0 ||
	    __builtin_add_overflow(strings, offset, &at) ||
	    elf_file_offset(s->elf, at, &at, &bytes) < 0)
		return;
	bytes = MIN(bytes, (uint64_t)sizeof(name) - 1);
	if (elf_file_read(s->elf, at, name, bytes) < 0)
		return;
	name[bytes] = '\0';
	head->soname = symbol_names_add(&s->names, name, strlen(name));
}

static uint32_t symbolize_segments(const struct elf_file *f, struct buf *answer)
{
	uint32_t n = 0;

	for (size_t i = 0; i < f->n_segments && n < SYMBOLIZE_MAX_SEGMENTS; i++) {
		const struct elf_segment *e = &f->segments[i];
		struct symbolize_segment segment = { e->offset, e->vaddr, e->file_bytes };

		if (e->type != PT_LOAD || !(e->flags & PF_X))
			continue;
		buf_append(answer, &segment, sizeof(segment));
		n++;
	}
	return n;
}

/* In the order of the question. */
static int symbolize_write_locations(const struct symbolize *s, struct answer_strings *strings,
				     struct buf *answer)
{
	_cleanup_free_ uint32_t *order = calloc(s->addresses.n + 1, sizeof(*order));

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < s->addresses.n; i++)
		order[s->addresses.items[i].index] = (uint32_t)i;

	for (size_t i = 0; i < s->addresses.n; i++) {
		const struct address *p = &s->addresses.items[order[i]];
		struct symbolize_location location = {
			.vaddr = p->vaddr,
			.function = p->function,
			.n_lines = p->n_lines,
			.source = p->source,
		};

		if (s->elf->type == ET_REL)
			location.vaddr = elf_rel_asked(&s->rel, p->vaddr, &location.function);
		buf_append(answer, &location, sizeof(location));
		for (uint32_t j = 0; j < p->n_lines; j++) {
			struct symbolize_line line = s->lines.items[p->first_line + j];

			line.name = answer_strings_take(strings, line.name);
			line.system_name = answer_strings_take(strings, line.system_name);
			line.file = answer_strings_take(strings, line.file);
			buf_append(answer, &line, sizeof(line));
		}
	}
	return answer->error;
}

static int symbolize_write(struct symbolize *s, struct buf *answer)
{
	_cleanup_(answer_strings_done) struct answer_strings strings;
	struct symbolize_answer head = { .n_locations = (uint32_t)s->addresses.n };
	size_t start = answer->size;
	int r;

	symbolize_build_id(s, &head);
	symbolize_soname(s, &head);
	if (s->names.bytes.error)
		return s->names.bytes.error;
	r = answer_strings_init(&strings, &s->names);
	if (r < 0)
		return r;

	head.build_id = answer_strings_take(&strings, head.build_id);
	head.soname = answer_strings_take(&strings, head.soname);
	head.debug_missing = s->debug.missing;
	head.debug_broken = s->broken;
	buf_append(answer, &head, sizeof(head));
	head.n_segments = symbolize_segments(s->elf, answer);
	r = symbolize_write_locations(s, &strings, answer);
	if (r < 0)
		return r;
	if (strings.bytes.error)
		return strings.bytes.error;
	r = buf_append(answer, strings.bytes.data, strings.bytes.size);
	if (r < 0)
		return r;
	head.strings_bytes = strings.bytes.size;
	memcpy(answer->data + start, &head, sizeof(head));
	return 0;
}

/* An object file or kernel module: it has addresses from here on. */
static int symbolize_lay_out(struct symbolize *s)
{
	int r;

	if (s->elf->type != ET_REL)
		return s->request.n_sections ? -EINVAL : 0;
	if (!(s->request.flags & SYMBOLIZE_VADDR))
		return -EOPNOTSUPP;
	r = elf_rel_lay_out(s->elf);
	if (r == 0)
		r = elf_rel_init(&s->rel, s->elf, s->request.sections, s->request.n_sections);
	if (r < 0)
		return r;
	return s->request.n_sections && s->rel.n == 0 ? -ENOENT : 0;
}

int symbolize_new(struct symbolize **ret, const struct symbolize_request *request)
{
	_cleanup_(symbolize_freep) struct symbolize *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->request = *request;
	s->debug = DEBUG_FILES_INIT;
	r = elf_file_new(&s->elf, request->fd);
	if (r < 0)
		return r;
	r = symbolize_lay_out(s);
	if (r < 0)
		return r;
	r = symbol_names_init(&s->names, request->flags & SYMBOLIZE_SHORT, NAMES_MAX_BYTES);
	if (r < 0)
		return r;
	r = debug_files_open(&s->debug, s->elf, &s->request);
	if (r < 0)
		return r;
	/* its sections are those of the file that it was taken from, and so are their addresses */
	if (s->elf->type == ET_REL && s->debug.elf) {
		r = elf_rel_lay_out(s->debug.elf);
		if (r < 0)
			return r;
	}
	s->broken = s->elf->sections_broken || (s->debug.elf && s->debug.elf->sections_broken);
	r = symbolize_open_index(s);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

/* Strings of questions long past. */
static int symbolize_trim_names(struct symbolize *s)
{
	if (s->names.bytes.size <= NAMES_KEEP_BYTES)
		return 0;
	if (s->index)
		dw_index_reset(s->index);
	symbol_names_done(&s->names);
	return symbol_names_init(&s->names, s->request.flags & SYMBOLIZE_SHORT, NAMES_MAX_BYTES);
}

static int symbolize_question(struct symbolize *s, struct buf *answer)
{
	int r;

	r = symbolize_dwarf(s);
	if (r < 0)
		return r;
	r = symbolize_symbols(s);
	if (r < 0)
		return r;
	/* a table that is not relocated */
	r = s->elf->type == ET_REL ? 0 : symbolize_go(s);
	if (r < 0)
		return r;
	symbolize_entry(s);
	r = symbolize_name_lines(s);
	if (r < 0)
		return r;
	return symbolize_write(s, answer);
}

static bool symbolize_changed(const struct symbolize *s)
{
	return elf_file_changed(s->elf) || (s->debug.elf && elf_file_changed(s->debug.elf)) ||
	       (s->alt && elf_file_changed(s->alt)) || (s->index && dw_index_changed(s->index));
}

static int symbolize_addresses(struct symbolize *s, const uint64_t *offsets, size_t n)
{
	_cleanup_free_ uint64_t *vaddrs = NULL;

	if (s->elf->type != ET_REL)
		return addresses_new(&s->addresses, s->elf, offsets, n,
				     s->request.flags & SYMBOLIZE_VADDR);
	vaddrs = calloc(n + 1, sizeof(*vaddrs));
	if (!vaddrs)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		vaddrs[i] = elf_rel_vaddr(&s->rel, offsets[i]);
	return addresses_new(&s->addresses, s->elf, vaddrs, n, true);
}

int symbolize_ask(struct symbolize *s, const uint64_t *offsets, size_t n_offsets,
		  struct buf *answer)
{
	int r;

	r = symbolize_trim_names(s);
	if (r < 0)
		return r;
	r = symbolize_addresses(s, offsets, n_offsets);
	if (r < 0)
		return r;
	r = symbolize_question(s, answer);
	if (r == 0 && symbolize_changed(s))
		r = -ETXTBSY;
	addresses_done(&s->addresses);
	s->lines.n = 0;
	return r;
}

int symbolize_file(const struct symbolize_request *request, struct buf *answer)
{
	_cleanup_(symbolize_freep) struct symbolize *s = NULL;
	int r;

	r = symbolize_check(request);
	if (r < 0)
		return r;
	r = symbolize_new(&s, request);
	if (r < 0)
		return r;
	return symbolize_ask(s, request->offsets, request->n_offsets, answer);
}
