/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include "gopclntab.h"
#include "table_build.h"

/* ld.so is a tenth of this. In a large file every rule would become an indexed one. */
#define BX_MAX_ROWS 65536

static void build_done(struct build *b)
{
	elf_file_free(b->elf);
	cfi_free(b->cfi);
	gopclntab_free(b->go);
	extents_done(&b->extents);
	code_rows_done(&b->code);
	table_writer_free(b->writer);
}

static int find_extents(struct build *b)
{
	static int (*const steps[])(struct build *) = {
		table_plt_extents,   table_root_extents, table_signal_extents,
		table_clone_extents, table_code_extents,
	};
	int r;

	r = cfi_new(&b->cfi, b->elf);
	if (r < 0)
		return r;
	b->n_cut += (uint32_t)cfi_broken(b->cfi);

	r = table_go_extents(b);
	if (r < 0)
		return r;
	for (enum cfi_source i = 0; i < CFI_N_SOURCES; i++) {
		r = table_cfi_extents(b, i);
		if (r < 0)
			return r;
	}
	/* what follows fills holes in a table; alone it would only pretend to be one */
	for (unsigned i = 0; i < ARRAY_SIZE(steps) && b->extents.n > 0; i++) {
		r = steps[i](b);
		if (r < 0)
			return r;
	}
	return 0;
}

static void extent_rows(struct build *b, const struct extent *e)
{
	switch (e->source) {
	case EXTENT_CFI:
	case EXTENT_CFI_DEBUG:
		table_cfi_rows(b, e);
		break;
	case EXTENT_GO:
		table_go_rows(b, e);
		break;
	case EXTENT_CODE:
		table_code_rows(b, e);
		break;
	case EXTENT_PLT:
		table_plt_rows(b, e);
		break;
	default:
		table_writer_row(b->writer, e->start, (uint16_t)e->index);
	}
}

static int make_rows(struct build *b)
{
	int r;

	b->writer = table_writer_free(b->writer);
	r = table_writer_new(&b->writer);
	if (r < 0)
		return r;

	b->n_functions = 0;
	table_writer_cut(b->writer, b->n_cut);
	for (size_t i = 0; i < b->extents.n; i++) {
		const struct extent *e = &b->extents.e[i],
				    *next = i + 1 < b->extents.n ? e + 1 : NULL;

		b->before = i > 0 ? b->extents.e[i - 1].limit : 0;
		extent_rows(b, e);
		if (!next || next->start != e->limit)
			table_writer_row(b->writer, e->limit, CPROF_RULE_NONE);
	}
	return 0;
}

static int segment_compare(const void *a, const void *b)
{
	const struct cprof_table_segment *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static uint32_t text_segments(struct build *b, struct cprof_table_segment *ret)
{
	uint32_t n = 0;

	for (size_t i = 0; i < b->elf->n_segments; i++) {
		const struct elf_segment *s = &b->elf->segments[i];

		if (s->type != PT_LOAD || !(s->flags & PF_X) || s->file_bytes == 0)
			continue;
		if (n == CPROF_TABLE_MAX_SEGMENTS) {
			table_writer_cut(b->writer, 1);
			continue;
		}
		ret[n++] = (struct cprof_table_segment){
			.offset = s->offset,
			.vaddr = s->vaddr,
			.bytes = s->file_bytes,
		};
	}
	qsort(ret, n, sizeof(*ret), segment_compare);
	return n;
}

static int finish(struct build *b, struct buf *out)
{
	struct cprof_table_segment segments[CPROF_TABLE_MAX_SEGMENTS];
	uint32_t n = text_segments(b, segments);

	return table_writer_finish(b->writer, b->flags, segments, n, out);
}

int table_build(int fd, struct buf *out, struct table_summary *ret)
{
	_cleanup_(build_done) struct build b = {};
	const size_t start = out->size;
	struct table_summary summary;
	int r;

	r = elf_file_new(&b.elf, fd);
	if (r < 0)
		return r;

	r = find_extents(&b);
	if (r == 0)
		r = make_rows(&b);
	if (r == 0)
		r = finish(&b, out);
	if (r < 0)
		return r;

	table_summarize(out->data + start, &summary);
	if (b.bx_used && summary.n_rows <= BX_MAX_ROWS) {
		b.bx = true;
		out->size = start;
		r = make_rows(&b);
		if (r == 0)
			r = finish(&b, out);
		if (r < 0)
			return r;
		table_summarize(out->data + start, &summary);
	}

	summary.n_functions = b.n_functions;
	if (ret)
		*ret = summary;
	return 0;
}
