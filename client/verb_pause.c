/* SPDX-License-Identifier: Apache-2.0 */
/* pause and resume, of continuous profiling. */
#include <string.h>

#include "args.h"
#include "daemon.h"
#include "doc.h"
#include "human.h"
#include "text.h"
#include "when.h"

#define PAUSE_REPLY_BYTES 65536
#define PAUSE_MAX_SECONDS (366 * 86400ULL)

/* The state that the daemon is in now. */
static int pause_say(const struct buf *reply)
{
	_cleanup_(json_decrefp)
		json_t *j = json_loadb(reply->data ? reply->data : "", reply->size, 0, NULL);
	const char *until = doc_text(j, "paused_until");
	char stamp[HUMAN_TIME_BYTES];
	int64_t ns;

	if (!json_is_true(json_object_get(j, "paused"))) {
		say("continuous profiling goes on");
		return 0;
	}
	if (!*until || when_parse(until, 0, &ns, NULL) < 0) {
		say("continuous profiling is paused until `cprofctl resume`; captures still work");
		return 0;
	}
	say("continuous profiling is paused until %s, or `cprofctl resume`; captures still work",
	    human_time(stamp, ns));
	return 0;
}

static int pause_post(const struct client *c, const char *path, const char *body)
{
	_cleanup_(buf_done) struct buf reply = BUF_INIT(PAUSE_REPLY_BYTES);
	_cleanup_(daemon_freep) struct daemon *d = NULL;

	if (daemon_open(&d, c, 0) < 0 || daemon_request(d, "POST", path, body, &reply) < 0)
		return EXIT_FAILURE;
	return pause_say(&reply);
}

static int pause_run(const struct client *c, int argc, char **argv)
{
	uint64_t ns = 0;
	char body[64];

	if (argc > 1 && argv[1][0] != '-') {
		if (argc > 2)
			return say_usage(&verb_pause,
					 "one span: '%s' is one too many; write \"1h 30min\" as "
					 "one word",
					 argv[2]);
		if (text_parse_span_ns(argv[1], &ns) < 0 || ns == 0 ||
		    ns > PAUSE_MAX_SECONDS * NSEC_PER_SEC)
			return say_usage(&verb_pause,
					 "'%s' is not a time: give a span such as 30min or 1h, at "
					 "most a year",
					 argv[1]);
	} else {
		int r = args_parse(&verb_pause, argc, argv, NULL);

		if (r != 0)
			return r < 0 ? 0 : r;
	}
	snprintf(body, sizeof(body), "{\"seconds\":%.9f}", (double)ns / 1e9);
	return pause_post(c, "/api/v1/pause", body);
}

static int resume_run(const struct client *c, int argc, char **argv)
{
	int r = args_parse(&verb_resume, argc, argv, NULL);

	if (r != 0)
		return r < 0 ? 0 : r;
	return pause_post(c, "/api/v1/resume", "{}");
}

const struct verb verb_pause = {
	.name = "pause",
	.run = pause_run,
	.usage = "[SPAN]",
	.summary = "stop continuous profiling, for a while",
	.help = "Continuous profiling stops at once, and goes on after SPAN (30min, 1h), or with "
		"`cprofctl\n"
		"resume`. What the open window holds is kept. Captures still work.\n",
};

const struct verb verb_resume = {
	.name = "resume",
	.run = resume_run,
	.usage = "",
	.summary = "let continuous profiling go on",
	.help = "Ends a pause. Where there is none, nothing happens.\n",
};
