/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <getopt.h>

#include "client.h"

/* What getopt_long could not take, opt being ':' or '?': an option that there is not (and which may have been meant),
 * or one without its value, or with one that it does not take. EXIT_USAGE. */
int refuse_option(const struct verb *v, int opt, char **argv, const struct option *options);
