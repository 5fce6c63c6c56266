/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* Prints one document on stdout. j may be NULL, which is no memory for it. 0, or -EIO, said. */
int doc_print(const json_t *j);
/* The same on one line, flushed: one document of several. */
int doc_print_line(const json_t *j);
/* A string of foreign bytes: what is not UTF-8 in it is replaced. NULL without memory. */
json_t *doc_string(const char *s);
/* part / all, 0 where there is nothing. */
json_t *doc_share(int64_t part, int64_t all);
/* Numbers of any JSON kind; 0 where there is none, or a negative one. */
unsigned long long doc_count(const json_t *object, const char *key);
double doc_real(const json_t *object, const char *key);
/* "" where it is none; raw, to be escaped. */
const char *doc_text(const json_t *object, const char *key);
