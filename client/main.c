/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "client.h"
#include "cprof/api.h"
#include "near.h"
#include "text.h"

static int help_run(const struct client *c, int argc, char **argv);

static const struct verb verb_help = {
	.name = "help",
	.run = help_run,
	.usage = "[VERB]",
	.summary = "explain a verb",
	.help = "Without VERB, the list of verbs.\n",
};

static const struct verb *const verbs[] = {
	&verb_capture, &verb_record, &verb_report,    &verb_status,  &verb_targets,
	&verb_list,    &verb_get,    &verb_diff,      &verb_top,     &verb_snapshot,
	&verb_pause,   &verb_resume, &verb_symbolize, &verb_version, &verb_help,
};

static void print_overview(FILE *f)
{
	fputs("usage: cprofctl [--socket PATH] VERB [...]\n\n"
	      "Profiles programs as they run: asks the daemon cprofd for CPU profiles.\n\n",
	      f);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(f, "  %-9s %s\n", verbs[i]->name, verbs[i]->summary);
	fprintf(f,
		"\n"
		"`cprofctl help VERB` explains one. To begin with:\n\n"
		"  cprofctl targets              what runs, and what it uses\n"
		"  cprofctl capture 1234         30 seconds of process 1234\n"
		"  cprofctl record -- make -j4   a command and all its children\n\n"
		"The daemon listens on %s; --socket or $%s\n"
		"name another. Where none runs, capture and record start one for root.\n",
		CPROF_SOCKET, CPROF_SOCKET_ENV);
}

void verb_print_help(const struct verb *v)
{
	printf("usage: cprofctl %s%s%s\n\n%s", v->name, *v->usage ? " " : "", v->usage, v->help);
}

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

static int refuse_verb(const char *name)
{
	struct near n = { .word = name };

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		near_offer(&n, verbs[i]->name);

	if (n.best)
		say_error("unknown verb '%s': did you mean '%s'?", name, n.best);
	else
		say_error("unknown verb '%s': see `cprofctl help`", name);
	say("usage: cprofctl [--socket PATH] VERB [...]");
	return EXIT_USAGE;
}

static int help_run(const struct client *c _unused_, int argc, char **argv)
{
	const struct verb *v;

	if (argc < 2) {
		print_overview(stdout);
		return 0;
	}
	if (argc > 2)
		return say_usage(&verb_help, "one verb at a time");

	v = verb_find(argv[1]);
	if (!v)
		return refuse_verb(argv[1]);
	verb_print_help(v);
	return 0;
}

/* The options before the verb: moves *argc and *argv to it. 0, or EXIT_USAGE. */
static int parse_global(struct client *c, int *argc, char ***argv)
{
	const char *env = getenv(CPROF_SOCKET_ENV);

	*c = (struct client){ .socket = CPROF_SOCKET };
	if (env && *env)
		*c = (struct client){ .socket = env, .socket_chosen = true };

	for ((*argc)--, (*argv)++; *argc > 0 && ***argv == '-'; (*argc)--, (*argv)++) {
		const char *arg = **argv;

		if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0 ||
		    strcmp(arg, "--version") == 0)
			return 0;
		if (strncmp(arg, "--socket=", 9) == 0 && arg[9]) {
			*c = (struct client){ .socket = arg + 9, .socket_chosen = true };
		} else if (strcmp(arg, "--socket") == 0 && *argc > 1 && *(*argv)[1]) {
			*c = (struct client){ .socket = (*argv)[1], .socket_chosen = true };
			(*argc)--;
			(*argv)++;
		} else {
			if (strncmp(arg, "--socket", 8) == 0)
				say_error("--socket needs a path");
			else
				say_error("unknown option %s", arg);
			say("usage: cprofctl [--socket PATH] VERB [...]");
			return EXIT_USAGE;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct verb *v;
	struct client client;
	int r;

	r = parse_global(&client, &argc, &argv);
	if (r != 0)
		return r;
	if (argc <= 0) {
		print_overview(stderr);
		return EXIT_USAGE;
	}

	if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
		print_overview(stdout);
		return 0;
	}
	v = strcmp(argv[0], "--version") == 0 ? &verb_version : verb_find(argv[0]);
	if (!v)
		return refuse_verb(argv[0]);

	r = v->run(&client, argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		say_error("cannot write to standard output: %s", strerror(errno));
		return r ? r : EXIT_FAILURE;
	}
	return r;
}
