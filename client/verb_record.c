/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <time.h>

#include "child.h"
#include "save.h"
#include "signals.h"
#include "clock.h"

/* Often enough that the daemon does not take the connection for idle. */
#define RECORD_POLL_NS NSEC_PER_SEC

struct record_run {
	const struct capture_options *options;
	struct signals signals;
	struct output *output;
	struct daemon *daemon;
	struct remote remote;
	struct remote_progress progress;
	struct child child;
	uint64_t polled_ns;
	bool lost; /* the daemon failed; the command goes on without it */
};

static void record_run_done(struct record_run *run)
{
	child_done(&run->child);
	run->output = output_free(run->output);
	run->daemon = daemon_free(run->daemon);
	signals_done(&run->signals);
}

/*
 * Ctrl-C and Ctrl-\ reach the command from the terminal, which sends them to the whole process
 * group; it decides what they mean. What somebody sends to us alone is meant for it too.
 */
static void record_signal(struct record_run *run, const struct signalfd_siginfo *info)
{
	bool by_kernel = info->ssi_code == SI_KERNEL;

	if ((info->ssi_signo == SIGTERM || info->ssi_signo == SIGHUP) && !by_kernel &&
	    !run->child.ended)
		kill(run->child.pid, (int)info->ssi_signo);
}

static void record_keep_alive(struct record_run *run)
{
	if (run->lost || clock_ns(CLOCK_MONOTONIC) - run->polled_ns < RECORD_POLL_NS)
		return;

	run->polled_ns = clock_ns(CLOCK_MONOTONIC);
	if (remote_poll(&run->remote, &run->progress) < 0) {
		say("cprofctl: the command goes on without a profile");
		run->lost = true;
	}
}

static void record_wait_command(struct record_run *run)
{
	pid_t daemon = daemon_pid(run->daemon);

	while (!child_reap(&run->child, daemon)) {
		struct signalfd_siginfo info;

		if (signals_next(&run->signals, (int)(RECORD_POLL_NS / NSEC_PER_MSEC), &info))
			record_signal(run, &info);
		record_keep_alive(run);
	}
}

/* The kernel's own account of the command, when that and nothing else was the target. */
static void record_account(struct record_run *run)
{
	const struct capture_options *o = run->options;

	if (!run->child.ended || o->n_targets > 0 || !o->children || o->duration_ns > 0)
		return;
	run->progress.target_cpu_ns = run->child.cpu_ns;
	run->progress.due = (run->child.cpu_ns * o->hz + NSEC_PER_SEC / 2) / NSEC_PER_SEC;
}

static int record_finish(struct record_run *run)
{
	struct signalfd_siginfo info;
	int r;

	/* what was sent to the command is not for us */
	while (signals_next(&run->signals, 0, &info))
		;
	run->signals.ends = 0;
	http_set_cancel(daemon_http(run->daemon), run->signals.fd, signals_give_up, &run->signals);

	if (child_left_any(daemon_pid(run->daemon)))
		say("note: the command left processes behind; the profile ends with the command");
	r = remote_stop(&run->remote);
	while (r == 0) {
		r = remote_poll(&run->remote, &run->progress);
		if (r < 0 || run->progress.state == REMOTE_DONE)
			break;
		signals_next(&run->signals, 50, &info);
		if (run->signals.ends > 0) {
			say_error("given up: nothing was saved");
			return EXIT_OURS;
		}
	}
	if (r < 0)
		return EXIT_OURS;

	/* it ended because the command did, which is no news */
	run->progress.target_ended = run->progress.target_ended && run->progress.samples == 0;
	record_account(run);
	r = save_capture(&run->remote, run->options, run->output, &run->progress, &run->signals);
	return r ? EXIT_OURS : 0;
}

static int record_do(struct record_run *run, const struct client *c)
{
	const struct capture_options *o = run->options;
	int r, ours;

	if (output_open(&run->output, o) < 0 || daemon_open(&run->daemon, c, DAEMON_MAY_START) < 0)
		return EXIT_OURS;
	r = child_fork(&run->child, o->command, o->user, &run->signals.before);
	if (r != 0)
		return r;
	if (remote_start(&run->remote, run->daemon, o, run->child.pid) < 0)
		return EXIT_OURS;

	r = child_go(&run->child, o->command);
	if (r != 0) {
		remote_drop(&run->remote);
		return r;
	}
	run->polled_ns = clock_ns(CLOCK_MONOTONIC);
	record_wait_command(run);

	ours = run->lost ? EXIT_OURS : record_finish(run);
	r = child_exit_status(&run->child);
	return r ? r : ours;
}

static int record_run(const struct client *c, int argc, char **argv)
{
	_cleanup_(record_run_done) struct record_run run = {
		.signals.fd = -1,
		.child = { .go_fd = -1, .failed_fd = -1 },
	};
	_cleanup_(capture_options_done) struct capture_options options;
	int r;

	r = capture_options_parse(&options, &verb_record, argc, argv);
	if (r != 0)
		return r < 0 ? 0 : r;
	r = save_refuses_terminal(&options);
	if (r != 0)
		return r;

	run.options = &options;
	r = signals_init(&run.signals, true);
	if (r < 0) {
		say_error("cannot take signals: %s", strerror(-r));
		return EXIT_OURS;
	}
	return record_do(&run, c);
}

const struct verb verb_record = {
	.name = "record",
	.run = record_run,
	.usage = "[OPTIONS] -- COMMAND [ARG...]",
	.summary = "run a command and profile it and its children",
	.help = "Runs the command and profiles it, its threads and its children from the first\n"
		"instruction until it ends. Its terminal, input, output and signals are untouched: "
		"Ctrl-C\n"
		"reaches the command, not the profile. Works for ordinary users where cprofd "
		"runs.\n\n"
		"  --user NAME               run it as this user (root only)\n"
		"  --seconds N               profile only the first N seconds; the default is all "
		"of it\n"
		"  -F, --hz N                samples a second of CPU time: 100 (default), 1 to "
		"10000\n"
		"  --symbols full|fast       fast leaves out lines and inlined functions\n"
		"  --names full|short        short leaves out template arguments and parameters\n"
		"  --no-children             only the command's own process\n"
		"  -a, --all, --comm, ...    also this, while the command runs: see `cprofctl help "
		"capture`\n"
		"  -o, --output FILE         as in `cprofctl help capture`\n"
		"  --format pprof|folded|svg|text\n\n"
		"Exits with the command's status, 128 + N when signal N ended it; 125 when "
		"cprofctl itself\n"
		"failed, 126 when the command cannot be executed, 127 when it is not found.\n\n"
		"Examples:\n"
		"  cprofctl record -- make -j8\n"
		"  cprofctl record -F 1000 -o test.svg -- go test -bench .\n"
		"  sudo cprofctl record --user www-data -- php script.php\n",
};
