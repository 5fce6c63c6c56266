/* SPDX-License-Identifier: Apache-2.0 */
#include "vdso.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "cleanup.h"

#define VDSO_MAX_BYTES (64UL * 1024)

/* The image is the kernel's own: its headers are believed, within the bound. It ends where its
 * section headers do, or its last segment. */
static size_t image_bytes(const Elf64_Ehdr *e)
{
	const Elf64_Phdr *ph = (const Elf64_Phdr *)((const char *)e + e->e_phoff);
	size_t bytes = e->e_shoff + (size_t)e->e_shnum * e->e_shentsize;

	for (unsigned i = 0; i < e->e_phnum; i++)
		bytes = MAX(bytes, (size_t)(ph[i].p_offset + ph[i].p_filesz));
	return MIN(bytes, VDSO_MAX_BYTES);
}

static int image_fd(void)
{
	const Elf64_Ehdr *e = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
	_cleanup_close_ int fd = -1;
	size_t bytes;

	if (!e || memcmp(e->e_ident, ELFMAG, SELFMAG) != 0)
		return -ENOENT;
	bytes = image_bytes(e);

	fd = memfd_create("vdso", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (write(fd, e, bytes) != (ssize_t)bytes)
		return -EIO;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int vdso_object(struct object_table *t, struct object **ret)
{
	struct object *o;
	int r;

	r = object_special(t, OBJECT_VDSO, "[vdso]", &o);
	if (r < 0)
		return r;

	if (o->fd < 0) {
		o->fd = image_fd();
		if (o->fd >= 0)
			object_identify(o->fd, &o->identity);
	}
	*ret = o;
	return 0;
}
