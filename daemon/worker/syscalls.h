/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The seccomp filters of the zygote and, on top of it, of each job. filters/filters.c has the table. */

/* -EPROTONOSUPPORT where the kernel has no seccomp filters. */
int syscalls_confine_zygote(void);
int syscalls_confine_job(void);
