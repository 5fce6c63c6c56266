/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bar.h"
#include "names.h"
#include "save.h"
#include "signals.h"

#define CAPTURE_POLL_MS 200

struct capture_run {
	const struct capture_options *options;
	struct signals signals;
	struct output *output;
	struct daemon *daemon;
	struct remote remote;
	struct remote_progress progress;
	struct bar bar;
};

static void capture_run_done(struct capture_run *run)
{
	bar_clear(&run->bar);
	run->output = output_free(run->output);
	run->daemon = daemon_free(run->daemon);
	signals_done(&run->signals);
}

static int capture_wait(struct capture_run *run)
{
	bool stopped = false;
	int r;

	for (;;) {
		struct signalfd_siginfo info;

		r = remote_poll(&run->remote, &run->progress);
		if (r < 0)
			return r;
		if (run->progress.state == REMOTE_DONE)
			return 0;
		bar_draw(&run->bar, &run->progress);

		signals_next(&run->signals, CAPTURE_POLL_MS, &info);
		if (run->signals.ends > 1)
			return -ECANCELED;
		if (run->signals.ends == 1 && !stopped) {
			r = remote_stop(&run->remote);
			if (r < 0)
				return r;
			stopped = true;
		}
	}
}

static int capture_do(struct capture_run *run, const struct client *c)
{
	int r;

	r = output_open(&run->output, run->options);
	if (r < 0)
		return EXIT_FAILURE;
	r = daemon_open(&run->daemon, c, DAEMON_MAY_START);
	if (r < 0)
		return EXIT_FAILURE;
	/* the first Ctrl-C ends the capture and saves it, the second gives it up */
	run->signals.patience = 1;
	http_set_cancel(daemon_http(run->daemon), run->signals.fd, signals_give_up, &run->signals);

	r = remote_start(&run->remote, run->daemon, run->options, 0);
	if (r == 0) {
		names_note_missing(run->daemon, run->options);
		r = capture_wait(run);
	}
	bar_clear(&run->bar);
	if (r == -ECANCELED)
		say_error("given up: nothing was saved");
	if (r < 0)
		return EXIT_FAILURE;

	return save_capture(&run->remote, run->options, run->output, &run->progress, &run->signals);
}

static int capture_run(const struct client *c, int argc, char **argv)
{
	_cleanup_(capture_run_done) struct capture_run run = { .signals.fd = -1 };
	_cleanup_(capture_options_done) struct capture_options options;
	int r;

	r = capture_options_parse(&options, &verb_capture, argc, argv);
	if (r != 0)
		return r < 0 ? 0 : r;
	r = save_refuses_terminal(&options);
	if (r != 0)
		return r;

	run.options = &options;
	bar_init(&run.bar);
	r = signals_init(&run.signals, false);
	if (r < 0)
		return say_error("cannot take signals: %s", strerror(-r));
	return capture_do(&run, c);
}

const struct verb verb_capture = {
	.name = "capture",
	.run = capture_run,
	.usage = "PID... | --comm NAME | --unit UNIT | --cgroup PATH | --container ID | --all "
		 "[OPTIONS]",
	.summary = "profile what runs, for a while",
	.help = "Profiles running programs, with their threads and children, and writes a pprof "
		"file.\n"
		"Nothing is restarted or recompiled. Ctrl-C ends it early and saves what there "
		"is.\n\n"
		"What to profile; options repeat, and mean all of it together:\n"
		"  PID, -p, --pid PID[,PID]  processes\n"
		"  --comm NAME               processes with this command name, as ps -o comm shows "
		"it\n"
		"  --unit UNIT               a systemd unit: nginx.service\n"
		"  --cgroup PATH             a cgroup and what is below it\n"
		"  --container ID            a container, by its id or the beginning of it\n"
		"  -a, --all                 everything; for ordinary users, everything of theirs\n"
		"  --no-children             not the children that they start meanwhile\n\n"
		"How:\n"
		"  --seconds N               how long: 30 (default), 500ms, 2m; 0 until Ctrl-C\n"
		"  -F, --hz N                samples a second of CPU time: 100 (default), 1 to "
		"10000\n"
		"  --symbols full|fast       fast leaves out lines and inlined functions\n"
		"  --names full|short        short leaves out template arguments and parameters\n\n"
		"Where to:\n"
		"  -o, --output FILE         - is standard output; the default is a new file\n"
		"                            cprofd-TARGET-DATE-TIME.pb.gz in the current folder\n"
		"  --format pprof|folded|svg|text\n"
		"                            svg: a flame graph for a browser; folded: for "
		"flamegraph.pl\n"
		"                            and speedscope; text: a table. The default is what "
		"FILE\n"
		"                            ends with: .svg, .folded, .txt; else pprof\n\n"
		"Examples:\n"
		"  cprofctl capture 1234\n"
		"  cprofctl capture --unit postgresql@15-main.service --seconds 2m\n"
		"  cprofctl capture --all -o host.svg\n"
		"  cprofctl capture --comm nginx -o - | cprofctl report -\n",
};
