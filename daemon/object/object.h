/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Objects: what an address can belong to. An object is made when a mapping is first seen, and is
 * shared by reference between the mappings of all processes, the unwind tables, the symbol cache
 * and the samples that wait for names.
 *
 * A file object is known by the identity of the descriptor it holds (docs/security.md 1): the
 * descriptor keeps the inode alive, so that a number is not reused while the object lives. Two
 * identities are two objects, whatever their paths or build-ids say. Everything that is cached for
 * an object hangs on its id, which is never reused while the daemon lives.
 *
 * Not thread-safe: the main thread owns the table and all objects.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum object_kind {
	OBJECT_FILE,   /* a mapped regular file (also deleted, memfd) */
	OBJECT_ANON,   /* executable memory without a file: JIT code; address = runtime address */
	OBJECT_JIT,    /* the same of one process whose compiler is known: jit_files.h */
	OBJECT_VDSO,   /* the kernel's [vdso]; its bytes are in a memfd of ours */
	OBJECT_KERNEL, /* kernel text and modules */
	OBJECT_SYNTHETIC, /* a frame that is no address: "[truncated: depth]", "[kernel thread]" */
	OBJECT_UNKNOWN,   /* no mapping was known at that time: "[unknown+0x...]" */
};

struct object_identity {
	uint64_t dev; /* st_dev of the held descriptor */
	uint64_t inode;
	uint64_t size_bytes;
	int64_t mtime_ns;
	int64_t ctime_ns;
};

/* A mapped range as first seen in any process; the profile's mappings are made from these. */
struct object_segment {
	uint64_t start, limit; /* runtime addresses [start, limit) */
	uint64_t offset;       /* file offset of start; JIT: start */
};

struct object {
	unsigned refs;
	uint32_t id;
	enum object_kind kind;
	char *name; /* path as the kernel gave it, " (deleted)" removed; or the synthetic name. Raw bytes. */
	int fd; /* held O_RDONLY, or a negative errno that says why there is none */
	struct object_identity identity; /* of a file */
	int pid; /* a process that mapped it when it was opened: whose root its debug files are looked
		  * up in; 0 unknown */
	uint64_t root; /* identity of that process's root directory (st_dev << 32 ^ st_ino) */
	uint32_t uid;  /* owner of that process: cache shares are accounted by it */
	struct object_segment *segments;
	size_t n_segments;
	struct jit_files *jit; /* JIT: a reference */
	uint64_t until_ns;     /* JIT: CLOCK_MONOTONIC of its last sample */
	struct object_table *table;
};

struct object_table;
struct jit_files;

int object_table_new(struct object_table **ret, size_t max_objects);
struct object_table *object_table_free(struct object_table *t);

/* A reference on the object with this identity; a new one takes fd (else fd is closed). name, pid,
 * root and uid are those of the mapping that brought it. -ENOSPC when the table is full (counted). */
int object_file(struct object_table *t, const struct object_identity *identity, int fd,
		const char *name, int pid, uint64_t root, uint32_t uid, struct object **ret);
/* A file that could not be opened: known by what the side-band said, fd = error. */
int object_file_unopened(struct object_table *t, uint64_t dev, uint64_t inode, const char *name,
			 int error, struct object **ret);
/* The one object of this kind and name (SYNTHETIC, KERNEL, VDSO, ANON, UNKNOWN). */
int object_special(struct object_table *t, enum object_kind kind, const char *name,
		   struct object **ret);

/* A new object each time; takes a reference on files. */
int object_jit(struct object_table *t, struct jit_files *files, struct object **ret);

struct object *object_ref(struct object *o);
struct object *object_unref(struct object *o);

/* Remembers a mapped range unless one that covers its offsets is there. At most 64 an object. */
void object_add_segment(struct object *o, uint64_t start, uint64_t limit, uint64_t offset);
/* The segment that holds this file offset, or NULL. */
const struct object_segment *object_segment(const struct object *o, uint64_t offset);

/* True while the held descriptor still has the identity it was opened with (statx, without asking a
 * file server). The ctime of a file whose last name was removed does not count. */
bool object_unchanged(const struct object *o);
/*
 * object_unchanged(), after a changed ctime, if nothing but it is another, was taken over: a hard link
 * more (backups, ostree, debootstrap's caches) or another mode is no other file. What was cached under
 * the old identity is not found under the new one. For before a read; after it, object_unchanged().
 */
bool object_renew(struct object *o);
/* identity from fstat of fd; -errno, -EINVAL when it is no regular file. */
int object_identify(int fd, struct object_identity *ret);

size_t object_table_count(const struct object_table *t);
size_t object_table_bytes(const struct object_table *t);
uint64_t object_table_refused(const struct object_table *t);
