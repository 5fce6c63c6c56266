/* SPDX-License-Identifier: Apache-2.0 */
#include "save.h"

#include <string.h>

#include "render.h"
#include "summary.h"

#define SAVE_MAX_BYTES (1ULL << 30)

int save_refuses_terminal(const struct capture_options *o)
{
	if (!o->output || strcmp(o->output, "-") != 0 || o->format != FORMAT_PPROF ||
	    !isatty(STDOUT_FILENO))
		return 0;

	say_error("a compressed profile does not belong on a terminal: give -o FILE, or pipe it");
	return EXIT_USAGE;
}

int save_capture(struct remote *c, const struct capture_options *o, struct output *out,
		 const struct remote_progress *p, struct signals *signals)
{
	_cleanup_(buf_done) struct buf raw = BUF_INIT(SAVE_MAX_BYTES),
				       made = BUF_INIT(SAVE_MAX_BYTES);
	_cleanup_(profile_freep) struct profile *profile = NULL;
	const struct buf *data = &raw;
	int r;

	r = remote_fetch(c, &raw);
	if (r == -ECANCELED)
		say_error("given up: nothing was saved");
	if (r < 0)
		return EXIT_FAILURE;

	/* what cannot be read can still be saved as it came */
	r = profile_read(&profile, raw.data ? raw.data : "", raw.size);
	if (o->format != FORMAT_PPROF) {
		r = r < 0 ? r : render_profile(profile, o->format, &made);
		if (r < 0)
			return say_error(
				"cannot turn the profile into that format: %s; --format pprof "
				"saves it as it is",
				strerror(-r));
		data = &made;
	}

	/* a reader that does not read must not hold us: from here on Ctrl-C is Ctrl-C */
	if (strcmp(output_name(out), "-") == 0)
		signals_restore(signals);
	r = output_save(out, data->data ? data->data : "", data->size, signals_give_up, signals);
	if (r < 0)
		return EXIT_FAILURE;

	summary_print(&(struct summary){
		.options = o,
		.progress = p,
		.profile = profile,
		.file = output_name(out),
		.private_daemon = daemon_pid(c->daemon) > 0,
	});
	return r == 0 ? 0 : EXIT_FAILURE;
}
