/* SPDX-License-Identifier: Apache-2.0 */
#include "uid.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UID_COUNT (UID_FREE_LAST - UID_FREE_FIRST + 1)

bool uid_may_change(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
	uint32_t wanted = 1U << CAP_SETUID | 1U << CAP_SETGID;

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return (data[0].effective & wanted) == wanted;
}

/* Whether a process of ours to see runs as it: one call, where reading the status of all of them took longer
 * than all else that the start of a worker takes. */
static int uid_in_use(uint32_t uid)
{
	errno = 0;
	if (getpriority(PRIO_USER, uid) != -1 || errno == 0)
		return 1;
	return errno == ESRCH ? 0 : -errno;
}

int uid_find_free(uint32_t *ret)
{
	uint32_t start;

	if (getrandom(&start, sizeof(start), 0) != sizeof(start))
		return -EIO;

	for (uint32_t i = 0; i < UID_COUNT; i++) {
		uint32_t uid = UID_FREE_FIRST + (uint32_t)(((uint64_t)start + i) % UID_COUNT);
		int r = uid_in_use(uid);

		if (r < 0)
			return r;
		if (r == 0) {
			*ret = uid;
			return 0;
		}
	}
	return -EBUSY;
}
