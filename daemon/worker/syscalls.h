/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The seccomp filters of the zygote and, on top of it, of each job. syscalls.c has the table. */

struct sock_filter;

/* The job's filter as a program, made before the zygote shuts itself in; never freed. */
int filter_make_job(struct sock_filter **ret, unsigned short *ret_length);
/* -EPROTONOSUPPORT where the kernel has no seccomp filters. */
int filter_load_zygote(void);
