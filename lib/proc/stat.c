/* SPDX-License-Identifier: Apache-2.0 */
#include "stat.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "cleanup.h"

/* Fields are numbered as in proc_pid_stat(5); the state is the third. */
enum {
	FIELD_PPID = 4,
	FIELD_FLAGS = 9,
	FIELD_UTIME = 14,
	FIELD_STIME = 15,
	FIELD_THREADS = 20,
	FIELD_START = 22,
};

/* A field is a number, maybe negative: then 0, since none that is asked for can be. */
static bool next_number(const char **p, const char *end, uint64_t *ret)
{
	bool negative;
	uint64_t v = 0;
	const char *first;

	while (*p < end && **p == ' ')
		(*p)++;
	negative = *p < end && **p == '-';
	if (negative)
		(*p)++;

	for (first = *p; *p < end && **p >= '0' && **p <= '9'; (*p)++)
		if (__builtin_mul_overflow(v, 10ULL, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(**p - '0'), &v))
			return false;

	*ret = negative ? 0 : v;
	return *p > first && (*p == end || **p == ' ' || **p == '\n');
}

static bool parse_fields(const char *p, const char *end, struct proc_stat *s)
{
	for (int field = FIELD_PPID; field <= FIELD_START; field++) {
		uint64_t v;

		if (!next_number(&p, end, &v))
			return false;

		switch (field) {
		case FIELD_PPID:
			if (v > UINT32_MAX)
				return false;
			s->ppid = (uint32_t)v;
			break;
		case FIELD_FLAGS:
			s->flags = v;
			break;
		case FIELD_UTIME:
			s->utime_ticks = v;
			break;
		case FIELD_STIME:
			s->stime_ticks = v;
			break;
		case FIELD_THREADS:
			s->n_threads = v;
			break;
		case FIELD_START:
			s->start_ticks = v;
			break;
		}
	}
	return true;
}

int stat_parse(const char *text, size_t size, struct proc_stat *ret)
{
	const char *end = text + size, *p = text, *open, *close;
	struct proc_stat s = { 0 };
	uint64_t pid;
	size_t n;

	if (!next_number(&p, end, &pid) || pid > UINT32_MAX || p == end || *p != ' ')
		return -EBADMSG;
	open = p + 1;
	if (open == end || *open != '(')
		return -EBADMSG;
	close = memrchr(open, ')', (size_t)(end - open));
	if (!close || end - close < 4 || close[1] != ' ' || close[2] == ' ')
		return -EBADMSG;

	s.pid = (uint32_t)pid;
	s.state = close[2];
	n = MIN((size_t)(close - open - 1), sizeof(s.comm) - 1);
	memcpy(s.comm, open + 1, n);

	if (!parse_fields(close + 3, end, &s))
		return -EBADMSG;

	*ret = s;
	return 0;
}
