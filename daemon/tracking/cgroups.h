/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * cgroups by their v2 id, with the unit and the container that their path stands for. A path is
 * learned from the side-band when the cgroup is made, or from the cgroup filesystem by its id (a
 * file handle), so that it is known for a process that is gone already. On a host whose processes
 * all lie in the v2 root (cgroup v1), /proc/PID/cgroup is what remains.
 */

#include <stdint.h>

#define CGROUPS_MAX 8192 /* remembered; beyond it all that nobody uses are forgotten */

struct cgroups;

/* Immutable, shared. */
struct cgroup {
	unsigned refs; /* of users; the table's own does not count */
	uint64_t id;   /* 0: known by path alone */
	char *path;
	char *unit;
	char *container;
};

int cgroups_new(struct cgroups **ret);
struct cgroups *cgroups_free(struct cgroups *c); /* the users must be gone */

/* From the side-band. */
void cgroups_add(struct cgroups *c, uint64_t id, const char *path);

/* A reference, or NULL where it cannot be told. */
struct cgroup *cgroups_by_id(struct cgroups *c, uint64_t id);
struct cgroup *cgroups_by_pid(struct cgroups *c, uint32_t pid);
struct cgroup *cgroup_ref(struct cgroup *g);
struct cgroup *cgroup_unref(struct cgroup *g);
