/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define REFRESH_MIN_NS (10 * NSEC_PER_SEC)
#define REFRESH_MAX_NS (640 * NSEC_PER_SEC)

struct kernel_names {
	struct kallsyms *table;
	char *path;
	uint64_t next_ns, wait_ns;
};

static int kernel_names_load(struct kernel_names *k)
{
	_cleanup_fclose_ FILE *f = fopen(k->path, "re");

	return f ? kallsyms_load(k->table, f) : -errno;
}

int kernel_names_new(struct kernel_names **ret, const char *path)
{
	struct kernel_names *k = calloc(1, sizeof(*k));
	uint64_t secret;
	int r;

	if (!k)
		return -ENOMEM;
	k->wait_ns = REFRESH_MIN_NS;
	k->path = strdup(path ? path : "/proc/kallsyms");
	r = !k->path ? -ENOMEM
	    : getrandom(&secret, sizeof(secret), 0) != (ssize_t)sizeof(secret)
		    ? -EIO
		    : kallsyms_new(&k->table, secret);
	if (r < 0) {
		kernel_names_free(k);
		return r;
	}

	/* without it kernel frames have no names, which kallsyms_hidden() tells */
	kernel_names_load(k);
	*ret = k;
	return 0;
}

struct kernel_names *kernel_names_free(struct kernel_names *k)
{
	if (!k)
		return NULL;

	kallsyms_free(k->table);
	free(k->path);
	free(k);
	return NULL;
}

uint64_t kernel_names_encode(struct kernel_names *k, uint64_t ip, uint64_t now_ns)
{
	uint64_t address;
	bool listed;

	address = kallsyms_encode(k->table, ip, &listed);
	if (listed || now_ns < k->next_ns)
		return address;

	if (kernel_names_load(k) == 0)
		address = kallsyms_encode(k->table, ip, &listed);
	k->wait_ns = listed ? REFRESH_MIN_NS : MIN(k->wait_ns * 2, REFRESH_MAX_NS);
	k->next_ns = now_ns + k->wait_ns;
	return address;
}

const struct kallsyms *kernel_names_table(const struct kernel_names *k)
{
	return k->table;
}
