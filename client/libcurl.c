/* SPDX-License-Identifier: Apache-2.0 */
#include "libcurl.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

/* The name that its interface has had since 2006, on every distribution. */
#define LIBCURL_FILE "libcurl.so.4"

int libcurl_load(struct libcurl *ret)
{
	void *library = dlopen(LIBCURL_FILE, RTLD_NOW | RTLD_LOCAL), *function;
	struct libcurl table;

	if (!library)
		return -ELIBACC;

#define LIBCURL_FIND(name)                        \
	function = dlsym(library, "curl_" #name); \
	if (!function)                            \
		return -ELIBACC;                  \
	memcpy(&table.name, &function, sizeof(function));
	LIBCURL_FUNCTIONS(LIBCURL_FIND)
#undef LIBCURL_FIND

	*ret = table;
	return 0;
}
