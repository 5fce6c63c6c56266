/* SPDX-License-Identifier: Apache-2.0 */
/* Replays files, and the files of folders, through LLVMFuzzerTestOneInput without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(256 << 20);
	_cleanup_fclose_ FILE *f = fopen(path, "re");

	if (!f || buf_read_fd(&b, fileno(f)) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}

	LLVMFuzzerTestOneInput((const uint8_t *)(b.data ? b.data : ""), b.size);
	return 0;
}

static int replay(const char *path, unsigned *n)
{
	struct dirent *e;
	struct stat st;
	int failed = 0;
	DIR *d;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		(*n)++;
		return replay_file(path);
	}

	d = opendir(path);
	if (!d) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	while ((e = readdir(d))) {
		char child[4096];

		if (e->d_name[0] == '.')
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
		failed |= replay(child, n);
	}
	closedir(d);
	return failed;
}

int main(int argc, char **argv)
{
	unsigned n = 0;
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i], &n);
	printf("%s: %u inputs replayed\n", argv[0], n);
	return failed;
}
