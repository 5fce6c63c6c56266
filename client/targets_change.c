/* SPDX-License-Identifier: Apache-2.0 */
/* Whom continuous profiling takes, changed and shown. */
#include "targets_change.h"

#include <string.h>

#include "args.h"
#include "cell.h"
#include "daemon.h"
#include "doc.h"
#include "names.h"
#include "query.h"
#include "refuse.h"

#define CHANGE_REPLY_BYTES (16U << 20)

static int change_parse(struct query *q, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "user", required_argument, NULL, QUERY_OPT_USER },
		QUERY_FILTER_OPTIONS,
		{ NULL },
	};
	int opt, r = 0;

	optind = 0;
	opterr = 0;
	while (r == 0 && (opt = getopt_long(argc, argv, ":hp:", options, NULL)) != -1) {
		if (opt == 'h') {
			verb_print_help(&verb_targets);
			return -1;
		}
		if (opt == ':' || opt == '?')
			return refuse_option(&verb_targets, opt, argv, options);
		if (opt == 'a')
			return say_usage(&verb_targets,
					 "--all is for cprofd.conf: here, `pause` and `resume` "
					 "stop and start everything");
		r = query_option(q, &verb_targets, opt, optarg);
	}
	for (; r == 0 && optind < argc; optind++)
		r = query_pid(q, &verb_targets, argv[optind]);
	if (r == 0 && q->n_filters == 0)
		return say_usage(&verb_targets,
				 "%s whom? give a pid, --comm, --unit, --cgroup, "
				 "--container or --user",
				 argv[0]);
	return r;
}

static char *change_body(const struct query *q, const char *action)
{
	_cleanup_(json_decrefp) json_t *targets = json_array(), *body = NULL;

	for (size_t i = 0; i < q->n_filters; i++)
		json_array_append_new(targets, json_pack("{s:s, s:s}", "kind", q->filters[i].key,
							 "value", q->filters[i].value));
	/* a name that is not UTF-8 makes no JSON string */
	if (json_array_size(targets) != q->n_filters)
		return NULL;
	body = json_pack("{s:s, s:O}", "action", action, "targets", targets);
	return body ? json_dumps(body, JSON_COMPACT) : NULL;
}

static void change_print_list(const char *head, const json_t *list)
{
	const json_t *j;
	size_t i;

	json_array_foreach((json_t *)list, i, j)
	{
		printf("%-8s ", head);
		cell_print(stdout, doc_text(j, "kind"), 10);
		cell_print(stdout, doc_text(j, "value"), 0);
		putchar('\n');
	}
}

static void change_print(const json_t *rules)
{
	if (json_is_true(json_object_get(rules, "all")))
		printf("%-8s all\n", "include");
	change_print_list("include", json_object_get(rules, "include"));
	change_print_list("exclude", json_object_get(rules, "exclude"));
}

/* What would else be taken for done. */
static void change_note(struct daemon *d, const struct query *q, const json_t *rules, bool add)
{
	for (size_t i = 0; i < q->n_filters; i++) {
		const char *kind = q->filters[i].key, *name = q->filters[i].value;

		if (!names_runs(d, kind, name))
			say("note: no process is of %s %s now: %s when one starts; `cprofctl "
			    "targets` shows the names of what runs",
			    kind, name, add ? "it is taken" : "it is left out");
	}
	if (add && json_is_true(json_object_get(rules, "all")))
		say("note: everything is taken, but what is excluded: no rule is needed for more");
}

int targets_change(const struct client *c, int argc, char **argv)
{
	_cleanup_(buf_done) struct buf reply = BUF_INIT(CHANGE_REPLY_BYTES);
	_cleanup_(json_decrefp) json_t *j = NULL;
	_cleanup_(daemon_freep) struct daemon *d = NULL;
	_cleanup_free_ char *body = NULL;
	struct query q = {};
	int r = change_parse(&q, argc, argv);

	if (r != 0)
		return r < 0 ? 0 : r;
	body = change_body(&q, argv[0]);
	if (!body)
		return say_error("a target's name is not valid UTF-8: choose it by --pid instead");
	if (daemon_open(&d, c, 0) < 0 ||
	    daemon_request(d, "POST", "/api/v1/targets", body, &reply) < 0)
		return EXIT_FAILURE;
	j = json_loadb(reply.data ? reply.data : "", reply.size, 0, NULL);
	change_print(j);
	change_note(d, &q, j, strcmp(argv[0], "add") == 0);
	return 0;
}

int targets_rules(const struct client *c, int argc, char **argv)
{
	_cleanup_(json_decrefp) json_t *j = NULL;
	_cleanup_(daemon_freep) struct daemon *d = NULL;
	bool json;
	int r = args_parse(&verb_targets, argc, argv, &json);

	if (r != 0)
		return r < 0 ? 0 : r;
	if (daemon_open(&d, c, 0) < 0 || daemon_get_json(d, "/api/v1/targets/rules", &j) < 0)
		return EXIT_FAILURE;
	if (json)
		return doc_print(j) < 0 ? EXIT_FAILURE : 0;
	change_print(j);
	return 0;
}
