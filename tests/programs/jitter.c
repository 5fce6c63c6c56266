/* SPDX-License-Identifier: Apache-2.0 */
/* A JIT compiler of one loop: jitter MODE MILLISECONDS [MAP]. It uses that much CPU time, and writes names for
 * its code to MAP, /tmp/perf-PID.map where none is given, or to ./jit-PID.dump. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const unsigned char code[] = {
	0x55,             /* push %rbp */
	0x48, 0x89, 0xe5, /* mov %rsp, %rbp */
	0x48, 0xff, 0xcf, /* 1: dec %rdi */
	0x75, 0xfb,       /* jnz 1b */
	0x5d, 0xc3,       /* pop %rbp; ret */
};

static uint64_t clock_now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t now(void)
{
	return clock_now(CLOCK_MONOTONIC);
}

static void run(void *memory, uint64_t ms)
{
	void (*loop)(long) = (void (*)(long))(uintptr_t)memory;
	uint64_t end = clock_now(CLOCK_PROCESS_CPUTIME_ID) + ms * 1000000;

	while (clock_now(CLOCK_PROCESS_CPUTIME_ID) < end)
		loop(1000000);
}

/* What comes before there is anything to compile. */
static void __attribute__((noinline)) start(uint64_t ms)
{
	uint64_t end = clock_now(CLOCK_PROCESS_CPUTIME_ID) + ms * 1000000;

	while (clock_now(CLOCK_PROCESS_CPUTIME_ID) < end)
		continue;
}

static void map(const char *path, const char *mode, const void *memory, const char *name)
{
	FILE *f = fopen(path, mode);

	if (!f)
		exit(1);
	fprintf(f, "%lx %zx %s\n", (unsigned long)memory, sizeof(code), name);
	fclose(f);
}

static void put(int fd, const void *data, size_t size)
{
	if (write(fd, data, size) != (ssize_t)size)
		exit(1);
}

static void load(int fd, const void *memory, const char *name)
{
	uint64_t addr = (uint64_t)(uintptr_t)memory, t = now(), size = sizeof(code);
	uint32_t entry[2] = { 42, 0 }, pid = (uint32_t)getpid();
	uint32_t bytes = (uint32_t)(16 + 40 + strlen(name) + 1 + size);
	uint32_t debug = 16 + 16 + 16 + 8;
	static uint64_t index;

	put(fd, (uint32_t[]){ 2, debug }, 8);
	put(fd, &t, 8);
	put(fd, (uint64_t[]){ addr, 1, addr }, 24);
	put(fd, entry, 8);
	put(fd, "loop.jt", 8);

	put(fd, (uint32_t[]){ 0, bytes }, 8);
	put(fd, &t, 8);
	put(fd, (uint32_t[]){ pid, pid }, 8);
	put(fd, (uint64_t[]){ addr, addr, size, ++index }, 32);
	put(fd, name, strlen(name) + 1);
	put(fd, code, sizeof(code));
}

static int dump(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "jit-%d.dump", (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	put(fd, (uint32_t[]){ 0x4A695444, 1, 40, 62, 0, (uint32_t)getpid() }, 24);
	put(fd, (uint64_t[]){ now(), 0 }, 16);
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		exit(1);
	return fd;
}

/* The parent compiles and waits; its child runs that code, as another user if there is one, and then some of
 * its own. */
static void run_forked(char *memory, const char *path, uint64_t ms, unsigned user)
{
	char own[64];
	pid_t child;

	map(path, "w", memory, "of the parent");
	child = fork();
	if (child != 0) {
		waitpid(child, NULL, 0);
		return;
	}
	if (user && (setregid(user, user) < 0 || setreuid(user, user) < 0))
		exit(1);
	snprintf(own, sizeof(own), "/tmp/perf-%d.map", (int)getpid());
	run(memory, ms / 2);
	memcpy(memory + 2048, code, sizeof(code));
	map(own, "w", memory + 2048, "of the child");
	run(memory + 2048, ms / 2);
	unlink(own);
}

/* Programs that use so much CPU time each, one after the other; their pids are printed. */
static void run_many(const char *program, uint64_t ms, const char *each_ms)
{
	uint64_t end = now() + ms * 1000000;

	while (now() < end) {
		pid_t child = fork();

		if (child == 0) {
			execl(program, program, "late", each_ms, NULL);
			_exit(127);
		}
		printf("%d\n", (int)child);
		waitpid(child, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t ms = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;
	const char *mode = argc > 1 ? argv[1] : "map";
	char path[256];

	memcpy(memory, code, sizeof(code));
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	if (argc > 3)
		snprintf(path, sizeof(path), "%s", argv[3]);

	if (strcmp(mode, "map") == 0) {
		map(path, "w", memory, "jit loop(int)");
		run(memory, ms);
	} else if (strcmp(mode, "late") == 0) {
		start(ms / 2);
		map(path, "w", memory, "jit loop(int)");
		run(memory, ms / 2);
	} else if (strcmp(mode, "end") == 0) {
		run(memory, ms);
		map(path, "w", memory, "named at the end");
	} else if (strcmp(mode, "append") == 0) {
		map(path, "w", memory, "first");
		run(memory, ms / 2);
		map(path, "a", memory, "appended");
		run(memory, ms / 2);
	} else if (strcmp(mode, "rewrite") == 0) {
		map(path, "w", memory, "first");
		run(memory, ms / 2);
		unlink(path);
		map(path, "w", memory, "rewritten");
		run(memory, ms / 2);
	} else if (strcmp(mode, "fork") == 0) {
		run_forked(memory, path, ms, 0);
	} else if (strcmp(mode, "fork-user") == 0) {
		run_forked(memory, path, ms, 65534);
	} else if (strcmp(mode, "many") == 0) {
		run_many(argv[0], ms, argc > 3 ? argv[3] : "40");
	} else if (strcmp(mode, "dump") == 0) {
		int fd = dump();

		load(fd, memory, "morning");
		run(memory, ms / 2);
		load(fd, memory, "evening");
		run(memory, ms / 2);
	} else {
		run(memory, ms);
	}
	return 0;
}
