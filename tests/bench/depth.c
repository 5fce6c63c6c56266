/* SPDX-License-Identifier: Apache-2.0 */
/* usage: depth FRAMES THRASH: spins that deep, with THRASH 1 through 8 MiB of memory. */
#include <stdint.h>
#include <stdlib.h>

#define BYTES (8U << 20)
static volatile uint8_t memory[BYTES];
static volatile uint64_t sink;

__attribute__((noinline)) void spin(int thrash)
{
	for (uint32_t i = 0;; i += 64) {
		if (thrash)
			memory[i % BYTES]++;
		sink += i;
	}
}

__attribute__((noinline)) int down(int n, int thrash)
{
	volatile char local[48];

	local[0] = (char)n;
	if (n <= 0)
		spin(thrash);
	return down(n - 1, thrash) + local[0];
}

int main(int argc, char **argv)
{
	/* main, down, spin and the three of libc are frames as well */
	return argc == 3 ? down(atoi(argv[1]) - 6, atoi(argv[2])) : 2;
}
