#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What processes do to a profiler: live briefly, exec, map, vanish, hide.

bats_require_minimum_version 1.5.0
load common

setup_file() {
    file_daemon
}

teardown_file() {
    file_daemon_end
}

setup() {
    file_daemon_use
}

teardown() {
    end_background
}

# Records `forks` and compares the children's samples with the CPU time that they used.
record_forks() { # count, burn ms, least percent, program or nothing
    local n=0 cut=0 due=0
    program forks
    # a sampler draws: where that is more than what is asked for leaves, twice as many are asked
    for _ in 1 2; do
        rm -f out.pb.gz
        "$CTL" record --hz 100 -o out.pb.gz -- "${AHEAD[@]:0:1}" -w "${AHEAD[@]:1}" "$PROGRAM" "$1" "$2" ${4:+"$4"} >seconds 2>err
        check_pprof out.pb.gz
        folded out.pb.gz folded
        n=$((n + $(grep '^forks;' folded | folded_count /dev/stdin ';child_work|;_dl_|;__libc_start|;_start|\[exec\]|\[exit\]')))
        cut=$((cut + $(grep '^forks;' folded | folded_count /dev/stdin '\[truncated|\[unknown')))
        due=$(awk -v d="$due" '{ printf "%.0f", d + $1 * 100 }' seconds)
        cat err
        echo "$n of $due due: $(awk -v n="$n" -v d="$due" 'BEGIN { print 100 * n / d }') %, $cut more are cut"
        # four deviations of as many independent draws are added to what the parent does itself
        awk -v n="$n" -v d="$due" -v p="$3" 'BEGIN { exit !(n >= d * p / 100 && n <= d * 1.15 + 4 * sqrt(d)) }' && return 0
    done
    return 1
}

@test "a thousand children that fork and live 20 ms" {
    record_forks 1000 20 95
}

@test "a thousand children that fork and live 5 ms" {
    record_forks 1000 5 90
}

@test "three hundred children that exec and live 20 ms" {
    program forks
    record_forks 300 20 90 "$PROGRAM"
}

@test "five hundred children that exec and live 5 ms" {
    program forks
    record_forks 500 5 85 "$PROGRAM"
}

@test "children are told apart by command; --no-children leaves them out" {
    cat >tree.sh <<'END'
perl -e '$x += $_ for 1 .. 30000000'
i=0; while [ $i -lt 1000000 ]; do i=$((i + 1)); done
END
    "$CTL" record --hz 400 -o all.pb.gz -- sh tree.sh
    folded all.pb.gz folded
    [ "$(folded_count folded '^perl;')" -gt 20 ]
    [ "$(folded_count folded '^sh;')" -gt 5 ]
    "$CTL" record --hz 400 --no-children -o own.pb.gz -- sh tree.sh
    folded own.pb.gz folded
    [ "$(folded_count folded '^perl;')" -eq 0 ]
    [ "$(folded_count folded '^sh;')" -gt 5 ]
}

@test "libraries that are opened and closed keep their own names, at reused addresses too" {
    for n in a b; do
        echo "#include <stdint.h>
#include <time.h>
static volatile uint64_t s; void work(void); void work_$n(void); __attribute__((noinline)) void work_$n(void)
{ for (clock_t end = clock() + CLOCKS_PER_SEC / 6; clock() < end;) for (long i = 0; i < 1000000; i++) s += i; } void work(void) { work_$n(); s++; }" >$n.c
        gcc -O2 -fPIC -shared -o lib$n.so $n.c
    done
    cat >main.c <<'END'
#include <dlfcn.h>
#include <stdio.h>
int main(void) { void *last = 0; int same = 0;
for (int i = 0; i < 20; i++) { void *h = dlopen(i % 2 ? "./libb.so" : "./liba.so", RTLD_NOW); void (*f)(void) = (void (*)(void))dlsym(h, "work");
if ((void *)f == last) same++; last = (void *)f; f(); dlclose(h); } printf("%d\n", same); return 0; }
END
    gcc -O2 -g -o main main.c
    # of 1,300 samples six points are more than four deviations
    "$CTL" record --hz 400 -o out.pb.gz -- ./main >same
    echo "same address $(cat same) times"
    folded out.pb.gz folded
    a=$(folded_percent folded ';work;work_a[; ]')
    b=$(folded_percent folded ';work;work_b[; ]')
    echo "a $a b $b"
    within "$a" 50 6
    within "$b" 50 6
}

@test "a program that is deleted or replaced while it runs keeps its names" {
    program shares
    cp "$PROGRAM" victim
    ahead ./victim 30 47
    rm victim
    "$CTL" capture --pid "$LAST" --seconds 2 --hz 500 -o deleted.pb.gz
    folded deleted.pb.gz folded
    within "$(folded_percent folded ';main;sixty ')" 60 10
    # another program takes the path
    cp "$PROGRAM" victim
    ahead ./victim 30 47
    cp /bin/true other
    mv other victim
    "$CTL" capture --pid "$LAST" --seconds 2 --hz 500 -o replaced.pb.gz
    folded replaced.pb.gz folded
    within "$(folded_percent folded ';main;sixty ')" 60 10
    # a hard link more is no other file, before its names and tables are read nor after
    cp "$PROGRAM" linked
    ahead ./linked 30 47
    for n in 1 2; do
        ln linked linked$n
        "$CTL" capture --pid "$LAST" --seconds 2 --hz 500 -o linked$n.pb.gz
        folded linked$n.pb.gz folded
        within "$(folded_percent folded '_start;.*;main;sixty ')" 60 10
    done
}

@test "a process in another mount and pid namespace is named from its own files" {
    program shares
    mkdir -p root/hidden
    background "${RATHER_AHEAD[@]}" unshare --mount --pid --fork --mount-proc sh -c "mount -t tmpfs none $PWD/root/hidden && cp $PROGRAM $PWD/root/hidden/inside && $PWD/root/hidden/inside 30 47; :"
    descendant "$LAST" inside
    pid=$LAST
    STARTED+=("$pid")
    [ ! -e root/hidden/inside ]
    "$CTL" capture --pid "$pid" --seconds 2 --hz 500 -o out.pb.gz
    kill "$pid"
    folded out.pb.gz folded
    within "$(folded_percent folded '^inside;.*;main;sixty ')" 60 10
    # pids are the daemon's
    go tool pprof -tags out.pb.gz 2>/dev/null | grep -q "$pid"
}

@test "a target that ends during the capture: what there is, with a note" {
    program shares
    background "$PROGRAM" 5 20
    run --separate-stderr "$CTL" capture --pid "$LAST" --seconds 30 -o out.pb.gz
    echo "$stderr"
    [ "$status" -eq 0 ]
    grep -qi 'ended' <<<"$stderr"
    folded out.pb.gz folded
    [ "$(folded_count folded .)" -gt 80 ]
}

@test "side-band records that are lost are noticed, and what they told is read again" {
    program flood
    flood=$PROGRAM
    program shares
    mkfifo go
    background sh -c 'read x <go; exec "$@"' sh "${RATHER_AHEAD[@]}" "$PROGRAM" 30 47
    target=$LAST
    # known as what it is now
    "$CTL" capture --pid "$target" --seconds 0.5 -o before.pb.gz
    lost=$("$CTL" status --json | jq .sideband.lost)
    # the rings of all CPUs are full when it becomes another program
    kill -STOP "$DAEMON"
    "$flood" 100000 &
    "$flood" 100000
    wait $!
    /usr/bin/python3 -c 'import os; print(*os.sched_getaffinity(0), sep="\n")' >cpus
    while read -r cpu; do taskset -c "$cpu" "$flood" 100000; done <cpus
    echo >go
    runs "$target" shares
    kill -CONT "$DAEMON"
    "$CTL" capture --pid "$target" --seconds 2 --hz 500 -o out.pb.gz
    "$CTL" status --json | jq -c .sideband
    "$CTL" status --json | jq -e ".sideband.lost > $lost and .sideband.rescans > 0"
    folded out.pb.gz folded
    within "$(folded_percent folded '^shares;_start;.*;main;sixty ')" 60 10
}

@test "exec in place: each image has its own name" {
    program shares
    "$CTL" record --hz 400 -o out.pb.gz -- sh -c "i=0; while [ \$i -lt 1000000 ]; do i=\$((i + 1)); done; exec $PROGRAM 1 20"
    folded out.pb.gz folded
    [ "$(folded_count folded '^shares;.*main;')" -gt 320 ]
    [ "$(folded_count folded '^sh;')" -gt 20 ]
}

@test "thread names are those of the sample's time" {
    cat >threads.c <<'END'
#define _GNU_SOURCE
#include <pthread.h>
#include <time.h>
static volatile unsigned long s;
static void *spin(void *arg) { pthread_setname_np(pthread_self(), arg); for (clock_t end = clock() + 2 * CLOCKS_PER_SEC; clock() < end;) for (long i = 0; i < 1000000; i++) s += i; return 0; }
int main(void) { pthread_t a, b; pthread_create(&a, 0, spin, "alpha"); pthread_create(&b, 0, spin, "beta"); pthread_join(a, 0); pthread_join(b, 0); return 0; }
END
    gcc -O2 -pthread -o threads threads.c
    "$CTL" record -o out.pb.gz -- ./threads
    go tool pprof -tags out.pb.gz 2>/dev/null >tags
    cat tags
    grep -q alpha tags
    grep -q beta tags
    check_pprof out.pb.gz
}
