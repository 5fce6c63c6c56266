/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "landlock.h"
#include "syscalls.h"

#define SANDBOX_FILES       1024           /* .dwo files stay open */
#define SANDBOX_STACK_BYTES (64ULL << 20)  /* demanglers recurse */
#define SANDBOX_WRITE_BYTES (160ULL << 20) /* over the largest table, in its memfd */
/* Files are mapped whole, beside the budget: this bounds the address space, not memory. */
#define SANDBOX_SPACE_BYTES (64ULL << 30)
#define SANDBOX_CPU_GRACE_S 2

/* Lowers only: a limit that is stricter already stays. */
static int sandbox_limit(int resource, uint64_t value)
{
	struct rlimit old, new;

	if (getrlimit(resource, &old) < 0)
		return -errno;

	new.rlim_max = MIN(old.rlim_max, (rlim_t)value);
	new.rlim_cur = new.rlim_max;
	return setrlimit(resource, &new) < 0 ? -errno : 0;
}

static int sandbox_limits(void)
{
	static const struct {
		int resource;
		uint64_t value;
	} limits[] = {
		{ RLIMIT_CORE, 0 },        { RLIMIT_NOFILE, SANDBOX_FILES },
		{ RLIMIT_MEMLOCK, 0 },     { RLIMIT_MSGQUEUE, 0 },
		{ RLIMIT_SIGPENDING, 64 }, { RLIMIT_STACK, SANDBOX_STACK_BYTES },
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		int r = sandbox_limit(limits[i].resource, limits[i].value);

		if (r < 0)
			return r;
	}
	return 0;
}

/* All three ids of each kind; the kernel then empties the effective and permitted capabilities. */
static int sandbox_change_ids(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) < 0)
		return -errno;
	if (setresgid(gid, gid, gid) < 0)
		return -errno;
	if (setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

static int sandbox_drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);

	if (syscall(SYS_capset, &header, data) < 0)
		return -errno;
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	if (data[0].effective | data[0].permitted | data[0].inheritable | data[1].effective |
	    data[1].permitted | data[1].inheritable)
		return -EPERM;
	return 0;
}

int sandbox_become(bool change_ids, uid_t uid, gid_t gid)
{
	int r;

	/* before the ids, which take CAP_SETPCAP along; where it was never there, no_new_privs makes
	 * the bounding set moot */
	for (int cap = 0; cap < 64; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);

	if (change_ids) {
		r = sandbox_change_ids(uid, gid);
		if (r < 0)
			return r;
	}

	r = sandbox_drop_capabilities();
	if (r < 0)
		return r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* after the ids, which would reset both */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int sandbox_enter(struct sandbox *ret, uid_t uid, gid_t gid)
{
	struct sandbox s = { .zygote = getpid() };
	int r;

	r = sandbox_limits();
	if (r < 0)
		return r;

	r = sandbox_become(uid != 0, uid, gid);
	if (r < 0)
		return r;
	if (uid != 0)
		s.flags |= JOB_SANDBOX_UID;

	r = landlock_deny_all();
	if (r > 0)
		s.flags |= JOB_SANDBOX_LANDLOCK;

	r = syscalls_confine_zygote();
	if (r < 0)
		return r;
	s.flags |= JOB_SANDBOX_SECCOMP;

	*ret = s;
	return 0;
}

static int sandbox_limit_job(const struct job_header *header)
{
	struct rlimit cpu = { header->cpu_seconds, header->cpu_seconds + SANDBOX_CPU_GRACE_S };
	int r;

	/* the soft limit's SIGXCPU names the reason, the hard one's SIGKILL makes sure */
	if (setrlimit(RLIMIT_CPU, &cpu) < 0)
		return -errno;

	r = sandbox_limit(RLIMIT_FSIZE, SANDBOX_WRITE_BYTES);
	if (r < 0)
		return r;

	r = sandbox_limit(RLIMIT_NPROC, 0);
	if (r < 0)
		return r;

		/* shadow memory of terabytes does not fit either limit */
#ifndef CPROF_SANITIZED
	r = sandbox_limit(RLIMIT_AS, SANDBOX_SPACE_BYTES);
	if (r == 0)
		r = sandbox_limit(RLIMIT_DATA, (uint64_t)header->memory_bytes_mib << 20);
#endif
	return r;
}

int sandbox_enter_job(const struct sandbox *s, const struct job_header *header)
{
	int r;

	if (!(header->flags & JOB_LAST)) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
			return -errno;
		if (getppid() != s->zygote)
			return -ECHILD;
	}

	r = sandbox_limit_job(header);
	if (r < 0)
		return r;

	return syscalls_confine_job();
}
