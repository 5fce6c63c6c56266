#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Samples against the kernel's own account of CPU time, and shares against programs that know theirs.

bats_require_minimum_version 1.5.0
load common

setup_file() {
    file_daemon
    wake_runs >"$BATS_FILE_TMPDIR/wake.log" 2>&1 3>&- &
    echo $! >"$BATS_FILE_TMPDIR/wake.pid"
}

teardown_file() {
    # what a failure has left
    kill "$(cat "$BATS_FILE_TMPDIR/wake.pid")" "$(cat "$BATS_FILE_TMPDIR/wake.program")" 2>/dev/null || true
    file_daemon_end
}

setup() {
    file_daemon_use
}

teardown() {
    end_background
}

# Three captures of the program that wakes, one after another, while the next test takes its time.
wake_runs() {
    program wake
    "${AHEAD[@]}" "$PROGRAM" 300 10 2 &
    echo $! >"$BATS_FILE_TMPDIR/wake.program"
    for i in 1 2 3; do
        "$CTL" capture --pid $! --seconds 30 -o "$BATS_FILE_TMPDIR/wake$i.tmp" || break
        mv "$BATS_FILE_TMPDIR/wake$i.tmp" "$BATS_FILE_TMPDIR/wake$i.pb.gz"
    done
    kill $!
}

# Of a target, into a file, its summary into another: what `worth` measures with.
taken() { # pid, options..., profile, summary
    "$CTL" capture --pid "$1" "${@:2:$#-3}" -o "${*: -2:1}" 2>"${*: -1}"
}

# Both at once; a third is the program of `wake_runs`.
@test "60, 30 and 10 %, also with a cycle of 101 ms" {
    program shares
    # longer where the error of sampling is larger than the two points; what is taken counts
    for i in 1 2 3 4; do
        background "${AHEAD[@]}" "$PROGRAM" 60 20
        short=$LAST
        background "${AHEAD[@]}" "$PROGRAM" 60 101
        runs "$LAST" shares
        runs "$short" shares
        "$CTL" capture --pid "$short" --seconds 30 -o short.pb.gz &
        capture=$!
        "$CTL" capture --pid "$LAST" --seconds 30 -o long.pb.gz
        wait $capture
        # what follows is for others' CPU
        end_background
        good=true
        for cycle in short long; do
            folded $cycle.pb.gz folded
            cat folded >>$cycle
            rm $cycle.pb.gz
            for f in sixty:60 thirty:30 ten:10; do
                p=$(folded_percent $cycle ";${f%:*}[ ;]")
                echo "$i, $cycle cycle: ${f%:*} $p % of $(folded_count $cycle .)"
                within "$p" "${f#*:}" 2 || good=false
            done
        done
        ! $good || break
    done
    $good
}

@test "a program that wakes every 10 ms and burns 2 ms reads 20 %, three times" {
    for i in 1 2 3; do
        for _ in $(seq 1800); do
            [ ! -e "$BATS_FILE_TMPDIR/wake$i.pb.gz" ] || break
            kill -0 "$(cat "$BATS_FILE_TMPDIR/wake.pid")" || [ -e "$BATS_FILE_TMPDIR/wake$i.pb.gz" ] || break
            sleep 0.1
        done
    done
    cat "$BATS_FILE_TMPDIR/wake.log"
    for i in 1 2 3; do
        folded "$BATS_FILE_TMPDIR/wake$i.pb.gz" folded
        n=$(folded_count folded .)
        echo "$n samples of 3000"
        within "$n" 600 60
    done
}

@test "one thread that burns: N x hz samples, 100 and 1,000 Hz" {
    program shares
    background "${AHEAD[@]}" "$PROGRAM" 120 20
    runs "$LAST" shares
    # of the target's own CPU time, which the summary tells from /proc
    worth 1 taken "$LAST" --seconds 10 --hz 100
    worth 1 taken "$LAST" --seconds 10 --hz 1000
}

@test "eight threads: samples are worth their CPU time" {
    cat >threads.c <<'END'
#include <pthread.h>
#include <stdint.h>
#include <time.h>
static volatile uint64_t sink[8 * 64];
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (double)t.tv_sec + (double)t.tv_nsec / 1e9; }
/* all sleep for the last eighth of each half second: who looks at them has that */
static void *spin(void *arg) { volatile uint64_t *p = arg; struct timespec pause = { 0, 62500000 };
for (;;) { double halves = now() * 2; if (halves - (double)(long)halves > 0.875) nanosleep(&pause, 0); for (int i = 0; i < 100000; i++) *p += 1; } return 0; }
int main(void) { pthread_t t; for (int i = 0; i < 7; i++) pthread_create(&t, 0, spin, (void *)&sink[i * 64]); spin((void *)&sink[7 * 64]); }
END
    gcc -O2 -pthread -o threads threads.c
    # the CPUs are its own while it is looked at
    awake() { kill -CONT "$1"; taken "$@"; kill -STOP "$1"; }
    background "${AHEAD[@]}" ./threads
    runs "$LAST" threads
    kill -STOP "$LAST"
    worth 1 awake "$LAST" --seconds 10
}

@test "inlined functions are named as such, with lines" {
    program inlines
    ahead "$PROGRAM" 20
    "$CTL" capture --pid "$LAST" --seconds 3 -o out.pb.gz
    folded out.pb.gz folded
    p=$(folded_percent folded ';main;outermost;middle;innermost[; ]')
    echo "$p %"
    within "$p" 100 5
    go tool pprof -top -lines "$PROGRAM" out.pb.gz 2>&1 | tee top
    grep -qE 'innermost .*inlines\.c:[0-9]+ \(inline\)' top
    check_pprof out.pb.gz
}

@test "C++ templates keep their names" {
    g++ -O2 -g -o templates "$SOURCES/templates.cc"
    ahead ./templates 20
    "$CTL" capture --pid "$LAST" --seconds 3 -o out.pb.gz
    folded out.pb.gz folded
    p=$(folded_percent folded 'shop::Basket<unsigned long, 512>::total\(unsigned long const&\) const')
    within "$p" 100 5
}

@test "--names=short leaves template arguments out, the linkage name stays" {
    g++ -O2 -g -o templates "$SOURCES/templates.cc"
    ahead ./templates 20
    "$CTL" capture --pid "$LAST" --seconds 2 --names=short -o out.pb.gz
    folded out.pb.gz folded
    p=$(folded_percent folded 'shop::Basket::total')
    within "$p" 100 5
    run ! grep -q 'Basket<' folded
    zcat out.pb.gz | grep -qa '_ZNK4shop6BasketImLi512EE5totalERKm'
}

@test "Rust names are demangled" {
    command -v rustc >/dev/null || skip "rustc is not installed"
    rustc -O -g -o work "$SOURCES/work.rs"
    ahead ./work 20
    "$CTL" capture --pid "$LAST" --seconds 3 -o out.pb.gz
    folded out.pb.gz folded
    p=$(folded_percent folded 'work::shop::total')
    echo "$p"
    head -n 3 folded
    within "$p" 100 5
    run grep -E '17h[0-9a-f]{16}' folded
    [ "$status" -ne 0 ]
}

@test "two captures at once, at different rates, do not disturb one another" {
    program shares
    background "${AHEAD[@]}" "$PROGRAM" 120 20
    target=$LAST
    runs "$target" shares
    mkdir fast slow
    (cd fast && worth 2 taken "$target" --seconds 10 --hz 1000 && check_pprof worth.pb.gz) >fast.log 2>&1 3>&- &
    (cd slow && worth 2 taken "$target" --seconds 8 --hz 100 && check_pprof worth.pb.gz) || { cat fast.log; false; }
    wait $! || { cat fast.log; false; }
}

@test "idle is not reported, and a process that sleeps has an empty, valid profile" {
    background sleep 60
    run --separate-stderr "$CTL" capture --pid "$LAST" --seconds 2 -o out.pb.gz
    echo "$stderr"
    [ "$status" -eq 0 ]
    check_pprof out.pb.gz
    go tool pprof -top out.pb.gz
}
