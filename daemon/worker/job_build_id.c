/* SPDX-License-Identifier: Apache-2.0 */
/* JOB_BUILD_ID: whether a file is what it was fetched as. */

#include "elf_file.h"
#include "task.h"

int job_build_id(struct task *t)
{
	_cleanup_(elf_file_freep) struct elf_file *f = NULL;
	uint8_t id[64];
	int r;

	if (t->n_fds != 1)
		return -EINVAL;
	r = elf_file_new(&f, t->fds[0]);
	if (r < 0)
		return r;
	r = elf_file_build_id(f, id, sizeof(id));
	if (r < 0)
		return r;
	return buf_append(&t->answer, id, (size_t)r);
}
