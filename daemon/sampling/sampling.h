/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the sampler share. Nobody outside this folder includes it. */

#include "cprof/control.h"
#include "cprof/unwind.h"
#include "ring.h"
#include "sampler.h"

struct cprof_bpf; /* the skeleton; only kernel.c knows it */
struct bpf_link;
struct bpf_program;

/* The loaded program and its maps. */
struct kernel {
	struct cprof_bpf *skel;
	struct bpf_program *tick;      /* that the events run */
	struct cprof_control *control; /* shared memory */
	struct cprof_slot_info *slots;
	struct cprof_rule *rules;
	uint8_t *stats;  /* struct cprof_cpu_stats, by CPU */
	unsigned n_cpus; /* possible ones */
	int ring_fd;
	int pid_targets_fd, comm_targets_fd, cgroup_targets_fd;
	int processes_fd, mappings_fd, tables_fd;
	bool tails;  /* stacks are walked by tail calls, not by bpf_loop() */
	bool nested; /* in a pid namespace other than the initial one */
};

/* Walks by tail calls where tails says so or the kernel has nothing better. */
int kernel_load(struct kernel *k, unsigned ring_bytes, bool tails,
		enum sampler_problem *ret_problem, char **ret_detail);
void kernel_done(struct kernel *k);
const struct cprof_cpu_stats *kernel_stats(const struct kernel *k, unsigned cpu);
/* Attaches the program to an event; the link owns the descriptor, also when this fails. */
int kernel_attach(struct kernel *k, int event_fd, unsigned cookie, struct bpf_link **ret);
struct bpf_link *kernel_detach(struct bpf_link *link);
/* Memory of all maps but the tables', as the kernel accounts it. */
uint64_t kernel_map_bytes(const struct kernel *k);

/* The events of one CPU. */
struct clock_cpu {
	int cpu;
	int fd[CPROF_EVENTS_PER_CLOCK];
	struct bpf_link *link[CPROF_EVENTS_PER_CLOCK];
};

struct clock {
	struct sampler *sampler;
	unsigned index;
	unsigned hz;          /* 0: unused */
	unsigned n_sessions;  /* that are bound to it */
	unsigned next;        /* event that is redrawn next */
	double detune;        /* of the pair: one is slower, one faster by this */
	uint64_t interval_ns; /* between redraws of one event */
	sd_event_source *timer;
	struct clock_cpu *cpus;
	size_t n_cpus;
};

int clocks_start(struct sampler *s, unsigned hz, unsigned *ret_index);
void clocks_stop(struct sampler *s, unsigned index);
/* CPUs have come or gone. */
int clocks_follow_cpus(struct sampler *s);
/* Events and ticks of a clock: exported for tests. */
uint64_t clock_weight_ns(unsigned hz, unsigned event, double detune);
uint64_t clock_period_ns(uint64_t weight_ns, uint64_t interval_ns);
uint64_t clock_interval_ns(unsigned hz);
/* "0-3,8,10-11"; at most max entries, sorted. Negative errno; -EINVAL for anything else. */
int cpus_parse(const char *text, int *ret_cpus, size_t max);

struct session {
	bool open, children;
	unsigned clock;
	struct target *targets;
	size_t n_targets;
};

/* The bit of a session in a mask that the program reads. */
void session_bit(__u64 *words, unsigned slot, bool on);
int targets_add(struct sampler *s, unsigned slot, const struct target *target);
int targets_remove(struct sampler *s, unsigned slot, const struct target *target);
void targets_forget(struct sampler *s, unsigned slot);
/* Entries of processes that are gone; the program does it itself in the initial namespace. */
void targets_sweep(struct sampler *s);

struct kernel_tables;
int kernel_tables_new(struct kernel_tables **ret, struct kernel *k);
struct kernel_tables *kernel_tables_free(struct kernel_tables *t);
uint64_t kernel_tables_bytes(const struct kernel_tables *t);

struct kernel_spaces;
int kernel_spaces_new(struct kernel_spaces **ret, struct kernel *k);
struct kernel_spaces *kernel_spaces_free(struct kernel_spaces *t);

struct sampler {
	sd_event *event;
	struct sampler_options options;
	struct kernel kernel;
	struct ring ring;
	sd_event_source *housekeeping; /* every second */
	sd_event_source *ring_wakeup;  /* half full */
	struct clock clocks[CPROF_MAX_CLOCKS];
	struct session sessions[CPROF_MAX_SESSIONS];
	struct kernel_tables *tables;
	struct kernel_spaces *spaces;
	int *online; /* CPUs */
	size_t n_online;
	uint64_t until_ns;    /* of the last drain */
	uint64_t bad_records; /* from the ring, not as long as they say */
};
