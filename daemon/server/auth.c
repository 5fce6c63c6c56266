/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>

#include "auth.h"
#include "buf.h"
#include "cleanup.h"
#include "diag.h"
#include "text.h"

#define DEFAULT_OVERFLOW_UID 65534
#define TOKEN_MIN_BYTES      16
#define TOKEN_MAX_BYTES      4096

/* The third field of "name:password:gid:members". */
static int group_line_gid(const char *line, size_t size, uint32_t *ret_gid)
{
	const char *end = line + size, *gid, *gid_end;
	char digits[16];
	uint64_t v;
	int r;

	gid = memchr(line, ':', size);
	gid = gid ? memchr(gid + 1, ':', (size_t)(end - gid - 1)) : NULL;
	if (!gid)
		return -EINVAL;
	gid++;
	gid_end = memchr(gid, ':', (size_t)(end - gid));
	if (!gid_end || (size_t)(gid_end - gid) >= sizeof(digits))
		return -EINVAL;

	memcpy(digits, gid, (size_t)(gid_end - gid));
	digits[gid_end - gid] = '\0';
	r = text_parse_u64(digits, UINT32_MAX - 1, &v);
	if (r < 0)
		return -EINVAL;

	*ret_gid = (uint32_t)v;
	return 0;
}

int auth_group_parse(const char *text, size_t size, const char *name, uint32_t *ret_gid)
{
	size_t len = strlen(name);

	while (size) {
		const char *nl = memchr(text, '\n', size);
		size_t line = nl ? (size_t)(nl - text) : size;

		if (line > len && memcmp(text, name, len) == 0 && text[len] == ':')
			return group_line_gid(text, line, ret_gid);
		line += nl ? 1 : 0;
		text += line;
		size -= line;
	}
	return -ENOENT;
}

int auth_group_gid(const char *path, const char *name, uint32_t *ret_gid)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(AUTH_MAX_GROUP_FILE_BYTES);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;
	r = buf_read_fd(&b, fd);
	if (r < 0)
		return r;
	return b.size ? auth_group_parse(b.data, b.size, name, ret_gid) : -ENOENT;
}

uint32_t auth_overflow_uid(void)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(64);
	_cleanup_close_ int fd = open("/proc/sys/kernel/overflowuid", O_RDONLY | O_CLOEXEC);
	uint64_t v;

	if (fd < 0 || buf_read_fd(&b, fd) < 0 || b.size == 0)
		return DEFAULT_OVERFLOW_UID;
	if (b.data[b.size - 1] == '\n')
		b.data[b.size - 1] = '\0';
	return text_parse_u64(b.data, UINT32_MAX, &v) < 0 ? DEFAULT_OVERFLOW_UID : (uint32_t)v;
}

int auth_decide(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t n_groups,
		uint32_t cprofd_gid, uint32_t overflow_uid, struct peer *ret)
{
	bool member = false;

	if (uid == overflow_uid || uid == UINT32_MAX)
		return -EPERM;

	/* gids that cannot be named read as the overflow gid, whose number is the uid's by default:
	 * a group of that number would have everybody in it */
	if (cprofd_gid != AUTH_NO_GID && cprofd_gid != overflow_uid &&
	    cprofd_gid != DEFAULT_OVERFLOW_UID) {
		member = gid == cprofd_gid;
		for (size_t i = 0; i < n_groups && !member; i++)
			member = groups[i] == cprofd_gid;
	}

	*ret = (struct peer){ .uid = uid, .gid = gid, .privileged = uid == 0 || member };
	return 0;
}

/* Both calls are asked for the size first, since a process may be in 65,536 groups. */
static int peer_groups(int fd, uint32_t **ret_groups, size_t *ret_n)
{
	_cleanup_free_ uint32_t *groups = NULL;
	socklen_t size = 64 * sizeof(*groups);

	_Static_assert(sizeof(gid_t) == sizeof(uint32_t), "gid_t");
	for (unsigned tries = 0; tries < 3; tries++) {
		free(groups);
		groups = malloc(size ? size : 1);
		if (!groups)
			return -ENOMEM;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0) {
			*ret_groups = TAKE_PTR(groups);
			*ret_n = size / sizeof(uint32_t);
			return 0;
		}
		if (errno != ERANGE || size > AUTH_MAX_GROUPS * sizeof(*groups))
			return -errno;
	}
	return -ERANGE;
}

int auth_peer_unix(int fd, const char *group_file, struct peer *ret)
{
	_cleanup_free_ uint32_t *groups = NULL;
	uint32_t cprofd_gid = AUTH_NO_GID;
	socklen_t size = sizeof(struct ucred);
	size_t n_groups = 0;
	struct ucred cred;
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	/* a socketpair has no groups: its creator's uid and gid must do */
	r = peer_groups(fd, &groups, &n_groups);
	if (r < 0 && r != -ENODATA)
		return r;
	/* without the file there is no such group, and nobody is in it */
	(void)auth_group_gid(group_file, CPROF_GROUP, &cprofd_gid);

	r = auth_decide(cred.uid, cred.gid, groups, n_groups, cprofd_gid, auth_overflow_uid(), ret);
	if (r < 0)
		return r;

	ret->pid = cred.pid > 0 ? (uint32_t)cred.pid : 0;
	return 0;
}

bool auth_is_loopback(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;

		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	}
	return false;
}

int auth_peer_tcp(int fd, struct peer *ret)
{
	struct sockaddr_storage local = { 0 }, remote = { 0 };
	socklen_t local_bytes = sizeof(local), remote_bytes = sizeof(remote);
	uint32_t uid;
	int r;

	if (getsockname(fd, (struct sockaddr *)&local, &local_bytes) < 0 ||
	    getpeername(fd, (struct sockaddr *)&remote, &remote_bytes) < 0)
		return -errno;
	if (!auth_is_loopback(&local) || !auth_is_loopback(&remote))
		return -ENOENT;

	r = diag_socket_owner(&remote, &local, &uid);
	if (r < 0)
		return r;
	return auth_decide(uid, AUTH_NO_GID, NULL, 0, AUTH_NO_GID, auth_overflow_uid(), ret);
}

bool auth_token_equal(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
	unsigned char differ = 0;

	if (a_bytes != b_bytes)
		return false;
	for (size_t i = 0; i < a_bytes; i++)
		differ |= (unsigned char)a[i] ^ (unsigned char)b[i];
	return differ == 0;
}

int auth_token_load(const char *path, char **ret_token)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char text[TOKEN_MAX_BYTES + 2] = "";
	struct stat st;
	size_t size;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_mode & S_IROTH)
		return -EPERM;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;

	size = strcspn(text, " \t\r\n");
	if (size >= TOKEN_MIN_BYTES && size <= TOKEN_MAX_BYTES &&
	    strspn(text + size, " \t\r\n") == (size_t)n - size) {
		*ret_token = strndup(text, size);
		n = *ret_token ? 0 : -ENOMEM;
	} else {
		n = -EINVAL;
	}
	explicit_bzero(text, sizeof(text));
	return (int)n;
}
