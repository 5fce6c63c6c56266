/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"

#include "cleanup.h"

struct process_info *process_info_ref(struct process_info *p)
{
	if (p)
		p->refs++;
	return p;
}

struct process_info *process_info_unref(struct process_info *p)
{
	if (!p || --p->refs > 0)
		return NULL;

	free(p->comm);
	free(p->cgroup);
	free(p->unit);
	free(p->container);
	object_unref(p->exe);
	free(p);
	return NULL;
}
