/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Foreign text: validation, escaping and the units that people write. Everything that comes from
 * outside (names, paths, command names) passes one of these before it meets a terminal, a log, a
 * profile or a metric.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/* Strict UTF-8 (no surrogates, no overlong forms, no NUL), size bytes. */
bool text_is_utf8(const char *s, size_t size);
/* Appends s with each byte that is not part of valid UTF-8 replaced by U+FFFD. */
int text_append_utf8(struct buf *b, const char *s, size_t size);
/* Appends s safe for a terminal and a log line: control characters, DEL, C1 controls, bidirectional
 * overrides and invalid bytes become \xHH (or \u{HHHH}); backslash is kept. */
int text_append_printable(struct buf *b, const char *s, size_t size);
/* The same into a fresh string; NULL without memory. */
char *text_printable(const char *s);

bool text_ends_with(const char *s, const char *end);

/* Whole-string decimal, no sign, no space; -EINVAL, -ERANGE when over max. */
int text_parse_u64(const char *s, uint64_t max, uint64_t *ret);
/* systemd.time(7) spans: "30s", "1min 30s", "500ms", "1h", a bare number is seconds. */
int text_parse_span_ns(const char *s, uint64_t *ret_ns);
/* systemd sizes, base 1024: "256M", "1G", "4096". */
int text_parse_bytes(const char *s, uint64_t *ret_bytes);
