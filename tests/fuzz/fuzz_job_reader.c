/* SPDX-License-Identifier: Apache-2.0 */
/* What a job says on its socket, in pieces whose size the first byte sets. */
#include <assert.h>
#include <string.h>

#include "reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_ANSWER 100000

static bool check_open(struct reader *r)
{
	const char *id;
	const struct job_open *o = reader_open(r, &id);

	assert(o->id_bytes <= JOB_MAX_OPEN_ID_BYTES);
	assert(o->build_id_bytes <= sizeof(o->build_id));
	assert(id[o->id_bytes] == '\0');
	reader_opened(r);
	return true;
}

static bool feed(struct reader *r, const uint8_t *data, size_t size)
{
	size_t space;
	void *p = reader_space(r, &space);
	int event;

	assert(p);
	assert(space >= size || space > 0);
	size = size < space ? size : space;
	memcpy(p, data, size);

	event = reader_take(r, size);
	if (event == READER_OPEN)
		return check_open(r);
	if (event == READER_ANSWER) {
		assert(r->payload.size == r->message.size_bytes && r->payload.size <= MAX_ANSWER);
		reader_space(r, &space);
		assert(space == 0);
		return false;
	}
	return event == READER_MORE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r;
	size_t piece;

	if (size < 1)
		return 0;
	piece = (size_t)data[0] + 1;
	data++;
	size--;

	reader_init(&r, MAX_ANSWER);
	while (size > 0) {
		size_t space, n = size < piece ? size : piece;

		if (!reader_space(&r, &space) || space == 0)
			break;
		n = n < space ? n : space;
		if (!feed(&r, data, n))
			break;
		data += n;
		size -= n;
	}
	reader_done(&r);
	return 0;
}
