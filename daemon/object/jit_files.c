/* SPDX-License-Identifier: Apache-2.0 */
#include "jit_files.h"

#include "cleanup.h"

int jit_files_new(struct jit_files **ret, uint32_t pid, uint32_t ns_pid, uint64_t start_ns)
{
	struct jit_files *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	*f = (struct jit_files){
		.refs = 1,
		.pid = pid,
		.ns_pid = ns_pid,
		.start_ns = start_ns,
		.root_fd = -1,
		.map_fd = -ENOENT,
	};
	*ret = f;
	return 0;
}

void jit_files_set_parent(struct jit_files *f, struct jit_files *parent)
{
	while (parent && parent->n_ancestors >= JIT_FILES_MAX_ANCESTORS)
		parent = parent->parent;
	if (!parent || f->parent)
		return;
	f->parent = jit_files_ref(parent);
	f->n_ancestors = parent->n_ancestors + 1;
}

struct jit_files *jit_files_ref(struct jit_files *f)
{
	if (f)
		f->refs++;
	return f;
}

struct jit_files *jit_files_unref(struct jit_files *f)
{
	if (!f || --f->refs > 0)
		return NULL;

	safe_close(f->root_fd);
	safe_close(f->map_fd);
	object_unref(f->dump);
	jit_files_unref(f->parent);
	free(f);
	return NULL;
}
