#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Debug files from debuginfod servers: Debian's, and one that misbehaves.
load common

setup()
{
    require_root
    cd "$BATS_TEST_TMPDIR" || return 1
    DAEMON='' STARTED=()
}

teardown()
{
    end_background
    stop_daemon
}

# A stripped program of its own build-id, its debug file in the folder debug; sets ID.
stripped() # name
{
    mkdir -p debug
    cat >"$1.c" <<END
#include <time.h>
static volatile unsigned long n;
static inline __attribute__((always_inline)) void inlined_$1(unsigned long k) { n += k * k; }
static __attribute__((noinline)) void function_$1(unsigned long k) { for (unsigned long i = 0; i < k; i++) inlined_$1(i); }
int main(void) { struct timespec a, b; clock_gettime(CLOCK_MONOTONIC, &a);
do { function_$1(1000000); clock_gettime(CLOCK_MONOTONIC, &b); } while (b.tv_sec - a.tv_sec < 2); }
END
    gcc -O2 -g -Wl,--build-id -o "$1" "$1.c"
    objcopy --only-keep-debug "$1" "debug/$1.debug"
    strip "$1"
    ID=$(readelf -n "$1" | sed -n 's/.*Build ID: //p')
}

counter() # name below "debuginfod"
{
    "$CTL" status --json | jq ".debuginfod.$1"
}

# Records a program; the stacks are in the file `folded`.
recorded() # program
{
    "$CTL" record -o "$1.pb.gz" -- "./$1" >/dev/null 2>summary || { cat summary; return 1; }
    check_pprof "$1.pb.gz"
    folded "$1.pb.gz" folded
    cat folded
}

lacks() # text, files
{
    local text=$1
    shift
    if grep -sF -e "$text" "$@"; then return 1; fi
}

bad_server() # sets URL; how it answers: $BATS_TEST_TMPDIR/how/BUILDID.how
{
    mkdir -p how
    "$BATS_TEST_DIRNAME/../tools/bad-debuginfod" how >port 2>server.log 3>&- &
    STARTED+=("$!")
    eventually test -s port
    URL=http://127.0.0.1:$(cat port)
}

configured() # line of [Symbols]...
{
    { echo '[Symbols]'; printf '%s\n' "$@"; } >conf
    start_daemon --config "$PWD/conf"
}

@test "Debian's debuginfod: names, lines and inlined calls; once, over a restart" {
    command -v debuginfod >/dev/null || skip "debuginfod is not installed"
    stripped first
    for port in $(free_port) $(free_port) $(free_port); do
        background debuginfod -p $port -d "$PWD/db.sqlite" -F "$PWD/debug"
        server=$LAST
        for _ in $(seq 600); do
            curl -sf "http://127.0.0.1:$port/buildid/$ID/debuginfo" -o got && break 2
            kill -0 "$server" 2>/dev/null || break
            sleep 0.1
        done
    done
    cmp got debug/first.debug
    # the environment is as good as the configuration
    export DEBUGINFOD_URLS="http://127.0.0.1:1 http://127.0.0.1:$port/"
    start_daemon
    unset DEBUGINFOD_URLS
    recorded first
    [ "$(folded_percent folded 'main;function_first;inlined_first')" != 0.0 ]
    go tool pprof -top -lines first.pb.gz 2>/dev/null | grep -q 'first.c:'
    eventually_says '.debuginfod.fetched == 1'
    [ "$(counter late)" -eq 0 ]
    [ "$(stat -c %a "$RUN/state/debuginfod")" = 700 ]
    cmp "$RUN/state/debuginfod/$ID.debug" got
    kill "$server"

    # the servers are gone, the file stays
    mkdir state2
    mv "$RUN/state/debuginfod" state2/
    stop_daemon
    touch state2/debuginfod/tmp-7
    export DEBUGINFOD_URLS=http://127.0.0.1:1
    start_daemon --state-dir "$PWD/state2"
    unset DEBUGINFOD_URLS
    recorded first
    [ "$(folded_percent folded 'function_first;inlined_first')" != 0.0 ]
    [ "$(counter fetched)" -eq 0 ]
    [ ! -e state2/debuginfod/tmp-7 ]
}

@test "off unless asked for: no server is asked" {
    bad_server
    stripped off
    echo "file $PWD/debug/off.debug" >"how/$ID.how"
    start_daemon
    recorded off
    lacks "$ID" how/log
    grep -q '\[off+0x' folded
}

@test "another file under that build-id, garbage, half a file, errors: the names go without" {
    bad_server
    configured "DebuginfodUrls=$URL"
    stripped other
    stripped wrong
    echo "file $PWD/debug/other.debug" >"how/$ID.how"
    recorded wrong
    grep -q '\[wrong+0x' folded
    lacks 'function_other' folded
    eventually_says '.debuginfod.wrong == 1'
    for how in garbage cut error; do
        stripped $how
        echo "$how $PWD/debug/$how.debug" >"how/$ID.how"
        recorded $how
        grep -q "\\[$how+0x" folded
    done
    eventually_says '.debuginfod.wrong == 2'
    eventually_says '.debuginfod.failed >= 2'
    # nothing of it was kept, and nobody is asked twice in a row
    [ "$(find "$RUN/state/debuginfod" -type f | wc -l)" -eq 0 ]
    asked=$(grep -c "$ID" how/log)
    recorded error
    [ "$(grep -c "$ID" how/log)" -eq "$asked" ]
}

@test "too large, also where the server does not say so; the cache keeps to its size" {
    bad_server
    configured "DebuginfodUrls=$URL" CacheBytes=64K
    stripped endless
    echo endless >"how/$ID.how"
    recorded endless
    eventually_says '.debuginfod.too_large == 1'
    for n in a b c d e f; do
        stripped "p$n"
        echo "file $PWD/debug/p$n.debug" >"how/$ID.how"
        recorded "p$n"
        grep -q "function_p$n" folded
    done
    eventually_says '.debuginfod.fetched == 6'
    [ "$(counter cache_bytes)" -le 65536 ]
    [ "$(du -sb --apparent-size "$RUN/state/debuginfod" | cut -f1)" -le $((65536 + 8192)) ]
}

@test "slow: a capture does not wait longer than it is told to, the next one has the names" {
    bad_server
    configured "DebuginfodUrls=$URL" DebuginfodWait=1s
    stripped slow
    echo "slow $PWD/debug/slow.debug" >"how/$ID.how"
    recorded slow
    grep -q '\[slow+0x' folded
    eventually_says '.debuginfod.late >= 1'
    eventually_says '.debuginfod.fetched == 1'
    for _ in $(seq 10); do
        recorded slow
        ! grep -q 'function_slow' folded || break
    done
    grep -q 'function_slow' folded
}

@test "redirects: http only, never a file; nothing of an address is told" {
    bad_server
    configured "DebuginfodUrls=ftp://127.0.0.1/ file:///etc ${URL/http:\/\//http://user:token@}"
    stripped local
    echo "redirect file://$PWD/debug/local.debug" >"how/$ID.how"
    recorded local
    grep -q '\[local+0x' folded
    stripped moved
    echo "redirect $URL/buildid/0000/moved" >"how/$ID.how"
    echo "file $PWD/debug/moved.debug" >"how/0000.how"
    recorded moved
    grep -q 'function_moved' folded
    "$CTL" status --json >status
    lacks token "$RUN/log" status
}

@test "the process that asks has no privileges and ends with the daemon" {
    bad_server
    configured "DebuginfodUrls=$URL" DebuginfodWait=1s
    stripped asks
    echo "slow $PWD/debug/asks.debug" >"how/$ID.how"
    "$CTL" record -o out.pb.gz -- ./asks >/dev/null 2>&1 3>&- &
    STARTED+=("$!")
    for _ in $(seq 600); do
        FETCH=$(pgrep -P "$DAEMON" cprof-fetch) && break
        sleep 0.1
    done
    grep -E '^(Uid|Groups|CapEff|CapBnd|NoNewPrivs):' "/proc/$FETCH/status" >status
    cat status
    [ "$(awk '/^Uid/ { print ($2 == $3 && $3 == $4 && $2 >= 61184 && $2 <= 65519) }' status)" = 1 ]
    grep -q '^CapEff:.*0000000000000000$' status
    grep -q '^CapBnd:.*0000000000000000$' status
    grep -q '^NoNewPrivs:.*1$' status
    tr '\0' '\n' <"/proc/$FETCH/cmdline" >cmdline
    lacks 127.0.0.1 cmdline
    kill "$DAEMON"
    eventually test ! -e "/proc/$FETCH"
}
