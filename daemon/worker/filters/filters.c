/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs while cprofd is built: prints the seccomp filters of cprof-worker as C, so that the worker, which
 * starts with each question of `cprofctl symbolize`, need not make them.
 */

#include <fcntl.h>
#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "cleanup.h"

/*
 * What is permitted, and who needs it. All else is refused with EPERM; what nobody honest would try
 * ends the process (killed[]). The kernel applies both filters to a job and takes the stricter word.
 *
 *	jobs and zygote
 *	read pread64 readv		input, files that libelf does not map
 *	write pwrite64 writev		the table's memfd; a sanitizer's last words
 *	lseek ftruncate			the table's memfd
 *	close				descriptors of debug files
 *	fstat				libelf: the size of a file
 *	fcntl (GETFD, GETFL, DUPFD)	libelf: is the descriptor good; libdw: a second handle
 *	mmap mprotect munmap mremap brk madvise
 *					malloc; mapped files. Never executable. Never shared without a
 *					file: that would not count towards RLIMIT_DATA
 *	recvmsg sendmsg recvfrom sendto	the job's socket, the control socket
 *	futex				libc's locks
 *	getrandom			malloc's keys
 *	clock_gettime			where the vDSO has no answer
 *	getpid gettid sched_yield sigaltstack
 *					libc's abort(), sanitizers
 *	rt_sigreturn			return from the broker's handler
 *	exit exit_group			the end
 *
 *	jobs, by a trap (broker.c)
 *	open openat			libdw: .dwo files; asked of the daemon
 *	newfstatat			glibc's fstat(); a path is refused
 *
 *	the zygote alone
 *	clone (no namespace, no sharing) set_robust_list
 *					fork()
 *	wait4 kill			the end of a job
 *	poll ppoll			the loop
 *	dup3 dup2 close_range		the job's socket to its place
 *	prctl (PDEATHSIG) getppid	a job does not outlive the zygote
 *	prlimit64 (of itself)		a job's limits
 *	rt_sigaction rt_sigprocmask	fork(), the broker's handler
 *	getrusage			the zygote's own cost
 *	seccomp				the job's filter
 */
static const int permitted[] = {
	SCMP_SYS(read),          SCMP_SYS(pread64),      SCMP_SYS(readv),   SCMP_SYS(write),
	SCMP_SYS(pwrite64),      SCMP_SYS(writev),       SCMP_SYS(lseek),   SCMP_SYS(ftruncate),
	SCMP_SYS(close),         SCMP_SYS(fstat),        SCMP_SYS(munmap),  SCMP_SYS(mremap),
	SCMP_SYS(brk),           SCMP_SYS(madvise),      SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),      SCMP_SYS(sendto),       SCMP_SYS(futex),   SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime), SCMP_SYS(getpid),       SCMP_SYS(gettid),  SCMP_SYS(sched_yield),
	SCMP_SYS(sigaltstack),   SCMP_SYS(rt_sigreturn), SCMP_SYS(exit),    SCMP_SYS(exit_group),
};

static const int permitted_zygote[] = {
	SCMP_SYS(set_robust_list),
	SCMP_SYS(wait4),
	SCMP_SYS(kill),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(dup2),
	SCMP_SYS(dup3),
	SCMP_SYS(close_range),
	SCMP_SYS(getppid),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(getrusage),
	SCMP_SYS(seccomp),
};

static const int trapped_job[] = { SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(newfstatat) };

static const int killed[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(socket),
	SCMP_SYS(socketpair),
	SCMP_SYS(connect),
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsmount),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fspick),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(reboot),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(modify_ldt),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
};

/* The zygote may clone(), but only that; a job nothing of the kind. */
static const int killed_job[] = { SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(fork),
				  SCMP_SYS(vfork) };

#define FILTER_CLONE_FORBIDDEN                                                            \
	((scmp_datum_t)(CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_THREAD | CLONE_PARENT | \
			CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |     \
			CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE))

static void filter_release(scmp_filter_ctx *f)
{
	if (*f)
		seccomp_release(*f);
}

static int filter_add_all(scmp_filter_ctx f, uint32_t action, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = seccomp_rule_add(f, action, calls[i], 0);

		/* a call that this architecture does not have cannot be made */
		if (r < 0 && r != -EDOM)
			return r;
	}
	return 0;
}

static int filter_add_memory(scmp_filter_ctx f)
{
	const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int r;

	r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, no_exec,
			     SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0));
	if (r == 0)
		r = seccomp_rule_add(
			f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, no_exec,
			SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS | MAP_SHARED, MAP_ANONYMOUS));
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_exec);
	return r;
}

static int filter_add_fcntl(scmp_filter_ctx f)
{
	static const int commands[] = { F_GETFD, F_GETFL, F_DUPFD, F_DUPFD_CLOEXEC };

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		int r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
					 SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));

		if (r < 0)
			return r;
	}
	return 0;
}

/* What both have. */
static int filter_begin(scmp_filter_ctx *ret)
{
	_cleanup_(filter_release) scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!f)
		return -ENOMEM;

	/* another architecture's calls would pass under other numbers */
	r = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = filter_add_all(f, SCMP_ACT_ALLOW, permitted, ARRAY_SIZE(permitted));
	if (r == 0)
		r = filter_add_all(f, SCMP_ACT_KILL_PROCESS, killed, ARRAY_SIZE(killed));
	if (r == 0)
		r = filter_add_memory(f);
	if (r == 0)
		r = filter_add_fcntl(f);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(f);
	return 0;
}

static int filter_add_job(scmp_filter_ctx f)
{
	int r;

	r = filter_add_all(f, SCMP_ACT_TRAP, trapped_job, ARRAY_SIZE(trapped_job));
	if (r == 0)
		r = filter_add_all(f, SCMP_ACT_KILL_PROCESS, killed_job, ARRAY_SIZE(killed_job));
	return r;
}

static int filter_add_zygote(scmp_filter_ctx f)
{
	int r;

	r = filter_add_all(f, SCMP_ACT_ALLOW, permitted_zygote, ARRAY_SIZE(permitted_zygote));
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, FILTER_CLONE_FORBIDDEN, 0));
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
				     SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG));
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
				     SCMP_A0(SCMP_CMP_EQ, 0));
	return r;
}

static int filter_print(const char *name, int (*add)(scmp_filter_ctx))
{
	_cleanup_(filter_release) scmp_filter_ctx f = NULL;
	_cleanup_fclose_ FILE *program = tmpfile();
	struct sock_filter one;
	int r;

	if (!program)
		return -errno;
	r = filter_begin(&f);
	if (r == 0)
		r = add(f);
	if (r == 0)
		r = seccomp_export_bpf(f, fileno(program));
	if (r < 0)
		return r;

	rewind(program);
	printf("static const struct sock_filter %s[] = {\n", name);
	while (fread(&one, sizeof(one), 1, program) == 1)
		printf("\t{ %#x, %u, %u, %#x },\n", one.code, one.jt, one.jf, one.k);
	printf("};\n");
	return 0;
}

int main(void)
{
	/* what the worker needs, whatever the kernel that it is built under can do */
	int r = seccomp_api_set(3);

	if (r == 0)
		r = filter_print("filter_of_zygote", filter_add_zygote);
	if (r == 0)
		r = filter_print("filter_of_job", filter_add_job);
	if (r < 0 || fflush(stdout) != 0) {
		fprintf(stderr, "cannot make the worker's filters: %s\n", strerror(-r));
		return 1;
	}
	return 0;
}
