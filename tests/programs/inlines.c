/* SPDX-License-Identifier: Apache-2.0 */
/* Work in functions that the compiler inlines, two deep: usage: inlines SECONDS */
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static volatile uint64_t sink;

static inline __attribute__((always_inline)) void innermost(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		sink += i ^ sink;
}

static inline __attribute__((always_inline)) void middle(uint64_t n)
{
	innermost(n);
}

__attribute__((noinline)) void outermost(uint64_t n)
{
	middle(n);
}

int main(int argc, char **argv)
{
	clock_t end = clock() + (clock_t)(atof(argc > 1 ? argv[1] : "3") * CLOCKS_PER_SEC);

	while (clock() < end)
		outermost(1 << 22);
	return 0;
}
