/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The folder of the store's files. A file appears under its name whole and on disk, or not at all;
 * names are never reused. Errors: negative errno as the file system gave it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "window.h"

#define FILES_SUFFIX  ".pb.gz"
#define FILES_DAMAGED "damaged" /* folder for what could not be read */

struct files {
	int dir_fd, damaged_fd;
};

/* Makes the folders where they are missing, and removes temporary files. */
int files_open(struct files *f, const char *path);
void files_done(struct files *f);

/* -EEXIST: there is one. */
int files_create(struct files *f, const char *name, const struct iovec *parts, int n_parts);
/* A read-only descriptor of a regular file. */
int files_get(const struct files *f, const char *name, uint64_t *ret_bytes);
int files_remove(struct files *f, const char *name);
/* Moves it aside; of those at most FILES_MAX_DAMAGED are kept, the oldest go. */
#define FILES_MAX_DAMAGED 16
int files_set_aside(struct files *f, const char *name);
/* What lies aside, and all of it gone. */
uint64_t files_damaged_bytes(const struct files *f);
void files_drop_damaged(struct files *f);
/* Calls for each name that has the suffix, without it. */
int files_each(const struct files *f, int (*fn)(void *arg, const char *name), void *arg);
uint64_t files_free_bytes(const struct files *f);
/* What a file of this size takes on disk. */
static inline uint64_t files_rounded(uint64_t bytes)
{
	return (bytes + 4095) & ~4095ULL;
}

/* BOOTID-SEQUENCE; false for what is no such name. */
void files_name(char ret[WINDOW_MAX_NAME], const char *boot_id, uint64_t seq);
bool files_parse_name(const char *name, uint64_t *ret_seq);
