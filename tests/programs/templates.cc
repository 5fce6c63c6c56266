// SPDX-License-Identifier: Apache-2.0
// usage: templates SECONDS
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <vector>

namespace shop
{
template <typename T, int N> struct Basket {
	std::vector<T> items = std::vector<T>(N);
	__attribute__((noinline)) T total(const T &start) const
	{
		T sum = start;
		for (int k = 0; k < 2000; k++)
			for (const T &i : items)
				sum += i ^ sum;
		return sum;
	}
};
} // namespace shop

static uint64_t sum;
volatile uint64_t sink;

int main(int argc, char **argv)
{
	clock_t end = clock() + (clock_t)(atof(argc > 1 ? argv[1] : "3") * CLOCKS_PER_SEC);
	shop::Basket<uint64_t, 512> basket;

	while (clock() < end)
		sink = sum = basket.total(sum);
	return 0;
}
