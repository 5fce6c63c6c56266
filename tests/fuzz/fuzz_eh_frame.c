/* SPDX-License-Identifier: Apache-2.0 */
/* table_build() over any bytes; what comes out passes the check. */
#include <stdlib.h>
#include <sys/mman.h>

#include "table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(TABLE_MAX_BYTES);
	_cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		return 0;
	if (table_build(fd, &b, NULL) == 0 && table_check(b.data, b.size) < 0)
		abort();
	return 0;
}
