/* SPDX-License-Identifier: Apache-2.0 */
/* The trailer of a stored window, and the merge's filter: what a damaged disk or a lost index may hand in.
 * The first byte tells which. Hashes are made right, so that what lies behind them is reached. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "merge_filter.h"
#include "window.h"

#define END_STRUCT_BYTES 56
#define END_HASH_AT      48
#define BLOB_HASH_AT     40
#define MEMBER_HEAD      16
#define MEMBER_TAIL      10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where there is but one member before the last one, its data is what the hash is of. */
static void fix_hashes(uint8_t *data, size_t size)
{
	uint8_t *end;
	uint64_t payload, blob, hash;

	if (size < WINDOW_END_BYTES)
		return;
	end = data + size - WINDOW_END_BYTES + MEMBER_HEAD;
	memcpy(&payload, end + 16, sizeof(payload));
	memcpy(&blob, end + 24, sizeof(blob));
	if (blob <= size && payload <= size &&
	    payload + blob + MEMBER_HEAD + MEMBER_TAIL + WINDOW_END_BYTES == size) {
		hash = XXH3_64bits(data + payload + MEMBER_HEAD, blob);
		memcpy(end + BLOB_HASH_AT, &hash, sizeof(hash));
	}
	hash = XXH3_64bits(end, END_HASH_AT);
	memcpy(end + END_HASH_AT, &hash, sizeof(hash));
}

static void read_trailer(const uint8_t *data, size_t size)
{
	_cleanup_(window_done) struct window w, copy;
	_cleanup_close_ int fd = memfd_create("window", MFD_CLOEXEC);
	_cleanup_free_ uint8_t *fixed = malloc(size + 1);
	uint64_t payload_bytes;

	window_init(&w);
	window_init(&copy);
	if (fd < 0 || !fixed)
		return;
	memcpy(fixed, data, size);
	fix_hashes(fixed, size);
	if (write(fd, fixed, size) != (ssize_t)size)
		return;
	if (window_read(fd, size, &w, &payload_bytes) == 0 && w.n_processes < 4096)
		(void)window_merge(&copy, &w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct merge_filter f;
	uint32_t n_terms;

	if (size < 5)
		return 0;
	if (data[0] & 1) {
		read_trailer(data + 1, size - 1);
		return 0;
	}
	memset(&f, 0, sizeof(f));
	memcpy(&n_terms, data + 1, sizeof(n_terms));
	/* what it copies is a job's, and ends with its process */
	(void)merge_filter_parse(&f, data + 5, size - 5, n_terms & 0xff, n_terms >> 8);
	for (size_t i = 0; i < f.filter.n_comms; i++)
		free((char *)(uintptr_t)f.comms[i]);
	for (size_t i = 0; i < f.filter.n_units; i++)
		free((char *)(uintptr_t)f.units[i]);
	for (size_t i = 0; i < f.filter.n_containers; i++)
		free((char *)(uintptr_t)f.containers[i]);
	for (size_t i = 0; i < f.n_folds; i++)
		free((char *)(uintptr_t)f.folds[i].comm);
	free(f.folds);
	return 0;
}
