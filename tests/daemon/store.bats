#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the store of a running daemon survives: kills, full disks, damaged files and indices.

bats_require_minimum_version 1.5.0
load common.bash

setup()
{
    require_root
    cd "$BATS_TEST_TMPDIR" || return 1
    printf '[Continuous]\nWindow=5s\n[Store]\nKeepFree=0\n[Budget]\nCPU=100%%\n' >conf
}

teardown()
{
    end_background
    [ -z "${MOUNTED:-}" ] || { stop_daemon_only; umount "$MOUNTED"; MOUNTED=; }
    stop_daemon
}

stop_daemon_only()
{
    [ -n "${DAEMON:-}" ] || return 0
    kill "$DAEMON" 2>/dev/null || true
    wait "$DAEMON" 2>/dev/null || true
    DAEMON=
}

# The same state and socket once more.
again()
{
    "$BUILD/cprofd" --config conf --socket "$CPROFD_SOCKET" --state-dir "$RUN/state" 2>>"$RUN/log" 3>&- &
    DAEMON=$!
    answers && return 0
    cat "$RUN/log" >&2
    return 1
}

api()
{
    local path=$1
    shift
    curl -sS --fail-with-body --unix-socket "$CPROFD_SOCKET" "http://cprofd$path" "$@"
}

no_tmp()
{
    [ -z "$(find "$RUN/state/profiles" -name '*.tmp')" ]
}

stored()
{
    api /api/v1/windows | jq '[.[] | select((.open | not) and .id != "")] | length'
}

snapshot()
{
    sleep 0.3
    api /api/v1/snapshot -X POST >/dev/null
}

@test "kill -9: nothing but the open window is lost, whenever it comes" {
    start_daemon --config conf
    background perl -e '1 while 1'
    total=0
    for i in 1 2 3 4 5; do
        snapshot
        snapshot
        before=$(stored)
        [ "$before" -ge $((total + 2)) ]
        # one is on its way as it dies
        api /api/v1/snapshot -X POST >/dev/null 2>&1 &
        curl=$!
        sleep 0.0$((i * 2))
        kill -9 "$DAEMON"
        wait "$DAEMON" 2>/dev/null || true
        wait "$curl" || true
        again
        total=$(stored)
        [ "$total" -ge "$before" ]
    done
    "$CTL" status --json | jq -e '.store.set_aside == 0 and .store.index_rebuilt == 0'
    # one may be written at this moment: not the same for long
    eventually no_tmp
    api /api/v1/profile -o all.pb.gz
    check_pprof all.pb.gz
}

@test "a damaged file is set aside and counted, by its end at the start or by its reader" {
    start_daemon --config conf
    background perl -e '1 while 1'
    snapshot
    snapshot
    snapshot
    stop_daemon_only
    # the largest, in which a profile of some length is before the end
    mapfile -t files < <(find "$RUN/state/profiles" -name '*.pb.gz' -printf '%s %p\n' | sort -rn | cut -d ' ' -f 2)
    ls -l "$RUN/state/profiles"
    truncate -s -7 "${files[0]}"
    # in the middle, where only who reads it can tell
    printf 'XXXXXXXX' | dd of="${files[1]}" bs=1 seek=200 conv=notrunc status=none
    again
    eventually_says '.store.set_aside >= 1'
    status_says '.store.set_aside == 1'
    api /api/v1/profile -o all.pb.gz
    check_pprof all.pb.gz
    eventually_says '.store.set_aside == 2'
    [ "$(find "$RUN/state/profiles/damaged" -type f | wc -l)" -eq 2 ]
}

@test "an index that is damaged, or gone, is made anew from the files" {
    start_daemon --config conf
    background perl -e '1 while 1'
    for _ in 1 2 3 4; do snapshot; done
    api "/api/v1/windows?by=comm" | jq -S '[.[] | select((.open | not) and .id != "")]' >before
    stop_daemon_only
    for way in garbage deleted; do
        rm -f "$RUN/state/index.sqlite"*
        [ $way = deleted ] || head -c 30000 /dev/urandom >"$RUN/state/index.sqlite"
        again
        api "/api/v1/windows?by=comm" | jq -S '[.[] | select((.open | not) and .id != "")]' >after
        # one that was on its way to the store may have come since, with an earlier start
        jq -n -e --slurpfile a before --slurpfile b after '($a[0] | length) >= 4 and $a[0] - $b[0] == []' || { diff before after; false; }
        "$CTL" status --json | jq -e '.store.index_rebuilt == 1 and .store.set_aside == 0'
        stop_daemon_only
    done
    again
}

@test "a full disk: said and counted, sampling goes on, and so does storing when there is room" {
    RUN=$(mktemp -d "${TMPDIR:-/tmp}/cprofd-test.XXXXXX")
    chmod 755 "$RUN"
    mkdir "$RUN/state"
    # unwind tables are kept there, too
    mount -t tmpfs -o size=64m tmpfs "$RUN/state"
    MOUNTED=$RUN/state
    export CPROFD_SOCKET=$RUN/s
    again
    background perl -e '1 while 1'
    snapshot
    # again where a table that did not fit has left some room
    for i in $(seq 50); do
        dd if=/dev/zero of="$RUN/state/ballast$i" bs=4096 count=20000 status=none 2>/dev/null || true
        run api /api/v1/snapshot -X POST
        [[ $output != *"could not be stored"* ]] || break
    done
    [[ $output == *"could not be stored"* ]]
    eventually_says '.store.write_failures >= 1 and .continuous.running'
    grep -q 'the disk is full' "$RUN/log"
    # a start on a full disk
    stop_daemon_only
    again
    "$CTL" status --json | jq -e '.continuous.running'
    rm "$RUN/state/ballast"*
    for _ in $(seq 200); do
        api /api/v1/snapshot -X POST >/dev/null 2>&1 && break
        sleep 0.2
    done
    api /api/v1/windows | jq -e 'length >= 2'
    # one may be written at this moment: not the same for long
    eventually no_tmp
}

@test "a state directory that cannot be written: it profiles, and says so" {
    RUN=$(mktemp -d "${TMPDIR:-/tmp}/cprofd-test.XXXXXX")
    chmod 755 "$RUN"
    mkdir "$RUN/state"
    mount -t tmpfs -o size=1m,ro tmpfs "$RUN/state"
    MOUNTED=$RUN/state
    export CPROFD_SOCKET=$RUN/s
    again
    eventually_says '.continuous.running'
    eventually grep -q 'the store fails' "$RUN/log"
    "$CTL" capture --all --seconds 1 -o all.pb.gz
}

@test "MaxBytes= holds with index and log, and the oldest go first" {
    printf '[Continuous]\nWindow=5s\n[Store]\nKeepFree=0\nMaxBytes=1M\n[Budget]\nCPU=100%%\n' >conf
    start_daemon --config conf
    background perl -e '1 while 1'
    snapshot
    first=$(api /api/v1/windows | jq -r '.[0].id')
    # windows of before, as large as it takes; what is kept of programs has limits of its own
    for _ in $(seq 60); do
        snapshot
        [ "$(du -sb --exclude=tables --exclude=names "$RUN/state" | cut -f1)" -lt $((1024 * 1024 + 20000)) ]
        api /api/v1/windows | jq -e --arg f "$first" '[.[].id] | index($f) | not' >/dev/null && break
    done
    "$CTL" status --json | jq -e '.store.bytes <= 1048576 and .store.max_bytes == 1048576'
}

@test "a state directory has one daemon" {
    start_daemon --config conf
    run -1 "$BUILD/cprofd" --config conf --socket "$RUN/second" --state-dir "$RUN/state"
    grep -q 'another cprofd keeps its profiles there' <<<"$output"
    [ ! -e "$RUN/second" ]
    "$CTL" version
    # the folder of one that was killed is free
    kill -9 "$DAEMON"
    wait "$DAEMON" || true
    again
}
