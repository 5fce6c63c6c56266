/* SPDX-License-Identifier: Apache-2.0 */
/* JOB_TABLE: the unwind table of the file fds[0], written to the memfd fds[1] from its start. */

#include "cleanup.h"
#include "table.h"
#include "task.h"

static int job_write(int fd, const char *data, size_t size)
{
	size_t at = 0;

	while (at < size) {
		ssize_t n = pwrite(fd, data + at, size - at, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += (size_t)n;
	}
	return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

int job_table(struct task *t)
{
	_cleanup_(buf_done) struct buf blob = BUF_INIT(TABLE_MAX_BYTES);
	int r;

	if (t->n_fds != 2 || t->input_bytes != 0)
		return -EINVAL;

	r = table_build(t->fds[0], &blob, NULL);
	if (r < 0)
		return r;

	return job_write(t->fds[1], blob.data, blob.size);
}
