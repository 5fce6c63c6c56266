/* SPDX-License-Identifier: Apache-2.0 */
/* Maps its own file, executable, without end or as often as asked; the last 4,096 mappings stay.
 * usage: flood [COUNT] */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : -1UL;
	int fd = open("/proc/self/exe", O_RDONLY);
	static void *held[4096];

	for (unsigned long i = 0; i < count; i++) {
		void **h = &held[i % 4096];

		if (*h)
			munmap(*h, 4096);
		*h = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	}
	return 0;
}
