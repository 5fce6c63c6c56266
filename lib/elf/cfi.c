/* SPDX-License-Identifier: Apache-2.0 */
#include "cfi.h"

#include "cfi_codes.h"
#include "cfi_program.h"
#include "elf_file.h"

#define MAX_SECTION_BYTES (1U << 30)
#define MAX_FDES          (1U << 23)

struct section {
	struct elf_data data;
	bool bounded; /* its size is known, not only that of what it lies in */
	struct cfi_fde *fdes;
	size_t n_fdes, allocated;
};

struct cfi {
	struct section sections[CFI_N_SOURCES];
	struct cfi_cie *cies; /* of both, in the order of the pass */
	size_t n_cies, allocated_cies;
	uint64_t data_base; /* of DW_EH_PE_datarel: .eh_frame_hdr */
	size_t broken;
};

struct cfi *cfi_free(struct cfi *c)
{
	if (!c)
		return NULL;

	for (unsigned i = 0; i < CFI_N_SOURCES; i++) {
		elf_data_done(&c->sections[i].data);
		free(c->sections[i].fdes);
	}
	free(c->cies);
	free(c);
	return NULL;
}

static uint64_t read_format(struct bytes *b, uint8_t format)
{
	switch (format) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		return bytes_u64(b);
	case DW_EH_PE_uleb128:
		return bytes_uleb(b);
	case DW_EH_PE_sleb128:
		return (uint64_t)bytes_sleb(b);
	case DW_EH_PE_udata2:
		return bytes_u16(b);
	case DW_EH_PE_sdata2:
		return (uint64_t)(int16_t)bytes_u16(b);
	case DW_EH_PE_udata4:
		return bytes_u32(b);
	case DW_EH_PE_sdata4:
		return (uint64_t)(int32_t)bytes_u32(b);
	default:
		b->failed = true;
		return 0;
	}
}

/* b->at lies in the section's data, whose first byte has address d->addr. */
static uint64_t read_pointer(const struct cfi *c, const struct elf_data *d, struct bytes *b,
			     uint8_t encoding)
{
	uint64_t here = d->addr + (uint64_t)(b->at - d->data), v;

	if (encoding & DW_EH_PE_indirect)
		b->failed = true;
	v = read_format(b, encoding & DW_EH_PE_format);
	switch (encoding & DW_EH_PE_application) {
	case 0:
		return v;
	case DW_EH_PE_pcrel:
		return here + v;
	case DW_EH_PE_datarel:
		return c->data_base + v;
	default: /* textrel, funcrel, aligned: nobody's on x86-64 */
		b->failed = true;
		return 0;
	}
}

struct record {
	uint32_t at;          /* of its length field */
	unsigned offset_size; /* 4 or 8 */
	uint64_t id_at;       /* of the field that tells CIE and FDE apart */
	uint64_t id;
	struct bytes body; /* after that field */
};

enum { RECORD_END = 0, RECORD_OK = 1, RECORD_PADDING = 2 };

static int next_record(const struct elf_data *d, struct bytes *b, struct record *ret)
{
	struct record rec = { .at = (uint32_t)(b->at - d->data), .offset_size = 4 };
	uint64_t bytes;
	const uint8_t *p;

	if (bytes_left(b) < 4)
		return RECORD_END;

	bytes = bytes_u32(b);
	if (bytes == 0)
		return RECORD_PADDING;
	if (bytes == UINT32_MAX) {
		bytes = bytes_u64(b);
		rec.offset_size = 8;
	}

	p = bytes_skip(b, bytes);
	if (!p || b->failed || bytes < rec.offset_size)
		return -EBADMSG;

	rec.body = (struct bytes){ .at = p, .end = p + bytes };
	rec.id_at = (uint64_t)(p - d->data);
	rec.id = rec.offset_size == 8 ? bytes_u64(&rec.body) : bytes_u32(&rec.body);
	*ret = rec;
	return RECORD_OK;
}

static bool is_cie(const struct record *rec, enum cfi_source source)
{
	if (source == CFI_EH_FRAME)
		return rec->id == 0;
	return rec->id == (rec->offset_size == 8 ? UINT64_MAX : UINT32_MAX);
}

static void parse_augmentation(const struct cfi *c, const struct elf_data *d, struct cfi_cie *cie,
			       const char *aug, struct bytes *b)
{
	uint64_t bytes = bytes_uleb(b);
	const uint8_t *p = bytes_skip(b, bytes);
	struct bytes a = { .at = p, .end = p ? p + bytes : NULL };

	cie->augmented = true;
	for (aug++; *aug && p; aug++) {
		if (*aug == 'R') {
			cie->encoding = bytes_u8(&a);
		} else if (*aug == 'L') {
			bytes_u8(&a);
		} else if (*aug == 'P') {
			/* a pointer through the GOT is fine here: nobody follows it */
			uint8_t encoding = bytes_u8(&a) & (uint8_t)~DW_EH_PE_indirect;

			if (encoding != DW_EH_PE_omit - DW_EH_PE_indirect)
				read_pointer(c, d, &a, encoding);
		} else if (*aug == 'S') {
			cie->signal = true;
		} else if (*aug != 'B' && *aug != 'G') {
			/* an unknown letter: what follows in the data is lost, R perhaps with it */
			cie->broken = strchr(aug, 'R') || strchr(aug, 'S');
			break;
		}
	}
	if (a.failed)
		cie->broken = true;
}

static void parse_cie(struct cfi *c, enum cfi_source source, struct record *rec)
{
	const struct elf_data *d = &c->sections[source].data;
	struct cfi_cie *cie = &c->cies[c->n_cies++];
	struct bytes *b = &rec->body;
	const char *aug;
	uint8_t version;

	*cie = (struct cfi_cie){ .at = rec->at, .source = source };

	version = bytes_u8(b);
	aug = (const char *)b->at;
	if (!memchr(aug, 0, bytes_left(b)) || (version != 1 && version != 3 && version != 4)) {
		cie->broken = true;
		return;
	}
	bytes_skip(b, strlen(aug) + 1);
	if (version == 4) {
		uint8_t address_bytes = bytes_u8(b), segment_bytes = bytes_u8(b);

		cie->broken = address_bytes != 8 || segment_bytes != 0;
	}
	if (strcmp(aug, "eh") == 0)
		bytes_u64(b);
	else if (aug[0] != 0 && aug[0] != 'z')
		cie->broken = true;

	cie->code_align = bytes_uleb(b);
	cie->data_align = bytes_sleb(b);
	cie->ra_register = version == 1 ? bytes_u8(b) : bytes_uleb(b);
	if (aug[0] == 'z')
		parse_augmentation(c, d, cie, aug, b);

	cie->initial.signal = cie->signal;
	if (b->failed || cfi_run_program(cie, *b, 0, 0, &cie->initial, NULL, NULL) < 0)
		cie->broken = true;
}

static int add_cie(struct cfi *c, enum cfi_source source, struct record *rec)
{
	if (c->n_cies == c->allocated_cies) {
		size_t n = MAX(c->allocated_cies * 2, (size_t)64);
		struct cfi_cie *p = reallocarray(c->cies, n, sizeof(*p));

		if (!p)
			return -ENOMEM;
		c->cies = p;
		c->allocated_cies = n;
	}

	parse_cie(c, source, rec);
	c->broken += c->cies[c->n_cies - 1].broken;
	return 0;
}

/* CIEs of one section are in ascending order behind those of the other; most often it is the last. */
static const struct cfi_cie *find_cie(const struct cfi *c, enum cfi_source source, uint64_t at)
{
	size_t lo = 0, hi = c->n_cies;

	if (hi > 0 && c->cies[hi - 1].source == source && c->cies[hi - 1].at == at)
		return &c->cies[hi - 1];

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct cfi_cie *cie = &c->cies[mid];

		if (cie->source == source && cie->at == at)
			return cie;
		if (cie->source < source || (cie->source == source && cie->at < at))
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int add_fde(struct section *s, const struct cfi_fde *fde)
{
	if (s->n_fdes == s->allocated) {
		size_t n = MAX(s->allocated * 2, (size_t)256);
		struct cfi_fde *p;

		if (s->n_fdes >= MAX_FDES)
			return -EFBIG;
		p = reallocarray(s->fdes, n, sizeof(*p));
		if (!p)
			return -ENOMEM;
		s->fdes = p;
		s->allocated = n;
	}
	s->fdes[s->n_fdes++] = *fde;
	return 0;
}

static int parse_fde(struct cfi *c, enum cfi_source source, struct record *rec)
{
	struct section *s = &c->sections[source];
	struct bytes *b = &rec->body;
	const struct cfi_cie *cie;
	uint64_t start, bytes;

	cie = find_cie(c, source, source == CFI_EH_FRAME ? rec->id_at - rec->id : rec->id);
	if (!cie || cie->broken) {
		c->broken++;
		return 0;
	}

	start = read_pointer(c, &s->data, b, cie->encoding);
	bytes = read_format(b, cie->encoding & DW_EH_PE_format);
	if (cie->augmented)
		bytes_skip(b, bytes_uleb(b));
	if (b->failed || bytes > UINT64_MAX - start) {
		c->broken++;
		return 0;
	}
	if (bytes == 0)
		return 0;

	return add_fde(s, &(struct cfi_fde){
				  .start = start,
				  .limit = start + bytes,
				  .program = (uint32_t)(b->at - s->data.data),
				  .program_bytes = (uint32_t)bytes_left(b),
				  .cie = (uint32_t)(cie - c->cies),
				  .source = source,
			  });
}

static int scan(struct cfi *c, enum cfi_source source, bool only_cies)
{
	struct section *s = &c->sections[source];
	struct bytes b = { .at = s->data.data, .end = s->data.data + s->data.bytes };
	int r;

	for (;;) {
		struct record rec;

		r = next_record(&s->data, &b, &rec);
		if (r == RECORD_PADDING && s->bounded)
			continue;
		if (r < 0 && !only_cies)
			c->broken++;
		if (r != RECORD_OK)
			return 0;

		if (is_cie(&rec, source))
			r = only_cies ? add_cie(c, source, &rec) : 0;
		else
			r = only_cies ? 0 : parse_fde(c, source, &rec);
		if (r < 0)
			return r;
	}
}

static int fde_compare(const void *a, const void *b)
{
	const struct cfi_fde *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->program < y->program ? -1 : x->program > y->program;
}

static void sort_fdes(struct section *s)
{
	size_t i = 1;

	while (i < s->n_fdes && s->fdes[i - 1].start <= s->fdes[i].start)
		i++;
	if (i < s->n_fdes)
		qsort(s->fdes, s->n_fdes, sizeof(*s->fdes), fde_compare);
}

/* Where the program headers say that .eh_frame begins: stripped section headers do not matter then. */
static int load_by_header(struct cfi *c, const struct elf_file *f, const struct elf_segment *hdr)
{
	struct elf_data d = { .addr = hdr->vaddr };
	uint64_t addr, offset, bytes;
	uint8_t head[16] = {};
	struct bytes b;
	int r;

	r = elf_file_read(f, hdr->offset, head, MIN(hdr->file_bytes, (uint64_t)sizeof(head)));
	if (r < 0)
		return r;

	d.data = head;
	b = (struct bytes){ .at = head + 4, .end = head + sizeof(head) };
	addr = read_pointer(c, &d, &b, head[1]);
	if (head[0] != 1 || b.failed)
		return -EBADMSG;

	r = elf_file_offset(f, addr, &offset, &bytes);
	if (r < 0)
		return r;
	if (offset > f->bytes)
		return -ENODATA;

	r = elf_file_load(f, offset, MIN(bytes, f->bytes - offset), MAX_SECTION_BYTES,
			  &c->sections[CFI_EH_FRAME].data);
	c->sections[CFI_EH_FRAME].data.addr = addr;
	return r;
}

static int load(struct cfi *c, const struct elf_file *f, enum cfi_source source)
{
	static const char *const names[] = { ".eh_frame", ".debug_frame" };
	const struct elf_section *s = elf_file_section(f, names[source]);
	const struct elf_segment *hdr = elf_file_segment(f, PT_GNU_EH_FRAME);
	int r;

	if (source == CFI_EH_FRAME && hdr)
		c->data_base = hdr->vaddr;

	if (s) {
		r = elf_section_load(f, s, MAX_SECTION_BYTES, &c->sections[source].data);
		if (r == 0)
			c->sections[source].bounded = true;
		if (r == 0 || r == -ENOMEM || source == CFI_DEBUG_FRAME)
			return r;
	}
	if (source == CFI_EH_FRAME && hdr)
		return load_by_header(c, f, hdr);
	return s ? r : 0;
}

int cfi_new(struct cfi **ret, const struct elf_file *f)
{
	_cleanup_(cfi_freep) struct cfi *c = NULL;
	int r;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;

	for (enum cfi_source i = 0; i < CFI_N_SOURCES; i++) {
		r = load(c, f, i);
		if (r == -ENOMEM)
			return r;
		if (r < 0) {
			c->broken++;
			continue;
		}
		if (!c->sections[i].data.data)
			continue;

		/* a CIE may follow its FDEs in .debug_frame */
		r = scan(c, i, true);
		if (r == 0)
			r = scan(c, i, false);
		if (r < 0)
			return r;
		sort_fdes(&c->sections[i]);
	}

	*ret = TAKE_PTR(c);
	return 0;
}

const struct cfi_fde *cfi_fdes(const struct cfi *c, enum cfi_source source, size_t *ret_n)
{
	*ret_n = c->sections[source].n_fdes;
	return c->sections[source].fdes;
}

size_t cfi_broken(const struct cfi *c)
{
	return c->broken;
}

const struct cfi_fde *cfi_fde_at(const struct cfi *c, uint64_t vaddr)
{
	for (unsigned i = 0; i < CFI_N_SOURCES; i++) {
		const struct section *s = &c->sections[i];
		size_t lo = 0, hi = s->n_fdes;

		while (lo < hi) {
			size_t mid = lo + (hi - lo) / 2;

			if (s->fdes[mid].start <= vaddr)
				lo = mid + 1;
			else
				hi = mid;
		}
		if (lo > 0 && vaddr < s->fdes[lo - 1].limit)
			return &s->fdes[lo - 1];
	}
	return NULL;
}

int cfi_run(const struct cfi *c, const struct cfi_fde *fde, cfi_row_t row, void *arg)
{
	const uint8_t *p = c->sections[fde->source].data.data + fde->program;
	const struct cfi_cie *cie = &c->cies[fde->cie];
	struct cfi_state state = cie->initial;

	return cfi_run_program(cie, (struct bytes){ .at = p, .end = p + fde->program_bytes },
			       fde->start, fde->limit, &state, row, arg);
}
