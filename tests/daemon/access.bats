#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who may see what, over the real socket and as other users: docs/security.md 5, 6, 8, 9.

bats_require_minimum_version 1.5.0
load common

setup_file() {
    local at
    at=$(free_port)
    file_daemon --listen "127.0.0.1:$at"
    echo "PORT=$at" >>"$BATS_FILE_TMPDIR/daemon"
}

teardown_file() {
    file_daemon_end
}

setup() {
    file_daemon_use
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR/.." 2>/dev/null || true
}

teardown() {
    end_background
}

# an array, so that what runs in the background is the program itself
NOBODY=(setpriv --reuid=61000 --regid=61000 --clear-groups env HOME=/tmp)

as_nobody() {
    "${NOBODY[@]}" "$@"
}

web() { # path, curl's further options
    local path=$1
    shift
    curl -sS --unix-socket "$CPROFD_SOCKET" "$@" "http://localhost$path"
}

@test "an ordinary user captures own processes, with names, and no kernel address" {
    program shares
    cp "$PROGRAM" "$RUN/shares"
    background "${RATHER_AHEAD[@]}" "${NOBODY[@]}" "$RUN/shares" 20 47
    own=$LAST
    runs "$own" shares
    mkdir -m 777 out
    (cd out && as_nobody "$CTL" capture --pid "$own" --seconds 2 --hz 500 -o own.pb.gz)
    folded out/own.pb.gz folded
    within "$(folded_percent folded ';main;sixty')" 60 10
    run grep -E 'entry_SYSCALL|asm_sysvec|do_syscall' folded
    [ "$status" -ne 0 ]
    check_pprof out/own.pb.gz
}

@test "an ordinary user gets nothing of others: by pid, by --all, by comm" {
    program shares
    background "$PROGRAM" 30 20
    mkdir -m 777 out
    cd out
    run as_nobody "$CTL" capture --pid "$LAST" --seconds 1 -o x.pb.gz
    echo "$output"
    [ "$status" -eq 1 ]
    grep -q 'not yours' <<<"$output"
    for target in --all "--comm shares"; do
        # shellcheck disable=SC2086
        as_nobody "$CTL" capture $target --seconds 2 -o "y.pb.gz"
        as_nobody "$CTL" report y.pb.gz --format folded -o y
        run grep shares y
        [ "$status" -ne 0 ]
        rm -f y.pb.gz y
    done
}

@test "record for an ordinary user: what go test builds and runs" {
    mkdir -m 777 out
    cd out
    cat >f_test.go <<'END'
package f
import "testing"
func fib(n int) int { if n < 2 { return n }; return fib(n-1) + fib(n-2) }
func BenchmarkFib(b *testing.B) { for i := 0; i < b.N; i++ { fib(20) } }
END
    printf 'module f\ngo 1.19\n' >go.mod
    as_nobody env GOCACHE="$PWD/cache" PATH="/usr/bin:$PATH" "$CTL" record --hz 1000 -o go.pb.gz -- go test -bench . >bench 2>err
    cat bench err
    grep -q '^BenchmarkFib' bench
    check_pprof go.pb.gz
    folded go.pb.gz folded
    [ "$(folded_count folded '^f[.]test;.*;f[.]BenchmarkFib;.*f[.]fib ')" -gt 20 ]
    # its own children, the compiler among them, too
    grep -q '^compile;' folded
    run grep -E 'entry_SYSCALL|asm_sysvec|do_syscall' folded
    [ "$status" -ne 0 ]
}

@test "a setuid child and a non-dumpable process stay hidden" {
    cat >hide.c <<'END'
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
static volatile unsigned long s;
__attribute__((noinline)) void secret(void) { clock_t e = clock() + 8 * CLOCKS_PER_SEC; while (clock() < e) for (int i = 0; i < 100000; i++) s += i; }
int main(int argc, char **argv) { if (argc > 1) prctl(PR_SET_DUMPABLE, 0); secret(); return 0; }
END
    gcc -O2 -o "$RUN/hide" hide.c
    background "${NOBODY[@]}" "$RUN/hide" undumpable
    runs "$LAST" hide
    cp "$RUN/hide" "$RUN/suid"
    chmod 4755 "$RUN/suid"
    background "${NOBODY[@]}" "$RUN/suid"
    runs "$LAST" suid
    cp "$RUN/hide" "$RUN/unreadable"
    chmod 711 "$RUN/unreadable"
    background "${NOBODY[@]}" "$RUN/unreadable"
    runs "$LAST" unreadable
    # its first instruction is behind the system call that makes it what it is
    used_cpu "$LAST" 10
    # dumpable, with one's own ids, and yet more than oneself
    cp "$RUN/hide" "$RUN/capable"
    background setpriv --reuid=61000 --regid=61000 --clear-groups --inh-caps=+net_admin --ambient-caps=+net_admin "$RUN/capable"
    runs "$LAST" capable
    grep -q '^CapPrm:.*[1-9a-f]' "/proc/$LAST/status"
    cp "$RUN/hide" "$RUN/plain"
    background "${NOBODY[@]}" "$RUN/plain"
    runs "$LAST" plain
    background "${NOBODY[@]}" unshare --user --map-root-user "$RUN/plain"
    runs "$LAST" plain
    mkdir -m 777 out
    cd out
    as_nobody "$CTL" capture --all --seconds 3 -o all.pb.gz
    as_nobody "$CTL" report all.pb.gz --format folded -o all
    cat all
    run grep -E '^hide|^suid|^unreadable|^capable' all
    [ "$status" -ne 0 ]
    # one's own, and what is root in a namespace of one's own
    grep -q '^plain;.*secret' all
    as_nobody "$CTL" capture --pid "$LAST" --seconds 2 -o inner.pb.gz
    as_nobody "$CTL" report inner.pb.gz --format folded -o inner
    grep -q '^plain;.*secret' inner
}

@test "limits of an ordinary user have errors of their own; root is never refused" {
    mkdir -m 777 out
    cd out
    run as_nobody "$CTL" capture --all --seconds 1 --hz 5000 -o x.pb.gz
    echo "$output"
    [ "$status" -eq 1 ]
    run as_nobody "$CTL" capture --all --seconds 20m -o x.pb.gz
    echo "$output"
    [ "$status" -eq 1 ]
    background "${NOBODY[@]}" "$CTL" capture --all --seconds 60 -o first.pb.gz
    eventually_says '.captures.running >= 1'
    run as_nobody "$CTL" capture --all --seconds 1 -o second.pb.gz
    echo "$output"
    [ "$status" -eq 1 ]
    "$CTL" capture --all --seconds 1 -o root.pb.gz
    check_pprof root.pb.gz
}

@test "status for all, /metrics for root alone, and it is Prometheus text" {
    as_nobody "$CTL" status --json | jq -e '.samples.taken >= 0 and .worker.restarts == 0 and (.symbols.failures | not)'
    "$CTL" status --json | jq -e '.samples.lost.missed_tick >= 0 and .memory.bpf_maps > 0 and .cpu.daemon_ns > 0 and (.symbols.failures | type == "array")'
    run as_nobody curl -sS -o /dev/null -w '%{http_code}' --unix-socket "$CPROFD_SOCKET" http://localhost/metrics
    [ "$output" = 403 ]
    web /metrics >metrics
    grep -q '^# TYPE cprofd_samples_taken_total counter$' metrics
    # each metric's HELP stands once
    [ -z "$(grep '^# HELP' metrics | awk '{print $3}' | sort | uniq -d)" ]
}

@test "net/http/pprof's routes, over the socket and over TCP" {
    program shares
    background "$PROGRAM" 30 20
    [ "$(web /debug/pprof -o /dev/null -w '%{http_code} %{redirect_url}')" = "301 http://localhost/debug/pprof/" ]
    # side-band is applied once a second while nothing is captured
    eventually eval 'web /debug/pprof/ | grep -q shares'
    web /debug/pprof/ >index
    grep -q 'profile' index
    grep -q 'shares' index
    web "/debug/pprof/profile?seconds=1&pid=$LAST" -D headers -o p.pb.gz
    grep -qi '^content-disposition: attachment; filename="profile"' headers
    grep -qi '^x-content-type-options: nosniff' headers
    check_pprof p.pb.gz
    web /debug/pprof/cmdline | tr '\0' ' ' | grep -q cprofd
    web /debug/pprof/symbol | grep -q 'num_symbols: 1'
    [ "$(web /nothing -o body -w '%{http_code}')" = 404 ]
    [ "$(web '/debug/pprof/profile?pid=x' -o body -w '%{http_code}')" = 400 ]
    [ "$(wc -l <body)" -eq 1 ]
    # TCP: root's curl is root; go tool pprof fetches
    curl -sS -o tcp.pb.gz "http://127.0.0.1:$PORT/debug/pprof/profile?seconds=1&pid=$LAST"
    check_pprof tcp.pb.gz
    PPROF_TMPDIR=$PWD go tool pprof -top "http://127.0.0.1:$PORT/debug/pprof/profile?seconds=1&pid=$LAST" >top 2>err
    cat top err
    grep -q sixty top
    run as_nobody curl -sS -o /dev/null -w '%{http_code}' "http://127.0.0.1:$PORT/metrics"
    [ "$output" = 403 ]
    run curl -sS -o /dev/null -w '%{http_code}' -H 'Host: evil.example' "http://127.0.0.1:$PORT/debug/pprof/"
    [ "$output" = 403 ]
    run curl -sS -o /dev/null -w '%{http_code}' -H 'Origin: http://evil.example' "http://127.0.0.1:$PORT/debug/pprof/"
    [ "$output" = 403 ]
}

@test "a daemon without privileges says what is missing, in one line" {
    cp "$BUILD/cprofd" "$BUILD/cprof-worker" "$RUN"
    mkdir -m 777 own
    run as_nobody "$RUN/cprofd" --config /dev/null --socket "$PWD/own/s" --state-dir "$PWD/own"
    echo "$output"
    [ "$status" -eq 1 ]
    grep -qE 'CAP_BPF and CAP_PERFMON|run cprofd as root' <<<"$output"
}

@test "a malformed request gets 400 and harms nobody" {
    printf 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: nonsense\r\n\r\n' | timeout 60 /usr/bin/python3 -c '
import socket, sys, os
s = socket.socket(socket.AF_UNIX); s.connect(os.environ["CPROFD_SOCKET"]); s.sendall(sys.stdin.buffer.read()); s.settimeout(50)
print(s.recv(200).split(b"\r\n")[0].decode())' | grep -q ' 400 '
    "$CTL" version
}

@test "a client that goes away ends its capture; a slow one harms nobody" {
    # none that an earlier test has left
    eventually_says '.captures.running == 0'
    timeout 1 curl -sS --unix-socket "$CPROFD_SOCKET" 'http://localhost/debug/pprof/profile?seconds=60' -o /dev/null || true
    eventually_says '.captures.running == 0'
    background /usr/bin/python3 -c '
import socket, os, time
s = [socket.socket(socket.AF_UNIX) for i in range(8)]
for c in s: c.connect(os.environ["CPROFD_SOCKET"]); c.sendall(b"GET /debug/pp")
open("connected", "w").close()
time.sleep(60)'
    eventually test -e connected
    "$CTL" capture --all --seconds 1 -o after.pb.gz
    check_pprof after.pb.gz
}

@test "all descriptors close on exec, and nothing is pinned" {
    background timeout 20 "$CTL" capture --all --seconds 15 -o x.pb.gz
    sleep 1
    seen=0
    for info in "/proc/$DAEMON/fdinfo/"*; do
        flags=$(awk '/^flags:/ { print $2 }' "$info" 2>/dev/null) || continue
        # what is no event, socket, program or file of its own it has from whoever started it
        to=$(readlink "/proc/$DAEMON/fd/${info##*/}") || continue
        [[ -n $flags && $to =~ ^(anon_inode:|socket:|"$RUN"/state) ]] || continue
        echo "${info##*/} $flags $to"
        [ $((flags & 02000000)) -ne 0 ]
        seen=$((seen + 1))
    done
    [ $seen -gt 20 ]
    [ -z "$(find /sys/fs/bpf -name '*cprof*' 2>/dev/null)" ]
}
