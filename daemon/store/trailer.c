/* SPDX-License-Identifier: Apache-2.0 */
/* The trailer of a stored window: window.h. Little-endian, as all machines that this runs on. */
#include <string.h>
#include <xxhash.h>
#include <zlib.h>

#include "cleanup.h"
#include "window.h"

#define MAGIC        "cprofwin"
#define CHUNK_BYTES  65000 /* of the extra field's 65,535, less its subfield's head */
#define HEAD_BYTES   16    /* of a member before its data: header, XLEN, subfield */
#define TAIL_BYTES   10    /* behind it: an empty deflate block, CRC, size */
#define MAX_BLOB     (WINDOW_MAX_META_BYTES + (WINDOW_MAX_META_BYTES >> 4))
#define MAX_REPLACES (1U << 20)

struct trailer_end {
	char magic[8];
	uint32_t version, reserved;
	uint64_t payload_bytes; /* of the pprof before the trailer */
	uint64_t blob_bytes;    /* of all data of the members before this one */
	uint64_t plain_bytes;   /* of these when inflated */
	uint64_t hash;          /* XXH3 of them as stored */
	uint64_t end_hash;      /* of this struct before this field */
};
_Static_assert(sizeof(struct trailer_end) + HEAD_BYTES + TAIL_BYTES == WINDOW_END_BYTES,
	       "stored layout");

/* What the blob begins with; rows, strings and names of replaced files follow. */
struct trailer_head {
	int64_t start_ns;
	uint64_t duration_ns, samples, cpu_ns, lost, truncated;
	uint32_t hz, merged;
	uint64_t age_ns, boot_ns;
	char boot_id[WINDOW_BOOT_ID_BYTES];
	uint32_t n_processes, strings_bytes, replaces_bytes, level;
};
_Static_assert(sizeof(struct trailer_head) == 120, "stored layout");

static const uint8_t member_tail[TAIL_BYTES] = { 3, 0 };

static void member_head(uint8_t head[HEAD_BYTES], size_t bytes)
{
	const uint8_t fixed[] = { 0x1f, 0x8b, 8, 4 /* FEXTRA */, 0, 0, 0, 0, 0, 255 };

	memcpy(head, fixed, sizeof(fixed));
	head[10] = (uint8_t)(bytes + 4);
	head[11] = (uint8_t)((bytes + 4) >> 8);
	head[12] = 'C';
	head[13] = 'P';
	head[14] = (uint8_t)bytes;
	head[15] = (uint8_t)(bytes >> 8);
}

static void write_member(struct buf *out, const void *data, size_t bytes)
{
	uint8_t head[HEAD_BYTES];

	member_head(head, bytes);
	buf_append(out, head, sizeof(head));
	buf_append(out, data, bytes);
	buf_append(out, member_tail, sizeof(member_tail));
}

static int compress_blob(const struct buf *plain, struct buf *out)
{
	uLongf bytes = compressBound((uLong)plain->size);
	void *p = buf_reserve(out, bytes);

	if (!p)
		return out->error;
	if (compress2(p, &bytes, (const Bytef *)plain->data, (uLong)plain->size, 6) != Z_OK)
		return -ENOMEM;
	out->size += bytes;
	return 0;
}

int window_write(const struct window *w, uint64_t payload_bytes, struct buf *out)
{
	_cleanup_(buf_done) struct buf plain = BUF_INIT(WINDOW_MAX_META_BYTES),
				       blob = BUF_INIT(MAX_BLOB);
	struct trailer_head head = {
		.start_ns = w->start_ns,
		.duration_ns = w->duration_ns,
		.samples = w->samples,
		.cpu_ns = w->cpu_ns,
		.lost = w->lost,
		.truncated = w->truncated,
		.hz = w->hz,
		.merged = w->merged,
		.age_ns = w->age_ns,
		.boot_ns = w->boot_ns,
		.n_processes = (uint32_t)w->n_processes,
		.strings_bytes = (uint32_t)w->strings.size,
		.replaces_bytes = (uint32_t)w->replaces.size,
		.level = w->level,
	};
	struct trailer_end end = { .magic = MAGIC,
				   .version = WINDOW_VERSION,
				   .payload_bytes = payload_bytes };
	int r;

	memcpy(head.boot_id, w->boot_id, sizeof(head.boot_id));
	buf_append(&plain, &head, sizeof(head));
	buf_append(&plain, w->processes, w->n_processes * sizeof(*w->processes));
	buf_append(&plain, w->strings.data, w->strings.size);
	buf_append(&plain, w->replaces.data, w->replaces.size);
	if (plain.error)
		return plain.error;
	r = compress_blob(&plain, &blob);
	if (r < 0)
		return r;

	for (size_t at = 0; at < blob.size; at += CHUNK_BYTES)
		write_member(out, blob.data + at, MIN(blob.size - at, (size_t)CHUNK_BYTES));
	end.blob_bytes = blob.size;
	end.plain_bytes = plain.size;
	end.hash = XXH3_64bits(blob.data, blob.size);
	end.end_hash = XXH3_64bits(&end, offsetof(struct trailer_end, end_hash));
	write_member(out, &end, sizeof(end));
	return out->error;
}

static int read_at(int fd, void *data, size_t size, uint64_t offset)
{
	char *p = data;

	while (size > 0) {
		ssize_t n = pread(fd, p, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EBADMSG;
		p += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

static uint64_t members_bytes(uint64_t blob_bytes)
{
	uint64_t n = (blob_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;

	return blob_bytes + n * (HEAD_BYTES + TAIL_BYTES);
}

static int read_end(int fd, uint64_t file_bytes, struct trailer_end *ret)
{
	uint8_t member[WINDOW_END_BYTES], head[HEAD_BYTES];
	struct trailer_end end;
	int r;

	if (file_bytes < WINDOW_END_BYTES)
		return -EBADMSG;
	r = read_at(fd, member, sizeof(member), file_bytes - sizeof(member));
	if (r < 0)
		return r;
	member_head(head, sizeof(end));
	memcpy(&end, member + HEAD_BYTES, sizeof(end));
	if (memcmp(member, head, sizeof(head)) != 0 || memcmp(end.magic, MAGIC, 8) != 0 ||
	    end.end_hash != XXH3_64bits(&end, offsetof(struct trailer_end, end_hash)))
		return -EBADMSG;
	if (end.version > WINDOW_VERSION)
		return -EPROTO;
	if (end.version == 0 || end.blob_bytes > MAX_BLOB ||
	    end.plain_bytes > WINDOW_MAX_META_BYTES ||
	    end.plain_bytes < sizeof(struct trailer_head) || end.payload_bytes > file_bytes ||
	    file_bytes - end.payload_bytes != members_bytes(end.blob_bytes) + WINDOW_END_BYTES)
		return -EBADMSG;
	*ret = end;
	return 0;
}

static int read_blob(int fd, const struct trailer_end *end, struct buf *plain)
{
	_cleanup_free_ uint8_t *blob = malloc(MAX(end->blob_bytes, 1ULL));
	uint64_t offset = end->payload_bytes;
	uLongf bytes = (uLongf)end->plain_bytes;
	void *p = buf_reserve(plain, end->plain_bytes);

	if (!blob || !p)
		return -ENOMEM;
	for (uint64_t at = 0; at < end->blob_bytes; at += CHUNK_BYTES) {
		size_t n = (size_t)MIN(end->blob_bytes - at, (uint64_t)CHUNK_BYTES);
		int r = read_at(fd, blob + at, n, offset + HEAD_BYTES);

		if (r < 0)
			return r;
		offset += HEAD_BYTES + n + TAIL_BYTES;
	}
	if (XXH3_64bits(blob, end->blob_bytes) != end->hash)
		return -EBADMSG;
	if (uncompress(p, &bytes, blob, (uLong)end->blob_bytes) != Z_OK ||
	    bytes != end->plain_bytes)
		return -EBADMSG;
	plain->size = bytes;
	return 0;
}

static bool rows_in_range(const struct window *w)
{
	for (size_t i = 0; i < w->n_processes; i++) {
		const struct window_process *p = &w->processes[i];
		const uint32_t offsets[] = { p->comm, p->exe, p->build_id, p->unit, p->container };

		for (size_t k = 0; k < ARRAY_SIZE(offsets); k++)
			if (offsets[k] && offsets[k] >= w->strings.size)
				return false;
	}
	/* so that every offset begins a string that ends */
	return w->strings.size == 0 || w->strings.data[w->strings.size - 1] == '\0';
}

static int parse_blob(const struct buf *plain, struct window *w)
{
	const char *p = plain->data;
	struct trailer_head head;
	uint64_t rows;

	memcpy(&head, p, sizeof(head));
	rows = (uint64_t)head.n_processes * sizeof(struct window_process);
	if (head.n_processes > WINDOW_MAX_PROCESSES || head.replaces_bytes > MAX_REPLACES ||
	    sizeof(head) + rows + head.strings_bytes + head.replaces_bytes != plain->size)
		return -EBADMSG;

	w->start_ns = head.start_ns;
	w->duration_ns = head.duration_ns;
	w->samples = head.samples;
	w->cpu_ns = head.cpu_ns;
	w->lost = head.lost;
	w->truncated = head.truncated;
	w->hz = head.hz;
	w->merged = head.merged;
	w->level = head.level;
	w->age_ns = head.age_ns;
	w->boot_ns = head.boot_ns;
	memcpy(w->boot_id, head.boot_id, sizeof(head.boot_id));
	w->boot_id[WINDOW_BOOT_ID_BYTES] = '\0';

	p += sizeof(head);
	w->processes = malloc(MAX(rows, 1ULL));
	if (!w->processes)
		return -ENOMEM;
	memcpy(w->processes, p, rows);
	w->n_processes = w->max_processes = head.n_processes;
	p += rows;
	buf_append(&w->strings, p, head.strings_bytes);
	buf_append(&w->replaces, p + head.strings_bytes, head.replaces_bytes);
	if (w->strings.error || w->replaces.error)
		return -ENOMEM;
	return rows_in_range(w) ? 0 : -EBADMSG;
}

int window_read(int fd, uint64_t file_bytes, struct window *ret, uint64_t *ret_payload_bytes)
{
	_cleanup_(buf_done) struct buf plain = BUF_INIT(WINDOW_MAX_META_BYTES);
	_cleanup_(window_done) struct window w;
	struct trailer_end end;
	int r;

	window_init(&w);
	r = read_end(fd, file_bytes, &end);
	if (r < 0)
		return r;
	r = read_blob(fd, &end, &plain);
	if (r < 0)
		return r;
	r = parse_blob(&plain, &w);
	if (r < 0)
		return r;

	*ret = w;
	window_init(&w);
	*ret_payload_bytes = end.payload_bytes;
	return 0;
}
