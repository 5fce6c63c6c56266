/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * kallsyms, read when it is first needed and again when an address turns up that it does not list: modules
 * and BPF programs come and go. Reading costs the kernel tens of milliseconds, so that a second
 * reading waits ten seconds, and twice as long each time that it brought nothing.
 */

#include <stdbool.h>
#include <stdint.h>

#include "kallsyms.h"

struct kernel_names;

int kernel_names_new(struct kernel_names **ret, const char *path);
struct kernel_names *kernel_names_free(struct kernel_names *k);
/* Raw instruction pointer → the encoded address of kallsyms.h. now_ns: CLOCK_MONOTONIC. */
uint64_t kernel_names_encode(struct kernel_names *k, uint64_t ip, uint64_t now_ns);
const struct kallsyms *kernel_names_table(const struct kernel_names *k);
