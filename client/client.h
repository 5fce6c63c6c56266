/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * cprofctl: one verb, one file. main.c picks the row of its table and calls it with argv[0] being
 * the verb; a verb returns the program's exit status: 0, EXIT_FAILURE after it has said one line
 * on stderr, or EXIT_USAGE. Only `record` knows others.
 */

#include <stdbool.h>

#include "cleanup.h"

#define EXIT_USAGE 2

/* What came before the verb. */
struct client {
	const char *socket; /* path to talk to */
	bool socket_chosen; /* by --socket or $CPROFD_SOCKET: never replaced by a private daemon */
};

struct verb {
	const char *name;
	int (*run)(const struct client *c, int argc, char **argv);
	const char *usage;   /* after "cprofctl NAME ", one line */
	const char *summary; /* one line */
	const char *help;    /* the paragraphs of `cprofctl help NAME` */
};

/* Defined in verb_NAME.c. */
extern const struct verb verb_capture, verb_record, verb_report, verb_status, verb_symbolize,
	verb_targets, verb_version;
extern const struct verb verb_list, verb_get, verb_diff, verb_top, verb_snapshot, verb_pause,
	verb_resume;

/* "cprofctl: " and the message and a newline, on stderr; foreign strings in it are escaped (an
 * escape sequence in an argument does not reach the terminal). Returns EXIT_FAILURE. */
int say_error(const char *fmt, ...) _printf_(1, 2);
/* The same without the name in front: notes and results for the person, on stderr. */
void say(const char *fmt, ...) _printf_(1, 2);
/* The message, then the verb's usage line. Returns EXIT_USAGE. */
int say_usage(const struct verb *v, const char *fmt, ...) _printf_(2, 3);
/* The whole help of a verb, on stdout. */
void verb_print_help(const struct verb *v);
