/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_debug.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "cleanup.h"
#include "kernel_notes.h"
#include "module_file.h"

#define LOOK_AGAIN_NS (300 * NSEC_PER_SEC) /* a package may have been installed */
#define N_CANDIDATES  5

struct kernel_image {
	char module[sizeof(((struct kallsyms_place *)0)->module)]; /* "" vmlinux */
	char build_id[KERNEL_BUILD_ID_HEX];                        /* "" unknown */
	char *below; /* /lib/modules/RELEASE: "kernel/fs/xfs/xfs.ko", NULL unknown */
	bool packed; /* the module there is compressed */
	struct object *file;
	unsigned next; /* candidate */
	uint64_t look_ns;
	struct kernel_image *others;
};

struct kernel_debug {
	struct object_table *table;
	struct kernel_image *images;
	char release[sizeof(((struct utsname *)0)->release)];
	char *root, *notes, *modules;
};

/* /sys's file or folder of a module: the name is the kernel's, and a path all the same. */
static bool module_path(const struct kernel_debug *k, const struct kernel_image *i,
			const char *part, char path[PATH_MAX])
{
	if (strchr(i->module, '/') || i->module[0] == '.')
		return false;
	return snprintf(path, PATH_MAX, "%s/%s/%s", k->modules, i->module, part) < PATH_MAX;
}

static void image_drop(struct kernel_image *i)
{
	i->file = object_unref(i->file);
	i->next = N_CANDIDATES;
}

/* Of a module, another may have been loaded in its place. */
static void image_read_build_id(const struct kernel_debug *k, struct kernel_image *i)
{
	char path[PATH_MAX], hex[KERNEL_BUILD_ID_HEX] = "";
	bool known = i->module[0] == '\0' ? kernel_notes_build_id(k->notes, hex)
					  : module_path(k, i, "notes/.note.gnu.build-id", path) &&
						    kernel_notes_build_id(path, hex);

	if (!known)
		hex[0] = '\0';
	if (strcmp(i->build_id, hex) == 0)
		return;
	image_drop(i);
	i->look_ns = 0;
	memcpy(i->build_id, hex, sizeof(hex));
}

static int image_new(struct kernel_debug *k, const char *module, struct kernel_image **ret)
{
	struct kernel_image *i = calloc(1, sizeof(*i));

	if (!i)
		return -ENOMEM;
	snprintf(i->module, sizeof(i->module), "%s", module);
	i->next = N_CANDIDATES;
	image_read_build_id(k, i);
	i->others = k->images;
	k->images = *ret = i;
	return 0;
}

int kernel_debug_new(struct kernel_debug **ret, const struct kernel_debug_paths *paths)
{
	struct kernel_debug *k = calloc(1, sizeof(*k));
	const char *release = paths->release;
	struct kernel_image *vmlinux;
	struct utsname uts;
	int r;

	if (!k)
		return -ENOMEM;
	if (!release && uname(&uts) == 0)
		release = uts.release;
	snprintf(k->release, sizeof(k->release), "%s", release ?: "");
	k->root = strdup(paths->root ?: "");
	k->notes = strdup(paths->notes ?: "/sys/kernel/notes");
	k->modules = strdup(paths->modules ?: "/sys/module");
	r = k->root && k->notes && k->modules
		    ? object_table_new(&k->table, KERNEL_DEBUG_MAX_MODULES)
		    : -ENOMEM;
	if (r >= 0)
		r = image_new(k, "", &vmlinux);
	if (r < 0) {
		kernel_debug_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

struct kernel_debug *kernel_debug_free(struct kernel_debug *k)
{
	if (!k)
		return NULL;

	while (k->images) {
		struct kernel_image *i = k->images;

		k->images = i->others;
		object_unref(i->file);
		free(i->below);
		free(i);
	}
	object_table_free(k->table);
	free(k->root);
	free(k->notes);
	free(k->modules);
	free(k);
	return NULL;
}

struct kernel_image *kernel_debug_image(struct kernel_debug *k, const struct kallsyms *names,
					uint64_t address, uint64_t now_ns,
					struct kallsyms_place *ret_place)
{
	struct kernel_image *i = k->images;

	if (!kallsyms_place(names, address, ret_place))
		return NULL;
	while (i && strcmp(i->module, ret_place->module) != 0)
		i = i->others;
	if (!i && image_new(k, ret_place->module, &i) < 0)
		return NULL;
	/* it may have gone, and come again */
	if (!i->build_id[0] && now_ns >= i->look_ns) {
		image_read_build_id(k, i);
		i->look_ns = i->build_id[0] ? 0 : now_ns + LOOK_AGAIN_NS;
	}
	return i->build_id[0] ? i : NULL;
}

bool kernel_image_is_module(const struct kernel_image *i)
{
	return i->module[0];
}

static int vmlinux_path(const struct kernel_debug *k, unsigned candidate, char *path, size_t size)
{
	switch (candidate) {
	case 1:
		return snprintf(path, size, "%s/usr/lib/debug/boot/vmlinux-%s", k->root,
				k->release);
	case 2:
		return snprintf(path, size, "%s/usr/lib/debug/lib/modules/%s/vmlinux", k->root,
				k->release);
	case 3:
		return snprintf(path, size, "%s/boot/vmlinux-%s", k->root, k->release);
	default:
		return -ENOENT;
	}
}

static int module_file_path(const struct kernel_debug *k, const struct kernel_image *i,
			    unsigned candidate, char *path, size_t size)
{
	if (!i->below || (candidate == 4 && i->packed))
		return -ENOENT;
	switch (candidate) {
	case 1:
		return snprintf(path, size, "%s/usr/lib/debug/lib/modules/%s/%s.debug", k->root,
				k->release, i->below);
	case 2:
		return snprintf(path, size, "%s/usr/lib/debug/lib/modules/%s/%s", k->root,
				k->release, i->below);
	case 3:
		return snprintf(path, size, "%s/usr/lib/debug/usr/lib/modules/%s/%s.debug", k->root,
				k->release, i->below);
	default:
		return snprintf(path, size, "%s/lib/modules/%s/%s", k->root, k->release, i->below);
	}
}

static int image_path(const struct kernel_debug *k, const struct kernel_image *i,
		      unsigned candidate, char *path, size_t size)
{
	int n;

	if (candidate == 0)
		n = snprintf(path, size, "%s/usr/lib/debug/.build-id/%.2s/%s.debug", k->root,
			     i->build_id, i->build_id + 2);
	else
		n = i->module[0] ? module_file_path(k, i, candidate, path, size)
				 : vmlinux_path(k, candidate, path, size);
	return n < 0 ? n : n < (int)size ? 0 : -ENAMETOOLONG;
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

static int image_open(struct kernel_debug *k, struct kernel_image *i, unsigned candidate)
{
	struct object_identity identity;
	char path[PATH_MAX];
	int fd, r;

	r = image_path(k, i, candidate, path, sizeof(path));
	if (r < 0)
		return r;
	fd = open_regular(path, &identity);
	if (fd < 0)
		return fd;
	return object_file(k->table, &identity, fd, path, 0, 0, 0, &i->file);
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

struct object *kernel_image_file(struct kernel_debug *k, struct kernel_image *i, uint64_t now_ns)
{
	bool look = now_ns >= i->look_ns;

	if (!i->build_id[0])
		return NULL;
	/* a new package replaces it */
	if (i->file && look && !object_renew(i->file))
		i->file = object_unref(i->file);
	if (!i->file && look) {
		i->next = 0;
		free(i->below);
		i->below = i->module[0]
				   ? module_file_find(k->root, k->release, i->module, &i->packed)
				   : NULL;
	}
	if (look)
		i->look_ns = now_ns + LOOK_AGAIN_NS;
	while (!i->file && i->next < N_CANDIDATES)
		image_open(k, i, i->next++);
	return i->file;
}

size_t kernel_image_sections(struct kernel_debug *k, struct kernel_image *i,
			     const struct kallsyms *names, const struct kallsyms_place *place,
			     struct symbolize_section *ret, size_t max)
{
	char path[PATH_MAX];
	size_t n = 0, to = 0;

	image_read_build_id(k, i);
	if (i->build_id[0] && module_path(k, i, "sections", path))
		n = kernel_module_sections(path, ret, max);
	for (size_t at = 0; at < n; at++) {
		ret[to] = ret[at];
		to += kallsyms_encode_in(names, place, ret[at].address, &ret[to].address);
	}
	return to;
}

bool kernel_image_matches(const struct kernel_image *i, const char *hex)
{
	return i->build_id[0] && strcmp(i->build_id, hex) == 0;
}

void kernel_image_reject(struct kernel_image *i)
{
	i->file = object_unref(i->file);
}
