/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Cgroup hierarchies that name processes: v2, and v1 name=systemd, as this mount namespace shows
 * them. Folders of the host's kernel, with names that anybody may have chosen.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hierarchies {
	char *v2;      /* mount point, or NULL */
	char *systemd; /* of v1 name=systemd, or NULL */
};

/* From /proc/self/mountinfo; a hierarchy that is not mounted is NULL. */
int hierarchies_find(struct hierarchies *ret);
void hierarchies_done(struct hierarchies *h);

/* Calls fn for the folder at mount + path and all below it, parents first; path is "" or "/a/b". A
 * positive return leaves out what lies below; a negative one ends the walk and is returned. */
int hierarchy_walk(const char *mount, const char *path, int (*fn)(void *arg, const char *path),
		   void *arg);

/* Calls fn for each process in this folder (not below). */
int hierarchy_processes(const char *mount, const char *path, void (*fn)(void *arg, uint32_t pid),
			void *arg);

/* For cgroup_names(): whether the folder belongs to root. arg is the mount point. */
bool hierarchy_trusted(void *arg, const char *path, size_t size);
