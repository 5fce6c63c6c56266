/* SPDX-License-Identifier: Apache-2.0 */
#include "summary.h"

#include <string.h>

#include "advice.h"
#include "human.h"
#include "render.h"

#define SUMMARY_ROWS       10
#define SUMMARY_IDLE_SHARE 0.05
#define SUMMARY_FASTER_HZ  10000

static double summary_cpu_seconds(const struct remote_progress *p)
{
	return (double)(p->target_cpu_ns ? p->target_cpu_ns : p->cpu_ns) / 1e9;
}

static bool summary_system_wide(const struct capture_options *o)
{
	for (size_t i = 0; i < o->n_targets; i++)
		if (strcmp(o->targets[i].kind, "all") == 0)
			return true;
	return false;
}

static void summary_cpu(const struct summary *s)
{
	double cpu = summary_cpu_seconds(s->progress),
	       elapsed = (double)s->progress->elapsed_ns / 1e9;
	char used[32], of[32];

	human_seconds(used, sizeof(used), cpu);
	human_seconds(of, sizeof(of), elapsed);
	say("cpu      %s of %s, %.1f %%", used, of, elapsed > 0 ? cpu * 100 / elapsed : 0.0);

	if (elapsed <= 0 || cpu / elapsed >= SUMMARY_IDLE_SHARE || s->progress->samples == 0)
		return;
	if (s->progress->waiting[0])
		say("         it mostly waits, which a CPU profile does not show; its threads: %s",
		    s->progress->waiting);
	else
		say("         it mostly waits, which a CPU profile does not show");
}

/* A profile's own table fills with samples that are its; the others are lost before anybody knows whose they are. */
static bool summary_is_own(const struct remote_loss *loss)
{
	return strcmp(loss->name, "aggregate full") == 0;
}

static void summary_losses(const struct summary *s, struct buf *line, bool own)
{
	const struct remote_progress *p = s->progress;
	const char *before = own ? ", " : "; of the whole machine ";
	char count[32];

	for (size_t i = 0; i < p->n_lost; i++) {
		if ((summary_is_own(&p->lost[i]) || summary_system_wide(s->options)) != own)
			continue;
		human_count(count, sizeof(count), p->lost[i].count);
		buf_printf(line, "%s%s lost (%s)", before, count, p->lost[i].name);
		before = ", ";
	}
}

static void summary_samples(const struct summary *s)
{
	const struct remote_progress *p = s->progress;
	_cleanup_(buf_done) struct buf line = BUF_INIT(4096);
	char count[32];

	if (p->due) {
		human_count(count, sizeof(count), p->due);
		buf_printf(&line, "%s due, ", count);
	}
	human_count(count, sizeof(count), p->samples);
	buf_printf(&line, "%s taken", count);

	summary_losses(s, &line, true);
	if (p->not_permitted) {
		human_count(count, sizeof(count), p->not_permitted);
		buf_printf(&line, ", %s not permitted", count);
	}
	if (p->truncated && p->samples) {
		double share = (double)p->truncated * 100 / (double)p->samples;

		human_count(count, sizeof(count), p->truncated);
		buf_printf(&line,
			   share < 10 ? ", %s cut short (%.2g %%)" : ", %s cut short (%.0f %%)",
			   count, MAX(share, 0.01));
	}
	summary_losses(s, &line, false);
	say("samples  %s", line.data ? line.data : "");
}

/* Why a command left no sample: the child has been waited for, so its CPU time is known to the end. */
static void summary_empty_command(const struct summary *s)
{
	unsigned hz = s->options->hz;
	char used[32];

	human_seconds(used, sizeof(used), (double)s->progress->target_cpu_ns / 1e9);
	if (hz < SUMMARY_FASTER_HZ)
		say("no samples: the command used %s of CPU, and at %u Hz a sample stands for %.2g "
		    "s; take more with -F %d",
		    used, hz, 1.0 / hz, SUMMARY_FASTER_HZ);
	else
		say("no samples: the command used %s of CPU, and at %u Hz a sample stands for %.2g "
		    "s; let one command do its work several times",
		    used, hz, 1.0 / hz);
}

/* False: nothing was lost that could have been the target's. A missed tick is one of the machine's, and tells
 * nothing of what did not run. */
static bool summary_empty_lost(const struct summary *s)
{
	const struct remote_progress *p = s->progress;
	const char *more = s->private_daemon ? "" : "; `cprofctl status` tells more";
	bool own = false, any = false;

	for (size_t i = 0; i < p->n_lost; i++) {
		own = own || summary_is_own(&p->lost[i]);
		any = any || strcmp(p->lost[i].name, "missed tick") != 0;
	}
	if (own)
		say("no samples: there was no memory for them; raise [Budget] Memory= in "
		    "cprofd.conf%s",
		    more);
	else if (any)
		say("no samples: what the machine lost, see below, may have been its%s", more);
	return own || any;
}

/* Why there is nothing, as likely as it can be told, and what to do. */
static void summary_empty(const struct summary *s)
{
	const struct remote_progress *p = s->progress;
	const char *who = s->private_daemon ? "ps -e" : "cprofctl targets";
	bool command = s->options->command;
	char elapsed[32];

	human_seconds(elapsed, sizeof(elapsed), (double)p->elapsed_ns / 1e9);
	if (p->not_permitted)
		say("no samples: what ran belongs to other users or may not be traced; run this "
		    "with sudo");
	else if (summary_empty_lost(s))
		return;
	else if (command && p->target_cpu_ns)
		summary_empty_command(s);
	else if (p->waiting[0])
		say("no samples: it waited all the time (its threads: %s), and a CPU profile shows "
		    "only what runs; give it work, or take longer with --seconds",
		    p->waiting);
	else if (command)
		say("no samples: the command hardly ran in %s; take more with -F %d, or longer "
		    "with --seconds",
		    elapsed, SUMMARY_FASTER_HZ);
	else if (p->target_ended)
		say("no samples: the process ended before it was seen on a CPU; run it under "
		    "`cprofctl record -- COMMAND`");
	else
		say("no samples: nothing of it ran in %s; see `%s` for what runs, or take longer "
		    "with --seconds",
		    elapsed, who);
}

/* A name that the shell would take apart is quoted, so that the line can be pasted. */
static void summary_quote(struct buf *b, const char *s)
{
	const char *plain =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/+:,@%=";

	if (*s && *s != '-' && !s[strspn(s, plain)]) {
		buf_puts(b, s);
		return;
	}
	buf_puts(b, *s == '-' ? "./" : "");
	buf_putc(b, '\'');
	for (; *s; s++) {
		if (*s == '\'')
			buf_puts(b, "'\\''");
		else
			buf_putc(b, *s);
	}
	buf_putc(b, '\'');
}

void summary_next(const char *name, enum output_format format)
{
	_cleanup_(buf_done) struct buf file = BUF_INIT(32768);

	if (strcmp(name, "-") == 0)
		return;

	summary_quote(&file, name);
	switch (format) {
	case FORMAT_PPROF:
		say("next     go tool pprof -http=: %s", file.data);
		say("         cprofctl report %s", file.data);
		break;
	case FORMAT_FOLDED:
		say("next     flamegraph.pl %s > flame.svg", file.data);
		say("         open it in speedscope.app or profiler.firefox.com");
		break;
	case FORMAT_SVG:
		say("next     open %s in a browser: click zooms, Ctrl-F searches", file.data);
		break;
	case FORMAT_TEXT:
		say("next     less -S %s", file.data);
		break;
	}
}

void summary_print(const struct summary *s)
{
	const struct remote_progress *p = s->progress;

	say("%s", strcmp(s->file, "-") == 0 ? "profile written to standard output" : s->file);
	if (p->target_ended && p->duration_ns && p->samples)
		say("note: the process ended before the capture did; this is what was collected "
		    "until then");

	if (p->samples == 0)
		summary_empty(s);
	else if (s->profile)
		render_hottest(s->profile, SUMMARY_ROWS, stderr);

	if (!summary_system_wide(s->options) || p->samples)
		summary_cpu(s);
	summary_samples(s);
	if (p->samples && s->profile)
		advice_print(s->profile);
	summary_next(s->file, s->options->format);
}
