/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "auth.h"
#include "cleanup.h"
#include "listen.h"
#include "text.h"

static _printf_(3, 4) int fail(char **ret_error, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(ret_error, fmt, ap) < 0)
		*ret_error = NULL;
	va_end(ap);
	return r;
}

int listen_parse_address(const char *text, size_t size, struct sockaddr_storage *ret,
			 socklen_t *ret_bytes)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	char copy[64], *host = copy, *colon;
	uint64_t port;

	if (size >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, size);
	copy[size] = '\0';
	colon = strrchr(copy, ':');
	if (!colon || text_parse_u64(colon + 1, UINT16_MAX, &port) < 0)
		return -EINVAL;
	*colon = '\0';

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		*ret_bytes = sizeof(*in);
		return 0;
	}
	if (host[0] != '[' || colon[-1] != ']')
		return -EINVAL;
	colon[-1] = '\0';
	if (inet_pton(AF_INET6, host + 1, &in6->sin6_addr) != 1)
		return -EINVAL;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)port);
	*ret_bytes = sizeof(*in6);
	return 0;
}

/* Removes a socket that nobody listens on any more. */
static int remove_stale(const char *path, const struct sockaddr_un *address, char **ret_error)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0
				       : fail(ret_error, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(ret_error, -EEXIST, "%s is there and no socket: remove it", path);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(ret_error, -errno, "socket: %s", strerror(errno));
	/* EAGAIN is a listener whose backlog is full */
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno == EAGAIN || errno == EINPROGRESS)
		return fail(ret_error, -EADDRINUSE,
			    "another cprofd listens on %s: stop it, or give another --socket",
			    path);
	if (errno != ECONNREFUSED)
		return fail(ret_error, -errno, "%s: %s", path, strerror(errno));
	if (unlink(path) < 0 && errno != ENOENT)
		return fail(ret_error, -errno, "cannot replace the stale socket %s: %s", path,
			    strerror(errno));
	return 0;
}

static int make_folder(const char *path)
{
	_cleanup_free_ char *folder = strdup(path);
	char *slash;

	if (!folder)
		return -ENOMEM;
	slash = strrchr(folder, '/');
	if (!slash || slash == folder)
		return 0;
	*slash = '\0';
	if (mkdir(folder, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	/* everybody may come in, whatever the umask */
	return chmod(folder, 0755) < 0 ? -errno : 0;
}

int listen_unix(struct listener *ret, const char *path, char **ret_error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_free_ char *copy = strdup(path);
	_cleanup_close_ int fd = -1;
	struct stat st;
	mode_t mask;
	int r;

	if (!copy)
		return -ENOMEM;
	if (strlen(path) >= sizeof(address.sun_path))
		return fail(ret_error, -ENAMETOOLONG,
			    "%s: a socket's path has at most %zu bytes, give a shorter --socket",
			    path, sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	r = make_folder(path);
	if (r < 0)
		return fail(ret_error, r, "cannot make the folder of %s: %s", path, strerror(-r));
	r = remove_stale(path, &address, ret_error);
	if (r < 0)
		return r;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(ret_error, -errno, "socket: %s", strerror(errno));
	/* everybody may connect; who may see what is decided by SO_PEERCRED */
	mask = umask(0111);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return fail(ret_error, r, "cannot bind %s: %s", path, strerror(-r));
	if (lstat(path, &st) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
		r = -errno;
		unlink(path);
		return fail(ret_error, r, "cannot listen on %s: %s", path, strerror(-r));
	}

	*ret = (struct listener){ .fd = TAKE_FD(fd),
				  .local = true,
				  .path = TAKE_PTR(copy),
				  .dev = st.st_dev,
				  .ino = st.st_ino };
	return 0;
}

static int check_exposed(const struct sockaddr_storage *address, bool have_token, const char *what,
			 size_t size, char **ret_error)
{
	if (auth_is_loopback(address) || have_token)
		return 0;
	return fail(ret_error, -EPERM,
		    "%.*s is not a loopback address: set TokenFile= in [Server], or listen on "
		    "127.0.0.1",
		    (int)size, what);
}

int listen_tcp(struct listener *ret, const char *text, size_t size, bool have_token,
	       char **ret_error)
{
	struct sockaddr_storage address;
	_cleanup_close_ int fd = -1;
	socklen_t bytes;
	const int on = 1;
	int r;

	if (listen_parse_address(text, size, &address, &bytes) < 0)
		return fail(ret_error, -EINVAL,
			    "%.*s is no ADDR:PORT: give 127.0.0.1:PORT or [::1]:PORT", (int)size,
			    text);
	r = check_exposed(&address, have_token, text, size, ret_error);
	if (r < 0)
		return r;

	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* without V6ONLY an IPv4 loopback peer would read as ::ffff:127.0.0.1 */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (address.ss_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    bind(fd, (const struct sockaddr *)&address, bytes) < 0 ||
	    listen(fd, LISTEN_BACKLOG) < 0)
		return fail(ret_error, -errno, "cannot listen on %.*s: %s", (int)size, text,
			    strerror(errno));

	*ret = (struct listener){ .fd = TAKE_FD(fd) };
	return 0;
}

int listen_given(struct listener *ret, int given, bool have_token, char **ret_error)
{
	struct sockaddr_storage address = { 0 };
	socklen_t bytes = sizeof(address), size = sizeof(int);
	_cleanup_close_ int fd = given;
	int listening = 0, flags, r;

	if (getsockname(fd, (struct sockaddr *)&address, &bytes) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening)
		return fail(ret_error, -EINVAL, "the socket passed by systemd does not listen");
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return fail(ret_error, -errno, "the socket passed by systemd: %s", strerror(errno));
	if (address.ss_family != AF_UNIX) {
		static const char what[] = "the address of the socket passed by systemd";

		r = check_exposed(&address, have_token, what, strlen(what), ret_error);
		if (r < 0)
			return r;
	}

	*ret = (struct listener){ .fd = TAKE_FD(fd), .local = address.ss_family == AF_UNIX };
	return 0;
}

void listen_done(struct listener *l)
{
	struct stat st;

	sd_event_source_disable_unref(l->source);
	if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	free(l->path);
	safe_close(l->fd);
	*l = (struct listener){ .fd = -1 };
}
