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

static bool names_comm_is(const char *comm, const char *wanted)
{
	_cleanup_free_ char *cut = strndup(wanted, NAMES_COMM_BYTES),
			    *name = cut ? text_printable(cut) : NULL;

	return !name || strcmp(comm, name) == 0;
}

/* "nginx" is "nginx.service". A slice is in no list. */
static bool names_unit_is(const char *unit, const char *wanted)
{
	size_t n = strlen(wanted);

	if (text_ends_with(wanted, ".slice") || strcmp(unit, wanted) == 0)
		return true;
	return !strchr(wanted, '.') && strncmp(unit, wanted, n) == 0 &&
	       strcmp(unit + n, ".service") == 0;
}

static bool names_container_is(const char *container, const char *wanted)
{
	return strncmp(container, wanted, strlen(wanted)) == 0;
}

/* How the daemon's list names what runs, which may be more than a client in a container sees. */
static const struct {
	const char *kind;
	bool (*is)(const char *listed, const char *wanted);
} names_kinds[] = {
	{ "comm", names_comm_is },
	{ "unit", names_unit_is },
	{ "container", names_container_is },
};

static bool names_in_list(struct daemon *d, size_t kind, const char *wanted)
{
	_cleanup_(buf_done) struct buf reply = BUF_INIT(NAMES_MAX_BYTES);
	_cleanup_(json_decrefp) json_t *list = NULL;
	json_t *j;
	size_t i;

	if (http_request(daemon_http(d), "GET", "/api/v1/targets", NULL, &reply) < 0)
		return true;
	list = json_loadb(reply.data ? reply.data : "", reply.size, 0, NULL);
	if (!json_is_array(list))
		return true;
	json_array_foreach(list, i, j)
	{
		if (names_kinds[kind].is(doc_text(j, names_kinds[kind].kind), wanted))
			return true;
	}
	return false;
}

bool names_runs(struct daemon *d, const char *kind, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(names_kinds); i++)
		if (strcmp(names_kinds[i].kind, kind) == 0)
			return (names_kinds[i].is == names_comm_is && names_in_proc(value)) ||
			       names_in_list(d, i, value);
	return true;
}

void names_note_missing(struct daemon *d, const struct capture_options *o)
{
	for (size_t i = 0; i < o->n_targets; i++) {
		const char *name = o->targets[i].value;

		/* of the others that are not there the daemon has said so */
		if (strcmp(o->targets[i].kind, "comm") == 0 && !names_runs(d, "comm", name))
			say("note: no process is called %s now: waiting for one; `cprofctl "
			    "targets` shows the names of what runs",
			    name);
	}
}
