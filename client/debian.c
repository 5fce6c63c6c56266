/* SPDX-License-Identifier: Apache-2.0 */
#include "debian.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "buf.h"

#define MAX_TEXT_BYTES (256U * 1024)

extern char **environ;

/* Packages whose debug files have another name than the rule gives. */
static const char *const special[][2] = { { "libc6", "libc6-dbg" },
					  { "libc-bin", "libc6-dbg" },
					  { "python3.11", "python3.11-dbg" },
					  { "python3.11-minimal", "python3.11-dbg" },
					  { "libpython3.11", "python3.11-dbg" } };

static int read_file(const char *path, struct buf *out)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : buf_read_fd(out, fd);
}

/* KEY=value or KEY="value" of os-release(5). */
static bool os_release(const char *text, const char *key, char *ret, size_t size)
{
	size_t n = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		if (strncmp(p, key, n) != 0 || p[n] != '=')
			continue;
		p += n + 1;
		p += *p == '"';
		snprintf(ret, size, "%.*s", (int)strcspn(p, "\"\n"), p);
		return true;
	}
	return false;
}

/* What dpkg-query says, without a shell. */
static int dpkg_search(const char *path, struct buf *out)
{
	char *argv[] = { (char *)"dpkg-query", (char *)"-S", (char *)"--", (char *)path, NULL };
	_cleanup_close_ int in = -1;
	posix_spawn_file_actions_t actions;
	int pair[2], status = 0, r;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	in = pair[0];
	r = posix_spawn_file_actions_init(&actions);
	if (r == 0) {
		posix_spawn_file_actions_adddup2(&actions, pair[1], 1);
		posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
		r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(pair[1]);
	if (r != 0)
		return -r;
	buf_read_fd(out, in);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ENOENT;
}

/* "libfoo1:amd64: /usr/lib/..." */
static bool dpkg_package(const char *path, char *ret, size_t size)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(MAX_TEXT_BYTES);
	size_t n;

	if (dpkg_search(path, &text) < 0 || !text.data)
		return false;
	n = strcspn(text.data, ":, \n");
	if (n == 0 || n >= size || strncmp(text.data, "diversion", 9) == 0)
		return false;
	snprintf(ret, size, "%.*s", (int)n, text.data);
	return true;
}

/* Also where the package has it by the other name of a merged /usr. */
static bool find_package(const char *file, char *ret, size_t size)
{
	char real[PATH_MAX], other[PATH_MAX + 8];

	if (file[0] != '/' || strpbrk(file, "*?[]\\"))
		return false;
	if (dpkg_package(file, ret, size))
		return true;
	if (realpath(file, real) && strcmp(real, file) != 0 && !strpbrk(real, "*?[]\\") &&
	    dpkg_package(real, ret, size))
		return true;
	if (strncmp(file, "/usr/", 5) == 0)
		snprintf(other, sizeof(other), "%s", file + 4);
	else
		snprintf(other, sizeof(other), "/usr%s", file);
	return dpkg_package(other, ret, size);
}

/* The first address of a Debian archive that apt is told of; found: one with debug packages is. */
static void sources_scan(const char *text, char *ret, size_t size, bool *found)
{
	static const char tail[] = "/debian";

	for (const char *p = text; (p = strstr(p, "://")); p += 3) {
		const char *begin = p;
		size_t n;

		while (begin > text && begin[-1] >= 'a' && begin[-1] <= 'z')
			begin--;
		n = (size_t)(p - begin) + strcspn(p, " \t\n]");
		if (strstr(begin, "-debug") && strstr(begin, "-debug") < begin + n + 32)
			*found = true;
		while (n > 0 && begin[n - 1] == '/')
			n--;
		if (!*ret && n > sizeof(tail) && n < size - 8 &&
		    strncmp(begin + n - (sizeof(tail) - 1), tail, sizeof(tail) - 1) == 0)
			snprintf(ret, size, "%.*s-debug", (int)n, begin);
	}
}

static void sources_read(const char *path, char *ret, size_t size, bool *found)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(MAX_TEXT_BYTES);

	if (read_file(path, &text) == 0 && text.data)
		sources_scan(text.data, ret, size, found);
}

static void find_source(const char *codename, char *ret, size_t size)
{
	char uri[DEBIAN_SOURCE_BYTES / 2] = "";
	bool found = false;
	DIR *d = opendir("/etc/apt/sources.list.d");
	struct dirent *e;

	sources_read("/etc/apt/sources.list", uri, sizeof(uri), &found);
	while (d && (e = readdir(d))) {
		char path[PATH_MAX];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/etc/apt/sources.list.d/%s", e->d_name);
		sources_read(path, uri, sizeof(uri), &found);
	}
	if (d)
		closedir(d);

	*ret = '\0';
	if (!found)
		snprintf(ret, size, "deb %s %s-debug main", *uri ? uri : "MIRROR/debian-debug",
			 codename);
}

bool debian_find(const char *file, struct debian_debug *ret)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(MAX_TEXT_BYTES);
	char id[32], codename[64], package[DEBIAN_NAME_BYTES - 8];

	if (read_file("/etc/os-release", &text) < 0 || !text.data ||
	    !os_release(text.data, "ID", id, sizeof(id)) || strcmp(id, "debian") != 0 ||
	    !os_release(text.data, "VERSION_CODENAME", codename, sizeof(codename)) ||
	    !find_package(file, package, sizeof(package)))
		return false;

	for (size_t i = 0; i < ARRAY_SIZE(special); i++)
		if (strcmp(package, special[i][0]) == 0) {
			/* in the archive itself */
			snprintf(ret->package, sizeof(ret->package), "%s", special[i][1]);
			ret->source[0] = '\0';
			return true;
		}
	snprintf(ret->package, sizeof(ret->package), "%s-dbgsym", package);
	find_source(codename, ret->source, sizeof(ret->source));
	return true;
}
