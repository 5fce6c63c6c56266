/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "args.h"
#include "cprof/api.h"
#include "daemon.h"
#include "doc.h"
#include "text.h"

static void print_field(const char *name, const json_t *value)
{
	_cleanup_free_ char *text = json_is_string(value) ? text_printable(json_string_value(value))
							  : NULL;

	printf("%-9s %s\n", name, text ? text : "unknown");
}

static int version_print_json(const json_t *daemon)
{
	_cleanup_(json_decrefp) json_t *j = json_pack(
		"{s:s, s:O?, s:O?}", "cprofctl", CPROF_VERSION, "cprofd",
		json_object_get(daemon, "version"), "kernel", json_object_get(daemon, "kernel"));

	return doc_print(j) < 0 ? EXIT_FAILURE : 0;
}

static int version_run(const struct client *c, int argc, char **argv)
{
	_cleanup_(daemon_freep) struct daemon *d = NULL;
	_cleanup_(json_decrefp) json_t *j = NULL;
	bool json;
	int r;

	r = args_parse(&verb_version, argc, argv, &json);
	if (r != 0)
		return r < 0 ? 0 : r;

	if (!json) {
		printf("cprofctl  %s\n", CPROF_VERSION);
		fflush(stdout);
	}
	r = daemon_open(&d, c, c->socket_chosen ? 0 : DAEMON_QUIET);
	if (r == -ENOENT && !c->socket_chosen) {
		if (json)
			return version_print_json(NULL);
		printf("cprofd    not running (%s)\n", c->socket);
		return 0;
	}
	if (r < 0 || daemon_get_json(d, "/api/v1/version", &j) < 0)
		return EXIT_FAILURE;
	if (json)
		return version_print_json(j);

	print_field("cprofd", json_object_get(j, "version"));
	print_field("kernel", json_object_get(j, "kernel"));
	return 0;
}

const struct verb verb_version = {
	.name = "version",
	.run = version_run,
	.usage = "[--json]",
	.summary = "versions of the client, the daemon and the kernel",
	.help = "Prints the version of cprofctl and, where one runs, of the daemon and its "
		"kernel.\n\n"
		"  --json    the same as one JSON document; cprofd is null where none runs\n",
};
