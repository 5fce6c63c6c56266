/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Whom continuous profiling takes: what is included (everything, or a list) less what is excluded.
 * Rules of processes and names are matched in BPF, with children; all others here, by what is known of
 * a sample's process.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sample.h"
#include "sampler.h"

#define RULES_MAX 256

enum rule_kind { RULE_PID, RULE_COMM, RULE_UNIT, RULE_CGROUP, RULE_CONTAINER, RULE_USER };

struct rule {
	enum rule_kind kind;
	char *value;
	uint32_t number; /* pid; uid */
	int pidfd;       /* of a pid: it is that process and no later one; else -1 */
};

struct rule_list {
	struct rule items[RULES_MAX];
	size_t n;
};

struct rules {
	bool all; /* everything is included, whatever `include` says */
	struct rule_list include, exclude;
};

void rules_init(struct rules *r);
void rules_done(struct rules *r);

/* "unit:nginx.service comm:a\x20b": words as in the configuration, where \xHH is a byte. NULL or empty
 * lists are everything and nothing. *ret_error is one line, freed by the caller. A pid or a user that is
 * not there is left out, and in *ret_error with the result 0. */
int rules_parse(struct rules *ret, const char *include, const char *exclude, char **ret_error);

/* At run time: from now on it is taken, or it is not. 0: nothing changed, 1: changed; -EINVAL, -ESRCH,
 * -ENOSPC with a line. */
int rules_add(struct rules *r, const char *kind, const char *value, char **ret_error);
int rules_remove(struct rules *r, const char *kind, const char *value, char **ret_error);
const char *rule_kind_name(enum rule_kind kind);
/* The uid of a number or of a name in /etc/passwd (no NSS); -ESRCH. */
int rules_user(const char *name, uint32_t *ret_uid);
/* Takes those of processes that have ended out; true when there were some. */
bool rules_sweep(struct rules *r);

/* Whether BPF matches it, and as what. */
bool rule_target(const struct rule *rule, struct target *ret);
/* The rules that BPF does not match. */
bool rules_match(const struct rule_list *l, const struct process_info *p, uint32_t uid);
