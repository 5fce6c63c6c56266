#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# JvmAttach=yes: Java programs without a map are asked for one, by their own user; others are left alone.
load common

setup_file()
{
    command -v java >/dev/null || return 0
    mkdir "$BATS_FILE_TMPDIR/classes"
    cat >"$BATS_FILE_TMPDIR/W.java" <<'END'
public class W { static int fib(int k) { return k < 2 ? k : fib(k - 1) + fib(k - 2); }
public static void main(String[] a) { java.io.File stop = new java.io.File(a[0]); long end = System.currentTimeMillis() + 120000; long n = 0;
while (!stop.exists() && System.currentTimeMillis() < end) for (int i = 0; i < 64; i++) n += fib(24); System.out.println("sum " + n); } }
END
    javac -d "$BATS_FILE_TMPDIR/classes" "$BATS_FILE_TMPDIR/W.java"
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_FILE_TMPDIR/classes"
    printf '[Symbols]\nJvmAttach=yes\n' >"$BATS_FILE_TMPDIR/conf"
    file_daemon --config "$BATS_FILE_TMPDIR/conf"
}
teardown_file() { file_daemon_end; }

setup()
{
    command -v java >/dev/null || skip "java is not installed"
    file_daemon_use
    cd "$BATS_TEST_TMPDIR" || return 1
}

teardown()
{
    local pid
    end_background
    [ -e pids ] || return 0
    while read -r pid; do
        rm -f "/tmp/perf-$pid.map" "/tmp/.java_pid$pid"
    done <pids
}

# A Java program in the background, its output in the file out, which has compiled what is hot.
java_runs() # options of java...; WRAP: a command that runs it; CLASSES: where it sees its own
{
    STOP=${INSIDE:-$BATS_FILE_TMPDIR}/classes/stop
    rm -f "$STOP"
    "${WRAP[@]}" java -XX:+PreserveFramePointer "$@" -cp "${CLASSES:-$BATS_FILE_TMPDIR/classes}" W \
        "${CLASSES:-$BATS_FILE_TMPDIR/classes}/stop" >out 2>&1 3>&- &
    local pid=$!
    STARTED+=("$pid")
    echo "$pid" >>pids
    descendant "$pid" java
    used_cpu "$LAST" 150
    LAST=$pid
}

capture() # seconds, target
{
    "$CTL" capture "${2:---pid=$LAST}" --seconds "$1" -o out.pb.gz
    folded out.pb.gz folded
}

# What is hot has its name, at the latest when the program is asked once more: it may have compiled it late.
named() # target
{
    for _ in 1 2 3 4 5 6 7 8; do
        capture 3 "$@"
        [ "$(folded_percent folded 'int W.fib\(int\)' | cut -d. -f1)" -lt 80 ] || return 0
    done
    return 1
}

counter() # name below "jvm"
{
    "$CTL" status --json | jq ".jvm.$1"
}

# Its output is what it is without us: no dump of its threads.
ended_well()
{
    local status=0
    touch "$STOP"
    wait "$LAST" || status=$?
    cat out
    [ $status -eq 0 ]
    [ "$(wc -l <out)" -eq 1 ]
    grep -q '^sum ' out
    [ ! -e "/tmp/.attach_pid$LAST" ]
}

@test "a Java program without a map is asked for one" {
    local written
    written=$(counter written)
    WRAP=()
    java_runs
    named
    # after 0, 1, 3, 7, 15 and 31 s
    [ "$(counter written)" -gt "$written" ]
    [ "$(counter written)" -le $((written + 6)) ]
    ended_well
}

@test "of another user: with its ids, the map is that user's" {
    WRAP=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    java_runs
    named
    [ "$(stat -c %u:%g "/tmp/perf-$LAST.map")" = 65534:65534 ]
    ended_well
}

@test "in a container's namespaces: beneath its root, by its own number" {
    unshare --pid --fork --mount --mount-proc true || skip "no namespaces here"
    mkdir inside
    cp -r "$BATS_FILE_TMPDIR/classes" inside/
    CLASSES=/tmp/classes
    WRAP=(unshare --pid --fork --kill-child --mount --mount-proc sh -c "mount --bind $PWD/inside /tmp && exec \"\$@\"" sh)
    INSIDE=$PWD/inside
    java_runs
    named --comm=java || { cat out folded; return 1; }
    [ "$(find inside -name 'perf-*.map' | wc -l)" -eq 1 ]
    [ "$(find inside -name '.attach_pid*' | wc -l)" -eq 0 ]
}

@test "with no more privileges than the unit's: a signal as the program's user, no CAP_KILL" {
    local caps start
    WRAP=(setpriv --reuid 65533 --regid 65533 --clear-groups)
    java_runs
    caps=$(sed -n 's/^AmbientCapabilities=CAP_//p' "$BATS_TEST_DIRNAME/../../systemd/cprofd.service.in" | sed 's/ CAP_/,+/g' | tr '[:upper:]' '[:lower:]')
    start=$(awk '{ sub(/^.*\) /, ""); printf "%.0f", $20 * 10000000 }' "/proc/$LAST/stat")
    setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --bounding-set="-all,+$caps" \
        --inh-caps="-all,+$caps" --ambient-caps="-all,+$caps" "$BUILD/cprof-worker" --attach "$LAST" "$LAST" "$start"
    [ "$(stat -c %u:%g "/tmp/perf-$LAST.map")" = 65533:65533 ]
    # another process by that number is not the one that is meant
    run "$BUILD/cprof-worker" --attach "$LAST" "$LAST" $((start - 1000000000))
    [ "$status" -eq 1 ]
    run "$BUILD/cprof-worker" --attach $$ $$ "$(awk '{ sub(/^.*\) /, ""); printf "%.0f", $20 * 10000000 }' /proc/$$/stat)"
    [ "$status" -eq 3 ]
    ended_well
}

@test "one that takes no questions is left alone" {
    local refused
    refused=$(counter refused)
    WRAP=()
    for option in -XX:+DisableAttachMechanism -Xrs; do
        java_runs $option
        capture 2
        ended_well
        [ ! -e "/tmp/perf-$LAST.map" ]
    done
    [ "$(counter refused)" -eq $((refused + 2)) ]
}

@test "a socket that is not the program's own is not spoken to" {
    local failed
    failed=$(counter failed)
    WRAP=(sh -c 'ln -s /nowhere /tmp/.java_pid$$; exec "$@"' sh)
    java_runs
    capture 2
    ended_well
    [ "$(counter failed)" -eq $((failed + 1)) ]
    [ ! -e "/tmp/perf-$LAST.map" ]
}
