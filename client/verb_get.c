/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clock.h"
#include "query.h"
#include "refuse.h"
#include "stored.h"

#define GET_PATH_BYTES 65536

struct get {
	struct query query;
	struct stored stored;
	const char *id; /* NULL: a range */
};

static int get_options(struct get *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "output", required_argument, NULL, 'o' },
		{ "format", required_argument, NULL, 'f' },
		QUERY_OPTIONS,
		{ NULL },
	};
	int opt, r = 0;

	optind = 0;
	opterr = 0;
	while (r == 0 && (opt = getopt_long(argc, argv, ":ho:p:a", options, NULL)) != -1) {
		if (opt == 'h') {
			verb_print_help(&verb_get);
			return -1;
		}
		if (opt == ':' || opt == '?')
			return refuse_option(&verb_get, opt, argv, options);
		r = opt == 'o'   ? stored_set_output(&g->stored, optarg)
		    : opt == 'f' ? stored_set_format(&g->stored, optarg)
				 : query_option(&g->query, &verb_get, opt, optarg);
	}
	return r;
}

static int get_parse(struct get *g, int argc, char **argv)
{
	int r = get_options(g, argc, argv);

	if (r != 0)
		return r;
	output_format_settle(&g->stored.format, g->stored.format_given, g->stored.output);
	if (argc - optind > 1)
		return say_usage(&verb_get, "one window at a time: '%s' is one too many",
				 argv[argc - 1]);
	if (optind < argc) {
		g->id = argv[optind];
		g->stored.name = g->id;
		if (g->query.since || g->query.until || g->query.n_filters)
			return say_usage(&verb_get, "a window's id, or a range with filters");
		if (!*g->id || strchr(g->id, '/'))
			return say_usage(&verb_get,
					 "'%s' is no window's id: `cprofctl list --ids` shows them",
					 g->id);
	}
	return query_finish(&g->query, &verb_get, (int64_t)clock_ns(CLOCK_REALTIME));
}

static int get_run(const struct client *c, int argc, char **argv)
{
	_cleanup_(buf_done) struct buf path = BUF_INIT(GET_PATH_BYTES);
	struct get g = { .stored = { .verb = &verb_get, .name = "store" } };
	int r = get_parse(&g, argc, argv);

	if (r != 0)
		return r < 0 ? 0 : r;

	if (g.id) {
		buf_puts(&path, "/api/v1/windows/");
		query_encode(&path, g.id);
		buf_puts(&path, "/profile");
	} else {
		buf_puts(&path, "/api/v1/profile");
		query_append(&g.query, &path);
	}
	if (path.error)
		return say_error("that is too much to ask at once");
	return stored_fetch_and_save(&g.stored, c, path.data);
}

const struct verb verb_get = {
	.name = "get",
	.run = get_run,
	.usage = "[ID | [--since TIME] [--until TIME] [FILTERS]] [-o FILE] [--format F]",
	.summary = "fetch what the daemon recorded",
	.help = "Merges the windows of continuous profiling that overlap a range of time into one "
		"profile,\n"
		"the open window up to now included. Without a range: all there are.\n\n"
		"  ID                        one window: `cprofctl list --ids` shows them\n"
		"  --since TIME, --until TIME\n"
		"                            02:00, \"yesterday 14:00\", \"10 min ago\", 2h, "
		"2026-11-23T02:00:00Z\n\n"
		"What of it; options repeat, and those of one group mean all of it together:\n"
		"  -p, --pid PID  --comm NAME  --unit UNIT  --cgroup PATH  --container ID\n"
		"  --exe PATH|NAME  --build-id ID  --user NAME\n"
		"                            of those, only what is this executable's or this "
		"user's\n\n"
		"Where to:\n"
		"  -o, --output FILE         - is standard output; the default is a new file in "
		"the "
		"current\n"
		"                            folder\n"
		"  --format pprof|folded|svg|text\n"
		"                            the default is what FILE ends with: .svg, .txt, "
		".folded\n\n"
		"Examples:\n"
		"  cprofctl get --since 02:00 --until 02:20 -o spike.pb.gz\n"
		"  cprofctl get --since 1h --unit nginx --format svg -o nginx.svg\n",
};
