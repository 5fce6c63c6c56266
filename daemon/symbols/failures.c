/* SPDX-License-Identifier: Apache-2.0 */
#include "failures.h"

#include <stdio.h>
#include <string.h>

static bool failures_same(const struct object_identity *a, const struct object_identity *b)
{
	return a->dev == b->dev && a->inode == b->inode && a->size_bytes == b->size_bytes &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static void failures_expire(struct failures *f, uint64_t now_ns)
{
	size_t to = 0;

	for (size_t i = 0; i < f->n; i++)
		if (f->items[i].expires_ns > now_ns)
			f->items[to++] = f->items[i];
	f->n = to;
}

static struct failure *failures_of(struct failures *f, const struct object *object, uint64_t now_ns)
{
	failures_expire(f, now_ns);
	for (size_t i = 0; i < f->n; i++)
		if (failures_same(&f->items[i].identity, &object->identity))
			return &f->items[i];
	return NULL;
}

void failures_add(struct failures *f, const struct object *object, enum failure_kind kind,
		  const char *why, uint64_t now_ns)
{
	struct failure *e = failures_of(f, object, now_ns);

	f->total++;
	if (!e) {
		if (f->n == FAILURES_MAX) {
			memmove(f->items, f->items + 1, (FAILURES_MAX - 1) * sizeof(*f->items));
			f->n--;
		}
		e = &f->items[f->n++];
	}
	*e = (struct failure){
		.identity = object->identity,
		.kind = kind,
		.expires_ns = now_ns + FAILURES_EXPIRE_NS,
	};
	snprintf(e->path, sizeof(e->path), "%s", object->name);
	snprintf(e->why, sizeof(e->why), "%s", why);
}

enum failure_kind failures_find(struct failures *f, const struct object *object, uint64_t now_ns)
{
	const struct failure *e = failures_of(f, object, now_ns);

	return e ? e->kind : FAILURE_NONE;
}
