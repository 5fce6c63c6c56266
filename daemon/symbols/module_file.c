/* SPDX-License-Identifier: Apache-2.0 */
#include "module_file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

#define LINE_BYTES       65536 /* of modules.dep, with all that a module needs */
#define WALK_MAX_ENTRIES 65536
#define WALK_MAX_DEPTH   12

/* A file's name up to bytes: whether it is of the module, whose own has _ for -. *ret_end: behind ".ko". */
static bool is_of(const char *name, size_t bytes, const char *module, const char **ret_end)
{
	size_t n = strlen(module);

	if (bytes < n + 3 || strncmp(name + n, ".ko", 3) != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (name[i] != module[i] && !(name[i] == '-' && module[i] == '_'))
			return false;
	*ret_end = name + n + 3;
	return bytes == n + 3 || **ret_end == '.';
}

/* "kernel/fs/fat/vfat.ko.xz: kernel/fs/fat/fat.ko.xz" */
static char *find_listed(const char *folder, const char *module, bool *ret_packed)
{
	_cleanup_free_ char *line = malloc(LINE_BYTES);
	_cleanup_fclose_ FILE *f = NULL;
	char path[PATH_MAX];

	if (!line || snprintf(path, sizeof(path), "%s/modules.dep", folder) >= (int)sizeof(path))
		return NULL;
	f = fopen(path, "re");
	while (f && fgets(line, LINE_BYTES, f)) {
		size_t bytes = strcspn(line, ":");
		const char *slash = memrchr(line, '/', bytes);
		const char *name = slash ? slash + 1 : line, *end;

		if (line[0] == '/' || !is_of(name, (size_t)(line + bytes - name), module, &end))
			continue;
		*ret_packed = end < line + bytes;
		return strndup(line, (size_t)(end - line));
	}
	return NULL;
}

struct walk {
	const char *module;
	char path[PATH_MAX];
	size_t root_bytes; /* of the path */
	unsigned left, depth;
};

static char *walk_folder(struct walk *w, size_t bytes);

static char *walk_entry(struct walk *w, size_t bytes, const struct dirent *e)
{
	size_t n = strlen(e->d_name);
	const char *end;
	char *found;

	if (e->d_name[0] == '.' || bytes + 1 + n >= sizeof(w->path))
		return NULL;
	w->path[bytes] = '/';
	memcpy(w->path + bytes + 1, e->d_name, n + 1);
	if (e->d_type == DT_REG && is_of(w->path + bytes + 1, n, w->module, &end))
		return strndup(w->path + w->root_bytes + 1,
			       (size_t)(end - w->path) - w->root_bytes - 1);
	if (e->d_type != DT_DIR || w->depth == WALK_MAX_DEPTH)
		return NULL;
	w->depth++;
	found = walk_folder(w, bytes + 1 + n);
	w->depth--;
	return found;
}

static char *walk_folder(struct walk *w, size_t bytes)
{
	DIR *d = opendir(w->path);
	char *found = NULL;
	struct dirent *e;

	while (d && !found && w->left > 0 && (e = readdir(d))) {
		w->left--;
		found = walk_entry(w, bytes, e);
		w->path[bytes] = '\0';
	}
	if (d)
		closedir(d);
	return found;
}

static char *find_in_tree(const char *root, const char *tree, const char *release,
			  const char *module)
{
	struct walk w = { .module = module, .left = WALK_MAX_ENTRIES };
	int n = snprintf(w.path, sizeof(w.path), "%s%s/%s", root, tree, release);

	if (n >= (int)sizeof(w.path))
		return NULL;
	w.root_bytes = (size_t)n;
	return walk_folder(&w, w.root_bytes);
}

char *module_file_find(const char *root, const char *release, const char *module, bool *ret_packed)
{
	char folder[PATH_MAX], *found;

	if (snprintf(folder, sizeof(folder), "%s/lib/modules/%s", root, release) >=
	    (int)sizeof(folder))
		return NULL;
	found = find_listed(folder, module, ret_packed);
	if (found)
		return found;
	*ret_packed = true;
	found = find_in_tree(root, "/usr/lib/debug/lib/modules", release, module);
	return found ?: find_in_tree(root, "/usr/lib/debug/usr/lib/modules", release, module);
}
