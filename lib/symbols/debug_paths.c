/* SPDX-License-Identifier: Apache-2.0 */
#include "debug_paths.h"

#include <stdbool.h>
#include <string.h>

#include "buf.h"

#define DEBUG_FOLDER "/usr/lib/debug"
#define PATH_BYTES   4096

void debug_paths_done(struct debug_paths *d)
{
	free(d->id);
	free(d->debug);
	*d = (struct debug_paths){ 0 };
}

static int debug_paths_build_id(const struct job_open *request, struct buf *path)
{
	if (request->build_id_bytes < 2 || request->build_id_bytes > sizeof(request->build_id))
		return -EINVAL;

	buf_printf(path, DEBUG_FOLDER "/.build-id/%02x/", request->build_id[0]);
	for (uint32_t i = 1; i < request->build_id_bytes; i++)
		buf_printf(path, "%02x", request->build_id[i]);
	return buf_puts(path, ".debug");
}

/* Bytes of the folder's name, without the last slash. */
static int debug_paths_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (int)MIN(slash - path, (ptrdiff_t)PATH_BYTES) : 0;
}

static int debug_paths_debuglink(const char *id, const char *object_path, unsigned candidate,
				 struct buf *path)
{
	int folder = debug_paths_folder(object_path);

	if (!*id || strchr(id, '/') || strcmp(id, ".") == 0 || strcmp(id, "..") == 0 ||
	    object_path[0] != '/')
		return -EINVAL;

	switch (candidate) {
	case 0:
		return buf_printf(path, "%.*s/%s", folder, object_path, id);
	case 1:
		return buf_printf(path, "%.*s/.debug/%s", folder, object_path, id);
	case 2:
		return buf_printf(path, DEBUG_FOLDER "%.*s/%s", folder, object_path, id);
	default:
		return -ENOENT;
	}
}

/* Where its build-id leads; then by its name, from the folder of the file that names it: the debug file
 * found last, or the object itself. */
static int debug_paths_dwz(const struct debug_paths *d, const struct job_open *request,
			   const char *id, const char *object_path, unsigned candidate,
			   struct buf *path)
{
	if (candidate == 0)
		return debug_paths_build_id(request, path);
	if (!*id)
		return -EINVAL;
	if (id[0] == '/')
		return candidate == 1 ? buf_puts(path, id) : -ENOENT;
	if (candidate == 1 && d->debug)
		return buf_printf(path, "%.*s/%s", debug_paths_folder(d->debug), d->debug, id);
	if (candidate <= 2 && object_path[0] == '/')
		return buf_printf(path, "%.*s/%s", debug_paths_folder(object_path), object_path,
				  id);
	return -ENOENT;
}

/* The path that the compiler wrote to; then, for a program that was moved, beside the program and its
 * debug file. Nothing else than a .dwo file is opened under a name that a file makes up. */
static int debug_paths_dwo(const struct debug_paths *d, const char *id, const char *object_path,
			   unsigned candidate, struct buf *path)
{
	const char *slash = strrchr(id, '/'), *name = slash ? slash + 1 : id;
	size_t length = strlen(name);

	if (length <= 4 || strcmp(name + length - 4, ".dwo") != 0 || object_path[0] != '/')
		return -EINVAL;

	switch (candidate) {
	case 0:
		if (id[0] == '/')
			return buf_puts(path, id);
		return buf_printf(path, "%.*s/%s", debug_paths_folder(object_path), object_path,
				  id);
	case 1:
		return buf_printf(path, "%.*s/%s", debug_paths_folder(object_path), object_path,
				  name);
	case 2:
		if (!d->debug)
			return -ENOENT;
		return buf_printf(path, "%.*s/%s", debug_paths_folder(d->debug), d->debug, name);
	default:
		return -ENOENT;
	}
}

/* FILE.dwp, of the program and of its debug file. */
static int debug_paths_dwp(const struct debug_paths *d, const char *object_path, unsigned candidate,
			   struct buf *path)
{
	if (object_path[0] != '/')
		return -EINVAL;
	switch (candidate) {
	case 0:
		return buf_printf(path, "%s.dwp", object_path);
	case 1:
		return buf_printf(path, DEBUG_FOLDER "%s.dwp", object_path);
	case 2:
		return d->debug ? buf_printf(path, "%s.dwp", d->debug) : -ENOENT;
	default:
		return -ENOENT;
	}
}

static int debug_paths_candidate(const struct debug_paths *d, const struct job_open *request,
				 const char *id, const char *object_path, struct buf *path)
{
	switch (request->kind) {
	case JOB_OPEN_BUILD_ID:
		return d->next == 0 ? debug_paths_build_id(request, path) : -ENOENT;
	case JOB_OPEN_DEBUGLINK:
		return debug_paths_debuglink(id, object_path, d->next, path);
	case JOB_OPEN_DWZ:
		return debug_paths_dwz(d, request, id, object_path, d->next, path);
	case JOB_OPEN_DWO:
		return debug_paths_dwo(d, id, object_path, d->next, path);
	case JOB_OPEN_DWP:
		return debug_paths_dwp(d, object_path, d->next, path);
	default:
		return -ENOENT;
	}
}

/* Another question than the last one starts from the first candidate. */
static int debug_paths_ask(struct debug_paths *d, uint32_t kind, const char *id)
{
	char *copy;

	if (d->kind == kind && d->id && strcmp(d->id, id) == 0)
		return 0;
	copy = strdup(id);
	if (!copy)
		return -ENOMEM;
	free(d->id);
	d->id = copy;
	d->kind = kind;
	d->next = 0;
	return 0;
}

int debug_paths_next(struct debug_paths *d, const struct job_open *request, const char *id,
		     const char *object_path, char **ret)
{
	_cleanup_(buf_done) struct buf path = BUF_INIT(PATH_BYTES);
	bool is_debug = request->kind == JOB_OPEN_BUILD_ID || request->kind == JOB_OPEN_DEBUGLINK;
	int r;

	if (d->requests++ >= DEBUG_PATHS_MAX_REQUESTS)
		return -ENOENT;
	/* a build-id may hold any byte, and stands in the request */
	r = debug_paths_ask(d, request->kind, request->kind == JOB_OPEN_BUILD_ID ? "" : id);
	if (r < 0)
		return r;
	r = debug_paths_candidate(d, request, id, object_path, &path);
	if (r < 0)
		return r == -ENOSPC ? -EINVAL : r;

	d->next++;
	if (is_debug) {
		free(d->debug);
		d->debug = strdup(path.data);
	}
	*ret = buf_take(&path, NULL);
	return 0;
}
