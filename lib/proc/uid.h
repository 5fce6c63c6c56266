/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The range that systemd gives to dynamic users: nobody else's, and not in /etc/passwd. */
#define UID_FREE_FIRST 61184
#define UID_FREE_LAST  65519

/* Whether this process may change its ids (CAP_SETUID and CAP_SETGID are effective). */
bool uid_may_change(void);
/*
 * A uid of that range that is no process's real one (getpriority(2), PRIO_USER), chosen at random; -EBUSY
 * when there is none, or the errno of that call. One that a process has as its effective or saved uid
 * alone may come back: a worker can neither send signals nor trace, and what could do so to it by that
 * uid was started with rights over it.
 */
int uid_find_free(uint32_t *ret);
