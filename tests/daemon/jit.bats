#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Names for code that JIT compilers make: perf-PID.map and jitdump, and whose files count.
load common

setup_file() { file_daemon; }
teardown_file() { file_daemon_end; }

setup()
{
    file_daemon_use
    program jitter
}

teardown()
{
    end_background
    forget_map
}

# The map that a program left in /tmp.
forget_map()
{
    [ -e pid ] || return 0
    rm -rf "/tmp/perf-$(cat pid).map" "/tmp/.java_pid$(cat pid)"
}

# Records a command, whose pid is in the file `pid` then, and has its stacks in the file `folded`.
recorded() # command...
{
    forget_map
    "$CTL" record -o out.pb.gz -- sh -c 'echo $$ >pid; exec "$@"' sh "$@" >/dev/null 2>summary || { cat summary; return 1; }
    check_pprof out.pb.gz || return 1
    folded out.pb.gz folded
}

counter() # name below "jit"
{
    "$CTL" status --json | jq ".jit.$1"
}

names() # regexp: at least so many percent of the samples have it
{
    local percent
    percent=$(folded_percent folded "$1")
    echo "$1: $percent %"
    awk -v p="$percent" -v min="${2:-80}" 'BEGIN { exit !(p >= min) }' || { cat folded; return 1; }
}

@test "a map that is there, and one that is written at the end" {
    recorded "$PROGRAM" map 1000
    names ';jit loop\(int\) '
    recorded "$PROGRAM" end 1000
    names ';named at the end '
    [ "$(counter maps)" -ge 2 ]
    [ "$(counter named)" -ge 2 ]
}

@test "what had no name in one profile has it in the next, however soon" {
    recorded "$PROGRAM" end 2500 &
    recording=$!
    eventually test -s pid
    # until the program is gone
    while "$CTL" capture --pid "$(cat pid)" --seconds 1 -o before.pb.gz; do
        folded before.pb.gz before
    done
    wait "$recording"
    cat before
    folded out.pb.gz folded
    names ';named at the end '
}

@test "maps that grow and that are rewritten: the last name counts" {
    recorded "$PROGRAM" append 1000
    names ';appended '
    recorded "$PROGRAM" rewrite 1000
    names ';rewritten '
}

@test "a forked child: its parent's names and its own, for the same user alone" {
    recorded "$PROGRAM" fork 3000
    grep ';run;of the parent ' folded
    grep ';run;of the child ' folded
    run grep ';run;\[anon' folded
    [ "$status" -eq 1 ]
    recorded "$PROGRAM" fork-user 3000
    grep ';run;\[anon' folded
    grep ';run;of the child ' folded
    run grep 'of the parent' folded
    [ "$status" -eq 1 ]
}

@test "programs of 5 ms, gone when their samples are looked at" {
    "$CTL" record -o out.pb.gz -- sh -c 'exec "$1" many 6000 5 >pids' sh "$PROGRAM" >/dev/null
    sed 's|.*|/tmp/perf-&.map|' pids | xargs rm -f
    folded out.pb.gz folded
    "$CTL" status --json | jq .jit
    # a half, when the first sample was the first to tell of them
    awk '/;jit loop\(int\) / { named += $NF } /;\[anon/ { not += $NF } END { print named, not; exit !(named > 20 && named > 3 * not) }' folded
}

@test "without a map: the address, and it says so" {
    before=$(counter unnamed)
    recorded "$PROGRAM" none 600
    names ';\[anon\+0x[0-9a-f]+\] '
}

@test "a jitdump: names by the time of the sample, and lines" {
    recorded "$PROGRAM" dump 3000
    cat folded
    within "$(folded_percent folded ';morning ')" 50 14
    within "$(folded_percent folded ';evening ')" 50 14
    [ "$(counter dumps)" -ge 1 ]
    command -v go >/dev/null || return 0
    go tool pprof -lines -top out.pb.gz 2>/dev/null >top
    cat top
    grep -q 'morning .*loop.jt:42' top
}

@test "in a pid and mount namespace: its own number, its own /tmp" {
    unshare --pid --fork --mount --mount-proc true || skip "no namespaces here"
    mkdir inside
    cp "$PROGRAM" inside/jitter
    recorded unshare --pid --fork --mount --mount-proc sh -c "mount --bind $PWD/inside /tmp && /tmp/jitter map 1000"
    grep jitter folded >own
    mv own folded
    names ';jit loop\(int\) '
    ls inside
    [ "$(find inside -name 'perf-?.map' -o -name 'perf-??.map' | wc -l)" -eq 1 ]
}

@test "files that are not the process's own do not count" {
    before=$(counter refused)
    chmod 755 . "$BATS_FILE_TMPDIR" "$BATS_RUN_TMPDIR"
    printf '0 ffffffffffff secret\n' >secret
    for kind in link symlink fifo folder other dangling; do
        recorded sh -c '
            map=/tmp/perf-$$.map
            case $1 in
            link) cp secret linked; ln linked "$map" || cp -l linked "$map" || exit 3 ;;
            symlink) ln -s "$PWD/secret" "$map" ;;
            fifo) mkfifo "$map" ;;
            folder) mkdir "$map" ;;
            dangling) ln -s /nowhere "$map" ;;
            other) cp secret "$map"; exec setpriv --reuid 65534 --regid 65534 --clear-groups "$2" none 700 ;;
            esac
            exec "$2" none 700' sh $kind "$PROGRAM" || [ $kind = link ]
        run grep -c secret folded
        [ "$output" = 0 ]
        names '\[anon\+0x' 60
    done
    [ "$(counter refused)" -ge $((before + 5)) ]
}

@test "node: --perf-basic-prof names, --perf-prof lines" {
    command -v node >/dev/null || skip "node is not installed"
    cat >work.js <<'END'
let n = 0;
function fib(k) { return k < 2 ? k : fib(k - 1) + fib(k - 2); }
function work() { n += fib(24); }
while (process.cpuUsage().user < 2.5e6) work();
END
    for how in basic-prof prof; do
        recorded node --perf-$how work.js
        echo "$how: fib $(folded_percent folded 'JS:.?fib .*work.js:2'), anon $(folded_percent folded '\[anon')"
        names 'JS:.?fib .*work.js:2' 75
        within "$(folded_percent folded '\[anon')" 0 1
    done
}

@test "java: a map at exit, and one by jcmd" {
    command -v java >/dev/null || skip "java is not installed"
    cat >W.java <<'END'
import java.lang.management.*;
public class W { static int fib(int k) { return k < 2 ? k : fib(k - 1) + fib(k - 2); }
public static void main(String[] a) { long end = Long.parseLong(a[0]) * 1000000, n = 0; ThreadMXBean t = ManagementFactory.getThreadMXBean();
while (t.getCurrentThreadCpuTime() < end) for (int i = 0; i < 64; i++) n += fib(24); System.out.println(n); } }
END
    javac W.java
    recorded java -XX:+PreserveFramePointer -XX:+UnlockDiagnosticVMOptions -XX:+DumpPerfMapAtExit W 2500
    names 'int W.fib\(int\)' 70
    forget_map
    background java -XX:+PreserveFramePointer W 120000
    echo "$LAST" >pid
    # what is compiled is compiled
    used_cpu "$LAST" 200
    # by itself the daemon does not ask: JvmAttach=no
    "$CTL" capture --pid "$LAST" --seconds 1 -o out.pb.gz
    [ "$("$CTL" status --json | jq '[.jvm[]] | add')" -eq 0 ]
    [ ! -e "/tmp/perf-$LAST.map" ] && [ ! -e "/tmp/.java_pid$LAST" ]
    jcmd "$LAST" Compiler.perfmap
    "$CTL" capture --pid "$LAST" --seconds 2 -o out.pb.gz
    folded out.pb.gz folded
    names 'int W.fib\(int\)' 85
}
