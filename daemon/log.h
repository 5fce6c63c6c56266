/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the daemon tells its operator: one line each. Where stderr is the journal it goes there with
 * its fields (PRIORITY, CODE_FILE, CODE_LINE, CODE_FUNC, and what the caller adds); else it is a
 * line of text with the program's name. Foreign strings are escaped by whoever puts them in.
 */

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "cleanup.h"

#define LOG_MAX_FIELDS 8

/* fields: "NAME=value" strings, NULL behind the last, at most LOG_MAX_FIELDS; or NULL. */
void log_at(int priority, const char *file, int line, const char *function,
	    const char *const *fields, const char *fmt, ...) _printf_(6, 7);

#define log_fields(priority, fields, ...) \
	log_at(priority, __FILE__, __LINE__, __func__, fields, __VA_ARGS__)
#define log_line(priority, ...) log_fields(priority, NULL, __VA_ARGS__)
#define log_error(...)          log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...)        log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...)           log_line(LOG_INFO, __VA_ARGS__)

/* MESSAGE_ID= of the lines that somebody may want to watch for; cprofd(8) lists them. */
#define LOG_ID_READY    "MESSAGE_ID=8c1f0a5e27ab4e0f9d5c0f3b6f6f1c01"
#define LOG_ID_RELOADED "MESSAGE_ID=8c1f0a5e27ab4e0f9d5c0f3b6f6f1c02"
#define LOG_ID_CONFIG   "MESSAGE_ID=8c1f0a5e27ab4e0f9d5c0f3b6f6f1c03"
#define LOG_ID_TROUBLE  "MESSAGE_ID=8c1f0a5e27ab4e0f9d5c0f3b6f6f1c04"

/* For what a sample or a client can bring about again and again: LOG_BURST lines, then silence until
 * LOG_INTERVAL_NS after the first of them; the next line says how many were left out. Zeroed is new. */
#define LOG_BURST       5
#define LOG_INTERVAL_NS (60 * NSEC_PER_SEC)

struct log_limit {
	uint64_t since_ns; /* CLOCK_MONOTONIC; 0: never */
	unsigned count;
	uint64_t left_out;
};

/* Whether to log now; *ret_left_out is then how many were not, since the last one that was. */
bool log_limit_pass(struct log_limit *l, uint64_t now_ns, uint64_t *ret_left_out);
