/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merges profiles as the daemon's worker does, for tests/bench/merge/run.
 *
 * usage: merge OUTPUT FILE...
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "merger.h"

#define MAX_BYTES (1ULL << 30)

DEFINE_CLEANUP(struct profile_merger *, profile_merger_free);

static int add_file(struct profile_merger *m, const char *path)
{
	_cleanup_(buf_done) struct buf data = BUF_INIT(MAX_BYTES);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : buf_read_fd(&data, fd);

	return r < 0 ? r : profile_merger_add(m, data.data, data.size, NULL, NULL);
}

int main(int argc, char **argv)
{
	_cleanup_(profile_merger_freep) struct profile_merger *m = NULL;
	_cleanup_(buf_done) struct buf out = BUF_INIT(MAX_BYTES);
	_cleanup_fclose_ FILE *f = NULL;
	int r;

	if (argc < 3) {
		fprintf(stderr, "usage: merge OUTPUT FILE...\n");
		return 2;
	}
	r = profile_merger_new(&m);
	for (int i = 2; i < argc && r == 0; i++) {
		r = add_file(m, argv[i]);
		if (r < 0)
			fprintf(stderr, "merge: %s: %s\n", argv[i], strerror(-r));
	}
	if (r == 0)
		r = profile_write(profile_merger_profile(m), &out);
	f = fopen(argv[1], "we");
	if (r < 0 || !f || fwrite(out.data, 1, out.size, f) != out.size)
		return 1;
	return 0;
}
