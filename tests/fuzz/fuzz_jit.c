/* SPDX-License-Identifier: Apache-2.0 */
/* perf-PID.map ('m' first) and jit-PID.dump (any other byte first), asked for some addresses. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "jit.h"
#include "symanswer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint64_t addresses[] = { 0,         1,      0x10,           0x1000,
				      0x1008,    0x2000, 0x7f0000001000, 0x7f0000001040,
				      UINT64_MAX };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(buf_done) struct buf answer = BUF_INIT(JIT_MAX_ANSWER_BYTES);
	_cleanup_close_ int fd = memfd_create("jit", MFD_CLOEXEC);
	struct jit_request request = {
		.parent_map_fd = -1,
		.map_fd = -1,
		.dump_fd = -1,
		.until_ns = 1000,
		.addresses = addresses,
		.n_addresses = ARRAY_SIZE(addresses),
	};
	struct symanswer a;

	if (fd < 0 || size == 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1))
		return 0;
	*(data[0] == 'm' ? &request.map_fd : &request.dump_fd) = fd;
	/* whatever it holds, the daemon takes the answer */
	if (jit_names(&request, &answer) < 0 ||
	    symanswer_check(answer.data, answer.size, addresses, ARRAY_SIZE(addresses), &a) < 0)
		abort();
	return 0;
}
