/* SPDX-License-Identifier: Apache-2.0 */
#include "hurry.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "cleanup.h"

#define HURRY_NICE     (-10)
#define HURRY_SLICE_NS 100000U /* the kernel's least */

/* struct sched_attr of sched_setattr(2), its first version. */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns, deadline_ns, period_ns;
};
_Static_assert(sizeof(struct attr) == 48, "struct sched_attr, first version");

static void thread_set(int nice, uint64_t slice_ns)
{
	struct attr attr = { .size = sizeof(attr), .nice = nice, .runtime_ns = slice_ns };

	if (syscall(SYS_sched_setattr, 0, &attr, 0) < 0)
		(void)setpriority(PRIO_PROCESS, 0, nice);
}

void thread_hurry(void)
{
	thread_set(HURRY_NICE, HURRY_SLICE_NS);
}

void session_hurry(void)
{
	_cleanup_close_ int fd = -1;

	if (getsid(0) != getpid())
		return;
	fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!dprintf(fd, "%d", HURRY_NICE);
}

void process_no_hurry(void)
{
	int nice = getpriority(PRIO_PROCESS, 0);

	(void)setsid();
	thread_set(nice > 0 ? nice : 0, 0);
}
