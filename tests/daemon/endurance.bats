#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Many captures: one after another and all at once; nothing may be left behind.

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
    MAIN=$DAEMON
}

teardown() {
    end_background
}

# Beside its caches, which hold what ran on the machine, within their own limits.
resident_kib() {
    local caches
    caches=$("$CTL" status --json | jq '.memory | .objects + .tracker + .symbols + .kernel_symbols + .tables + .sessions')
    awk -v c="$caches" '/^VmRSS/ { printf "%d\n", $2 - c / 1024 }' "/proc/$MAIN/status"
}

# All that are not files of running programs and their tables, which come and go with what the
# machine does; and how many files are held more than once, which none may be.
descriptors() {
    find "/proc/$MAIN/fd" -mindepth 1 -lname '[!/]*' -o -lname '/dev/*' | wc -l
}

held_twice() {
    find "/proc/$MAIN/fd" -mindepth 1 -lname '/*' ! -lname '/dev/*' ! -lname '/memfd:*' -exec stat -L -c '%d %i' {} + | sort | uniq -d | wc -l
}

tables_without_file() {
    local files tables
    files=$(find "/proc/$MAIN/fd" -mindepth 1 -lname '/*' ! -lname '/dev/*' ! -lname '/memfd:*' | wc -l)
    tables=$(find "/proc/$MAIN/fd" -mindepth 1 -lname '/memfd:*' | wc -l)
    echo $((tables > files ? tables - files : 0))
}

bpf_objects() {
    find "/proc/$MAIN/fd" -mindepth 1 -lname 'anon_inode:bpf*' | wc -l
}

# A walk of processes holds an object or two while it runs: what has leaked is what does not go away.
settles() { # at most, command...
    local most=$1 n
    shift
    for _ in $(seq 300); do
        n=$("$@" 2>/dev/null)
        [ "$n" -gt "$most" ] || return 0
        sleep 0.1
    done
    echo "$*: $n, more than $most after half a minute" >&2
    return 1
}

least() { # command...
    for _ in 1 2 3 4 5; do "$@" 2>/dev/null; sleep 0.1; done | sort -n | head -n 1
}

# Short captures through one connection, and as many at once as asked.
captures() { # total, at once, seconds
    /usr/bin/python3 - "$CPROFD_SOCKET" "$@" <<'END'
import http.client, json, socket, sys, threading
path, total, parallel, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
bad = []
def run(n):
    c = Unix('localhost', timeout=120)
    for i in range(n):
        c.request('POST', '/api/v1/captures', json.dumps({'targets': [{'kind': 'all', 'value': ''}], 'seconds': seconds, 'hz': 100}))
        r = c.getresponse(); body = r.read()
        if r.status != 201: bad.append(body); return
        c.request('GET', '/api/v1/captures/%s/profile' % json.loads(body)['id'])
        r = c.getresponse(); body = r.read()
        if r.status != 200 or body[:2] != b'\x1f\x8b': bad.append(body[:200]); return
threads = [threading.Thread(target=run, args=(total // parallel,)) for _ in range(parallel)]
[t.start() for t in threads]
[t.join() for t in threads]
assert not bad, bad[0]
END
}

@test "a thousand captures one after another, sixty-four at once: no leak" {
    background perl -e 'while (1) { my %h; $h{$_ % 4099} .= $_ for 1 .. 300000 }'
    # what is loaded once is loaded now
    captures 64 64 1
    captures 40 4 0.1
    fds=$(least descriptors) twice=$(least held_twice) bpf=$(least bpf_objects) rss=$(resident_kib)
    captures 1000 4 0.1
    captures 64 64 1
    sleep 1
    echo "descriptors $fds -> $(descriptors), BPF $bpf -> $(bpf_objects), RSS KiB $rss -> $(resident_kib)"
    echo "files held twice $twice -> $(held_twice), tables without a file $(tables_without_file)"
    find "/proc/$MAIN/fd" -mindepth 1 -printf '%l\n' | sed 's/[0-9]\{2,\}/N/g' | sort | uniq -c | sort -rn | head -n 12
    settles "$bpf" bpf_objects
    settles $((fds + 8)) descriptors
    settles $((twice + 2)) held_twice
    settles 8 tables_without_file
    [ "$(resident_kib)" -le $((rss + rss / 4 + 4096)) ]
    eventually_says '.captures.running == 0'
    status_says '.worker.restarts == 0'
}

# The processes that a daemon started: others of this name may run on the machine.
workers_of() { # pid
    pgrep -P "$1" cprof-worker
}

gone() { # pids...
    local pid
    for pid in "$@"; do
        eventually test ! -e "/proc/$pid"
    done
}

@test "nothing is left when the daemon has ended" {
    start_daemon
    "$CTL" capture --all --seconds 1 -o out.pb.gz
    workers=$(workers_of "$DAEMON")
    [ -n "$workers" ]
    kill "$DAEMON"
    wait "$DAEMON"
    [ ! -e "$CPROFD_SOCKET" ]
    # shellcheck disable=SC2086
    gone $workers
    DAEMON=
    rm -rf "$RUN"
}

@test "a daemon that is killed leaves no worker, and the next one takes its socket" {
    start_daemon
    workers=$(workers_of "$DAEMON")
    [ -n "$workers" ]
    kill -9 "$DAEMON"
    wait "$DAEMON" || true
    # shellcheck disable=SC2086
    gone $workers
    "$BUILD/cprofd" --config /dev/null --socket "$CPROFD_SOCKET" --state-dir "$RUN/state" 2>"$RUN/log" 3>&- &
    DAEMON=$!
    answers
    # and a second one does not take it from the first
    run "$BUILD/cprofd" --config /dev/null --socket "$CPROFD_SOCKET" --state-dir "$RUN/other"
    echo "$output"
    [ "$status" -ne 0 ]
    stop_daemon
}

@test "a private daemon serves root where none runs, and is gone afterwards" {
    unset CPROFD_SOCKET
    [ ! -e /run/cprofd/cprofd.sock ] || skip "a daemon runs on this machine"
    # while it runs, the daemon is the sibling of the command
    run --separate-stderr "$CTL" record -o out.pb.gz -- sh -c 'pgrep -P $PPID -x cprofd; exec perl -e "\$x += \$_ for 1 .. 20000000"'
    echo "$stderr"
    [ "$status" -eq 0 ]
    grep -q 'starting one for this run' <<<"$stderr"
    check_pprof out.pb.gz
    [ -n "$output" ]
    # shellcheck disable=SC2086
    gone $output
}
