/* SPDX-License-Identifier: Apache-2.0 */
#include "dial.h"

#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cprof/api.h"

static bool dial_trusts(uid_t uid)
{
	const struct passwd *pw;

	if (geteuid() != 0 || uid == 0)
		return true;
	pw = getpwnam(CPROF_USER);
	return pw && pw->pw_uid == uid;
}

int dial_check(int fd, uid_t *ret_uid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	if (dial_trusts(peer.uid))
		return 0;

	*ret_uid = peer.uid;
	return -EPERM;
}

int dial(const char *path, uid_t *ret_uid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;

	return dial_check(fd, ret_uid);
}

void dial_say(const struct client *c, int error, uid_t uid)
{
	const char *cure = c->socket_chosen ? "check --socket and $" CPROF_SOCKET_ENV
			   : geteuid() == 0 ? "start it with `systemctl start cprofd`"
					    : "start it with `sudo systemctl start cprofd`, or run "
					      "this with sudo";

	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
		say_error("no daemon at %s: %s", c->socket, cure);
		break;
	case -ECONNREFUSED:
		say_error("no daemon at %s: the socket is there, but nothing listens on it; %s",
			  c->socket, cure);
		break;
	case -EPERM:
		say_error("the socket %s belongs to uid %u: root trusts only a daemon that runs as "
			  "root or %s; %s",
			  c->socket, uid, CPROF_USER, cure);
		break;
	case -EACCES:
		say_error("cannot open the socket %s: Permission denied; %s", c->socket,
			  c->socket_chosen
				  ? "check its mode and its folder's"
				  : "its folder should be 0755 and the socket 0666, as the "
				    "daemon makes them");
		break;
	case -ENAMETOOLONG:
		say_error("the socket path %s is too long: at most 107 bytes; use a shorter one, "
			  "or a "
			  "symbolic link",
			  c->socket);
		break;
	default:
		say_error("cannot connect to %s: %s; %s", c->socket, strerror(-error), cure);
		break;
	}
}
