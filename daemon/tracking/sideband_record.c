/* SPDX-License-Identifier: Apache-2.0 */
#include "sideband_record.h"

#include <errno.h>
#include <string.h>

/* Bodies between the header and the sample_id. */
struct body_mmap2 {
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	uint32_t major, minor;
	uint64_t inode, generation;
	uint32_t prot, flags;
	/* char filename[] */
};

struct body_comm {
	uint32_t pid, tid;
	/* char comm[] */
};

struct body_task {
	uint32_t pid, ppid, tid, ptid;
	uint64_t time;
};

struct body_cgroup {
	uint64_t id;
	/* char path[] */
};

struct body_lost {
	uint64_t id, lost;
};

/* What sample_id_all appends for SIDEBAND_SAMPLE_TYPE. */
struct trailer {
	uint32_t pid, tid;
	uint64_t time;
	uint32_t cpu, reserved;
};

struct bytes {
	const uint8_t *p;
	size_t n;
};

static bool take(struct bytes *b, void *body, size_t size)
{
	if (b->n < size)
		return false;
	memcpy(body, b->p, size);
	b->p += size;
	b->n -= size;
	return true;
}

/* The rest is a name that ends within it. */
static bool take_text(const struct bytes *b, size_t max, const char **ret)
{
	const char *end = memchr(b->p, '\0', b->n);

	if (!end || (size_t)(end - (const char *)b->p) >= max)
		return false;
	*ret = (const char *)b->p;
	return true;
}

static bool parse_mmap(struct bytes *b, struct sideband_event *e)
{
	struct body_mmap2 body;

	if (!take(b, &body, sizeof(body)) || !take_text(b, SIDEBAND_PATH_BYTES, &e->text))
		return false;
	if (body.len == 0 || body.addr > UINT64_MAX - body.len ||
	    body.pgoff > UINT64_MAX - body.len)
		return false;

	e->kind = SIDEBAND_MMAP;
	e->pid = body.pid;
	e->tid = body.tid;
	e->start = body.addr;
	e->limit = body.addr + body.len;
	e->offset = body.pgoff;
	e->major = body.major;
	e->minor = body.minor;
	e->inode = body.inode;
	e->generation = body.generation;
	return true;
}

static bool parse_comm(struct bytes *b, const struct perf_event_header *h, struct sideband_event *e)
{
	struct body_comm body;

	if (!take(b, &body, sizeof(body)) || !take_text(b, SIDEBAND_COMM_BYTES, &e->text))
		return false;

	e->kind = SIDEBAND_COMM;
	e->pid = body.pid;
	e->tid = body.tid;
	e->exec = h->misc & PERF_RECORD_MISC_COMM_EXEC;
	return true;
}

static bool parse_task(struct bytes *b, const struct perf_event_header *h, struct sideband_event *e)
{
	struct body_task body;

	if (!take(b, &body, sizeof(body)))
		return false;

	e->kind = h->type == PERF_RECORD_FORK ? SIDEBAND_FORK : SIDEBAND_EXIT;
	e->pid = body.pid;
	e->tid = body.tid;
	e->ppid = body.ppid;
	return true;
}

static bool parse_cgroup(struct bytes *b, struct sideband_event *e)
{
	struct body_cgroup body;

	if (!take(b, &body, sizeof(body)) || !take_text(b, SIDEBAND_PATH_BYTES, &e->text))
		return false;

	e->kind = SIDEBAND_CGROUP;
	e->cgroup_id = body.id;
	return true;
}

static bool parse_lost(struct bytes *b, struct sideband_event *e)
{
	struct body_lost body;

	if (!take(b, &body, sizeof(body)))
		return false;

	e->kind = SIDEBAND_LOST;
	e->lost = body.lost;
	return true;
}

int sideband_parse(const void *record, size_t size, struct sideband_event *ret)
{
	struct sideband_event e = { .text = "" };
	struct perf_event_header h;
	struct trailer trailer;
	struct bytes b;
	bool good;

	if (size < sizeof(h) + sizeof(trailer))
		return -EBADMSG;
	memcpy(&h, record, sizeof(h));
	if (h.size != size)
		return -EBADMSG;

	b = (struct bytes){ (const uint8_t *)record + sizeof(h),
			    size - sizeof(h) - sizeof(trailer) };
	switch (h.type) {
	case PERF_RECORD_MMAP2:
		/* the union then holds a build-id where inode and device should be */
		good = !(h.misc & PERF_RECORD_MISC_MMAP_BUILD_ID) && parse_mmap(&b, &e);
		break;
	case PERF_RECORD_COMM:
		good = parse_comm(&b, &h, &e);
		break;
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		good = parse_task(&b, &h, &e);
		break;
	case PERF_RECORD_CGROUP:
		good = parse_cgroup(&b, &e);
		break;
	case PERF_RECORD_LOST:
		good = parse_lost(&b, &e);
		break;
	default:
		return 0;
	}
	if (!good)
		return -EBADMSG;

	memcpy(&trailer, (const uint8_t *)record + size - sizeof(trailer), sizeof(trailer));
	e.time_ns = trailer.time;
	*ret = e;
	return 1;
}
