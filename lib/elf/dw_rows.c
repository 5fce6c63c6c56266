/* SPDX-License-Identifier: Apache-2.0 */
#include "dw_rows.h"

#include <dwarf.h>
#include <string.h>

#include "bytes.h"
#include "dw_form.h"

#define MAX_ROWS    (1U << 26)
#define MAX_FILES   UINT16_MAX
#define MAX_FORMATS 16
#define PATH_BYTES  8192

struct sequence;

struct program {
	struct dw_unit unit; /* the unit's own, with the sizes of this program */
	struct bytes b;
	uint8_t min_bytes, line_range, opcode_base;
	int8_t line_base;
	uint8_t lengths[256];
	struct {
		uint16_t bytes;
		int16_t lines;
	} special[256]; /* what each special opcode advances by */
	struct sequence *sequences;
	size_t n_sequences, allocated_sequences;
	bool unsorted;
};

/* Rows of ascending address, the last of them its end. */
struct sequence {
	size_t first, n, place;
	uint32_t low, limit;
};

/* The registers of the state machine. */
struct state {
	uint64_t address;
	uint64_t line, file, column;
	bool dead;    /* of a sequence whose code the link editor threw away */
	size_t first; /* row of the sequence */
};

static void *grow(void *items, size_t n, size_t *allocated, size_t item_bytes, size_t first)
{
	size_t more = *allocated ? *allocated * 2 : first;
	void *p;

	if (n < *allocated)
		return items;
	p = reallocarray(items, more, item_bytes);
	if (p)
		*allocated = more;
	return p;
}

static int rows_add_folder(struct dw_rows *r, const char *name)
{
	const char **p = grow(r->folders, r->n_folders, &r->allocated_folders, sizeof(*p), 16);

	if (!p)
		return -ENOMEM;
	r->folders = p;
	p[r->n_folders++] = name;
	return r->n_folders >= MAX_FILES ? -EBADMSG : 0;
}

static int rows_add_file(struct dw_rows *r, const char *name, uint64_t folder)
{
	struct dw_line_file *p = grow(r->files, r->n_files, &r->allocated_files, sizeof(*p), 16);

	if (!p)
		return -ENOMEM;
	r->files = p;
	p[r->n_files++] = (struct dw_line_file){
		.name = name,
		.folder = folder < UINT32_MAX ? (uint32_t)folder : UINT32_MAX,
		.path = DW_PATH_UNKNOWN,
	};
	return r->n_files >= MAX_FILES ? -EBADMSG : 0;
}

static const char *read_string(struct bytes *b)
{
	const uint8_t *start = b->at, *nul = memchr(start, 0, bytes_left(b));

	if (!nul) {
		b->failed = true;
		return "";
	}
	b->at = nul + 1;
	return (const char *)start;
}

/* DWARF 2 to 4: names until an empty one */
static int read_old_tables(struct program *p, struct dw_rows *r)
{
	const char *name;
	int error = rows_add_folder(r, NULL);

	while (error == 0 && *(name = read_string(&p->b)) && !p->b.failed)
		error = rows_add_folder(r, name);
	if (error == 0)
		error = rows_add_file(r, NULL, 0);
	while (error == 0 && *(name = read_string(&p->b)) && !p->b.failed) {
		uint64_t folder = bytes_uleb(&p->b);

		bytes_uleb(&p->b);
		bytes_uleb(&p->b);
		error = rows_add_file(r, name, folder);
	}
	return error ? error : p->b.failed ? -EBADMSG : 0;
}

struct format {
	uint64_t content;
	struct dw_attribute attribute;
};

static int read_formats(struct program *p, struct format *formats, size_t *ret_n)
{
	size_t n = bytes_u8(&p->b);

	if (n > MAX_FORMATS)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++) {
		uint64_t form;

		formats[i].content = bytes_uleb(&p->b);
		form = bytes_uleb(&p->b);
		if (form > UINT16_MAX)
			return -EBADMSG;
		formats[i].attribute = (struct dw_attribute){ .form = (uint16_t)form };
	}
	*ret_n = n;
	return p->b.failed ? -EBADMSG : 0;
}

/* DWARF 5: a table whose columns it describes itself */
static int read_new_table(struct program *p, struct dw_rows *r, bool files)
{
	struct format formats[MAX_FORMATS];
	size_t n_formats;
	uint64_t n;
	int error = read_formats(p, formats, &n_formats);

	if (error < 0)
		return error;
	n = bytes_uleb(&p->b);
	if (p->b.failed || n > bytes_left(&p->b))
		return -EBADMSG;

	for (uint64_t i = 0; i < n && error == 0; i++) {
		const char *name = NULL;
		uint64_t folder = 0;

		for (size_t j = 0; j < n_formats; j++) {
			struct dw_value v;

			if (!dw_form_read(&p->unit, &formats[j].attribute, &p->b.at, p->b.end, &v))
				return -EBADMSG;
			if (formats[j].content == DW_LNCT_path)
				name = dw_value_string(&p->unit, &v);
			else if (formats[j].content == DW_LNCT_directory_index)
				folder = v.n;
		}
		error = files ? rows_add_file(r, name, folder) : rows_add_folder(r, name);
	}
	return error;
}

static int program_read_header(struct program *p, struct dw_rows *r)
{
	uint64_t length = bytes_u32(&p->b), program;
	struct bytes *b = &p->b;
	const uint8_t *start;
	int error;

	p->unit.offset_size = 4;
	if (length == UINT32_MAX) {
		p->unit.offset_size = 8;
		length = bytes_u64(b);
	}
	if (b->failed || length > bytes_left(b))
		return -EBADMSG;
	b->end = b->at + length;
	p->unit.version = bytes_u16(b);
	if (p->unit.version < 2 || p->unit.version > 5)
		return -EBADMSG;
	if (p->unit.version == 5) {
		p->unit.address_size = bytes_u8(b);
		bytes_u8(b);
	}
	program = p->unit.offset_size == 8 ? bytes_u64(b) : bytes_u32(b);
	start = b->at;
	if (b->failed || program > bytes_left(b))
		return -EBADMSG;

	p->min_bytes = bytes_u8(b);
	if (p->unit.version >= 4)
		bytes_u8(b); /* operations of an instruction: there are no such machines here */
	bytes_u8(b);         /* is_stmt to begin with */
	p->line_base = (int8_t)bytes_u8(b);
	p->line_range = bytes_u8(b);
	p->opcode_base = bytes_u8(b);
	for (unsigned i = 1; i < p->opcode_base; i++)
		p->lengths[i] = bytes_u8(b);
	for (unsigned i = p->opcode_base; i < 256 && p->line_range; i++) {
		unsigned op = i - p->opcode_base;

		p->special[i].bytes = (uint16_t)(p->min_bytes * (op / p->line_range));
		p->special[i].lines = (int16_t)(p->line_base + (int)(op % p->line_range));
	}

	if (p->unit.version < 5) {
		error = read_old_tables(p, r);
	} else {
		error = read_new_table(p, r, false);
		if (error == 0)
			error = read_new_table(p, r, true);
	}
	b->at = start + program;
	b->failed = false;
	return error ? error : p->line_range ? 0 : -EBADMSG;
}

static int sequences_add(struct program *p, const struct dw_rows *r, size_t first)
{
	struct sequence *q;

	if (r->n - first < 2)
		return 0;
	q = grow(p->sequences, p->n_sequences, &p->allocated_sequences, sizeof(*q), 16);
	if (!q)
		return -ENOMEM;
	p->sequences = q;
	q += p->n_sequences++;
	*q = (struct sequence){
		.first = first,
		.n = r->n - first,
		.low = r->items[first].address,
		.limit = r->items[r->n - 1].address,
	};
	if (p->n_sequences > 1 && q->low < q[-1].limit)
		p->unsorted = true;
	return 0;
}

static int rows_add(struct program *p, struct dw_rows *r, struct state *s, bool end)
{
	uint64_t address = s->address - p->unit.file->text_start;
	struct dw_row *last = r->n > s->first ? &r->items[r->n - 1] : NULL, *items;

	if (s->dead || address >= UINT32_MAX || (s->line == 0 && !end) || (!last && end))
		return 0;
	if (last && last->address > address)
		return 0;
	if (last && last->address == address)
		r->n--;

	if (r->n >= MAX_ROWS)
		return -EBADMSG;
	items = grow(r->items, r->n, &r->allocated, sizeof(*items), 256);
	if (!items)
		return -ENOMEM;
	r->items = items;
	items[r->n++] = (struct dw_row){
		.address = (uint32_t)address,
		.line = end                    ? DW_ROW_END
			: s->line < DW_ROW_END ? (uint32_t)s->line
					       : 0,
		.file = s->file <= UINT16_MAX ? (uint16_t)s->file : 0,
		.column = s->column <= UINT16_MAX ? (uint16_t)s->column : 0,
	};
	return end ? sequences_add(p, r, s->first) : 0;
}

/* What has no end counts for nothing. */
static void state_reset(struct state *s, struct dw_rows *r, const struct program *p)
{
	const struct sequence *q = p->n_sequences ? &p->sequences[p->n_sequences - 1] : NULL;

	r->n = q ? q->first + q->n : 0;
	*s = (struct state){ .line = 1, .file = 1, .dead = true, .first = r->n };
}

static void state_set_address(const struct program *p, struct state *s, uint64_t address)
{
	s->address = address;
	/* link editors leave what they threw away at 0 or 1 */
	s->dead = address <= 1 || address < p->unit.file->text_start;
}

static int run_extended(struct program *p, struct dw_rows *r, struct state *s)
{
	uint64_t bytes = bytes_uleb(&p->b);
	const uint8_t *at = bytes_skip(&p->b, bytes);
	uint64_t address = 0;
	int error;

	if (!at || bytes == 0)
		return -EBADMSG;
	switch (*at) {
	case DW_LNE_end_sequence:
		error = rows_add(p, r, s, true);
		state_reset(s, r, p);
		return error;
	case DW_LNE_set_address:
		if (bytes - 1 > sizeof(address))
			return -EBADMSG;
		memcpy(&address, at + 1, bytes - 1);
		state_set_address(p, s, address);
		return 0;
	default:
		return 0;
	}
}

static int run_standard(struct program *p, struct dw_rows *r, struct state *s, uint8_t op)
{
	switch (op) {
	case DW_LNS_copy:
		return rows_add(p, r, s, false);
	case DW_LNS_advance_pc:
		s->address += p->min_bytes * bytes_uleb(&p->b);
		return 0;
	case DW_LNS_advance_line:
		s->line += (uint64_t)bytes_sleb(&p->b);
		return 0;
	case DW_LNS_set_file:
		s->file = bytes_uleb(&p->b);
		return 0;
	case DW_LNS_set_column:
		s->column = bytes_uleb(&p->b);
		return 0;
	case DW_LNS_const_add_pc:
		s->address += p->special[255].bytes;
		return 0;
	case DW_LNS_fixed_advance_pc:
		s->address += bytes_u16(&p->b);
		return 0;
	default:
		for (unsigned i = 0; i < p->lengths[op]; i++)
			bytes_uleb(&p->b);
		return 0;
	}
}

static int program_run(struct program *p, struct dw_rows *r)
{
	struct state s;
	int error = 0;

	state_reset(&s, r, p);
	while (p->b.at < p->b.end && error == 0) {
		uint8_t op = *p->b.at++;

		if (op >= p->opcode_base) {
			s.address += p->special[op].bytes;
			s.line += (uint64_t)(int64_t)p->special[op].lines;
			error = rows_add(p, r, &s, false);
		} else if (op == 0) {
			error = run_extended(p, r, &s);
		} else {
			error = run_standard(p, r, &s, op);
		}
		if (p->b.failed)
			error = -EBADMSG;
	}
	state_reset(&s, r, p);
	return error;
}

static int sequence_compare(const void *a, const void *b)
{
	const struct sequence *x = a, *y = b;

	if (x->low != y->low)
		return x->low < y->low ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* Drops what overlaps, and gives each sequence its place; returns the number of rows. Of functions that a link
 * editor folded into one, the first counts, as it does in dw_functions.c. */
static size_t sequences_place(struct program *p)
{
	uint32_t limit = 0;
	size_t n = 0, kept = 0;

	qsort(p->sequences, p->n_sequences, sizeof(*p->sequences), sequence_compare);
	for (size_t i = 0; i < p->n_sequences; i++) {
		struct sequence q = p->sequences[i];

		if (q.low < limit)
			continue;
		/* no gap: the end of the one is the start of the other */
		if (n > 0 && q.low == limit) {
			n--;
			p->sequences[kept - 1].n--;
		}
		q.place = n;
		p->sequences[kept++] = q;
		n += q.n;
		limit = q.limit;
	}
	p->n_sequences = kept;
	return n;
}

/* Functions in sections of their own come in any order. The largest sequence, often nearly all there is, moves
 * in place; the others wait elsewhere. */
static int rows_sort(struct program *p, struct dw_rows *r)
{
	_cleanup_free_ struct dw_row *others = NULL;
	const struct sequence *q, *largest;
	size_t n, waiting = 0;

	if (!p->unsorted)
		return 0;
	n = sequences_place(p);
	largest = p->sequences;
	for (q = p->sequences; q < p->sequences + p->n_sequences; q++)
		if (q->n > largest->n)
			largest = q;
	others = calloc(r->n - largest->n, sizeof(*others));
	if (!others)
		return -ENOMEM;

	for (q = p->sequences; q < p->sequences + p->n_sequences; q++) {
		if (q != largest) {
			memcpy(others + waiting, r->items + q->first, q->n * sizeof(*others));
			waiting += q->n;
		}
	}
	memmove(r->items + largest->place, r->items + largest->first, largest->n * sizeof(*others));
	waiting = 0;
	for (q = p->sequences; q < p->sequences + p->n_sequences; q++) {
		if (q != largest) {
			memcpy(r->items + q->place, others + waiting, q->n * sizeof(*others));
			waiting += q->n;
		}
	}
	r->n = n;
	return 0;
}

static void rows_finish(struct dw_unit *u, struct dw_rows *r)
{
	if (r->n < r->allocated) {
		struct dw_row *items = reallocarray(r->items, r->n + 1, sizeof(*items));

		if (items) {
			r->items = items;
			r->allocated = r->n + 1;
		}
	}
	dw_unit_account(u, sizeof(*r) + r->allocated * sizeof(*r->items) +
				   r->allocated_files * sizeof(*r->files) +
				   r->allocated_folders * sizeof(*r->folders));
}

int dw_rows_get(struct dw_unit *u, struct dw_rows **ret)
{
	struct dw_span s = dw_file_section(u->file, DW_LINE);
	struct program p = { .unit = *u, .b = { .at = s.data, .end = s.data + s.bytes } };
	struct dw_rows *r = u->rows;
	int error = 0;

	if (r) {
		*ret = r;
		return 0;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	if (u->lines != DW_NO_OFFSET) {
		if (bytes_skip(&p.b, u->lines) && s.data)
			error = program_read_header(&p, r);
		else
			error = -EBADMSG;
		if (error == 0)
			error = program_run(&p, r);
		if (error != -ENOMEM && rows_sort(&p, r) < 0)
			error = -ENOMEM;
		free(p.sequences);
		if (error == -ENOMEM) {
			dw_rows_free(r);
			return error;
		}
		if (s.data && u->lines < s.bytes)
			dw_file_forget(u->file, s.data + u->lines, p.b.at);
	}
	u->file->broken |= error < 0;
	rows_finish(u, r);
	*ret = u->rows = r;
	return 0;
}

struct dw_rows *dw_rows_free(struct dw_rows *r)
{
	if (r) {
		free(r->items);
		free(r->files);
		free(r->folders);
		free(r);
	}
	return NULL;
}

const struct dw_row *dw_rows_find(const struct dw_unit *u, const struct dw_rows *r, uint64_t vaddr,
				  uint64_t low)
{
	uint64_t address = vaddr - u->file->text_start;
	size_t first = 0, last = r->n;
	const struct dw_row *row;

	while (first < last) {
		size_t middle = first + (last - first) / 2;

		if (r->items[middle].address <= address)
			first = middle + 1;
		else
			last = middle;
	}
	if (first == 0)
		return NULL;
	row = &r->items[first - 1];
	if (row->line == DW_ROW_END || row->address + u->file->text_start < low)
		return NULL;
	return row;
}

/* folder/name, beneath the unit's folder where that is relative. */
uint32_t dw_rows_path(const struct dw_unit *u, struct dw_rows *r, uint64_t number,
		      struct symbol_names *names)
{
	const char *folder = NULL, *beneath = u->folder;
	struct dw_line_file *f;
	char path[PATH_BYTES];

	if (number >= r->n_files)
		return 0;
	f = &r->files[number];
	if (f->path != DW_PATH_UNKNOWN)
		return f->path;

	f->path = 0;
	if (!f->name)
		return 0;
	if (f->folder < r->n_folders)
		folder = r->folders[f->folder];
	/* DWARF 5 lists the unit's folder itself, which may be a relative path */
	if (folder && beneath && strcmp(folder, beneath) == 0)
		beneath = NULL;
	if (!folder || !*folder || f->name[0] == '/')
		snprintf(path, sizeof(path), "%s", f->name);
	else
		snprintf(path, sizeof(path), "%s/%s", folder, f->name);
	f->path = symbol_names_add_path(names, beneath, path);
	return f->path;
}
