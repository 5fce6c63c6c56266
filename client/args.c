/* SPDX-License-Identifier: Apache-2.0 */
#include "args.h"

#include <string.h>

int args_parse(const struct verb *v, int argc, char **argv, bool *ret_json)
{
	bool json = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			verb_print_help(v);
			return -1;
		}
		if (!ret_json || strcmp(argv[i], "--json") != 0)
			return say_usage(v, "%s does not take '%s'", v->name, argv[i]);
		json = true;
	}

	if (ret_json)
		*ret_json = json;
	return 0;
}
