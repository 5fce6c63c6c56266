#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Every sampled stack of programs that know their own call chains is the truth.

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

@test "random programs: -O0 to -O3, gcc and clang, with and without frame pointers" {
    truth=$BATS_TEST_DIRNAME/../truth
    mkdir programs
    seed=${TRUTH_SEED:-$RANDOM}
    i=0
    : >run.sh
    for cc in gcc clang; do
        for o in -O0 -O1 -O2 -O3; do
            for fp in -fomit-frame-pointer -fno-omit-frame-pointer; do
                # half of them not position-independent; -g0: names are those of the symbol table
                pie=$([ $((i % 2)) -eq 0 ] && echo "-fPIE -pie" || echo "-fno-pie -no-pie")
                name=t$i
                "$truth/generate" $((seed + i)) >$name.c
                $cc $o $fp $pie -g0 -w -o programs/$name $name.c
                echo "programs/$name \$1 >programs/$name.truth &
[ $((i % 2)) -eq 0 ] || wait" >>run.sh
                i=$((i + 1))
            done
        done
    done
    echo wait >>run.sh
    echo "seeds from $seed"
    "$CTL" record --hz 499 -o out.pb.gz -- sh run.sh 300
    folded out.pb.gz folded
    "$truth/check" folded programs
}

@test "the paths of perf record --call-graph dwarf, in their shares" {
    command -v perf >/dev/null || skip "perf is not installed"
    "$BATS_TEST_DIRNAME/../truth/generate" 4242 small >agree.c
    gcc -O2 -w -g0 -o agree agree.c
    # some dozens of paths are compared: where one of them differs by chance, with twice as many samples
    for _ in 1 2; do
        rm -f out.pb.gz
        "$CTL" record --hz 997 -o out.pb.gz -- ./agree 4000 >/dev/null
        folded out.pb.gz one
        cat one >>folded
        perf record -q -F 997 -e cpu-clock --call-graph dwarf,24576 -o perf.data -- ./agree 4000 >/dev/null
        perf script --no-inline -F comm,ip,sym -i perf.data >>script 2>/dev/null
        ! "$BATS_TEST_DIRNAME/../truth/agree" folded script agree || return 0
    done
    false
}
