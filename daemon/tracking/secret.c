/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"

#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"

size_t secret_bytes(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

void *secret_new(size_t size)
{
	void *p = mmap(NULL, secret_bytes(size), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (madvise(p, secret_bytes(size), MADV_DONTDUMP) < 0) {
		munmap(p, secret_bytes(size));
		return NULL;
	}
	return p;
}

void *secret_free(void *p, size_t size)
{
	if (p) {
		explicit_bzero(p, size);
		munmap(p, secret_bytes(size));
	}
	return NULL;
}
