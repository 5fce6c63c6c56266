/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof-fetch: what of cprofd asks debuginfod servers. It gets addresses, a build-id and an empty file
 * from the daemon (cprof/fetch.h), and has no privileges and nothing to find out. Not for people to
 * run.
 */
#include <curl/curl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "transfer.h"

#define MAX_OPEN_FILES 512

/* Also those that a change from one ordinary user to another leaves. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* argv: uid gid, 0 where they stay. */
static int drop_privileges(uid_t uid, gid_t gid)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	for (int cap = 0; cap < 64; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (uid != 0 && (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
			 setresuid(uid, uid, uid) < 0))
		return -errno;
	if (drop_capabilities() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ MAX_OPEN_FILES, MAX_OPEN_FILES });
	return 0;
}

/* One datagram; *ret_fd is -1 where no descriptor came with it. -EPIPE: the daemon is gone. */
static ssize_t receive(void *data, size_t size, int *ret_fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { data, size };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;

	do {
		n = recvmsg(FETCH_FD, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	*ret_fd = -1;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return n;
}

int main(int argc, char **argv)
{
	char urls[FETCH_MAX_URLS_BYTES + 1];
	struct fetch_request request;
	struct fetch_reply reply;
	int fd = -1, r;
	ssize_t n;

	if (argc != 3)
		return 2;
	r = drop_privileges((uid_t)strtoul(argv[1], NULL, 10), (gid_t)strtoul(argv[2], NULL, 10));
	if (r < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return EXIT_FAILURE;

	n = receive(urls, sizeof(urls) - 1, &fd);
	if (n <= 0)
		return EXIT_FAILURE;
	urls[n] = '\0';
	n = receive(&request, sizeof(request), &fd);
	if (n != sizeof(request) || fd < 0 || request.build_id_bytes > FETCH_MAX_ID_BYTES)
		return EXIT_FAILURE;

	transfer_run(urls, &request, fd, &reply);
	return send(FETCH_FD, &reply, sizeof(reply), MSG_NOSIGNAL) == sizeof(reply) ? EXIT_SUCCESS
										    : EXIT_FAILURE;
}
