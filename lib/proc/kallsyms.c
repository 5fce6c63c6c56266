/* SPDX-License-Identifier: Apache-2.0 */
#include "kallsyms.h"

#include <string.h>

#include "kallsyms_table.h"

#define REGION_ALIGN            (64ULL << 10)
#define REGION_MAX_BYTES        (256ULL << 20) /* of a module */
#define REGION_MAX_SYMBOL_BYTES (1ULL << 20)
#define PAGE_MASK               0xfffULL
#define HIDDEN_MASK             0x7fffffffULL

/* Encoded addresses [start, start + bytes) of one module or one generated function. */
struct kallsyms_region {
	uint64_t start, bytes;
	char *module; /* as in brackets */
	char *symbol; /* NULL: the whole module */
};

struct kallsyms {
	uint64_t secret;
	struct kallsyms_table table;
	struct kallsyms_region *regions; /* by start */
	size_t n_regions;
	uint64_t next_region;
	uint64_t dropped_regions;
};

int kallsyms_new(struct kallsyms **ret, uint64_t secret)
{
	struct kallsyms *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->secret = secret & HIDDEN_MASK & ~PAGE_MASK;
	k->next_region = KALLSYMS_REGIONS;
	*ret = k;
	return 0;
}

struct kallsyms *kallsyms_free(struct kallsyms *k)
{
	if (!k)
		return NULL;

	for (size_t i = 0; i < k->n_regions; i++) {
		free(k->regions[i].module);
		free(k->regions[i].symbol);
	}
	free(k->regions);
	kallsyms_table_done(&k->table);
	free(k);
	return NULL;
}

int kallsyms_load(struct kallsyms *k, FILE *file)
{
	struct kallsyms_table table = { 0 };
	int r;

	r = kallsyms_table_read(&table, file);
	if (r < 0) {
		kallsyms_table_done(&table);
		return r;
	}

	kallsyms_table_done(&k->table);
	k->table = table;
	return 0;
}

/* Text that comes one function at a time (bpf, ftrace, kprobe slots) rather than as a module whose
 * functions keep their distance. */
static bool kallsyms_is_generated(const char *module)
{
	return strcmp(module, "bpf") == 0 || strcmp(module, "ftrace") == 0 ||
	       strncmp(module, "__builtin__", 11) == 0;
}

static struct kallsyms_region *kallsyms_region(struct kallsyms *k, const char *module,
					       const char *symbol, uint64_t bytes)
{
	struct kallsyms_region *regions, *r;

	/* the latest first: a module that grew has several */
	for (size_t i = k->n_regions; i-- > 0;) {
		r = &k->regions[i];
		if (r->bytes >= bytes && strcmp(r->module, module) == 0 && !r->symbol == !symbol &&
		    (!symbol || strcmp(r->symbol, symbol) == 0))
			return r;
	}

	bytes = (bytes + REGION_ALIGN - 1) & ~(REGION_ALIGN - 1);
	if (k->n_regions == KALLSYMS_MAX_REGIONS || bytes >= UINT64_MAX - k->next_region)
		return NULL;
	regions = reallocarray(k->regions, k->n_regions + 1, sizeof(*regions));
	if (!regions)
		return NULL;
	k->regions = regions;

	r = &regions[k->n_regions];
	*r = (struct kallsyms_region){
		.start = k->next_region,
		.bytes = bytes,
		.module = strdup(module),
		.symbol = symbol ? strdup(symbol) : NULL,
	};
	if (!r->module || (symbol && !r->symbol)) {
		free(r->module);
		free(r->symbol);
		return NULL;
	}
	k->n_regions++;
	k->next_region += bytes;
	return r;
}

static uint64_t kallsyms_encode_listed(struct kallsyms *k, const struct kallsyms_found *found,
				       uint64_t ip)
{
	const struct kallsyms_module *m = found->module;
	bool generated = kallsyms_is_generated(m->name);
	uint64_t start = generated ? found->start : m->start;
	uint64_t bytes = generated ? MIN(found->limit - found->start, REGION_MAX_SYMBOL_BYTES)
				   : MIN(m->limit - m->start, REGION_MAX_BYTES);
	struct kallsyms_region *r;

	r = kallsyms_region(k, m->name, generated ? found->name : NULL, bytes);
	if (!r || ip - start >= r->bytes) {
		k->dropped_regions++;
		return KALLSYMS_UNKNOWN + (ip & PAGE_MASK);
	}
	return r->start + (ip - start);
}

uint64_t kallsyms_encode(struct kallsyms *k, uint64_t ip, bool *ret_listed)
{
	struct kallsyms_found found;
	bool listed = true;
	uint64_t address;

	if (k->table.hidden || k->table.text == 0) {
		address = KALLSYMS_LINK + ((ip + k->secret) & HIDDEN_MASK);
	} else if (ip >= k->table.text && ip < k->table.text_limit &&
		   ip - k->table.text < KALLSYMS_REGIONS - KALLSYMS_TEXT) {
		address = KALLSYMS_TEXT + (ip - k->table.text);
	} else if (kallsyms_table_find(&k->table, ip, &found) && found.module) {
		address = kallsyms_encode_listed(k, &found, ip);
	} else {
		address = KALLSYMS_UNKNOWN + (ip & PAGE_MASK);
		listed = false;
	}

	if (ret_listed)
		*ret_listed = listed;
	return address;
}

bool kallsyms_is_entry(const struct kallsyms *k, uint64_t ip)
{
	return ip >= k->table.entry && ip < k->table.entry_limit;
}

static const struct kallsyms_region *kallsyms_region_of(const struct kallsyms *k, uint64_t address)
{
	size_t low = 0, high = k->n_regions;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (k->regions[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || address - k->regions[low - 1].start >= k->regions[low - 1].bytes)
		return NULL;
	return &k->regions[low - 1];
}

bool kallsyms_place(const struct kallsyms *k, uint64_t address, struct kallsyms_place *ret)
{
	const struct kallsyms_region *r;

	if (kallsyms_hidden(k))
		return false;
	if (address >= KALLSYMS_TEXT && address < KALLSYMS_REGIONS) {
		*ret = (struct kallsyms_place){ .start = KALLSYMS_TEXT, .limit = KALLSYMS_REGIONS };
		return true;
	}
	r = kallsyms_region_of(k, address);
	if (!r || r->symbol)
		return false;
	*ret = (struct kallsyms_place){ .start = r->start, .limit = r->start + r->bytes };
	snprintf(ret->module, sizeof(ret->module), "%s", r->module);
	return true;
}

bool kallsyms_encode_in(const struct kallsyms *k, const struct kallsyms_place *place, uint64_t ip,
			uint64_t *ret)
{
	const struct kallsyms_module *m = kallsyms_table_module(&k->table, place->module);

	if (!m)
		return false;
	*ret = place->start + (ip - m->start);
	return true;
}

static bool kallsyms_name_region(const struct kallsyms *k, const struct kallsyms_region *r,
				 uint64_t address, char *name, uint64_t *ret_function)
{
	const struct kallsyms_module *m;
	struct kallsyms_found found;

	if (r->symbol) {
		snprintf(name, KALLSYMS_NAME_BYTES, "%s [%s]", r->symbol, r->module);
		*ret_function = r->start;
		return true;
	}

	m = kallsyms_table_module(&k->table, r->module);
	if (m && kallsyms_table_find(&k->table, m->start + (address - r->start), &found) &&
	    found.module == m) {
		snprintf(name, KALLSYMS_NAME_BYTES, "%s [%s]", found.name, r->module);
		*ret_function = r->start + (found.start - m->start);
		return true;
	}

	/* unloaded since */
	snprintf(name, KALLSYMS_NAME_BYTES, "[%s+0x%llx]", r->module,
		 (unsigned long long)(address - r->start));
	return false;
}

bool kallsyms_name(const struct kallsyms *k, uint64_t address, char name[KALLSYMS_NAME_BYTES],
		   uint64_t *ret_function)
{
	const struct kallsyms_region *r;
	struct kallsyms_found found;
	uint64_t unused;

	if (!ret_function)
		ret_function = &unused;
	*ret_function = address;

	if (!k->table.hidden && address >= KALLSYMS_REGIONS) {
		r = kallsyms_region_of(k, address);
		if (r)
			return kallsyms_name_region(k, r, address, name, ret_function);
	} else if (!k->table.hidden && k->table.text && address >= KALLSYMS_LINK &&
		   kallsyms_table_find(&k->table, address - KALLSYMS_TEXT + k->table.text,
				       &found) &&
		   !found.module) {
		snprintf(name, KALLSYMS_NAME_BYTES, "%s", found.name);
		*ret_function = found.start - k->table.text + KALLSYMS_TEXT;
		return true;
	}

	snprintf(name, KALLSYMS_NAME_BYTES, "[kernel+0x%llx]", (unsigned long long)address);
	return false;
}

bool kallsyms_hidden(const struct kallsyms *k)
{
	return k->table.hidden || k->table.text == 0;
}

size_t kallsyms_count(const struct kallsyms *k)
{
	return k->table.n;
}

size_t kallsyms_bytes(const struct kallsyms *k)
{
	return sizeof(*k) + kallsyms_table_bytes(&k->table) + k->n_regions * sizeof(*k->regions);
}

uint64_t kallsyms_dropped(const struct kallsyms *k)
{
	return k->table.dropped + k->dropped_regions;
}
