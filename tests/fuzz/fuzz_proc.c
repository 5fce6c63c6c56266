/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of /proc: maps, stat, cgroup, and names made of cgroup paths. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "maps.h"
#include "stat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool trusted(void *arg, const char *path, size_t size)
{
	(void)arg;
	return size > 0 && path[0] == '/';
}

static int entry(void *arg, const struct maps_entry *e)
{
	(void)arg;
	if (e->start >= e->limit || memchr(e->path, '\n', e->path_bytes))
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct cgroup_paths paths;
	struct cgroup_names names;
	struct proc_stat st;

	if (!text)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	maps_each(text, size, entry, NULL, NULL);
	if (stat_parse(text, size, &st) == 0 && strlen(st.comm) >= sizeof(st.comm))
		abort();
	cgroup_parse(text, size, &paths);
	if (paths.v2_bytes > size || paths.systemd_bytes > size)
		abort();
	cgroup_names(text, trusted, NULL, &names);
	if (strchr(names.unit, '/') || strchr(names.container, '/'))
		abort();
	free(text);
	return 0;
}
