#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# One capture of everything with all three programs as they were built: under sanitizers, a report of
# theirs ends a program, and so the test.

bats_require_minimum_version 1.5.0
load common

setup() {
    require_root
    start_daemon
    cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
    end_background
    stop_daemon
}

@test "a capture, a record and their reports" {
    program shares
    background "$PROGRAM" 30 20
    background perl -e 'my %h; while (1) { $h{$_ % 4099} .= sprintf("%x", $_ * 7) for 1 .. 400000; %h = () }'
    "$CTL" capture --all --seconds 4 --hz 500 -o all.pb.gz
    folded all.pb.gz folded
    [ "$(folded_count folded 'main;sixty')" -gt 100 ]
    "$CTL" record -o rec.pb.gz -- sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do ls / >/dev/null; done'
    "$CTL" report all.pb.gz top >/dev/null
    "$CTL" report all.pb.gz tree >/dev/null
    "$CTL" report all.pb.gz traces >/dev/null
    "$CTL" report all.pb.gz --format svg -o all.svg
    kill "$DAEMON"
    wait "$DAEMON"
    DAEMON=
    run grep -E 'Sanitizer|runtime error' "$RUN/log"
    echo "$output"
    [ "$status" -ne 0 ]
    rm -rf "$RUN"
}
