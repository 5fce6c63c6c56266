#!/usr/bin/env bats
# shellcheck disable=SC2016
# SPDX-License-Identifier: Apache-2.0
# The walker as it is on kernels without bpf_loop (before 5.17): tail calls, here on any.

bats_require_minimum_version 1.5.0
load common

setup_file() {
    export CPROFD_TAIL_CALLS=1
    file_daemon
}

teardown_file() {
    file_daemon_end
}

setup() {
    # what the machine's other work and the host take is not ours to judge: three tries
    export BATS_TEST_RETRIES=2
    file_daemon_use
}

teardown() {
    tries_told
    end_background
}

@test "programs as Debian ships them are complete" {
    grep -q 'walked by tail calls' "$RUN/log"
    printf '%s\n' 'python3 -c "print(sum(hash(str(i)) for i in range(4000000)))"' \
        'perl -e "my %h; \$h{\$_ % 4099} .= sprintf(q(%x), \$_ * 7) for 1 .. 5000000"' \
        'openssl speed -seconds 1 -bytes 8192 sha256 rsa2048 ecdsap256' >load.sh
    "$CTL" record --hz 499 -o out.pb.gz -- sh load.sh >/dev/null
    folded out.pb.gz folded
    all=$(folded_count folded .) cut=$(folded_count folded '\[truncated: ')
    echo "$all samples, $cut truncated"
    [ "$all" -gt 300 ]
    [ $((cut * 200)) -le "$all" ]
    for program in python3 perl openssl; do [ "$(folded_count folded "^$program;_start;.*main")" -gt 20 ]; done
}

@test "random programs that know their own call chains" {
    mkdir programs
    seed=${TRUTH_SEED:-$RANDOM}
    echo "seeds from $seed"
    printf 'for p in programs/t?; do $p $1 >$p.truth & done\nwait\n' >run.sh
    for i in 0 1 2 3; do "$BATS_TEST_DIRNAME/../truth/generate" $((seed + i)) >t$i.c; done
    gcc -O2 -fomit-frame-pointer -g0 -w -o programs/t0 t0.c
    clang -O3 -fomit-frame-pointer -g0 -w -o programs/t1 t1.c
    gcc -O0 -fno-omit-frame-pointer -g0 -w -o programs/t2 t2.c
    clang -O1 -fomit-frame-pointer -fno-pie -no-pie -g0 -w -o programs/t3 t3.c
    "$CTL" record --hz 499 -o out.pb.gz -- sh run.sh 1200
    folded out.pb.gz folded
    "$BATS_TEST_DIRNAME/../truth/check" folded programs
}

@test "500 frames, 900, and more than there may be" {
    for n in 500 900; do
        chain=$(printf 'r;%.0s' $(seq $((n + 1))))
        record_c "r$n" -O1 <<<"$BURN __attribute__((noinline)) static int r(int n) { if (n == 0) { burn(); return 0; } return r(n - 1) + 1; } int main(void) { return r($n) & 1; }"
        mostly "^r$n;_start;.*main;${chain}burn" 98
    done
    record_c over -O1 <<<"$BURN __attribute__((noinline)) static int r(int n) { if (n == 0) { burn(); return 0; } return r(n - 1) + 1; } int main(void) { return r(3000) & 1; }"
    mostly '^over;\[truncated: depth\];r;r;.*;r;burn' 98
}

@test "no tick was lost to the walker" {
    "$CTL" status --json | jq -e '.samples.taken > 0 and .samples.lost.internal == 0'
}
