/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "doc.h"
#include "query.h"
#include "refuse.h"
#include "save.h"
#include "stored.h"

#define SNAPSHOT_MAX_BYTES  (1ULL << 30)
#define SNAPSHOT_PATH_BYTES 4096

static int snapshot_options(struct stored *s, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "output", required_argument, NULL, 'o' },
		{ "format", required_argument, NULL, 'f' },
		{ NULL },
	};
	int opt, r = 0;

	optind = 0;
	opterr = 0;
	while (r == 0 && (opt = getopt_long(argc, argv, ":ho:", options, NULL)) != -1) {
		if (opt == 'h') {
			verb_print_help(&verb_snapshot);
			return -1;
		}
		if (opt == ':' || opt == '?')
			return refuse_option(&verb_snapshot, opt, argv, options);
		r = opt == 'o' ? stored_set_output(s, optarg) : stored_set_format(s, optarg);
	}
	if (r == 0 && optind < argc)
		return say_usage(&verb_snapshot, "snapshot does not take '%s'", argv[optind]);
	if (r == 0)
		output_format_settle(&s->format, s->format_given, s->output);
	return r;
}

static int snapshot_fetch(struct daemon *d, struct buf *ret)
{
	_cleanup_(buf_done) struct buf reply = BUF_INIT(SNAPSHOT_PATH_BYTES),
				       path = BUF_INIT(SNAPSHOT_PATH_BYTES);
	_cleanup_(json_decrefp) json_t *j = NULL;
	int r;

	http_set_timeout(daemon_http(d), 0);
	r = daemon_request(d, "POST", "/api/v1/snapshot", NULL, &reply);
	if (r < 0)
		return r;
	j = json_loadb(reply.data ? reply.data : "", reply.size, 0, NULL);
	if (!*doc_text(j, "id")) {
		say_error("the daemon named no window: are cprofd and cprofctl of one version?");
		return -EBADMSG;
	}

	buf_puts(&path, "/api/v1/windows/");
	query_encode(&path, doc_text(j, "id"));
	if (buf_puts(&path, "/profile") < 0)
		return -ENOSPC;
	return stored_fetch(d, path.data, ret);
}

static int snapshot_run(const struct client *c, int argc, char **argv)
{
	_cleanup_(buf_done) struct buf raw = BUF_INIT(SNAPSHOT_MAX_BYTES);
	_cleanup_(daemon_freep) struct daemon *d = NULL;
	_cleanup_(output_freep) struct output *out = NULL;
	struct stored s = { .verb = &verb_snapshot, .name = "snapshot" };
	int r = snapshot_options(&s, argc, argv);

	if (r != 0)
		return r < 0 ? 0 : r;
	r = save_refuses_terminal(
		&(struct capture_options){ .output = s.output, .format = s.format });
	if (r != 0)
		return r;
	if (stored_open(&s, &out) < 0 || daemon_open(&d, c, 0) < 0 || snapshot_fetch(d, &raw) < 0)
		return EXIT_FAILURE;
	return stored_save(&s, out, raw.data ? raw.data : "", raw.size);
}

const struct verb verb_snapshot = {
	.name = "snapshot",
	.run = snapshot_run,
	.usage = "[-o FILE] [--format pprof|folded|svg|text]",
	.summary = "close the open window now and fetch it",
	.help = "Ends the window of continuous profiling that is open, begins the next one, and "
		"saves\n"
		"what the ended one holds: the last seconds, up to now.\n\n"
		"  -o, --output FILE         - is standard output; the default is a new file in "
		"the "
		"current\n"
		"                            folder\n"
		"  --format pprof|folded|svg|text\n"
		"                            the default is what FILE ends with: .svg, .txt, "
		".folded\n\n"
		"Example:\n"
		"  cprofctl snapshot --format text -o -\n",
};
