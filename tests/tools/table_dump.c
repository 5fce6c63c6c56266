/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints what table_build() makes of files: a summary line each, with -r every row. Rows are
 * "ADDR CFA RBP RA", as tests/tables/compare reads them.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "table.h"

static const char *const registers[] = { "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp",
					 "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };

static void print_value(unsigned kind, int32_t off)
{
	static const char *const formats[] = { "u", "c%+d", "r%d", "b%+d", "s%+d", "x" };

	switch (kind) {
	case CPROF_SAVE_SAME:
	case CPROF_SAVE_UNDEFINED:
		printf(" %s", formats[kind]);
		break;
	case CPROF_SAVE_CFA:
		printf(" c%+d", off);
		break;
	case CPROF_SAVE_REG:
		printf(" r%d", off);
		break;
	case CPROF_SAVE_BP:
		printf(" b%+d", off);
		break;
	default:
		printf(" s%+d", off);
	}
}

static void print_indexed(const void *blob, uint16_t rule)
{
	static const char *const reserved[] = {
		"end", "sigframe", "plt11", "plt10", "fp", "clone"
	};
	const struct cprof_rule *r = table_rule(blob, rule);

	if (!r) {
		printf("%s", reserved[rule & ~CPROF_RULE_INDEXED]);
		return;
	}
	if (r->cfa_kind == CPROF_CFA_INDEX_DEREF)
		printf("*(%s%+d+8*%s)%+d", registers[r->cfa_reg & 15], r->cfa_off,
		       registers[r->cfa_reg >> 4], r->cfa_off2);
	else if (r->cfa_kind == CPROF_CFA_REG_DEREF)
		printf("*(%s%+d)%+d", registers[r->cfa_reg], r->cfa_off, r->cfa_off2);
	else
		printf("%s%+d", registers[r->cfa_reg], r->cfa_off);
	print_value(r->bp_kind, r->bp_off);
	print_value(r->ra_kind, r->ra_off);
}

static void print_rule(const void *blob, uint16_t rule)
{
	unsigned slot = rule >> CPROF_RULE_RBP_SHIFT & 0xf;

	if (rule == CPROF_RULE_NONE) {
		printf("none");
	} else if (rule & CPROF_RULE_INDEXED) {
		print_indexed(blob, rule);
	} else {
		printf("%s+%d", rule & CPROF_RULE_CFA_RBP ? "rbp" : "rsp", (rule & 0x3ff) * 8);
		if (slot)
			printf(" c-%u", 8 * (slot + 1));
		else
			printf(" u");
		printf(" c-8");
	}
}

static void print_rows(const char *blob)
{
	const struct cprof_table *t = (const void *)blob;
	const struct cprof_page *pages = (const void *)(blob + CPROF_PAGE_SIZE);
	size_t pages_bytes = (t->n_pages * sizeof(*pages) + CPROF_PAGE_SIZE - 1) &
			     -(size_t)CPROF_PAGE_SIZE;
	const uint32_t *rows = (const void *)(blob + CPROF_PAGE_SIZE + pages_bytes);
	uint32_t last = CPROF_RULE_NONE;

	for (uint32_t i = 0; i < t->n_pages; i++) {
		const uint32_t *row = rows + (size_t)pages[i].block * CPROF_ROWS_PER_BLOCK +
				      pages[i].first;

		for (uint32_t j = 0; j < pages[i].count; j++) {
			/* a page's first row only repeats what holds already */
			if (CPROF_ROW_RULE(row[j]) == last)
				continue;
			last = CPROF_ROW_RULE(row[j]);
			printf("%" PRIx64 " ", (uint64_t)t->base +
						       ((uint64_t)i << CPROF_PAGE_SHIFT) +
						       CPROF_ROW_ADDR(row[j]));
			print_rule(blob, (uint16_t)last);
			putchar('\n');
		}
		if (pages[i].count == 0)
			last = CPROF_RULE_NONE;
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dump(const char *path, int rows)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(TABLE_MAX_BYTES);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	double start = now(), built;
	struct table_summary s;
	int r, check;

	r = fd < 0 ? -errno : table_build(fd, &b, &s);
	built = now();
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
		return 1;
	}

	check = table_check(b.data, b.size);
	if (rows)
		print_rows(b.data);
	else
		printf("%s: %u rows, %u pages, %u blocks, %u rules, %u functions, %u cut, flags "
		       "%u, "
		       "%.2f bytes a row, built in %.1f ms, checked in %.1f ms: %s\n",
		       path, s.n_rows, s.n_pages, s.n_blocks, s.n_rules, s.n_functions, s.n_cut,
		       s.flags, s.n_rows ? (double)s.bytes / s.n_rows : 0, (built - start) * 1e3,
		       (now() - built) * 1e3, check == 0 ? "ok" : strerror(-check));
	return check != 0;
}

int main(int argc, char **argv)
{
	int rows = argc > 1 && strcmp(argv[1], "-r") == 0, failed = 0;

	for (int i = 1 + rows; i < argc; i++)
		failed |= dump(argv[i], rows);
	return failed;
}
