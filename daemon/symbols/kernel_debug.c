/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_debug.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "cleanup.h"
#include "kallsyms.h"

#define NOTES_BYTES    4096
#define BUILD_ID_BYTES 64
#define LOOK_AGAIN_NS  (300 * NSEC_PER_SEC) /* a package may have been installed */
#define N_CANDIDATES   4

struct kernel_debug {
	struct object_table *table;
	struct object *file;
	char build_id[2 * BUILD_ID_BYTES + 1]; /* hex, "" unknown */
	char release[sizeof(((struct utsname *)0)->release)];
	char *root;
	unsigned next; /* candidate */
	uint64_t look_ns;
};

static size_t note_padded(uint32_t bytes)
{
	return ((size_t)bytes + 3) & ~(size_t)3;
}

/* Of the notes of a kernel, which are the kernel's own bytes. */
static void kernel_debug_parse_notes(struct kernel_debug *k, const char *data, size_t size)
{
	while (size >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		const char *name = data + sizeof(note), *id;
		size_t bytes;

		memcpy(&note, data, sizeof(note));
		bytes = sizeof(note) + note_padded(note.n_namesz) + note_padded(note.n_descsz);
		if (bytes > size)
			return;

		id = name + note_padded(note.n_namesz);
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(name, "GNU", 4) == 0 && note.n_descsz >= 2 &&
		    note.n_descsz <= BUILD_ID_BYTES) {
			for (size_t i = 0; i < note.n_descsz; i++)
				snprintf(k->build_id + 2 * i, 3, "%02x", (unsigned char)id[i]);
			return;
		}
		data += bytes;
		size -= bytes;
	}
}

static void kernel_debug_read_notes(struct kernel_debug *k, const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path ? path : "/sys/kernel/notes", "re");
	char data[NOTES_BYTES];

	if (f)
		kernel_debug_parse_notes(k, data, fread(data, 1, sizeof(data), f));
}

int kernel_debug_new(struct kernel_debug **ret, const char *notes_path, const char *root,
		     const char *release)
{
	struct kernel_debug *k = calloc(1, sizeof(*k));
	struct utsname uts;
	int r;

	if (!k)
		return -ENOMEM;
	if (!release && uname(&uts) == 0)
		release = uts.release;
	snprintf(k->release, sizeof(k->release), "%s", release ?: "");
	k->next = N_CANDIDATES;
	k->root = strdup(root ?: "");
	r = k->root ? object_table_new(&k->table, 1 + N_CANDIDATES) : -ENOMEM;
	if (r < 0) {
		kernel_debug_free(k);
		return r;
	}

	kernel_debug_read_notes(k, notes_path);
	*ret = k;
	return 0;
}

struct kernel_debug *kernel_debug_free(struct kernel_debug *k)
{
	if (!k)
		return NULL;

	object_unref(k->file);
	object_table_free(k->table);
	free(k->root);
	free(k);
	return NULL;
}

bool kernel_debug_possible(const struct kernel_debug *k)
{
	return k->build_id[0];
}

bool kernel_debug_is_text(uint64_t address)
{
	return address >= KALLSYMS_TEXT && address < KALLSYMS_REGIONS;
}

static int kernel_debug_path(const struct kernel_debug *k, unsigned candidate, char *path,
			     size_t size)
{
	int n = 0;

	switch (candidate) {
	case 0:
		n = snprintf(path, size, "%s/usr/lib/debug/.build-id/%.2s/%s.debug", k->root,
			     k->build_id, k->build_id + 2);
		break;
	case 1:
		n = snprintf(path, size, "%s/usr/lib/debug/boot/vmlinux-%s", k->root, k->release);
		break;
	case 2:
		n = snprintf(path, size, "%s/usr/lib/debug/lib/modules/%s/vmlinux", k->root,
			     k->release);
		break;
	default:
		n = snprintf(path, size, "%s/boot/vmlinux-%s", k->root, k->release);
		break;
	}
	return n < (int)size ? 0 : -ENAMETOOLONG;
}

static int open_regular(const char *path, struct object_identity *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = object_identify(fd, ret);
	return r < 0 ? r : TAKE_FD(fd);
}

static int kernel_debug_open(struct kernel_debug *k, unsigned candidate)
{
	struct object_identity identity;
	char path[PATH_MAX];
	int fd, r;

	r = kernel_debug_path(k, candidate, path, sizeof(path));
	if (r < 0)
		return r;
	fd = open_regular(path, &identity);
	if (fd < 0)
		return fd;
	return object_file(k->table, &identity, fd, path, 0, 0, 0, &k->file);
}

int kernel_debug_open_path(const struct kernel_debug *k, const char *path)
{
	bool beneath = strncmp(path, k->root, strlen(k->root)) == 0;
	struct object_identity identity;
	char full[PATH_MAX];

	if (snprintf(full, sizeof(full), "%s%s", beneath ? "" : k->root, path) >= (int)sizeof(full))
		return -ENAMETOOLONG;
	return open_regular(full, &identity);
}

struct object *kernel_debug_file(struct kernel_debug *k, uint64_t now_ns)
{
	if (!kernel_debug_possible(k))
		return NULL;
	/* a new package replaces it */
	if (k->file && now_ns >= k->look_ns && !object_renew(k->file))
		k->file = object_unref(k->file);
	if (!k->file && now_ns >= k->look_ns)
		k->next = 0;
	if (now_ns >= k->look_ns)
		k->look_ns = now_ns + LOOK_AGAIN_NS;
	while (!k->file && k->next < N_CANDIDATES)
		kernel_debug_open(k, k->next++);
	return k->file;
}

bool kernel_debug_matches(const struct kernel_debug *k, const char *hex)
{
	return kernel_debug_possible(k) && strcmp(k->build_id, hex) == 0;
}

void kernel_debug_reject(struct kernel_debug *k)
{
	k->file = object_unref(k->file);
}
