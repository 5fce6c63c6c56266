/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "args.h"
#include "cell.h"
#include "daemon.h"
#include "doc.h"
#include "targets_change.h"

struct row {
	const json_t *json;
	double cpu;
	size_t index; /* keeps the daemon's order among equals */
};

static int row_compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->cpu != y->cpu)
		return x->cpu < y->cpu ? 1 : -1;
	return x->index < y->index ? -1 : 1;
}

static void print_row(const json_t *j)
{
	const char *container = doc_text(j, "container"), *unit = doc_text(j, "unit");

	printf("%8llu %6.1f  ", doc_count(j, "pid"), doc_real(j, "cpu") * 100);
	cell_print(stdout, doc_text(j, "user"), 12);
	printf("  ");
	cell_print(stdout, doc_text(j, "comm"), 16);
	printf("  ");
	if (*container) {
		printf("container ");
		cell_print(stdout, container, 0);
	} else {
		cell_print(stdout, *unit ? unit : "-", 0);
	}
	putchar('\n');
}

static int print_targets(const json_t *list)
{
	size_t n = json_array_size(list), i;
	_cleanup_free_ struct row *rows = calloc(n + 1, sizeof(*rows));
	json_t *j;

	if (!rows)
		return say_error("out of memory");
	json_array_foreach(list, i, j)
		rows[i] = (struct row){ .json = j, .cpu = doc_real(j, "cpu"), .index = i };
	qsort(rows, n, sizeof(*rows), row_compare);

	printf("%8s %6s  %-12s  %-16s  %s\n", "PID", "CPU%", "USER", "COMMAND",
	       "UNIT OR CONTAINER");
	for (i = 0; i < n; i++)
		print_row(rows[i].json);
	return 0;
}

static int targets_run(const struct client *c, int argc, char **argv)
{
	_cleanup_(daemon_freep) struct daemon *d = NULL;
	_cleanup_(json_decrefp) json_t *j = NULL;
	bool json;
	int r;

	if (argc > 1 && (strcmp(argv[1], "add") == 0 || strcmp(argv[1], "remove") == 0))
		return targets_change(c, argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "rules") == 0)
		return targets_rules(c, argc - 1, argv + 1);

	r = args_parse(&verb_targets, argc, argv, &json);
	if (r != 0)
		return r < 0 ? 0 : r;

	r = daemon_open(&d, c, 0);
	if (r < 0 || daemon_get_json(d, "/api/v1/targets", &j) < 0)
		return EXIT_FAILURE;
	if (json)
		return doc_print(j) < 0 ? EXIT_FAILURE : 0;
	return print_targets(j);
}

const struct verb verb_targets = {
	.name = "targets",
	.run = targets_run,
	.usage = "[--json] | add TARGETS | remove TARGETS | rules [--json]",
	.summary = "what runs, and how much CPU it uses",
	.help = "Lists the processes that can be captured, the busiest first: pid, share of one "
		"CPU,\n"
		"user, command and systemd unit or container. Ordinary users see their own.\n\n"
		"  --json    the daemon's answer, an array of {pid, comm, unit, container, user, "
		"cpu}\n\n"
		"Whom continuous profiling takes, until the daemon restarts (cprofd.conf says it "
		"for good):\n\n"
		"  add TARGETS               these, too\n"
		"  remove TARGETS            not these\n"
		"  rules [--json]            what is in force\n"
		"  TARGETS: PID, -p, --pid PID  --comm NAME  --unit UNIT  --cgroup PATH  "
		"--container ID\n"
		"  --user NAME; they repeat\n\n"
		"What to do with a row:\n\n"
		"  cprofctl capture PID\n"
		"  cprofctl capture --unit nginx.service\n"
		"  cprofctl capture --container 3f4e8a...\n",
};
