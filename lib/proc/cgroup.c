/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <ctype.h>
#include <string.h>

#include "cleanup.h"

#define CONTAINER_ID_DIGITS 64

/* One component of a path. */
struct part {
	const char *s;
	size_t n;
};

/* The next component from *p on, or one of size 0 at the end. */
static struct part next_part(const char **p)
{
	struct part part;

	*p += strspn(*p, "/");
	part.s = *p;
	part.n = strcspn(*p, "/");
	*p += part.n;
	return part;
}

static bool has_prefix(struct part part, const char *prefix)
{
	size_t n = strlen(prefix);

	return part.n >= n && memcmp(part.s, prefix, n) == 0;
}

static bool has_suffix(struct part part, const char *suffix)
{
	size_t n = strlen(suffix);

	return part.n >= n && memcmp(part.s + part.n - n, suffix, n) == 0;
}

static struct part cut(struct part part, const char *prefix, const char *suffix)
{
	return (struct part){ part.s + strlen(prefix), part.n - strlen(prefix) - strlen(suffix) };
}

/* systemd puts '_' before a name that would clash with a file of the cgroup filesystem. */
static struct part unescape(struct part part)
{
	return part.n > 0 && part.s[0] == '_' ? (struct part){ part.s + 1, part.n - 1 } : part;
}

static bool unit_char(char c)
{
	return isalnum((unsigned char)c) || (c && strchr(":-_.\\", c));
}

/* systemd's unit_name_is_valid(UNIT_NAME_PLAIN | UNIT_NAME_INSTANCE): a known suffix, a prefix that
 * is not empty, one '@' at most, not before the suffix and not first. */
static bool valid_unit(struct part part)
{
	static const char *const suffixes[] = { ".service", ".scope", ".socket",   ".slice",
						".mount",   ".swap",  ".target",   ".device",
						".timer",   ".path",  ".automount" };
	const char *at = NULL;
	size_t prefix = 0;

	if (part.n >= CGROUP_NAME_MAX)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (has_suffix(part, suffixes[i]))
			prefix = part.n - strlen(suffixes[i]);
	if (prefix == 0)
		return false;

	for (size_t i = 0; i < prefix; i++) {
		if (part.s[i] == '@' && !at)
			at = part.s + i;
		else if (part.s[i] != '@' && !unit_char(part.s[i]))
			return false;
	}
	return !at || (at > part.s && at < part.s + prefix - 1);
}

/* systemd's slice_name_is_valid: "a-b.slice" with no empty step, or the root slice. */
static bool valid_slice(struct part part)
{
	if (!has_suffix(part, ".slice") || !valid_unit(part))
		return false;
	if (part.n == strlen("-.slice"))
		return true;

	for (size_t i = 0, n = part.n - strlen(".slice"); i < n; i++)
		if (part.s[i] == '@' ||
		    (part.s[i] == '-' && (i == 0 || i + 1 == n || part.s[i + 1] == '-')))
			return false;
	return true;
}

static void copy_part(char dst[CGROUP_NAME_MAX], struct part part)
{
	size_t n = MIN(part.n, (size_t)CGROUP_NAME_MAX - 1);

	memcpy(dst, part.s, n);
	dst[n] = '\0';
}

/* The first component that is no slice, when it is a unit; *p is left behind it. */
static bool first_unit(const char **p, char dst[CGROUP_NAME_MAX])
{
	for (;;) {
		struct part part = unescape(next_part(p));

		if (part.n == 0)
			return false;
		if (valid_slice(part))
			continue;
		/* an invalid slice is no unit either, as in systemd's cg_path_get_unit() */
		if (!valid_unit(part) || has_suffix(part, ".slice"))
			return false;

		copy_part(dst, part);
		return true;
	}
}

static bool user_manager(const char *unit)
{
	struct part part = { unit, strlen(unit) };

	if (!has_prefix(part, "user@") || !has_suffix(part, ".service"))
		return false;

	part = cut(part, "user@", ".service");
	for (size_t i = 0; i < part.n; i++)
		if (!isdigit((unsigned char)part.s[i]))
			return false;
	return part.n > 0;
}

static bool hex_id(struct part part)
{
	if (part.n != CONTAINER_ID_DIGITS)
		return false;

	for (size_t i = 0; i < part.n; i++)
		if (!isdigit((unsigned char)part.s[i]) && !(part.s[i] >= 'a' && part.s[i] <= 'f'))
			return false;
	return true;
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* A machine's name: unit escapes (\x2d) resolved; what results must be a host name's characters. */
static bool machine_name(struct part part, char dst[CGROUP_NAME_MAX])
{
	char name[CGROUP_NAME_MAX];
	size_t n = 0;

	if (part.n == 0 || part.n >= sizeof(name))
		return false;

	for (size_t i = 0; i < part.n; n++) {
		if (part.n - i >= 4 && part.s[i] == '\\' && part.s[i + 1] == 'x' &&
		    isxdigit((unsigned char)part.s[i + 2]) &&
		    isxdigit((unsigned char)part.s[i + 3])) {
			name[n] = (char)(hex_digit(part.s[i + 2]) << 4 | hex_digit(part.s[i + 3]));
			i += 4;
		} else {
			name[n] = part.s[i++];
		}
		if (!isalnum((unsigned char)name[n]) && !strchr("-_.", name[n]))
			return false;
		if (!name[n])
			return false;
	}

	copy_part(dst, (struct part){ name, n });
	return true;
}

/* "PREFIX<id>SUFFIX", id of 64 hex digits. */
static bool runtime_scope(struct part part, char dst[CGROUP_NAME_MAX])
{
	static const char *const prefixes[] = { "docker-", "libpod-",  "cri-containerd-", "crio-",
						"podman-", "nerdctl-", "containerd-" };
	const char *suffix = has_suffix(part, ".scope") ? ".scope" : "";

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (!has_prefix(part, prefixes[i]) ||
		    part.n < strlen(prefixes[i]) + strlen(suffix) ||
		    !hex_id(cut(part, prefixes[i], suffix)))
			continue;
		copy_part(dst, cut(part, prefixes[i], suffix));
		return true;
	}
	return false;
}

/* "kubepods-...-pod<uid>.slice:cri-containerd:<id>", as containerd names a cgroup when the kubelet
 * speaks systemd and containerd does not. */
static bool colon_id(struct part part, char dst[CGROUP_NAME_MAX])
{
	struct part id;

	if (part.n <= CONTAINER_ID_DIGITS + 1 || part.s[part.n - CONTAINER_ID_DIGITS - 1] != ':')
		return false;

	id = (struct part){ part.s + part.n - CONTAINER_ID_DIGITS, CONTAINER_ID_DIGITS };
	if (!hex_id(id))
		return false;
	copy_part(dst, id);
	return true;
}

static bool part_is(struct part part, const char *s)
{
	return part.n == strlen(s) && memcmp(part.s, s, part.n) == 0;
}

static bool container_part(struct part parent, struct part part, char dst[CGROUP_NAME_MAX])
{
	if (hex_id(part)) {
		copy_part(dst, part);
		return true;
	}
	if (runtime_scope(part, dst) || colon_id(part, dst))
		return true;

	if (has_prefix(part, "lxc.payload."))
		return machine_name(cut(part, "lxc.payload.", ""), dst);
	if (part_is(parent, "lxc") || part_is(parent, "lxc.payload"))
		return machine_name(part, dst);

	if (!part_is(parent, "machine.slice"))
		return false;
	if (has_prefix(part, "systemd-nspawn@") && has_suffix(part, ".service"))
		return machine_name(cut(part, "systemd-nspawn@", ".service"), dst);
	if (has_prefix(part, "machine-") && has_suffix(part, ".scope"))
		return machine_name(cut(part, "machine-", ".scope"), dst);
	return false;
}

static void find_container(const char *path, cgroup_trusted_t trusted, void *arg,
			   char dst[CGROUP_NAME_MAX])
{
	struct part parent = { "", 0 };
	const char *p = path;

	for (;;) {
		struct part part = next_part(&p);
		char name[CGROUP_NAME_MAX];
		size_t above;

		if (part.n == 0)
			return;
		if (!container_part(parent, part, name)) {
			parent = part;
			continue;
		}

		/* what lies in a folder that is not root's proves nothing, nor does what is below */
		above = (size_t)(part.s - path);
		while (above > 1 && path[above - 1] == '/')
			above--;
		if (trusted && trusted(arg, path, above))
			memcpy(dst, name, sizeof(name));
		return;
	}
}

void cgroup_names(const char *path, cgroup_trusted_t trusted, void *arg, struct cgroup_names *ret)
{
	const char *p = path;

	memset(ret, 0, sizeof(*ret));
	if (path[0] != '/' || strlen(path) >= CGROUP_PATH_MAX)
		return;

	if (first_unit(&p, ret->unit) && user_manager(ret->unit)) {
		/* the rest is the user's own: no container there is believed */
		if (!first_unit(&p, ret->user_unit))
			ret->user_unit[0] = '\0';
		return;
	}
	find_container(path, trusted, arg, ret->container);
}

static bool line_has(const char *p, size_t n, const char *prefix)
{
	return n >= strlen(prefix) && memcmp(p, prefix, strlen(prefix)) == 0;
}

void cgroup_parse(const char *text, size_t size, struct cgroup_paths *ret)
{
	const char *end = text + size;

	*ret = (struct cgroup_paths){ 0 };
	for (const char *p = text; p < end;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *limit = newline ? newline : end, *colon;

		colon = memchr(p, ':', (size_t)(limit - p));
		if (colon) {
			const char *rest = colon + 1;
			size_t n = (size_t)(limit - rest);

			if (colon - p == 1 && p[0] == '0' && line_has(rest, n, ":/") && !ret->v2) {
				ret->v2 = rest + 1;
				ret->v2_bytes = n - 1;
			} else if (line_has(rest, n, "name=systemd:/") && !ret->systemd) {
				ret->systemd = rest + strlen("name=systemd:");
				ret->systemd_bytes = n - strlen("name=systemd:");
			}
		}
		p = limit + (newline ? 1 : 0);
	}
}
