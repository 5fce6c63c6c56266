/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A download from debuginfod servers: http and https only, also after a redirect, with a limit on
 * size and time. The servers are asked one after another.
 */

#include "cprof/fetch.h"

/* urls: separated by blanks, which is changed; what is no http(s) address is left out. Writes to
 * fd; *ret->error says what became of it. */
void transfer_run(char *urls, const struct fetch_request *request, int fd, struct fetch_reply *ret);
