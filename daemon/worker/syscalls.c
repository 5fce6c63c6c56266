/* SPDX-License-Identifier: Apache-2.0 */
#include "syscalls.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "filters.inc"

static int syscalls_confine(const struct sock_filter *filter, size_t length)
{
	struct sock_fprog program = { (unsigned short)length,
				      (struct sock_filter *)(uintptr_t)filter };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}

int syscalls_confine_zygote(void)
{
	uint32_t action = SECCOMP_RET_TRAP;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
		return -EPROTONOSUPPORT;
	return syscalls_confine(filter_of_zygote, ARRAY_SIZE(filter_of_zygote));
}

int syscalls_confine_job(void)
{
	return syscalls_confine(filter_of_job, ARRAY_SIZE(filter_of_job));
}
