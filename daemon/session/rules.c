/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "text.h"

#define CONTAINER_MIN_PREFIX 6
#define MAX_VALUE_BYTES      4096

static const char *const kind_names[] = {
	[RULE_PID] = "pid",       [RULE_COMM] = "comm",           [RULE_UNIT] = "unit",
	[RULE_CGROUP] = "cgroup", [RULE_CONTAINER] = "container", [RULE_USER] = "user",
};

const char *rule_kind_name(enum rule_kind kind)
{
	return kind_names[kind];
}

void rules_init(struct rules *r)
{
	*r = (struct rules){ .all = true };
}

static void rule_done(struct rule *rule)
{
	free(rule->value);
	safe_close(rule->pidfd);
	*rule = (struct rule){ .pidfd = -1 };
}

static void list_done(struct rule_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		rule_done(&l->items[i]);
	l->n = 0;
}

void rules_done(struct rules *r)
{
	list_done(&r->include);
	list_done(&r->exclude);
}

static _printf_(3, 4) int refuse(char **ret_error, int error, const char *fmt, ...)
{
	va_list ap;

	free(*ret_error);
	va_start(ap, fmt);
	if (vasprintf(ret_error, fmt, ap) < 0)
		*ret_error = NULL;
	va_end(ap);
	return error;
}

int rules_user(const char *name, uint32_t *ret)
{
	_cleanup_fclose_ FILE *f = NULL;
	struct passwd *p;
	uint64_t uid;

	if (text_parse_u64(name, UINT32_MAX - 1, &uid) == 0) {
		*ret = (uint32_t)uid;
		return 0;
	}
	f = fopen("/etc/passwd", "re");
	while (f && (p = fgetpwent(f)))
		if (strcmp(p->pw_name, name) == 0) {
			*ret = p->pw_uid;
			return 0;
		}
	return -ESRCH;
}

static int resolve(struct rule *rule, char **ret_error)
{
	uint64_t pid;

	if (rule->kind == RULE_USER && rules_user(rule->value, &rule->number) < 0)
		return refuse(ret_error, -ESRCH, "user:%s: there is no such user in /etc/passwd",
			      rule->value);
	if (rule->kind != RULE_PID)
		return 0;
	if (text_parse_u64(rule->value, INT_MAX, &pid) < 0 || pid == 0)
		return refuse(ret_error, -EINVAL, "pid:%s: a pid is a whole number above 0",
			      rule->value);
	rule->number = (uint32_t)pid;
	rule->pidfd = (int)syscall(SYS_pidfd_open, rule->number, 0);
	if (rule->pidfd < 0)
		return refuse(ret_error, -ESRCH,
			      "pid:%s: no such process: see what runs with "
			      "`cprofctl targets`",
			      rule->value);
	return 0;
}

static int list_find(const struct rule_list *l, enum rule_kind kind, const char *value)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->items[i].kind == kind && strcmp(l->items[i].value, value) == 0)
			return (int)i;
	return -ENOENT;
}

static void list_drop(struct rule_list *l, size_t i)
{
	rule_done(&l->items[i]);
	l->items[i] = l->items[--l->n];
}

static int list_add(struct rule_list *l, enum rule_kind kind, const char *value, char **ret_error)
{
	struct rule rule = { .kind = kind, .pidfd = -1 };
	int r;

	if (list_find(l, kind, value) >= 0)
		return 0;
	if (l->n == RULES_MAX)
		return refuse(ret_error, -ENOSPC, "more than %d rules", RULES_MAX);
	rule.value = strdup(value);
	if (!rule.value)
		return -ENOMEM;
	r = resolve(&rule, ret_error);
	if (r < 0) {
		rule_done(&rule);
		return r;
	}
	l->items[l->n++] = rule;
	return 1;
}

static int parse_kind(const char *name, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++)
		if (strlen(kind_names[i]) == size && memcmp(kind_names[i], name, size) == 0)
			return (int)i;
	return -EINVAL;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \xHH is a byte; all else is itself. */
static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		int high = s[0] == '\\' && s[1] == 'x' ? hex(s[2]) : -1;
		int low = high >= 0 ? hex(s[3]) : -1;

		if (low >= 0 && (high || low)) {
			*out++ = (char)(high << 4 | low);
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

static int parse_word(struct rule_list *l, const char *word, size_t size, char **ret_error)
{
	const char *colon = memchr(word, ':', size);
	_cleanup_free_ char *value = NULL;
	int kind = colon ? parse_kind(word, (size_t)(colon - word)) : -EINVAL;

	if (kind < 0)
		return refuse(ret_error, -EINVAL, "%.*s: a rule is KIND:VALUE",
			      (int)MIN(size, 64UL), word);
	value = strndup(colon + 1, size - (size_t)(colon + 1 - word));
	if (!value)
		return -ENOMEM;
	unescape(value);
	return list_add(l, (enum rule_kind)kind, value, ret_error);
}

static int parse_list(struct rule_list *l, const char *text, char **ret_error)
{
	for (const char *p = text ?: ""; *(p += strspn(p, " \t"));) {
		size_t size = strcspn(p, " \t");
		int r = parse_word(l, p, size, ret_error);

		/* a process or user that is not there today is no reason not to profile */
		if (r < 0 && r != -ESRCH)
			return r;
		p += size;
	}
	return 0;
}

int rules_parse(struct rules *ret, const char *include, const char *exclude, char **ret_error)
{
	_cleanup_(rules_done) struct rules r;
	int q;

	*ret_error = NULL;
	rules_init(&r);
	r.all = !include || !*include;
	q = parse_list(&r.include, include, ret_error);
	if (q == 0)
		q = parse_list(&r.exclude, exclude, ret_error);
	if (q < 0)
		return q;
	*ret = r;
	r.include.n = r.exclude.n = 0;
	return 0;
}

static int parse_pair(const char *kind, const char *value, char **ret_error)
{
	int k = parse_kind(kind, strlen(kind));
	size_t size = strlen(value);

	*ret_error = NULL;
	if (k < 0)
		return refuse(ret_error, -EINVAL,
			      "a target's kind must be pid, comm, unit, cgroup, container or user");
	if (size == 0 || size > MAX_VALUE_BYTES)
		return refuse(ret_error, -EINVAL, "%s needs a value of 1 to %d bytes", kind,
			      MAX_VALUE_BYTES);
	return k;
}

/* Everything is taken, but a name that means nothing is a mistake all the same. */
static int check(enum rule_kind kind, const char *value, char **ret_error)
{
	_cleanup_(rule_done) struct rule rule = { .kind = kind, .pidfd = -1 };

	rule.value = strdup(value);
	return rule.value ? resolve(&rule, ret_error) : -ENOMEM;
}

int rules_add(struct rules *r, const char *kind, const char *value, char **ret_error)
{
	int k = parse_pair(kind, value, ret_error), i, changed = 0;

	if (k < 0)
		return k;
	i = list_find(&r->exclude, (enum rule_kind)k, value);
	if (i >= 0) {
		list_drop(&r->exclude, (size_t)i);
		changed = 1;
	} else if (r->all) {
		return check((enum rule_kind)k, value, ret_error);
	}
	if (!r->all) {
		int q = list_add(&r->include, (enum rule_kind)k, value, ret_error);

		if (q < 0)
			return q;
		changed |= q;
	}
	return changed;
}

int rules_remove(struct rules *r, const char *kind, const char *value, char **ret_error)
{
	int k = parse_pair(kind, value, ret_error), i;

	if (k < 0)
		return k;
	i = list_find(&r->include, (enum rule_kind)k, value);
	if (i >= 0) {
		list_drop(&r->include, (size_t)i);
		return 1;
	}
	return list_add(&r->exclude, (enum rule_kind)k, value, ret_error);
}

static bool list_sweep(struct rule_list *l)
{
	bool gone = false;

	for (size_t i = l->n; i-- > 0;) {
		struct pollfd p = { .fd = l->items[i].pidfd, .events = POLLIN };

		if (p.fd >= 0 && poll(&p, 1, 0) > 0) {
			list_drop(l, i);
			gone = true;
		}
	}
	return gone;
}

bool rules_sweep(struct rules *r)
{
	bool a = list_sweep(&r->include), b = list_sweep(&r->exclude);

	return a || b;
}

bool rule_target(const struct rule *rule, struct target *ret)
{
	*ret = (struct target){};
	switch (rule->kind) {
	case RULE_PID:
		ret->kind = TARGET_PID;
		ret->pid = rule->number;
		return true;
	case RULE_COMM:
		ret->kind = TARGET_COMM;
		strncpy(ret->comm, rule->value, sizeof(ret->comm) - 1);
		return true;
	default:
		return false;
	}
}

/* The slices are what a path begins with: nobody else can make folders among them. */
static bool in_slice(const char *cgroup, const char *slice)
{
	for (const char *p = cgroup; *p == '/';) {
		size_t size = strcspn(++p, "/");

		if (size < 6 || memcmp(p + size - 6, ".slice", 6) != 0)
			return false;
		if (strlen(slice) == size && memcmp(p, slice, size) == 0)
			return true;
		p += size;
	}
	return false;
}

static bool unit_is(const struct process_info *p, const char *wanted)
{
	const char *unit = p->unit ?: "";
	size_t size = strlen(wanted);

	if (strcmp(unit, wanted) == 0)
		return true;
	if (size > 6 && strcmp(wanted + size - 6, ".slice") == 0)
		return in_slice(p->cgroup ?: "", wanted);
	return !strchr(wanted, '.') && strncmp(unit, wanted, size) == 0 &&
	       strcmp(unit + size, ".service") == 0;
}

static bool cgroup_is(const char *cgroup, const char *wanted)
{
	size_t size = strlen(wanted);

	while (size && wanted[size - 1] == '/')
		size--;
	return strncmp(cgroup, wanted, size) == 0 && (!cgroup[size] || cgroup[size] == '/');
}

static bool container_is(const char *container, const char *wanted)
{
	size_t size = strlen(wanted);

	return *container &&
	       (strcmp(container, wanted) == 0 ||
		(size >= CONTAINER_MIN_PREFIX && strncmp(container, wanted, size) == 0));
}

bool rules_match(const struct rule_list *l, const struct process_info *p, uint32_t uid)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct rule *rule = &l->items[i];

		switch (rule->kind) {
		case RULE_UNIT:
			if (unit_is(p, rule->value))
				return true;
			break;
		case RULE_CGROUP:
			if (cgroup_is(p->cgroup ?: "", rule->value))
				return true;
			break;
		case RULE_CONTAINER:
			if (container_is(p->container ?: "", rule->value))
				return true;
			break;
		case RULE_USER:
			if (uid == rule->number)
				return true;
			break;
		case RULE_PID:
		case RULE_COMM:
			break;
		}
	}
	return false;
}
