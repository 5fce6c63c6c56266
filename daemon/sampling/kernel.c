/* SPDX-License-Identifier: Apache-2.0 */
#include "sampling.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "cprof.skel.h"

/* Inode of the initial pid namespace (include/linux/proc_ns.h: PROC_PID_INIT_INO). */
#define INITIAL_PID_NS     0xEFFFFFFCU
#define VERIFIER_LOG_BYTES (1U << 20)
#define DETAIL_BYTES       1000
/* A signal interrupts the verifier: -EAGAIN. */
#define LOAD_TRIES 5

static int quiet(_unused_ enum libbpf_print_level level, _unused_ const char *fmt,
		 _unused_ va_list ap)
{
	return 0;
}

static bool file_contains(const char *path, const char *what)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char line[256];

	return f && fgets(line, sizeof(line), f) && strstr(line, what);
}

/* The last of what the verifier said. */
static char *log_end(const char *log)
{
	size_t size = strlen(log);

	return strdup(size > DETAIL_BYTES ? log + size - DETAIL_BYTES : log);
}

static enum sampler_problem classify(int error, const char *log)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		return SAMPLER_NO_BTF;
	if (error == -ENOSYS)
		return SAMPLER_NO_BPF;
	/* the verifier does not know bpf_probe_read_kernel() then, and says -EINVAL */
	if ((error == -EPERM || error == -EINVAL) &&
	    file_contains("/sys/kernel/security/lockdown", "[confidentiality]"))
		return SAMPLER_LOCKDOWN;
	if (log[0] && (error == -EACCES || error == -EINVAL || error == -E2BIG || error == -EPERM))
		return SAMPLER_VERIFIER;
	if (error == -EPERM || error == -EACCES)
		return SAMPLER_NO_PERMISSION;
	return SAMPLER_OTHER;
}

/* The stack walker is in the object twice, with bpf_loop() (5.17) and with tail calls. */
static bool has_bpf_loop(void)
{
	/* negative: not to be found out; loading will say why */
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_PERF_EVENT, BPF_FUNC_loop, NULL) != 0;
}

static int choose_walker(struct kernel *k)
{
	struct bpf_program *tails[] = { k->skel->progs.cprof_tick_tails,
					k->skel->progs.cprof_walk_tails };
	int r;

	r = bpf_program__set_autoload(k->skel->progs.cprof_tick, !k->tails);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(tails); i++)
		r = bpf_program__set_autoload(tails[i], k->tails);
	if (r >= 0)
		r = bpf_map__set_autocreate(k->skel->maps.tails, k->tails);
	k->tick = k->tails ? k->skel->progs.cprof_tick_tails : k->skel->progs.cprof_tick;
	return r;
}

/* The program that calls itself; the kernel empties the map when its last descriptor is closed. */
static int join_tails(struct kernel *k)
{
	uint32_t zero = 0, fd;

	if (!k->tails)
		return 0;
	fd = (uint32_t)bpf_program__fd(k->skel->progs.cprof_walk_tails);
	return bpf_map_update_elem(bpf_map__fd(k->skel->maps.tails), &zero, &fd, BPF_ANY) < 0
		       ? -errno
		       : 0;
}

static int open_skeleton(struct kernel *k, unsigned ring_bytes, char *log)
{
	struct bpf_object_open_opts opts = {
		.sz = sizeof(opts),
		.kernel_log_buf = log,
		.kernel_log_size = VERIFIER_LOG_BYTES,
	};
	struct stat st;

	k->skel = cprof_bpf__open_opts(&opts);
	if (!k->skel)
		return -errno;
	if (stat("/proc/self/ns/pid", &st) < 0)
		return -errno;
	k->nested = st.st_ino != INITIAL_PID_NS;
	k->skel->rodata->own_pid_ns = (uint32_t)st.st_ino;
	k->skel->rodata->own_pid_ns_is_initial = !k->nested;

	bpf_map__set_max_entries(k->skel->maps.ring, ring_bytes);
	bpf_map__set_max_entries(k->skel->maps.scratch, k->n_cpus);
	bpf_map__set_max_entries(k->skel->maps.stats, k->n_cpus);
	return choose_walker(k);
}

static int load_skeleton(struct kernel *k, unsigned ring_bytes, char *log, bool preallocate)
{
	int r;

	for (int i = 0; i < LOAD_TRIES; i++) {
		k->skel = (cprof_bpf__destroy(k->skel), NULL);
		r = open_skeleton(k, ring_bytes, log);
		if (r < 0)
			return r;
		/* before 6.1 a perf_event program may not see a hash that allocates */
		if (preallocate)
			bpf_map__set_map_flags(k->skel->maps.mappings, 0);
		r = cprof_bpf__load(k->skel);
		if (r != -EAGAIN)
			return r;
	}
	return r;
}

static int map_memory(struct bpf_map *map, void *ret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = ((size_t)bpf_map__value_size(map) + 7) / 8 * 8 * bpf_map__max_entries(map);
	void *p = mmap(NULL, (bytes + page - 1) / page * page, PROT_READ | PROT_WRITE, MAP_SHARED,
		       bpf_map__fd(map), 0);

	if (p == MAP_FAILED)
		return -errno;
	*(void **)ret = p;
	return 0;
}

static void unmap_memory(struct bpf_map *map, void *p)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = ((size_t)bpf_map__value_size(map) + 7) / 8 * 8 * bpf_map__max_entries(map);

	if (p)
		munmap(p, (bytes + page - 1) / page * page);
}

static int map_everything(struct kernel *k)
{
	int r;

	r = map_memory(k->skel->maps.stats, &k->stats);
	if (r < 0)
		return r;
	r = map_memory(k->skel->maps.slots, &k->slots);
	if (r < 0)
		return r;
	r = map_memory(k->skel->maps.rules, &k->rules);
	if (r < 0)
		return r;
	k->control = &k->skel->bss->control;
	k->ring_fd = bpf_map__fd(k->skel->maps.ring);
	k->pid_targets_fd = bpf_map__fd(k->skel->maps.pid_targets);
	k->comm_targets_fd = bpf_map__fd(k->skel->maps.comm_targets);
	k->cgroup_targets_fd = bpf_map__fd(k->skel->maps.cgroup_targets);
	k->processes_fd = bpf_map__fd(k->skel->maps.processes);
	k->mappings_fd = bpf_map__fd(k->skel->maps.mappings);
	k->tables_fd = bpf_map__fd(k->skel->maps.tables);
	return 0;
}

/* Whether an event can be had at all: said at start, not when the first clock is wanted. */
static int try_event(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = NSEC_PER_SEC,
		.disabled = 1,
	};
	_cleanup_close_ int fd = -1;

	/* any CPU will do; the calling one is online */
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0 && errno == ENODEV)
		return 0;
	return fd < 0 ? -errno : 0;
}

static int attach_hooks(struct kernel *k)
{
	struct bpf_program *hooks[] = { k->skel->progs.cprof_fork, k->skel->progs.cprof_exec,
					k->skel->progs.cprof_exit, k->skel->progs.cprof_free };
	struct bpf_link **links[] = { &k->skel->links.cprof_fork, &k->skel->links.cprof_exec,
				      &k->skel->links.cprof_exit, &k->skel->links.cprof_free };

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		*links[i] = bpf_program__attach(hooks[i]);
		if (!*links[i])
			return -errno;
	}
	/* without it ticks that a sleeping CPU let pass count as missed: a flaw, no failure */
	k->skel->links.cprof_idle = bpf_program__attach(k->skel->progs.cprof_idle);
	return 0;
}

static int kernel_start(struct kernel *k, unsigned ring_bytes, bool tails, char *log,
			enum sampler_problem *ret_problem)
{
	int n = libbpf_num_possible_cpus();
	int r;

	if (n < 0)
		return n;
	k->n_cpus = (unsigned)n;
	k->tails = tails || !has_bpf_loop();
	r = load_skeleton(k, ring_bytes, log, false);
	if (r == -EINVAL)
		r = load_skeleton(k, ring_bytes, log, true);
	if (r < 0) {
		*ret_problem = classify(r, log);
		return r;
	}
	*ret_problem = SAMPLER_OTHER;
	r = join_tails(k);
	if (r < 0)
		return r;
	r = map_everything(k);
	if (r < 0)
		return r;
	r = attach_hooks(k);
	if (r < 0)
		return r;
	r = try_event();
	if (r == -EACCES || r == -EPERM)
		*ret_problem = SAMPLER_PARANOID;
	return r;
}

int kernel_load(struct kernel *k, unsigned ring_bytes, bool tails,
		enum sampler_problem *ret_problem, char **ret_detail)
{
	_cleanup_free_ char *log = calloc(1, VERIFIER_LOG_BYTES);
	enum sampler_problem problem = SAMPLER_OTHER;
	libbpf_print_fn_t previous;
	int r;

	if (!log)
		return -ENOMEM;
	previous = libbpf_set_print(quiet);
	r = kernel_start(k, ring_bytes, tails, log, &problem);
	libbpf_set_print(previous);
	if (r < 0) {
		*ret_problem = problem;
		*ret_detail = problem == SAMPLER_VERIFIER ? log_end(log) : strdup(strerror(-r));
		kernel_done(k);
	}
	return r;
}

void kernel_done(struct kernel *k)
{
	if (k->skel) {
		unmap_memory(k->skel->maps.stats, k->stats);
		unmap_memory(k->skel->maps.slots, k->slots);
		unmap_memory(k->skel->maps.rules, k->rules);
	}
	cprof_bpf__destroy(k->skel);
	*k = (struct kernel){};
}

const struct cprof_cpu_stats *kernel_stats(const struct kernel *k, unsigned cpu)
{
	return (const struct cprof_cpu_stats *)(k->stats + cpu * sizeof(struct cprof_cpu_stats));
}

int kernel_attach(struct kernel *k, int event_fd, unsigned cookie, struct bpf_link **ret)
{
	LIBBPF_OPTS(bpf_perf_event_opts, opts, .bpf_cookie = cookie);
	struct bpf_link *link;

	link = bpf_program__attach_perf_event_opts(k->tick, event_fd, &opts);
	if (!link) {
		int saved = errno;

		safe_close(event_fd);
		return -saved;
	}
	*ret = link;
	return 0;
}

struct bpf_link *kernel_detach(struct bpf_link *link)
{
	bpf_link__destroy(link);
	return NULL;
}

static uint64_t map_bytes(int fd)
{
	_cleanup_fclose_ FILE *f = NULL;
	unsigned long long bytes = 0;
	char line[128];

	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	return bytes;
}

uint64_t kernel_map_bytes(const struct kernel *k)
{
	struct bpf_map *map;
	uint64_t sum = 0;

	bpf_object__for_each_map(map, k->skel->obj)
	{
		if (bpf_map__autocreate(map))
			sum += map_bytes(bpf_map__fd(map));
	}
	return sum;
}
