/* SPDX-License-Identifier: Apache-2.0 */
#include "filter_labels.h"

#include <string.h>

#include "cleanup.h"

static bool filter_is(struct filter_text t, const char *s)
{
	return strlen(s) == t.size && (t.size == 0 || memcmp(t.s, s, t.size) == 0);
}

void filter_label(struct filter_labels *l, struct filter_text key, struct filter_text str,
		  int64_t num)
{
	if (filter_is(key, "pid"))
		l->pid = num;
	else if (filter_is(key, "comm"))
		l->comm = str;
	else if (filter_is(key, "unit"))
		l->unit = str;
	else if (filter_is(key, "container"))
		l->container = str;
}

static bool filter_has_pid(const int64_t *pids, size_t n, int64_t pid)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (pids[mid] < pid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && pids[low] == pid;
}

static bool filter_comm(const char *wanted, struct filter_text comm)
{
	size_t n = strnlen(wanted, PROFILE_FILTER_COMM_BYTES);

	return n == comm.size && memcmp(comm.s, wanted, n) == 0;
}

static bool filter_unit(const char *wanted, struct filter_text unit)
{
	static const char suffix[] = ".service";
	size_t n = strlen(wanted);

	if (unit.size < n || memcmp(unit.s, wanted, n) != 0)
		return false;
	return unit.size == n || (!strchr(wanted, '.') && unit.size == n + strlen(suffix) &&
				  memcmp(unit.s + n, suffix, strlen(suffix)) == 0);
}

static bool filter_container(const char *wanted, struct filter_text container)
{
	size_t n = strlen(wanted);

	return container.size >= n && memcmp(container.s, wanted, n) == 0 &&
	       (container.size == n || n >= PROFILE_FILTER_CONTAINER_PREFIX);
}

/* A sample without the label has no text: it is nobody's. */
static bool filter_any(const char *const *wanted, size_t n, struct filter_text t,
		       bool (*matches)(const char *, struct filter_text))
{
	if (t.size == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (matches(wanted[i], t))
			return true;
	return false;
}

static bool filter_has_targets(const struct profile_filter *f)
{
	return f->n_pids + f->n_comms + f->n_units + f->n_containers > 0;
}

bool filter_wants(const struct profile_filter *f, const struct filter_labels *l)
{
	if (f->only_pids && !filter_has_pid(f->only_pids, f->n_only_pids, l->pid))
		return false;
	return !filter_has_targets(f) || filter_has_pid(f->pids, f->n_pids, l->pid) ||
	       filter_any(f->comms, f->n_comms, l->comm, filter_comm) ||
	       filter_any(f->units, f->n_units, l->unit, filter_unit) ||
	       filter_any(f->containers, f->n_containers, l->container, filter_container);
}

bool filter_is_selective(const struct profile_filter *f)
{
	return f->only_pids || filter_has_targets(f);
}

static bool filter_in_order(const int64_t *pids, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (pids[i - 1] > pids[i])
			return false;
	return true;
}

bool filter_is_valid(const struct profile_filter *f)
{
	return filter_in_order(f->pids, f->n_pids) && filter_in_order(f->only_pids, f->n_only_pids);
}
