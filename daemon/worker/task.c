/* SPDX-License-Identifier: Apache-2.0 */
#include "task.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "cleanup.h"

static void task_take_fds(struct msghdr *m, int *fds, size_t max, size_t *ret_n)
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n < max)
				fds[n++] = fd;
			else
				safe_close(fd);
		}
	}
	*ret_n = n;
}

/* size bytes, and the descriptors that come with the first of them. */
static int task_read_fds(int sock, void *data, size_t size, int *fds, size_t max, size_t *ret_n)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * JOB_MAX_FDS)];
	} control;
	struct iovec iov = { data, size };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = CMSG_SPACE(sizeof(int) * max) };
	ssize_t n;

	do {
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -EPIPE;

	task_take_fds(&m, fds, max, ret_n);
	if (m.msg_flags & MSG_CTRUNC)
		return -EPROTO;
	return task_read(sock, (char *)data + n, size - (size_t)n);
}

int task_read(int sock, void *data, size_t size)
{
	char *p = data;

	while (size > 0) {
		ssize_t n = recv(sock, p, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EPIPE;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int task_read_with_fd(int sock, void *data, size_t size, int *ret_fd)
{
	size_t n_fds;
	int fd = -1;
	int r;

	r = task_read_fds(sock, data, size, &fd, 1, &n_fds);
	if (r < 0)
		return r;

	*ret_fd = fd;
	return 0;
}

int task_write(int sock, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = send(sock, p, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

static int task_read_input(struct task *t, size_t size)
{
	void *p;

	if (size == 0)
		return 0;

	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	if (t->sensitive)
		madvise(p, size, MADV_DONTDUMP);
	t->input = p;
	t->input_bytes = size;
	return task_read(t->sock, p, size);
}

int task_receive(struct task *t, int sock, uint32_t kind)
{
	struct job_message message;
	int r;

	*t = (struct task){ .sock = sock, .kind = kind, .answer = BUF_INIT(JOB_MAX_ANSWER_BYTES) };

	r = task_read_fds(sock, &message, sizeof(message), t->fds, JOB_MAX_FDS, &t->n_fds);
	if (r < 0)
		return r;
	if (message.kind != JOB_MSG_INPUT || message.size_bytes > JOB_MAX_INPUT_BYTES)
		return -EPROTO;

	t->sensitive = message.value & JOB_INPUT_SENSITIVE;
	return task_read_input(t, (size_t)message.size_bytes);
}

int task_receive_next(struct task *t)
{
	struct job_message message;
	int r;

	if (t->input)
		munmap(t->input, t->input_bytes);
	t->input = NULL;
	t->input_bytes = 0;
	r = task_read(t->sock, &message, sizeof(message));
	if (r < 0)
		return r;
	if (message.kind != JOB_MSG_INPUT || message.size_bytes > JOB_MAX_INPUT_BYTES)
		return -EPROTO;
	return task_read_input(t, (size_t)message.size_bytes);
}

int task_run(struct task *t)
{
	switch (t->kind) {
	case JOB_SYMBOLIZE:
		return job_symbolize(t);
	case JOB_SYMBOLIZE_SESSION:
		return job_symbolize_session(t);
	case JOB_TABLE:
		return job_table(t);
	case JOB_WALK:
		return job_walk(t);
	case JOB_BUILD_ID:
		return job_build_id(t);
	case JOB_JIT:
		return job_jit(t);
	case JOB_MERGE:
		return job_merge(t);
	case JOB_SELFTEST:
		return job_selftest(t);
	default:
		return -EOPNOTSUPP;
	}
}

int task_send_answer(struct task *t, int error)
{
	struct job_message message = { .kind = JOB_MSG_ANSWER, .value = error };
	int r;

	if (t->sensitive && t->input)
		explicit_bzero(t->input, t->input_bytes);

	if (error == 0)
		message.size_bytes = t->answer.size;
	r = task_write(t->sock, &message, sizeof(message));
	if (r < 0)
		return r;
	return task_write(t->sock, t->answer.data, (size_t)message.size_bytes);
}
