/* SPDX-License-Identifier: Apache-2.0 */
#include "refuse.h"

#include <string.h>

#include "near.h"

#define REFUSE_NAME_BYTES 64

/* The part of "--name=value" that is the name. */
static void refuse_name(const char *arg, char *name, size_t size)
{
	snprintf(name, size, "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
}

static bool refuse_is_long(const char *arg)
{
	return strncmp(arg, "--", 2) == 0;
}

/* getopt_long takes the beginning of a name for the name, where it is the beginning of one only. */
static int refuse_unknown_long(const struct verb *v, const char *arg, const struct option *options)
{
	char name[REFUSE_NAME_BYTES];
	const char *first = NULL;
	struct near n = { .word = name };

	refuse_name(arg, name, sizeof(name));
	for (const struct option *o = options; o->name; o++) {
		if (*name && strncmp(name, o->name, strlen(name)) == 0) {
			if (first)
				return say_usage(v, "--%s may be --%s or --%s: write more of it",
						 name, first, o->name);
			first = o->name;
		}
		near_offer(&n, o->name);
	}
	if (n.best)
		return say_usage(v, "unknown option --%s: did you mean --%s?", name, n.best);
	return say_usage(v, "unknown option --%s", name);
}

/* "--all=x": optopt is then the option's own value. */
static bool refuse_is_superfluous(const char *arg, const struct option *options)
{
	char name[REFUSE_NAME_BYTES];

	if (!refuse_is_long(arg) || !strchr(arg, '='))
		return false;
	refuse_name(arg, name, sizeof(name));
	for (const struct option *o = options; o->name; o++)
		if (o->val == optopt && o->has_arg == no_argument &&
		    strncmp(name, o->name, strlen(name)) == 0)
			return true;
	return false;
}

int refuse_option(const struct verb *v, int opt, char **argv, const struct option *options)
{
	const char *arg = argv[optind - 1];
	char name[REFUSE_NAME_BYTES];

	if (opt == ':' && refuse_is_long(arg))
		return say_usage(v, "%s needs a value", arg);
	if (opt == ':')
		return say_usage(v, "-%c needs a value", optopt);
	if (optopt == 0)
		return refuse_unknown_long(v, arg, options);
	if (refuse_is_superfluous(arg, options)) {
		refuse_name(arg, name, sizeof(name));
		return say_usage(v, "--%s takes no value: '%s' is one too many", name,
				 strchr(arg, '=') + 1);
	}
	return say_usage(v, "unknown option -%c", optopt);
}
