/* SPDX-License-Identifier: Apache-2.0 */
#include "elf_file.h"

#include <libdeflate.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zstd.h>

/* not in the elf.h of glibc 2.36 */
#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

#define NOTES_MAX_BYTES   (1U << 20)
#define DYNAMIC_MAX_BYTES (1U << 20)
#define HUGE_PAGE_BYTES   ((uintptr_t)2 << 20)

struct elf_file *elf_file_free(struct elf_file *f)
{
	if (!f)
		return NULL;

	free(f->segments);
	free(f->sections);
	free(f->names);
	free(f);
	return NULL;
}

void elf_data_done(struct elf_data *d)
{
	free(d->data);
	*d = (struct elf_data){};
}

static bool in_file(const struct elf_file *f, uint64_t offset, uint64_t bytes)
{
	return offset <= f->bytes && bytes <= f->bytes - offset;
}

int elf_file_read(const struct elf_file *f, uint64_t offset, void *data, size_t bytes)
{
	char *p = data;

	if (!in_file(f, offset, bytes))
		return -ENODATA;

	while (bytes > 0) {
		ssize_t n = pread(f->fd, p, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return 0;
}

int elf_file_load(const struct elf_file *f, uint64_t offset, uint64_t bytes, size_t max_bytes,
		  struct elf_data *ret)
{
	_cleanup_free_ uint8_t *data = NULL;
	uint64_t addr;
	int r;

	if (!in_file(f, offset, bytes))
		return -ENODATA;
	if (bytes > max_bytes)
		return -EFBIG;

	data = malloc(bytes + 1);
	if (!data)
		return -ENOMEM;

	r = elf_file_read(f, offset, data, bytes);
	if (r < 0)
		return r;
	data[bytes] = 0;

	if (elf_file_vaddr(f, offset, &addr) < 0)
		addr = 0;
	*ret = (struct elf_data){ .bytes = bytes, .addr = addr };
	ret->data = TAKE_PTR(data);
	return 0;
}

static int load_segments(struct elf_file *f, const Elf64_Ehdr *h, size_t n)
{
	_cleanup_(elf_data_done) struct elf_data d = {};
	int r;

	if (n == 0)
		return f->type == ET_EXEC || f->type == ET_DYN ? -EBADMSG : 0;
	if (n > ELF_MAX_SEGMENTS || h->e_phentsize != sizeof(Elf64_Phdr))
		return -EBADMSG;

	r = elf_file_load(f, h->e_phoff, n * sizeof(Elf64_Phdr), SIZE_MAX, &d);
	if (r < 0)
		return r;

	f->segments = calloc(n, sizeof(*f->segments));
	if (!f->segments)
		return -ENOMEM;

	for (size_t i = 0; i < n; i++) {
		Elf64_Phdr p;

		memcpy(&p, d.data + i * sizeof(p), sizeof(p));
		/* a range that wraps has no meaning and would defeat every later comparison */
		if (p.p_memsz > UINT64_MAX - p.p_vaddr || p.p_filesz > UINT64_MAX - p.p_offset ||
		    p.p_filesz > UINT64_MAX - p.p_vaddr)
			continue;
		f->segments[f->n_segments++] = (struct elf_segment){
			.type = p.p_type,
			.flags = p.p_flags,
			.offset = p.p_offset,
			.vaddr = p.p_vaddr,
			.file_bytes = p.p_filesz,
			.memory_bytes = p.p_memsz,
		};
	}
	return 0;
}

/* A file may have none (SHN_UNDEF). */
static int load_section_names(struct elf_file *f, size_t index)
{
	_cleanup_(elf_data_done) struct elf_data d = {};
	int r = -EBADMSG;

	if (index < f->n_sections && f->sections[index].type == SHT_STRTAB)
		r = elf_file_load(f, f->sections[index].offset, f->sections[index].bytes,
				  ELF_MAX_SECTION_NAMES_BYTES, &d);
	if (r == -ENOMEM)
		return r;
	f->sections_broken |= r < 0 && index != SHN_UNDEF;
	f->names = (char *)TAKE_PTR(d.data);

	for (size_t i = 0; i < f->n_sections; i++) {
		size_t at = (uintptr_t)f->sections[i].name;

		f->sections_broken |= f->names && at >= d.bytes;
		f->sections[i].name = f->names && at < d.bytes ? f->names + at : "";
	}
	return 0;
}

/* Whatever is wrong with them, the kernel runs the file without sections; so must we. */
static int load_sections(struct elf_file *f, const Elf64_Ehdr *h, const Elf64_Shdr *first)
{
	_cleanup_(elf_data_done) struct elf_data d = {};
	size_t n = h->e_shnum, names = h->e_shstrndx;
	int r;

	if (n == 0)
		n = MIN(first->sh_size, (uint64_t)ELF_MAX_SECTIONS + 1);
	if (names == SHN_XINDEX)
		names = first->sh_link;
	f->sections_broken = n > ELF_MAX_SECTIONS;
	if (n == 0 || n > ELF_MAX_SECTIONS)
		return 0;

	r = elf_file_load(f, h->e_shoff, n * sizeof(Elf64_Shdr), SIZE_MAX, &d);
	f->sections_broken = r < 0;
	if (r < 0)
		return r == -ENOMEM ? r : 0;

	f->sections = calloc(n, sizeof(*f->sections));
	if (!f->sections)
		return -ENOMEM;
	f->n_sections = n;

	for (size_t i = 0; i < n; i++) {
		Elf64_Shdr s;

		memcpy(&s, d.data + i * sizeof(s), sizeof(s));
		f->sections[i] = (struct elf_section){
			.name = (const char *)(uintptr_t)s.sh_name, /* its offset, for now */
			.type = s.sh_type,
			.link = s.sh_link,
			.info = s.sh_info,
			.flags = s.sh_flags,
			.addr = s.sh_addr,
			.offset = s.sh_offset,
			.bytes = s.sh_size,
			.entry_bytes = s.sh_entsize,
		};
	}

	return load_section_names(f, names);
}

static int64_t elf_file_mtime_ns(const struct stat *st)
{
	return st->st_mtim.tv_sec * (int64_t)NSEC_PER_SEC + st->st_mtim.tv_nsec;
}

bool elf_fd_changed(int fd, uint64_t bytes, int64_t mtime_ns)
{
	struct stat st;

	return fstat(fd, &st) < 0 || st.st_size != (off_t)bytes ||
	       elf_file_mtime_ns(&st) != mtime_ns;
}

bool elf_file_changed(const struct elf_file *f)
{
	return elf_fd_changed(f->fd, f->bytes, f->mtime_ns);
}

int elf_file_new(struct elf_file **ret, int fd)
{
	_cleanup_(elf_file_freep) struct elf_file *f = NULL;
	Elf64_Shdr first = {};
	struct stat st;
	Elf64_Ehdr h;
	size_t n;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;

	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->fd = fd;
	f->bytes = (uint64_t)MAX(st.st_size, (off_t)0);
	f->mtime_ns = elf_file_mtime_ns(&st);

	r = elf_file_read(f, 0, &h, sizeof(h));
	if (r < 0)
		return r == -ENODATA ? -ENOEXEC : r;
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_ident[EI_CLASS] != ELFCLASS64 ||
	    h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_machine != EM_X86_64)
		return -ENOEXEC;
	f->type = h.e_type;
	f->entry = h.e_entry;

	/* counts that do not fit their 16 bits are in section 0 */
	if (h.e_shoff != 0 && h.e_shentsize == sizeof(Elf64_Shdr) &&
	    elf_file_read(f, h.e_shoff, &first, sizeof(first)) < 0)
		memset(&first, 0, sizeof(first));
	n = h.e_phnum == PN_XNUM ? first.sh_info : h.e_phnum;

	r = load_segments(f, &h, n);
	if (r < 0)
		return r;
	if (h.e_shoff != 0 && h.e_shentsize == sizeof(Elf64_Shdr)) {
		r = load_sections(f, &h, &first);
		if (r < 0)
			return r;
	} else {
		f->sections_broken = h.e_shoff != 0 && h.e_shnum != 0;
	}

	*ret = TAKE_PTR(f);
	return 0;
}

const struct elf_section *elf_file_section(const struct elf_file *f, const char *name)
{
	for (size_t i = 1; i < f->n_sections; i++) {
		const struct elf_section *s = &f->sections[i];

		if (s->type == SHT_NULL || s->type == SHT_NOBITS)
			continue;
		if (strcmp(s->name, name) == 0)
			return s;
		if (strncmp(s->name, ".zdebug_", 8) == 0 && strncmp(name, ".debug_", 7) == 0 &&
		    strcmp(s->name + 8, name + 7) == 0)
			return s;
	}
	return NULL;
}

/* Fewer faults, no more memory: of a large buffer that will be filled, the huge pages it has whole. */
static void advise_huge(uint8_t *data, size_t bytes)
{
	uintptr_t from = ((uintptr_t)data + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1);
	uintptr_t to = ((uintptr_t)data + bytes) & ~(HUGE_PAGE_BYTES - 1);

	if (from < to)
		madvise((void *)from, to - from, MADV_HUGEPAGE);
}

/* A stream of another size than the section says is broken; what follows it does not matter. */
static int inflate_into(const uint8_t *in, size_t in_bytes, uint64_t bytes, size_t max_bytes,
			struct elf_data *ret)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct libdeflate_decompressor *z;
	enum libdeflate_result result;

	/* deflate cannot do better than 1,032 to 1: a larger claim only wants memory */
	if (bytes > max_bytes || bytes / 1100 > in_bytes)
		return -EFBIG;

	data = malloc(bytes + 1);
	if (!data)
		return -ENOMEM;
	z = libdeflate_alloc_decompressor();
	if (!z)
		return -ENOMEM;
	advise_huge(data, bytes);
	result = libdeflate_zlib_decompress(z, in, in_bytes, data, bytes, NULL);
	libdeflate_free_decompressor(z);
	if (result != LIBDEFLATE_SUCCESS)
		return -EBADMSG;

	data[bytes] = 0;
	*ret = (struct elf_data){ .bytes = bytes };
	ret->data = TAKE_PTR(data);
	return 0;
}

static int unzstd_into(const uint8_t *in, size_t in_bytes, uint64_t bytes, size_t max_bytes,
		       struct elf_data *ret)
{
	_cleanup_free_ uint8_t *data = NULL;
	unsigned long long said = ZSTD_getFrameContentSize(in, in_bytes);

	if (said == ZSTD_CONTENTSIZE_ERROR || (said != ZSTD_CONTENTSIZE_UNKNOWN && said != bytes))
		return -EBADMSG;
	if (bytes > max_bytes)
		return -EFBIG;
	data = malloc(bytes + 1);
	if (!data)
		return -ENOMEM;
	if (ZSTD_decompress(data, bytes, in, in_bytes) != bytes)
		return -EBADMSG;

	data[bytes] = 0;
	*ret = (struct elf_data){ .bytes = bytes };
	ret->data = TAKE_PTR(data);
	return 0;
}

bool elf_section_is_compressed(const struct elf_section *s)
{
	return (s->flags & SHF_COMPRESSED) || strncmp(s->name, ".zdebug_", 8) == 0;
}

int elf_section_uncompress(const struct elf_section *s, const uint8_t *data, size_t bytes,
			   size_t max_bytes, struct elf_data *ret)
{
	if (s->flags & SHF_COMPRESSED) {
		Elf64_Chdr h;

		if (bytes < sizeof(h))
			return -EBADMSG;
		memcpy(&h, data, sizeof(h));
		if (h.ch_type == ELFCOMPRESS_ZSTD)
			return unzstd_into(data + sizeof(h), bytes - sizeof(h), h.ch_size,
					   max_bytes, ret);
		if (h.ch_type != ELFCOMPRESS_ZLIB)
			return -EOPNOTSUPP;
		return inflate_into(data + sizeof(h), bytes - sizeof(h), h.ch_size, max_bytes, ret);
	}

	/* .zdebug: "ZLIB", then the size in big endian */
	if (bytes >= 12 && memcmp(data, "ZLIB", 4) == 0) {
		uint64_t said;

		memcpy(&said, data + 4, sizeof(said));
		return inflate_into(data + 12, bytes - 12, __builtin_bswap64(said), max_bytes, ret);
	}
	return -EBADMSG;
}

int elf_section_load(const struct elf_file *f, const struct elf_section *s, size_t max_bytes,
		     struct elf_data *ret)
{
	_cleanup_(elf_data_done) struct elf_data d = {};
	int r;

	if (s->type == SHT_NOBITS || s->type == SHT_NULL)
		return -ENOENT;

	r = elf_file_load(f, s->offset, s->bytes, max_bytes, &d);
	if (r < 0)
		return r;
	if (elf_section_is_compressed(s))
		return elf_section_uncompress(s, d.data, d.bytes, max_bytes, ret);

	*ret = (struct elf_data){ .bytes = d.bytes, .addr = s->addr };
	ret->data = TAKE_PTR(d.data);
	return 0;
}

int elf_file_offset(const struct elf_file *f, uint64_t vaddr, uint64_t *ret_offset,
		    uint64_t *ret_bytes)
{
	for (size_t i = 0; i < f->n_segments; i++) {
		const struct elf_segment *s = &f->segments[i];

		if (s->type != PT_LOAD || vaddr < s->vaddr || vaddr - s->vaddr >= s->file_bytes)
			continue;
		*ret_offset = s->offset + (vaddr - s->vaddr);
		if (ret_bytes)
			*ret_bytes = s->file_bytes - (vaddr - s->vaddr);
		return 0;
	}
	return -ENOENT;
}

int elf_file_vaddr(const struct elf_file *f, uint64_t offset, uint64_t *ret_vaddr)
{
	for (size_t i = 0; i < f->n_segments; i++) {
		const struct elf_segment *s = &f->segments[i];

		if (s->type != PT_LOAD || offset < s->offset || offset - s->offset >= s->file_bytes)
			continue;
		*ret_vaddr = s->vaddr + (offset - s->offset);
		return 0;
	}
	return -ENOENT;
}

bool elf_file_is_text(const struct elf_file *f, uint64_t vaddr, uint64_t *ret_limit)
{
	for (size_t i = 0; i < f->n_segments; i++) {
		const struct elf_segment *s = &f->segments[i];

		if (s->type != PT_LOAD || !(s->flags & PF_X) || vaddr < s->vaddr ||
		    vaddr - s->vaddr >= s->memory_bytes)
			continue;
		if (ret_limit)
			*ret_limit = s->vaddr + s->memory_bytes;
		return true;
	}
	return false;
}

int elf_file_read_vaddr(const struct elf_file *f, uint64_t vaddr, void *data, size_t bytes)
{
	uint64_t offset, follow;
	int r;

	r = elf_file_offset(f, vaddr, &offset, &follow);
	if (r < 0)
		return r;
	if (follow < bytes)
		return -ENODATA;

	return elf_file_read(f, offset, data, bytes);
}

const struct elf_segment *elf_file_segment(const struct elf_file *f, uint32_t type)
{
	for (size_t i = 0; i < f->n_segments; i++)
		if (f->segments[i].type == type)
			return &f->segments[i];
	return NULL;
}

static int notes_build_id(const struct elf_data *d, uint8_t *id, size_t size)
{
	size_t at = 0;

	while (d->bytes - at >= sizeof(Elf64_Nhdr)) {
		size_t name_at, desc_at;
		Elf64_Nhdr n;

		memcpy(&n, d->data + at, sizeof(n));
		name_at = at + sizeof(n);
		if (n.n_namesz > d->bytes - name_at)
			return -ENOENT;
		desc_at = name_at + ((n.n_namesz + 3UL) & ~3UL);
		if (desc_at > d->bytes || n.n_descsz > d->bytes - desc_at)
			return -ENOENT;

		if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && n.n_descsz > 0 &&
		    memcmp(d->data + name_at, "GNU", 4) == 0) {
			size_t bytes = MIN((size_t)n.n_descsz, size);

			memcpy(id, d->data + desc_at, bytes);
			return (int)bytes;
		}

		at = desc_at + ((n.n_descsz + 3UL) & ~3UL);
		if (at > d->bytes)
			return -ENOENT;
	}
	return -ENOENT;
}

static int range_build_id(const struct elf_file *f, uint64_t offset, uint64_t bytes, uint8_t *id,
			  size_t size)
{
	_cleanup_(elf_data_done) struct elf_data d = {};
	int r;

	r = elf_file_load(f, offset, bytes, NOTES_MAX_BYTES, &d);
	return r < 0 ? r : notes_build_id(&d, id, size);
}

int elf_file_build_id(const struct elf_file *f, uint8_t *id, size_t size)
{
	int r;

	for (size_t i = 0; i < f->n_segments; i++) {
		const struct elf_segment *s = &f->segments[i];

		if (s->type != PT_NOTE)
			continue;
		r = range_build_id(f, s->offset, s->file_bytes, id, size);
		if (r > 0)
			return r;
	}
	/* separate debug files keep the section; their segments are empty */
	for (size_t i = 1; i < f->n_sections; i++) {
		const struct elf_section *s = &f->sections[i];

		if (s->type != SHT_NOTE)
			continue;
		r = range_build_id(f, s->offset, s->bytes, id, size);
		if (r > 0)
			return r;
	}
	return -ENOENT;
}

int elf_file_dynamic(const struct elf_file *f, int64_t tag, uint64_t *ret_value)
{
	const struct elf_segment *s = elf_file_segment(f, PT_DYNAMIC);
	_cleanup_(elf_data_done) struct elf_data d = {};
	int r;

	if (!s)
		return -ENOENT;

	r = elf_file_load(f, s->offset, s->file_bytes, DYNAMIC_MAX_BYTES, &d);
	if (r < 0)
		return r;

	for (size_t at = 0; d.bytes - at >= sizeof(Elf64_Dyn); at += sizeof(Elf64_Dyn)) {
		Elf64_Dyn e;

		memcpy(&e, d.data + at, sizeof(e));
		if (e.d_tag == DT_NULL)
			break;
		if (e.d_tag == tag) {
			*ret_value = e.d_un.d_val;
			return 0;
		}
	}
	return -ENOENT;
}
