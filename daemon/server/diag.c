/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/time.h>

#include "cleanup.h"
#include "diag.h"

struct query {
	struct nlmsghdr header;
	struct inet_diag_req_v2 request;
};

static bool id_set(struct inet_diag_sockid *id, const struct sockaddr_storage *own,
		   const struct sockaddr_storage *peer)
{
	if (own->ss_family != peer->ss_family)
		return false;

	if (own->ss_family == AF_INET) {
		const struct sockaddr_in *a = (const struct sockaddr_in *)own;
		const struct sockaddr_in *b = (const struct sockaddr_in *)peer;

		id->idiag_sport = a->sin_port;
		id->idiag_dport = b->sin_port;
		memcpy(id->idiag_src, &a->sin_addr, sizeof(a->sin_addr));
		memcpy(id->idiag_dst, &b->sin_addr, sizeof(b->sin_addr));
	} else if (own->ss_family == AF_INET6) {
		const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)own;
		const struct sockaddr_in6 *b = (const struct sockaddr_in6 *)peer;

		id->idiag_sport = a->sin6_port;
		id->idiag_dport = b->sin6_port;
		memcpy(id->idiag_src, &a->sin6_addr, sizeof(a->sin6_addr));
		memcpy(id->idiag_dst, &b->sin6_addr, sizeof(b->sin6_addr));
	} else {
		return false;
	}
	id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return true;
}

int diag_parse(const void *data, size_t size, uint32_t *ret_uid)
{
	struct inet_diag_msg message;
	struct nlmsghdr header;

	if (size < sizeof(header))
		return -EBADMSG;
	memcpy(&header, data, sizeof(header));
	if (header.nlmsg_len > size || header.nlmsg_len < sizeof(header))
		return -EBADMSG;

	if (header.nlmsg_type == NLMSG_ERROR) {
		int error;

		if (header.nlmsg_len < NLMSG_HDRLEN + sizeof(error))
			return -EBADMSG;
		memcpy(&error, (const char *)data + NLMSG_HDRLEN, sizeof(error));
		return error < 0 && error > -4096 ? error : -EBADMSG;
	}
	if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    header.nlmsg_len < NLMSG_HDRLEN + sizeof(message))
		return -EBADMSG;

	memcpy(&message, (const char *)data + NLMSG_HDRLEN, sizeof(message));
	if (message.idiag_state != TCP_ESTABLISHED || message.idiag_inode == 0)
		return -ENOENT;

	*ret_uid = message.idiag_uid;
	return 0;
}

int diag_socket_owner(const struct sockaddr_storage *own, const struct sockaddr_storage *peer,
		      uint32_t *ret_uid)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	const struct timeval timeout = { .tv_sec = 1 };
	struct query q = {
		.header = { .nlmsg_len = sizeof(q),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST },
		.request = { .sdiag_family = (uint8_t)own->ss_family,
			     .sdiag_protocol = IPPROTO_TCP,
			     .idiag_states = 1U << TCP_ESTABLISHED },
	};
	char answer[4096];
	ssize_t n;

	if (!id_set(&q.request.id, own, peer))
		return -EINVAL;
	if (fd < 0)
		return -errno;
	/* the kernel answers within sendto(); the timeout is against a kernel that does not */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;
	if (send(fd, &q, sizeof(q), 0) < 0)
		return -errno;
	n = recv(fd, answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	return diag_parse(answer, (size_t)n, ret_uid);
}
