/* SPDX-License-Identifier: Apache-2.0 */
#include "landlock.h"

#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "cleanup.h"

/*
 * The kernel's own header may be older than the kernel. It takes a larger struct than it knows only
 * where the rest is zero, so that each part is set by the ABI that brought it
 * (Documentation/userspace-api/landlock.rst).
 */
struct landlock_attributes {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

#define LANDLOCK_FS_ABI1  ((1ULL << 13) - 1)
#define LANDLOCK_FS_REFER (1ULL << 13) /* ABI 2 */
#define LANDLOCK_FS_TRUNC (1ULL << 14) /* ABI 3 */
#define LANDLOCK_NET_ALL  3ULL         /* ABI 4: bind, connect */
#define LANDLOCK_FS_IOCTL (1ULL << 15) /* ABI 5 */
#define LANDLOCK_SCOPES   3ULL         /* ABI 6: abstract sockets, signals */

int landlock_deny_all(void)
{
	struct landlock_attributes a = { .handled_access_fs = LANDLOCK_FS_ABI1 };
	_cleanup_close_ int fd = -1;
	long abi;

	abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return 0;
	if (abi >= 2)
		a.handled_access_fs |= LANDLOCK_FS_REFER;
	if (abi >= 3)
		a.handled_access_fs |= LANDLOCK_FS_TRUNC;
	if (abi >= 4)
		a.handled_access_net = LANDLOCK_NET_ALL;
	if (abi >= 5)
		a.handled_access_fs |= LANDLOCK_FS_IOCTL;
	if (abi >= 6)
		a.scoped = LANDLOCK_SCOPES;

	fd = (int)syscall(SYS_landlock_create_ruleset, &a, sizeof(a), 0);
	if (fd < 0)
		return 0;
	return syscall(SYS_landlock_restrict_self, fd, 0) == 0;
}
