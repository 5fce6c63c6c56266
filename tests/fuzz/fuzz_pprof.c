/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pprof reader. What it takes, the writer writes, the reader takes again as the same profile and
 * protobuf-c's reader takes too; it merges with itself.
 */
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include "merger.h"
#include "profile.pb-c.h"

#define FUZZ_PLAIN_BYTES (16U << 20)

DEFINE_CLEANUP(struct profile *, profile_free);
DEFINE_CLEANUP(struct profile_merger *, profile_merger_free);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

static void check_protobuf_c(const struct buf *gz, const struct profile *p)
{
	_cleanup_free_ unsigned char *plain = malloc(FUZZ_PLAIN_BYTES);
	Perftools__Profiles__Profile *pb;
	z_stream z = { .next_in = (unsigned char *)gz->data,
		       .avail_in = (uInt)gz->size,
		       .next_out = plain,
		       .avail_out = FUZZ_PLAIN_BYTES };
	int zr;

	check(plain && inflateInit2(&z, 15 + 16) == Z_OK);
	zr = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	if (zr != Z_STREAM_END)
		return; /* larger than this check wants to be */

	pb = perftools__profiles__profile__unpack(NULL, z.total_out, plain);
	check(pb && pb->n_sample == profile_n_samples(p) &&
	      pb->n_location == profile_n_locations(p) &&
	      pb->n_function == profile_n_functions(p) && pb->n_mapping == profile_n_mappings(p));
	perftools__profiles__profile__free_unpacked(pb, NULL);
}

/* The merger takes whatever the reader takes, and comes to the same. */
static void check_merger(const uint8_t *data, size_t size, const struct profile *p)
{
	_cleanup_(profile_merger_freep) struct profile_merger *m = NULL;
	uint64_t n = 0;
	int r;

	check(profile_merger_new(&m) == 0);
	for (int i = 0; i < 2; i++) {
		r = profile_merger_add(m, data, size, NULL, &n);
		if (!p && r < 0)
			return;
		check(r == 0 || r == -ENOSPC);
		if (r == 0 && p)
			check(profile_n_samples(profile_merger_profile(m)) == profile_n_samples(p));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(profile_freep) struct profile *p = NULL, *q = NULL;
	_cleanup_(buf_done) struct buf a = BUF_INIT(SIZE_MAX / 4), b = BUF_INIT(SIZE_MAX / 4);
	int r = profile_read(&p, data, size);

	check_merger(data, size, p);
	if (r < 0)
		return 0;

	check(profile_write(p, &a) == 0);
	check_protobuf_c(&a, p);
	check(profile_read(&q, a.data, a.size) == 0);
	check(profile_write(q, &b) == 0);
	check(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);

	r = profile_merge(p, q);
	check(r == 0 || r == -ENOSPC);
	return 0;
}
