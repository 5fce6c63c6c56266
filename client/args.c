/* SPDX-License-Identifier: Apache-2.0 */
#include "args.h"

#include <string.h>

#include "near.h"

static int args_refuse(const struct verb *v, const char *arg, bool has_json)
{
	struct near n = { .word = arg };

	near_offer(&n, "--help");
	if (has_json)
		near_offer(&n, "--json");
	if (n.best && n.slips > 0)
		return say_usage(v, "%s does not take '%s': did you mean %s?", v->name, arg,
				 n.best);
	return say_usage(v, "%s does not take '%s'", v->name, arg);
}

int args_parse(const struct verb *v, int argc, char **argv, bool *ret_json)
{
	bool json = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			verb_print_help(v);
			return -1;
		}
		if (!ret_json || strcmp(argv[i], "--json") != 0)
			return args_refuse(v, argv[i], ret_json);
		json = true;
	}

	if (ret_json)
		*ret_json = json;
	return 0;
}
