/* SPDX-License-Identifier: Apache-2.0 */
#include "dw_file.h"

#include <string.h>
#include <sys/mman.h>

#include "dw_unit.h"
#include "elf_rel.h"

#define FORGET_BYTES (256U << 10) /* less is not worth the call */

static const char *const section_names[DW_SECTIONS] = {
	[DW_INFO] = ".debug_info",
	[DW_ABBREV] = ".debug_abbrev",
	[DW_STR] = ".debug_str",
	[DW_LINE] = ".debug_line",
	[DW_LINE_STR] = ".debug_line_str",
	[DW_RANGES] = ".debug_ranges",
	[DW_RNGLISTS] = ".debug_rnglists",
	[DW_ADDR] = ".debug_addr",
	[DW_STR_OFFSETS] = ".debug_str_offsets",
	[DW_ARANGES] = ".debug_aranges",
};

/* A section in memory of its own, which takes data over. */
static void dw_file_own(struct dw_file *f, enum dw_section id, const struct elf_section *s,
			struct elf_data *d)
{
	const uint8_t *from = f->map + s->offset;

	f->owned[id] = d->data;
	f->bytes += d->bytes;
	f->sections[id] = (struct dw_span){ d->data, d->bytes };
	dw_file_forget(f, from, from + s->bytes);
	if (f->elf->type != ET_REL)
		return;
	if (elf_rel_apply(f->elf, s, f->map, f->map_bytes, d->data, d->bytes) < 0)
		f->broken = true;
	dw_file_forget(f, f->map, f->map + f->map_bytes);
}

static void dw_file_uncompress(struct dw_file *f, enum dw_section id, const struct elf_section *s)
{
	struct elf_data d = { 0 };

	if (elf_section_uncompress(s, f->map + s->offset, (size_t)s->bytes, DW_SECTION_MAX_BYTES,
				   &d) < 0)
		f->broken = true;
	else
		dw_file_own(f, id, s, &d);
}

static void dw_file_copy(struct dw_file *f, enum dw_section id, const struct elf_section *s)
{
	struct elf_data d = { 0 };

	if (elf_section_load(f->elf, s, DW_SECTION_MAX_BYTES, &d) < 0)
		f->broken = true;
	else
		dw_file_own(f, id, s, &d);
}

static void dw_file_take(struct dw_file *f, enum dw_section id, const struct elf_section *s)
{
	if (!s || s->type == SHT_NOBITS || s->bytes == 0)
		return;
	if (s->offset > f->map_bytes || s->bytes > f->map_bytes - s->offset)
		f->broken = true;
	else if (elf_section_is_compressed(s))
		dw_file_uncompress(f, id, s);
	else if (elf_rel_has(f->elf, s))
		dw_file_copy(f, id, s);
	else
		f->sections[id] = (struct dw_span){ f->map + s->offset, (size_t)s->bytes };
}

/* With type units there are several .debug_info in an object file: the compile unit's is the one that does not
 * belong to a group of sections. */
static const struct elf_section *object_section(const struct elf_file *elf, const char *name)
{
	const struct elf_section *found = NULL;

	for (size_t i = 1; i < elf->n_sections; i++)
		if (strcmp(elf->sections[i].name, name) == 0 &&
		    (!found || !(elf->sections[i].flags & SHF_GROUP)))
			found = &elf->sections[i];
	return found;
}

static const struct elf_section *dwo_section(const struct elf_file *elf, const char *name)
{
	char dwo[64];

	snprintf(dwo, sizeof(dwo), "%s.dwo", name);
	return object_section(elf, dwo);
}

struct dw_span dw_file_section(struct dw_file *f, enum dw_section id)
{
	const struct elf_section *s = NULL;

	if (!f->asked[id] && section_names[id]) {
		f->asked[id] = true;
		if (f->elf->type == ET_REL)
			s = object_section(f->elf, section_names[id]);
		dw_file_take(f, id, s ? s : elf_file_section(f->elf, section_names[id]));
	}
	return f->sections[id];
}

void dw_file_forget(const struct dw_file *f, const uint8_t *from, const uint8_t *to)
{
	uintptr_t first = ((uintptr_t)from + 4095) & ~(uintptr_t)4095;
	uintptr_t last = (uintptr_t)to & ~(uintptr_t)4095;

	if (from < f->map || to > f->map + f->map_bytes || last < first + FORGET_BYTES)
		return;
	madvise((void *)first, last - first, MADV_DONTNEED);
}

const char *dw_file_string(struct dw_file *f, enum dw_section id, uint64_t offset)
{
	struct dw_span s = dw_file_section(f, id);

	if (offset >= s.bytes || !memchr(s.data + offset, 0, s.bytes - offset))
		return NULL;
	return (const char *)s.data + offset;
}

struct dw_unit *dw_file_unit(struct dw_file *f, uint64_t offset)
{
	size_t low = 0, high = f->n_units;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (f->units[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || offset - f->units[low - 1].offset >= f->units[low - 1].unit_bytes)
		return NULL;
	return &f->units[low - 1];
}

static int dw_file_add_unit(struct dw_file *f, size_t *allocated, const struct dw_unit *u)
{
	if (f->n_units == *allocated) {
		size_t n = *allocated ? *allocated * 2 : 64;
		struct dw_unit *units = reallocarray(f->units, n, sizeof(*units));

		if (!units)
			return -ENOMEM;
		f->units = units;
		*allocated = n;
	}
	f->units[f->n_units++] = *u;
	return 0;
}

/* The headers of all units: one page of each is looked at. */
int dw_file_read_units(struct dw_file *f)
{
	struct dw_span info = dw_file_section(f, DW_INFO);
	const uint8_t *seen = info.data;
	size_t allocated = 0;
	uint64_t offset = 0;
	int r;

	while (offset < info.bytes && f->n_units < DW_MAX_UNITS) {
		struct dw_unit u;

		if (dw_unit_read_header(&u, f, offset) < 0) {
			f->broken = true;
			break;
		}
		r = dw_file_add_unit(f, &allocated, &u);
		if (r < 0)
			return r;
		offset += u.unit_bytes;
		if (info.data + offset > seen + 64 * FORGET_BYTES) {
			dw_file_forget(f, seen, info.data + offset);
			seen = info.data + offset;
		}
	}
	f->bytes += f->n_units * sizeof(*f->units);
	dw_file_forget(f, seen, info.data + info.bytes);
	return 0;
}

static int dw_file_map(struct dw_file *f, const struct elf_file *elf)
{
	void *map;

	*f = (struct dw_file){ .elf = elf };
	map = mmap(NULL, elf->bytes, PROT_READ, MAP_PRIVATE, elf->fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	f->map = map;
	f->map_bytes = elf->bytes;
	return 0;
}

int dw_file_init_dwo(struct dw_file *f, const struct elf_file *elf)
{
	int r = dw_file_map(f, elf);

	if (r < 0)
		return r;
	for (unsigned id = 0; id < DW_SECTIONS; id++) {
		f->asked[id] = true;
		if (section_names[id])
			dw_file_take(f, id, dwo_section(elf, section_names[id]));
	}
	dw_file_take(f, DW_CU_INDEX, elf_file_section(elf, ".debug_cu_index"));
	f->elf = NULL;
	if (f->sections[DW_INFO].bytes > 0)
		return 0;
	r = f->broken || elf->sections_broken ? -EBADMSG : -ENOENT;
	dw_file_done(f);
	return r;
}

int dw_file_init(struct dw_file *f, const struct elf_file *elf)
{
	int r = dw_file_map(f, elf);

	if (r < 0)
		return r;
	if (dw_file_section(f, DW_INFO).bytes == 0)
		r = f->broken ? -EBADMSG : -ENOENT;
	else
		r = dw_file_read_units(f);
	if (r < 0)
		dw_file_done(f);
	return r;
}

int dw_file_init_alt(struct dw_file *f, const struct elf_file *elf)
{
	int r = dw_file_map(f, elf);

	if (r < 0)
		return r;
	r = dw_file_section(f, DW_INFO).bytes > 0 ? dw_file_read_units(f) : 0;
	if (r < 0)
		dw_file_done(f);
	return r;
}

void dw_file_done(struct dw_file *f)
{
	for (size_t i = 0; i < f->n_units; i++)
		dw_unit_drop(&f->units[i]);
	free(f->units);
	for (size_t i = 0; i < DW_SECTIONS; i++)
		free(f->owned[i]);
	if (f->map)
		munmap((void *)(uintptr_t)f->map, f->map_bytes);
	*f = (struct dw_file){ 0 };
}
