/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The one rule by which a file that a foreign process named is opened (docs/security.md 2). All of it may
 * block on a FUSE or network server: it runs in the opener's threads only.
 *
 * A mapped file: /proc/PID/map_files/START-LIMIT, which is the very file of the mapping, whatever
 * its path says now. Where that cannot be had, the path beneath /proc/PID/root, without following
 * magic links: what is found must be a regular file and have the inode that the mapping has. Where
 * the process is gone, the path beneath its parent's and our own root, when device and inode
 * agree both.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "object.h"

struct openfile_mapping {
	uint32_t pid, ppid; /* ppid: 0 none */
	uint64_t start, limit;
	uint32_t major, minor;
	uint64_t inode;
	const char *path;
};

struct openfile_result {
	int fd;
	struct object_identity identity;
	uint32_t pid;    /* whose root it was found in; 0: our own */
	uint64_t root;   /* identity of that root, 0 unknown */
	uint32_t uid;    /* of that process; openfile_jit_map: its effective one */
	int root_fd;     /* openfile_jit_map, openfile_process: O_PATH of its root; else -1 */
	uint32_t ns_pid; /* those two: its number in its own namespace */
};

/* -ESTALE: what was found is another file than the one mapped. */
int openfile_mapped(const struct openfile_mapping *m, struct openfile_result *ret);

struct openfile_jit {
	uint32_t pid, ns_pid; /* ns_pid 0: not known, it is looked for */
	uint64_t start_ns;    /* of the process, CLOCK_BOOTTIME; 0 unknown */
	int root_fd;          /* of its root, where that was opened before; -1 */
	bool has_uid;
	uint32_t uid; /* its effective one, where that was seen before */
	bool gone;    /* the process: only what is known of it serves */
};

/*
 * /tmp/perf-NS_PID.map beneath the root of the process, which has to be a regular file with one
 * link that the process's effective user owns (docs/security.md 2): -EPERM where it is another. Also on
 * failure, *ret has what was learnt of the process (root_fd, uid), fd is -1 then. -ESRCH: it is gone, and
 * nothing is known of it.
 */
int openfile_jit_map(const struct openfile_jit *j, struct openfile_result *ret);

/* Of the process that had this pid at by_ns (CLOCK_MONOTONIC) and has it still: root_fd, ns_pid and its
 * uid, real and effective. -ESRCH: it is gone; -EPERM: it runs with the rights of another user. */
int openfile_process(uint32_t pid, uint64_t by_ns, struct openfile_result *ret);

/* st_dev << 32 ^ st_ino of a process's root directory; 0 when it is gone. */
uint64_t openfile_root_identity(uint32_t pid);

/* A regular file by absolute path beneath the root of pid, when that root is still the one with
 * this identity; else beneath our own root when the identity is ours; else -ENOENT. Returns a
 * descriptor. */
int openfile_beneath(uint32_t pid, uint64_t root, const char *path);

/* A debug file of `object`, by absolute path. An object that our own root has under its name is named from
 * our root alone: in a mount namespace of one's own (unshare -Urm) anybody can lay other
 * debug files over those of the host, and its names are shown to all. Else as openfile_beneath(). */
struct openfile_object {
	const char *path; /* absolute, else it is nowhere */
	uint64_t dev, inode;
	uint32_t pid; /* a process that maps it */
	uint64_t root;
};
int openfile_debug(const struct openfile_object *object, const char *path);
