/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who is at the other end of a socket, by what the kernel says of it and by nothing else: no NSS,
 * no names that the peer sends. Root and members of group cprofd are privileged; the overflow uid,
 * which stands for everybody whom this user namespace cannot name, is nobody and refused.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "server.h"

#define AUTH_NO_GID               UINT32_MAX
#define AUTH_MAX_GROUPS           65536 /* NGROUPS_MAX */
#define AUTH_MAX_GROUP_FILE_BYTES (4 * 1024 * 1024)

/* The gid of a group in the text of /etc/group (group(5)): -ENOENT when it has none there, -EINVAL
 * when its line is malformed. The first line of that name counts, as with NSS "files". */
int auth_group_parse(const char *text, size_t size, const char *name, uint32_t *ret_gid);
/* The same from a file. */
int auth_group_gid(const char *path, const char *name, uint32_t *ret_gid);

/* /proc/sys/kernel/overflowuid, or its default where that cannot be read. */
uint32_t auth_overflow_uid(void);

/* The decision itself. groups are the supplementary ones; gid AUTH_NO_GID is no group at all.
 * -EPERM for a peer that is nobody. */
int auth_decide(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t n_groups,
		uint32_t cprofd_gid, uint32_t overflow_uid, struct peer *ret);

/* SO_PEERCRED and SO_PEERGROUPS of a connected Unix socket: as they were at its connect(). */
int auth_peer_unix(int fd, const char *group_file, struct peer *ret);

/* The owner of the other end of a loopback TCP connection (diag.h). -ENOENT when either address is
 * not a loopback one or the owner is not known; -EPERM for nobody. */
int auth_peer_tcp(int fd, struct peer *ret);

/* IPv4 127.0.0.0/8, IPv6 ::1. */
bool auth_is_loopback(const struct sockaddr_storage *address);

/* Equal, in a time that does not tell how much of it is. */
bool auth_token_equal(const char *a, size_t a_bytes, const char *b, size_t b_bytes);
/* The first word of a file that others may not read: 16 to 4096 bytes without blanks. Errors:
 * -EPERM when others may read it, -EINVAL when its content is no token. */
int auth_token_load(const char *path, char **ret_token);
