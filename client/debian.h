/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The Debian package that has the debug information of a file. */

#include <stdbool.h>
#include <stddef.h>

#define DEBIAN_NAME_BYTES   128
#define DEBIAN_SOURCE_BYTES 512

struct debian_debug {
	char package[DEBIAN_NAME_BYTES];  /* "libfoo1-dbgsym" */
	char source[DEBIAN_SOURCE_BYTES]; /* line for sources.list that has it; "" none is needed */
};

/* Asks dpkg for the file's package, and apt's lists of sources for their place. False: this is no
 * Debian, or no package has the file. */
bool debian_find(const char *file, struct debian_debug *ret);
