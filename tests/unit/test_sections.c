/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed sections, whole and broken, of a file made in memory. */

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "elf_file.h"

#define PLAIN_BYTES 70000
#define HEAD_BYTES  512 /* headers and names lie before the section */

struct made {
	uint8_t bytes[HEAD_BYTES + PLAIN_BYTES + 64];
	size_t size; /* of the section */
	bool zdebug;
};

static uint8_t plain[PLAIN_BYTES];

static uint8_t *made_section(struct made *m)
{
	return m->bytes + HEAD_BYTES;
}

/* `type` of ELFCOMPRESS_*, 0 the old way; `claim`: how many bytes are promised. */
static void make(struct made *m, uint32_t type, uint64_t claim)
{
	uint8_t *p = made_section(m);
	uLongf size;

	*m = (struct made){ .zdebug = type == 0 };
	if (type == 0) {
		uint64_t big = __builtin_bswap64(claim);

		memcpy(p, "ZLIB", 4);
		memcpy(p + 4, &big, sizeof(big));
		m->size = 12;
	} else {
		Elf64_Chdr h = { .ch_type = type, .ch_size = claim, .ch_addralign = 1 };

		memcpy(p, &h, sizeof(h));
		m->size = sizeof(h);
	}
	size = PLAIN_BYTES;
	if (type == 2)
		size = ZSTD_compress(p + m->size, size, plain, sizeof(plain), 1);
	else
		assert_int_equal(compress(p + m->size, &size, plain, sizeof(plain)), Z_OK);
	m->size += size;
}

static int load(struct made *m, size_t max_bytes, struct elf_data *ret)
{
	static const char names[] = "\0.debug_info\0.zdebug_info\0.shstrtab";
	Elf64_Ehdr h = { .e_type = ET_REL,
			 .e_machine = EM_X86_64,
			 .e_shoff = sizeof(h),
			 .e_shentsize = sizeof(Elf64_Shdr),
			 .e_shnum = 3,
			 .e_shstrndx = 2 };
	Elf64_Shdr s[] = {
		{ 0 },
		{ .sh_name = m->zdebug ? 13 : 1,
		  .sh_type = SHT_PROGBITS,
		  .sh_flags = m->zdebug ? 0 : SHF_COMPRESSED,
		  .sh_offset = HEAD_BYTES,
		  .sh_size = m->size },
		{ .sh_name = 26,
		  .sh_type = SHT_STRTAB,
		  .sh_offset = HEAD_BYTES - sizeof(names),
		  .sh_size = sizeof(names) },
	};
	_cleanup_(elf_file_freep) struct elf_file *f = NULL;
	_cleanup_close_ int fd = memfd_create("sections", MFD_CLOEXEC);
	const struct elf_section *found;

	memcpy(h.e_ident, ELFMAG, SELFMAG);
	h.e_ident[EI_CLASS] = ELFCLASS64;
	h.e_ident[EI_DATA] = ELFDATA2LSB;
	memcpy(m->bytes, &h, sizeof(h));
	memcpy(m->bytes + sizeof(h), s, sizeof(s));
	memcpy(m->bytes + HEAD_BYTES - sizeof(names), names, sizeof(names));
	assert_int_equal(write(fd, m->bytes, HEAD_BYTES + m->size), HEAD_BYTES + m->size);

	assert_int_equal(elf_file_new(&f, fd), 0);
	found = elf_file_section(f, ".debug_info");
	assert_non_null(found);
	return elf_section_load(f, found, max_bytes, ret);
}

static void check_whole(struct made *m)
{
	_cleanup_(elf_data_done) struct elf_data d = { 0 };

	assert_int_equal(load(m, 1 << 20, &d), 0);
	assert_int_equal(d.bytes, sizeof(plain));
	assert_memory_equal(d.data, plain, sizeof(plain));
	assert_int_equal(d.data[d.bytes], 0);
}

static void check_refused(struct made *m, size_t max_bytes, int error)
{
	struct elf_data d = { 0 };

	assert_int_equal(load(m, max_bytes, &d), error);
	assert_null(d.data);
}

static void test_whole(void **state _unused_)
{
	struct made m;

	for (uint32_t type = 0; type <= 2; type++) {
		make(&m, type, sizeof(plain));
		check_whole(&m);
		check_refused(&m, sizeof(plain) - 1, -EFBIG);
	}
	/* bytes behind the stream belong to nobody */
	for (uint32_t type = 0; type <= 1; type++) {
		make(&m, type, sizeof(plain));
		memset(made_section(&m) + m.size, 0x5a, 16);
		m.size += 16;
		check_whole(&m);
	}
}

static void test_sizes(void **state _unused_)
{
	struct made m;

	for (uint32_t type = 0; type <= 2; type++) {
		make(&m, type, sizeof(plain) + 1);
		check_refused(&m, 1 << 20, -EBADMSG);
		make(&m, type, sizeof(plain) - 1);
		check_refused(&m, 1 << 20, -EBADMSG);
		make(&m, type, 0);
		check_refused(&m, 1 << 20, -EBADMSG);
	}
	for (uint32_t type = 0; type <= 1; type++) {
		make(&m, type, UINT64_MAX);
		check_refused(&m, SIZE_MAX, -EFBIG);
		make(&m, type, 1100ULL * (m.size + 1));
		check_refused(&m, SIZE_MAX, -EFBIG);
	}
}

static void test_broken(void **state _unused_)
{
	struct made m;

	for (uint32_t type = 0; type <= 2; type++) {
		make(&m, type, sizeof(plain));
		m.size /= 2;
		check_refused(&m, 1 << 20, -EBADMSG);
		make(&m, type, sizeof(plain));
		m.size = type == 0 ? 11 : sizeof(Elf64_Chdr) - 1;
		check_refused(&m, 1 << 20, -EBADMSG);
		make(&m, type, sizeof(plain));
		memset(made_section(&m) + sizeof(Elf64_Chdr), 0xff, 16);
		check_refused(&m, 1 << 20, -EBADMSG);
	}
	/* the checksum at the end of a zlib stream */
	for (uint32_t type = 0; type <= 1; type++) {
		make(&m, type, sizeof(plain));
		made_section(&m)[m.size - 1] ^= 1;
		check_refused(&m, 1 << 20, -EBADMSG);
	}
	make(&m, 1, sizeof(plain));
	made_section(&m)[0] = 3;
	check_refused(&m, 1 << 20, -EOPNOTSUPP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_broken),
	};

	/* neither all alike nor without any likeness */
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 2654435761U >> 24 & 15);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
