/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

/* Reads what the daemon sent, prints it as one document on stdout. 0, or -EIO, said. */
int doc_print(const json_t *j);
/* Numbers of any JSON kind; 0 where there is none, or a negative one. */
unsigned long long doc_count(const json_t *object, const char *key);
double doc_real(const json_t *object, const char *key);
/* "" where it is none; raw, to be escaped. */
const char *doc_text(const json_t *object, const char *key);
