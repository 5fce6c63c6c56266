/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Memory for copies of foreign stacks and registers (docs/security.md 4): whole pages that no core dump
 * contains, zeroed when they are freed.
 */

#include <stddef.h>

/* NULL without memory; zeroed. */
void *secret_new(size_t size);
/* p from secret_new(size), or NULL. */
void *secret_free(void *p, size_t size);
/* What it takes of memory. */
size_t secret_bytes(size_t size);
