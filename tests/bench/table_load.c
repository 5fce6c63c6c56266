/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: table_load FILE...
 *
 * Makes each file's unwind table and loads it as the daemon does: rows, the kernel's memory for them
 * (what it says itself of the map, fdinfo's memlock), and the time from the file to the loaded table
 * without the worker's start, a second time with the table made already. As root.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "buf.h"
#include "cleanup.h"
#include "cprof/unwind.h"
#include "sampler.h"
#include "table.h"

#define RING_BYTES (1U << 20)
#define SLOT       CPROF_SLOT_FIRST

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void on_record(_unused_ void *arg, _unused_ const struct cprof_sample *record)
{
}

static unsigned long long memlock(int fd)
{
	_cleanup_fclose_ FILE *f = NULL;
	unsigned long long bytes = 0;
	char line[128];

	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	return bytes;
}

/* Of the table that was made last. */
static unsigned long long newest_table_bytes(void)
{
	_cleanup_close_ int newest = -1;
	uint32_t id = 0;

	while (bpf_map_get_next_id(id, &id) == 0) {
		_cleanup_close_ int fd = bpf_map_get_fd_by_id(id);
		struct bpf_map_info info = {};
		uint32_t size = sizeof(info);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0 ||
		    strcmp(info.name, "cprof_table") != 0)
			continue;
		safe_close(newest);
		newest = TAKE_FD(fd);
	}
	return newest < 0 ? 0 : memlock(newest);
}

static int load(struct sampler *s, const char *path)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(TABLE_MAX_BYTES);
	double start = now_ms(), built, loaded;
	struct table_summary sum;
	int r;

	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : table_build(fd, &b, &sum);
	if (r < 0)
		return r;
	built = now_ms();
	r = table_check(b.data, b.size);
	if (r == 0)
		r = sampler_table_load(s, SLOT, b.data, b.size);
	if (r < 0)
		return r;
	loaded = now_ms();
	printf("%-44s %8u %9llu %7.2f %11.1f %11.1f\n", path, sum.n_rows,
	       newest_table_bytes() / 1024,
	       sum.n_rows ? (double)newest_table_bytes() / sum.n_rows : 0, loaded - start,
	       loaded - built);
	return sampler_table_unload(s, SLOT);
}

int main(int argc, char **argv)
{
	struct sampler_options options = { .ring_bytes = RING_BYTES, .record = on_record };
	enum sampler_problem problem;
	char *detail = NULL;
	struct sampler *s;
	int failed = 0;

	if (sampler_new(&s, NULL, &options, &problem, &detail) < 0) {
		fprintf(stderr, "table_load: no sampler: %s\n", detail ? detail : "");
		return 1;
	}
	printf("%-44s %8s %9s %7s %11s %11s\n", "file", "rows", "KiB", "B/row", "from file",
	       "from cache");
	for (int i = 1; i < argc; i++) {
		int r = load(s, argv[i]);

		if (r < 0)
			fprintf(stderr, "table_load: %s: %s\n", argv[i], strerror(-r));
		failed |= r < 0;
	}
	sampler_free(s);
	free(detail);
	return failed;
}
