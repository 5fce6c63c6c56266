/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jit-PID.dump: jit.h. One pass finds the record that names each address; a second one the names of
 * code that was moved; then the lines are read where a function has been hit.
 */
#include <string.h>

#include "jit.h"
#include "text.h"

#define JITDUMP_MAGIC        0x4A695444U
#define JITDUMP_FLAG_TSC     1ULL /* times are the processor's own: they say nothing here */
#define JITDUMP_WINDOW_BYTES 65536U
/* V8 adds the size of the ELF header that `perf inject` puts before the code to its lines' addresses. */
#define JITDUMP_V8_SHIFT 0x40U

enum jitdump_id { JITDUMP_LOAD = 0, JITDUMP_MOVE = 1, JITDUMP_DEBUG = 2 };

struct jitdump_header {
	uint32_t magic, version, total_size, elf_mach, pad, pid;
	uint64_t timestamp, flags;
};

struct jitdump_prefix {
	uint32_t id, total_size;
	uint64_t timestamp;
};

struct jitdump_load {
	uint32_t pid, tid;
	uint64_t vma, code_addr, code_size, code_index;
};

struct jitdump_move {
	uint32_t pid, tid;
	uint64_t vma, old_code_addr, new_code_addr, code_size, code_index;
};

struct jitdump_debug {
	uint64_t code_addr, n_entries;
};

struct jitdump_entry {
	uint64_t addr;
	uint32_t line, discriminator; /* a file name follows */
};

_Static_assert(sizeof(struct jitdump_header) == 40 && sizeof(struct jitdump_prefix) == 16 &&
		       sizeof(struct jitdump_load) == 40 && sizeof(struct jitdump_move) == 48 &&
		       sizeof(struct jitdump_entry) == 16,
	       "layout");

struct jitdump {
	const struct jit_request *request;
	struct jit_found *found;
	bool timeless;
	struct jitdump_debug debug; /* of the code that is loaded next */
	uint64_t debug_offset, debug_bytes;
	uint64_t at; /* of the window in the file */
	size_t have;
	char window[JITDUMP_WINDOW_BYTES];
};

/* size bytes at offset, size at most a window's; NULL where the file ends before. */
static const void *jitdump_at(struct jitdump *d, uint64_t offset, size_t size)
{
	ssize_t n;

	if (offset < d->at || offset - d->at > d->have || d->have - (offset - d->at) < size) {
		do {
			n = pread(d->request->dump_fd, d->window, sizeof(d->window), (off_t)offset);
		} while (n < 0 && errno == EINTR);
		d->at = offset;
		d->have = n > 0 ? (size_t)n : 0;
		if (d->have < size)
			return NULL;
	}
	return d->window + (offset - d->at);
}

static bool jitdump_copy(struct jitdump *d, uint64_t offset, void *ret, size_t size)
{
	const void *p = jitdump_at(d, offset, size);

	if (p)
		memcpy(ret, p, size);
	return p;
}

/* The latest that was there by then; where nothing was, the earliest that came after. */
static bool jitdump_is_better(const struct jitdump *d, const struct jit_found *f, uint64_t time_ns)
{
	uint64_t until = d->timeless ? UINT64_MAX : d->request->until_ns;

	/* what the perf map says has no index and no record */
	if (!f->load_offset)
		return true;
	if (time_ns <= until)
		return f->time_ns > until || f->time_ns <= time_ns || d->timeless;
	return f->time_ns > until && time_ns < f->time_ns;
}

static void jitdump_set(struct jitdump *d, uint64_t start, uint64_t size,
			const struct jit_found *with)
{
	size_t first, n = jit_find(d->request, start, size, &first);

	for (size_t i = first; i < first + n; i++) {
		if (!jitdump_is_better(d, &d->found[i], with->time_ns))
			continue;
		jit_found_clear(&d->found[i]);
		d->found[i] = *with;
	}
}

static void jitdump_load(struct jitdump *d, const struct jitdump_prefix *p, uint64_t body)
{
	struct jit_found with = { .time_ns = p->timestamp, .load_offset = body };
	struct jitdump_load l;

	if (p->total_size < sizeof(*p) + sizeof(l) || !jitdump_copy(d, body, &l, sizeof(l)))
		return;
	with.start = l.code_addr;
	with.index = l.code_index;
	if (d->debug_offset && d->debug.code_addr == l.code_addr) {
		with.debug_offset = d->debug_offset;
		with.debug_entries = d->debug.n_entries;
		with.debug_bytes = d->debug_bytes;
	}
	d->debug_offset = 0;
	jitdump_set(d, l.code_addr, l.code_size, &with);
}

static void jitdump_move(struct jitdump *d, const struct jitdump_prefix *p, uint64_t body)
{
	struct jit_found with = { .time_ns = p->timestamp, .load_offset = UINT64_MAX };
	struct jitdump_move m;

	if (p->total_size < sizeof(*p) + sizeof(m) || !jitdump_copy(d, body, &m, sizeof(m)))
		return;
	with.start = m.new_code_addr;
	with.index = m.code_index;
	jitdump_set(d, m.new_code_addr, m.code_size, &with);
}

static void jitdump_debug(struct jitdump *d, const struct jitdump_prefix *p, uint64_t body)
{
	size_t head = sizeof(*p) + sizeof(d->debug);

	d->debug_offset = 0;
	if (p->total_size < head || !jitdump_copy(d, body, &d->debug, sizeof(d->debug)))
		return;
	d->debug_offset = body + sizeof(d->debug);
	d->debug_bytes = p->total_size - head;
}

/* Calls for each record whose prefix is there. */
static void jitdump_each(struct jitdump *d, uint64_t at,
			 void (*fn)(struct jitdump *d, const struct jitdump_prefix *p,
				    uint64_t body))
{
	struct jitdump_prefix p;

	while (at < JIT_MAX_DUMP_BYTES && jitdump_copy(d, at, &p, sizeof(p))) {
		if (p.total_size < sizeof(p))
			return;
		fn(d, &p, at + sizeof(p));
		at += p.total_size;
	}
}

static void jitdump_record(struct jitdump *d, const struct jitdump_prefix *p, uint64_t body)
{
	switch (p->id) {
	case JITDUMP_LOAD:
		jitdump_load(d, p, body);
		break;
	case JITDUMP_MOVE:
		jitdump_move(d, p, body);
		break;
	case JITDUMP_DEBUG:
		jitdump_debug(d, p, body);
		break;
	default:
		break;
	}
}

/* Code that was moved has the name that it was loaded with. */
static void jitdump_resolve(struct jitdump *d, const struct jitdump_prefix *p, uint64_t body)
{
	struct jitdump_load l;

	if (p->id != JITDUMP_LOAD || p->total_size < sizeof(*p) + sizeof(l) ||
	    !jitdump_copy(d, body, &l, sizeof(l)))
		return;
	for (size_t i = 0; i < d->request->n_addresses; i++)
		if (d->found[i].load_offset == UINT64_MAX && d->found[i].index == l.code_index)
			d->found[i].load_offset = body;
}

/* A string of at most max bytes at offset, cut to that; NULL where there is none. */
static int jitdump_string(struct jitdump *d, uint64_t offset, char **ret)
{
	const char *p = jitdump_at(d, offset, 1);
	size_t n;

	if (!p)
		return 0;
	/* as much as the window can have */
	if (!memchr(p, '\0', d->have - (offset - d->at))) {
		d->have = 0;
		p = jitdump_at(d, offset, 1);
		if (!p)
			return 0;
	}
	n = strnlen(p, MIN(d->have - (offset - d->at), (size_t)SYMBOLIZE_MAX_NAME_BYTES));
	*ret = strndup(p, n);
	return *ret ? 0 : -ENOMEM;
}

static bool jitdump_is_v8(const char *name)
{
	return name && (strncmp(name, "JS:", 3) == 0 || strncmp(name, "LazyCompile:", 12) == 0 ||
			strncmp(name, "Function:", 9) == 0);
}

/* V8 has written records whose names and addresses are what happened to be in memory. */
static bool jitdump_is_path(const char *s)
{
	for (const char *c = s; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	return text_is_utf8(s, strlen(s));
}

/* The entry that the address belongs to: the last one at or before it. A record that is broken says nothing. */
static int jitdump_lines(struct jitdump *d, struct jit_found *f, uint64_t address)
{
	uint64_t bytes = MIN(f->debug_bytes, (uint64_t)JIT_MAX_DEBUG_BYTES);
	_cleanup_free_ char *data = malloc((size_t)bytes + 1);
	const char *p = data, *end = data + bytes, *file = NULL, *best = NULL;
	uint64_t shift = jitdump_is_v8(f->name) ? JITDUMP_V8_SHIFT : 0;
	uint64_t best_addr = 0;

	if (!data)
		return -ENOMEM;
	if (pread(d->request->dump_fd, data, (size_t)bytes, (off_t)f->debug_offset) !=
	    (ssize_t)bytes)
		return 0;

	for (uint64_t i = 0; i < f->debug_entries; i++) {
		struct jitdump_entry e;
		const char *nul;

		if ((size_t)(end - p) < sizeof(e) + 1)
			break;
		memcpy(&e, p, sizeof(e));
		p += sizeof(e);
		nul = memchr(p, '\0', (size_t)(end - p));
		if (!nul)
			break;
		/* "\xff": the file of the entry before */
		if (strcmp(p, "\xff") != 0) {
			if (!jitdump_is_path(p)) {
				f->line = 0;
				return 0;
			}
			file = p;
		}
		p = nul + 1;
		if (e.addr - shift <= address && (!best || e.addr >= best_addr)) {
			best = file;
			best_addr = e.addr;
			f->line = e.line;
		}
	}
	if (best && *best) {
		f->file = strdup(best);
		return f->file ? 0 : -ENOMEM;
	}
	return 0;
}

static int jitdump_finish(struct jitdump *d)
{
	int r;

	for (size_t i = 0; i < d->request->n_addresses; i++) {
		struct jit_found *f = &d->found[i];

		if (!f->load_offset || f->load_offset == UINT64_MAX)
			continue;
		r = jitdump_string(d, f->load_offset + sizeof(struct jitdump_load), &f->name);
		if (r == 0 && f->debug_offset)
			r = jitdump_lines(d, f, d->request->addresses[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int jitdump_read(const struct jit_request *request, struct jit_found *found)
{
	_cleanup_free_ struct jitdump *d = calloc(1, sizeof(*d));
	struct jitdump_header h;
	bool moved = false;

	if (!d)
		return -ENOMEM;
	d->request = request;
	d->found = found;
	if (!jitdump_copy(d, 0, &h, sizeof(h)) || h.magic != JITDUMP_MAGIC ||
	    h.total_size < sizeof(h))
		return 0;
	d->timeless = h.flags & JITDUMP_FLAG_TSC;

	jitdump_each(d, h.total_size, jitdump_record);
	for (size_t i = 0; i < request->n_addresses; i++)
		moved |= found[i].load_offset == UINT64_MAX;
	if (moved)
		jitdump_each(d, h.total_size, jitdump_resolve);
	return jitdump_finish(d);
}
