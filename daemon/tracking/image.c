/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"

#include <string.h>

#include "cleanup.h"

struct image *image_new(uint32_t pid)
{
	struct image *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;

	i->refs = 1;
	i->pid = pid;
	return i;
}

struct image *image_ref(struct image *i)
{
	if (i)
		i->refs++;
	return i;
}

struct image *image_unref(struct image *i)
{
	if (!i || --i->refs > 0)
		return NULL;

	source_unref(i->exe);
	cgroup_unref(i->cgroup);
	process_info_unref(i->info);
	free(i);
	return NULL;
}

int image_own(struct image **image)
{
	struct image *old = *image, *own;

	if (old->refs == 1) {
		old->info = process_info_unref(old->info);
		return 0;
	}

	own = malloc(sizeof(*own));
	if (!own)
		return -ENOMEM;
	*own = *old;
	own->refs = 1;
	own->info = NULL;
	source_ref(own->exe);
	cgroup_ref(own->cgroup);

	image_unref(old);
	*image = own;
	return 0;
}

int image_set_comm(struct image **image, const char *comm, size_t size)
{
	size_t n = MIN(strnlen(comm, size), (size_t)IMAGE_COMM_BYTES - 1);
	int r;

	if (strlen((*image)->comm) == n && memcmp((*image)->comm, comm, n) == 0)
		return 0;
	r = image_own(image);
	if (r < 0)
		return r;

	memcpy((*image)->comm, comm, n);
	(*image)->comm[n] = '\0';
	return 0;
}

int image_set_exe(struct image **image, struct source *exe)
{
	int r;

	if ((*image)->exe == exe)
		return 0;
	r = image_own(image);
	if (r < 0)
		return r;

	source_ref(exe);
	source_unref((*image)->exe);
	(*image)->exe = exe;
	return 0;
}

int image_set_cgroup(struct image **image, struct cgroup *cgroup)
{
	int r;

	if ((*image)->cgroup == cgroup)
		return 0;
	r = image_own(image);
	if (r < 0)
		return r;

	cgroup_ref(cgroup);
	cgroup_unref((*image)->cgroup);
	(*image)->cgroup = cgroup;
	return 0;
}

int image_set_ids(struct image **image, uint32_t ns_pid, uint64_t start_ns)
{
	int r;

	if ((*image)->ns_pid == ns_pid && (*image)->start_ns == start_ns)
		return 0;
	r = image_own(image);
	if (r < 0)
		return r;

	(*image)->ns_pid = ns_pid;
	(*image)->start_ns = start_ns;
	return 0;
}

static struct process_info *info_new(const struct image *i, struct object *exe)
{
	struct process_info *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;

	*p = (struct process_info){
		.refs = 1,
		.pid = i->pid,
		.ns_pid = i->ns_pid,
		.start_ns = i->start_ns,
		.comm = strdup(i->comm),
		.cgroup = strdup(i->cgroup ? i->cgroup->path : ""),
		.unit = strdup(i->cgroup ? i->cgroup->unit : ""),
		.container = strdup(i->cgroup ? i->cgroup->container : ""),
		.exe = object_ref(exe),
	};
	if (!p->comm || !p->cgroup || !p->unit || !p->container)
		return process_info_unref(p);
	return p;
}

struct process_info *image_info(struct image *i)
{
	struct object *exe = i->exe ? source_object(i->exe) : NULL;

	if (i->info && i->info->exe != exe)
		i->info = process_info_unref(i->info);
	if (!i->info)
		i->info = info_new(i, exe);
	return i->info;
}
