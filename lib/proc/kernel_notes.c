/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_notes.h"

#include <dirent.h>
#include <elf.h>
#include <stdint.h>
#include <string.h>

#include "cleanup.h"

#define NOTES_BYTES 4096
#define PATH_BYTES  4096

static size_t note_padded(uint32_t bytes)
{
	return ((size_t)bytes + 3) & ~(size_t)3;
}

static bool notes_find(const char *data, size_t size, char hex[KERNEL_BUILD_ID_HEX])
{
	while (size >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		const char *name = data + sizeof(note), *id;
		size_t bytes;

		memcpy(&note, data, sizeof(note));
		bytes = sizeof(note) + note_padded(note.n_namesz) + note_padded(note.n_descsz);
		if (bytes > size)
			return false;

		id = name + note_padded(note.n_namesz);
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(name, "GNU", 4) == 0 && note.n_descsz >= 2 &&
		    note.n_descsz <= KERNEL_BUILD_ID_BYTES) {
			for (size_t i = 0; i < note.n_descsz; i++)
				snprintf(hex + 2 * i, 3, "%02x", (unsigned char)id[i]);
			return true;
		}
		data += bytes;
		size -= bytes;
	}
	return false;
}

bool kernel_notes_build_id(const char *path, char hex[KERNEL_BUILD_ID_HEX])
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char data[NOTES_BYTES];

	return f && notes_find(data, fread(data, 1, sizeof(data), f), hex);
}

/* "0xffffffffc0123000\n" */
static uint64_t read_address(const char *folder, const char *name)
{
	char path[PATH_BYTES], line[64];
	_cleanup_fclose_ FILE *f = NULL;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return 0;
	f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f))
		return 0;
	return strtoull(line, NULL, 16);
}

size_t kernel_module_sections(const char *folder, struct symbolize_section *ret, size_t max)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	size_t n = 0;

	while (d && n < max && (e = readdir(d))) {
		struct symbolize_section *s = &ret[n];

		if (!strstr(e->d_name, ".text") || strlen(e->d_name) >= sizeof(s->name))
			continue;
		*s = (struct symbolize_section){ .address = read_address(folder, e->d_name) };
		memcpy(s->name, e->d_name, strlen(e->d_name));
		n += s->address != 0;
	}
	if (d)
		closedir(d);
	return n;
}
