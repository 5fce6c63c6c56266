/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "cleanup.h"

/* What one job may feed the event loop before the others have their turn. */
#define JOB_READ_BYTES (1U << 20)

DEFINE_CLEANUP(struct job *, job_free);

static int job_copy_input(struct job *job, const struct job_spec *spec)
{
	if (spec->input_bytes == 0)
		return 0;

	if (!job->sensitive) {
		job->input = malloc(spec->input_bytes);
		if (!job->input)
			return -ENOMEM;
	} else {
		void *p = mmap(NULL, spec->input_bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return -ENOMEM;
		madvise(p, spec->input_bytes, MADV_DONTDUMP);
		job->input = p;
	}

	memcpy(job->input, spec->input, spec->input_bytes);
	job->input_bytes = spec->input_bytes;
	return 0;
}

static int job_copy_fds(struct job *job, const struct job_spec *spec)
{
	for (size_t i = 0; i < spec->n_fds; i++) {
		int fd = fcntl(spec->fds[i], F_DUPFD_CLOEXEC, 4);

		if (fd < 0)
			return -errno;
		job->fds[job->n_fds++] = fd;
	}
	return 0;
}

int job_new(struct job **ret, const struct job_spec *spec)
{
	_cleanup_(job_freep) struct job *job = NULL;
	int r;

	if (spec->n_fds > JOB_MAX_FDS || !spec->done)
		return -EINVAL;
	if (spec->input_bytes > JOB_MAX_INPUT_BYTES)
		return -E2BIG;

	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->kind = spec->kind;
	job->done = spec->done;
	job->open = spec->open;
	job->arg = spec->arg;
	job->sensitive = spec->sensitive;
	job->sock = job->opened_fd = -1;
	reader_init(&job->reader, spec->max_answer_bytes);

	r = job_copy_fds(job, spec);
	if (r < 0)
		return r;

	r = job_copy_input(job, spec);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(job);
	return 0;
}

void job_drop_input(struct job *job)
{
	for (size_t i = 0; i < job->n_fds; i++)
		safe_close(job->fds[i]);
	job->n_fds = 0;

	if (job->input && job->sensitive) {
		explicit_bzero(job->input, job->input_bytes);
		munmap(job->input, job->input_bytes);
	} else {
		free(job->input);
	}
	job->input = NULL;
}

struct job *job_free(struct job *job)
{
	if (!job)
		return NULL;

	job_disconnect(job);
	job->timer = sd_event_source_disable_unref(job->timer);
	job_drop_input(job);
	reader_done(&job->reader);
	free(job);
	return NULL;
}

void job_disconnect(struct job *job)
{
	job->io = sd_event_source_disable_unref(job->io);
	job->sock = safe_close(job->sock);
	job->opened_fd = safe_close(job->opened_fd);
	job->opened_due = false;
}

static void job_fail(struct job *job, int error)
{
	if (!job->error)
		job->error = error;
	pool_job_kill(job);
	job_disconnect(job);
}

/* Events to wait for: while a request is out, the job has nothing to say. */
static void job_update_events(struct job *job)
{
	uint32_t events = 0;

	if (!job->io)
		return;
	if (!job->reader.opening)
		events |= EPOLLIN;
	if (job->sent < sizeof(struct job_message) + job->input_bytes || job->opened_due)
		events |= EPOLLOUT;
	sd_event_source_set_io_events(job->io, events);
}

static ssize_t job_send(struct job *job, struct iovec *iov, size_t n_iov, const int *fds,
			size_t n_fds)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * JOB_MAX_FDS)];
	} control = {};
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = n_iov };

	if (n_fds > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n_fds);
	}
	return sendmsg(job->sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* True while there is room for more. */
static bool job_send_input(struct job *job)
{
	struct job_message message = {
		.kind = JOB_MSG_INPUT,
		.value = job->sensitive ? JOB_INPUT_SENSITIVE : 0,
		.size_bytes = job->input_bytes,
	};
	size_t head = MIN(job->sent, sizeof(message)), body = job->sent - head;
	struct iovec iov[] = {
		{ (char *)&message + head, sizeof(message) - head },
		{ (char *)job->input + body, job->input_bytes - body },
	};
	ssize_t n;

	n = job_send(job, iov, ARRAY_SIZE(iov), job->fds, job->sent == 0 ? job->n_fds : 0);
	if (n < 0) {
		/* a job that is gone is seen by its exit, with the reason */
		if (errno != EAGAIN && errno != EINTR)
			job_disconnect(job);
		return false;
	}

	job->sent += (size_t)n;
	return true;
}

static void job_send_opened(struct job *job)
{
	struct job_message message = { .kind = JOB_MSG_OPENED, .value = job->opened_value };
	struct iovec iov = { &message, sizeof(message) };
	ssize_t n = job_send(job, &iov, 1, &job->opened_fd, job->opened_fd >= 0 ? 1 : 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;

	job->opened_due = false;
	job->opened_fd = safe_close(job->opened_fd);
	if (n == sizeof(message))
		reader_opened(&job->reader);
	else
		job_disconnect(job);
}

void job_flush(struct job *job)
{
	size_t total = sizeof(struct job_message) + job->input_bytes;

	while (job->sock >= 0 && job->sent < total && job_send_input(job))
		;
	if (job->sent == total)
		job_drop_input(job);
	if (job->sock >= 0 && job->opened_due)
		job_send_opened(job);
	job_update_events(job);
}

/* A request or an answer is complete. True when the job may go on reading. */
static bool job_event(struct job *job, int event, bool dead)
{
	const struct job_open *request;
	const char *id;

	if (event == READER_ANSWER) {
		job->answered = true;
		job_disconnect(job);
		return false;
	}
	if (dead)
		return false;
	if (job->sent < sizeof(struct job_message) + job->input_bytes) {
		job_fail(job, -EPROTO);
		return false;
	}

	job_update_events(job);
	if (!job->open) {
		pool_opened(job, -ENOENT);
		return true;
	}

	/* may cancel, and so free, the job */
	request = reader_open(&job->reader, &id);
	job->open(job->arg, job, request, id);
	return false;
}

static void job_read(struct job *job, size_t max_bytes, bool dead)
{
	while (job->sock >= 0 && max_bytes > 0) {
		size_t space;
		void *p = reader_space(&job->reader, &space);
		ssize_t n;
		int event;

		if (!p) {
			job_fail(job, -ENOMEM);
			return;
		}
		if (space == 0)
			return;

		n = recv(job->sock, p, MIN(space, max_bytes), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			/* gone without an answer; or it only closed its end and goes on */
			pool_job_kill(job);
			job_disconnect(job);
			return;
		}

		max_bytes -= (size_t)n;
		event = reader_take(&job->reader, (size_t)n);
		if (event < 0) {
			job_fail(job, event);
			return;
		}
		if (event != READER_MORE && !job_event(job, event, dead))
			return;
	}
}

void job_drain(struct job *job)
{
	job_read(job, SIZE_MAX, true);
	job_disconnect(job);
}

static int job_on_io(sd_event_source *s _unused_, int fd _unused_, uint32_t revents, void *arg)
{
	struct job *job = arg;

	if (revents & EPOLLOUT)
		job_flush(job);
	if (job->sock >= 0 && job->reader.opening && (revents & (EPOLLHUP | EPOLLERR))) {
		/* it does not wait for the file any more */
		pool_job_kill(job);
		job_disconnect(job);
		return 0;
	}
	if (revents & ~EPOLLOUT)
		job_read(job, JOB_READ_BYTES, false);
	return 0;
}

int job_connect(struct job *job, sd_event *event, int *ret_fd)
{
	_cleanup_close_ int theirs = -1;
	int sv[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	job->sock = sv[0];
	theirs = sv[1];

	r = sd_event_add_io(event, &job->io, job->sock, EPOLLIN | EPOLLOUT, job_on_io, job);
	if (r < 0) {
		job_disconnect(job);
		return r;
	}

	*ret_fd = TAKE_FD(theirs);
	return 0;
}

void pool_opened(struct job *job, int fd_or_error)
{
	if (job->sock < 0 || !job->reader.opening || job->opened_due)
		return;

	job->opened_value = 0;
	if (fd_or_error >= 0) {
		job->opened_fd = fcntl(fd_or_error, F_DUPFD_CLOEXEC, 4);
		if (job->opened_fd < 0)
			job->opened_value = -errno;
	} else {
		job->opened_value = fd_or_error;
	}
	job->opened_due = true;
	job_flush(job);
}
