/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "origin.h"

#define MAX_HOST_BYTES 253

static bool is_port(const char *s)
{
	return *s == '\0' || (*s == ':' && s[1 + strspn(s + 1, "0123456789")] == '\0');
}

/* Splits "host:port" into a copy of the host without brackets. */
static bool split_host(const char *host, char out[MAX_HOST_BYTES + 1], bool *ret_bracketed)
{
	const char *start = host, *end;
	size_t size;

	*ret_bracketed = *host == '[';
	if (*ret_bracketed) {
		start++;
		end = strchr(start, ']');
		if (!end || !is_port(end + 1))
			return false;
	} else {
		end = start + strcspn(start, ":");
		if (!is_port(end))
			return false;
	}

	size = (size_t)(end - start);
	if (size == 0 || size > MAX_HOST_BYTES)
		return false;
	memcpy(out, start, size);
	out[size] = '\0';
	return true;
}

static bool listed(const char *name, const char *list)
{
	size_t len = strlen(name);

	while (list && *(list += strspn(list, " \t"))) {
		size_t n = strcspn(list, " \t");

		if (n == len && strncasecmp(list, name, n) == 0)
			return true;
		list += n;
	}
	return false;
}

static bool is_localhost(const char *name)
{
	static const char suffix[] = ".localhost";
	size_t len = strlen(name);

	return strcasecmp(name, "localhost") == 0 ||
	       (len > strlen(suffix) && strcasecmp(name + len - strlen(suffix), suffix) == 0);
}

bool origin_host_allowed(const char *host, const char *allowed, bool local_socket)
{
	unsigned char address[sizeof(struct in6_addr)];
	char name[MAX_HOST_BYTES + 1];
	bool bracketed;

	if (!host || (local_socket && *host == '\0'))
		return true;
	if (!split_host(host, name, &bracketed))
		return false;
	if (bracketed)
		return inet_pton(AF_INET6, name, address) == 1;
	if (inet_pton(AF_INET, name, address) == 1)
		return true;
	if (local_socket && !strchr(name, '.'))
		return true;
	return is_localhost(name) || listed(name, allowed);
}

bool origin_is_foreign(const char *origin, const char *host, const char *sec_fetch_site)
{
	if (sec_fetch_site && strcasecmp(sec_fetch_site, "cross-site") == 0)
		return true;
	if (!origin)
		return false;

	if (strncasecmp(origin, "http://", 7) == 0)
		origin += 7;
	else if (strncasecmp(origin, "https://", 8) == 0)
		origin += 8;
	else
		return true;
	return !host || strcasecmp(origin, host) != 0;
}
