/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "doc.h"
#include "text.h"

#define NAMES_COMM_BYTES 15 /* that the kernel keeps */
#define NAMES_MAX_BYTES  (64U << 20)
#define NAMES_PATH_BYTES 300

static bool names_is(const char *pid, const char *wanted)
{
	char path[NAMES_PATH_BYTES], comm[NAMES_COMM_BYTES + 2] = "";
	_cleanup_fclose_ FILE *f = NULL;

	if (*pid < '1' || *pid > '9')
		return false;
	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	f = fopen(path, "re");
	if (!f || !fgets(comm, sizeof(comm), f))
		return false;
	comm[strcspn(comm, "\n")] = '\0';
	/* /proc writes behind a kworker's name what it works for */
	if (strncmp(wanted, "kworker/", 8) == 0)
		return strncmp(comm, "kworker/", 8) == 0;
	return strncmp(comm, wanted, NAMES_COMM_BYTES) == 0;
}

/* Also kernel threads, and those of other users, which the daemon's list leaves out. */
static bool names_in_proc(const char *wanted)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		found = names_is(entry->d_name, wanted);
	if (dir)
		closedir(dir);
	return found;
}

/* The daemon may see more processes than a client in a container. True also where it cannot be told. */
static bool names_in_list(struct daemon *d, const char *wanted)
{
	_cleanup_(buf_done) struct buf reply = BUF_INIT(NAMES_MAX_BYTES);
	_cleanup_(json_decrefp) json_t *list = NULL;
	_cleanup_free_ char *cut = strndup(wanted, NAMES_COMM_BYTES), *name = NULL;
	json_t *j;
	size_t i;

	name = cut ? text_printable(cut) : NULL;
	if (!name || http_request(daemon_http(d), "GET", "/api/v1/targets", NULL, &reply) < 0)
		return true;
	list = json_loadb(reply.data ? reply.data : "", reply.size, 0, NULL);
	if (!json_is_array(list))
		return true;
	json_array_foreach(list, i, j) if (strcmp(doc_text(j, "comm"), name) == 0) return true;
	return false;
}

void names_note_missing(struct daemon *d, const struct capture_options *o)
{
	for (size_t i = 0; i < o->n_targets; i++) {
		const char *name = o->targets[i].value;

		if (strcmp(o->targets[i].kind, "comm") != 0 || names_in_proc(name) ||
		    names_in_list(d, name))
			continue;
		say("note: no process is called %s now: waiting for one; `cprofctl targets` shows "
		    "the names of what runs",
		    name);
	}
}
