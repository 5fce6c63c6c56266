#!/usr/bin/env bats
# shellcheck disable=SC2016
# SPDX-License-Identifier: Apache-2.0
# Programs that nobody here wrote, as their packages ship them: complete stacks and names.

bats_require_minimum_version 1.5.0
load common

setup_file() {
    file_daemon
    command -v openssl >/dev/null || return 0
    # a minute or two on one CPU, beside what the other tests have on the other
    (
        status=0
        cd "$BATS_FILE_TMPDIR" || exit
        "$CTL" record --hz 499 -o speed.pb.gz -- openssl speed -seconds 1 -bytes 8192 || status=$?
        echo $status >speed.status
    ) >"$BATS_FILE_TMPDIR/speed.log" 2>&1 3>&- &
    echo $! >"$BATS_FILE_TMPDIR/speed.pid"
}

teardown_file() {
    # what a failure has left
    if [ -e "$BATS_FILE_TMPDIR/speed.pid" ] && [ ! -e "$BATS_FILE_TMPDIR/speed.status" ]; then
        pkill -P "$(cat "$BATS_FILE_TMPDIR/speed.pid")" || true
    fi
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
    [ ! -e "$BATS_TEST_TMPDIR/folder" ] || rm -rf "$(cat "$BATS_TEST_TMPDIR/folder")"
}

# At least PERCENT of the samples reach a root.
complete() { # folded, percent, regexp of stacks whose cut is known and told of elsewhere
    local all cut known=0
    all=$(folded_count "$1" .)
    cut=$(folded_count "$1" '\[truncated: ')
    [ -z "${3:-}" ] || known=$(folded_count "$1" "$3")
    cut=$((cut - known))
    [ "$known" -eq 0 ] || echo "$known more are cut where it is known: $3"
    echo "$all samples, $cut truncated"
    grep -F '[truncated: ' "$1" | sort -t' ' -k2 -n | tail -n 5 || true
    [ "$all" -gt 50 ]
    awk -v a="$all" -v c="$cut" -v p="$2" 'BEGIN { exit !((a - c) * 100 >= a * p) }'
}

# Many samples of seconds: of 200 one that is cut would be judged by chance.
record_complete() { # command...
    "$CTL" record --hz 997 -o out.pb.gz -- "$@" >/dev/null
    check_pprof out.pb.gz
    folded out.pb.gz folded
    complete folded 99.5
}

@test "python3" {
    record_complete /usr/bin/python3 -c 'import json
for i in range(120): json.loads(json.dumps({str(k): [k] * 20 for k in range(3000)}))
print(sum(hash(str(i)) for i in range(2000000)))'
    [ "$(folded_count folded '_PyEval_EvalFrameDefault')" -gt 0 ]
}

@test "perl" {
    record_complete perl -e 'my %h; $h{$_ % 4099} .= sprintf("%x", $_ * 7) for 1 .. 12000000; print scalar keys %h'
}

@test "sqlite3" {
    record_complete sqlite3 :memory: "with recursive c(x) as (select 1 union all select x + 1 from c where x < 2000000) select count(*), sum(length(hex(x))) from (select x from c order by x % 977, x desc);"
}

@test "xz" {
    head -c 12000000 /dev/urandom | base64 >data
    record_complete xz -k -2 -c data
}

@test "gcc compiling a large file" {
    {
        echo '#include <stdio.h>'
        for i in $(seq 1500); do
            echo "int f$i(int a, int b) { int s = 0; for (int i = 0; i < a; i++) { s += (i * $i) ^ b; if (s % 7 == 3) s -= a * b; else s ^= i; } return s; }"
        done
    } >big.c
    record_complete gcc -O2 -c -o big.o big.c
    [ "$(folded_count folded '^cc1;_start;')" -gt 50 ]
}

@test "redis-server under redis-benchmark" {
    background redis-server --port 0 --unixsocket "$BATS_TEST_TMPDIR/redis" --save '' --appendonly no
    server=$LAST
    eventually redis-cli -s "$BATS_TEST_TMPDIR/redis" ping
    background redis-benchmark -s "$BATS_TEST_TMPDIR/redis" -n 100000000 -q -t set,get,lpush,zadd
    "$CTL" capture --pid "$server" --seconds 5 --hz 499 -o out.pb.gz
    check_pprof out.pb.gz
    folded out.pb.gz folded
    complete folded 99.5
    go tool pprof -top out.pb.gz 2>&1 | head -n 15
}

@test "nginx under wrk" {
    port=$(free_port)
    mkdir www && chmod 755 . www && echo '<p>served</p>' >www/index.html
    cat >nginx.conf <<END
daemon off; master_process off; pid $BATS_TEST_TMPDIR/nginx.pid; error_log $BATS_TEST_TMPDIR/error.log;
events { worker_connections 256; }
http { access_log off; server { listen 127.0.0.1:$port; root $BATS_TEST_TMPDIR/www; } }
END
    background nginx -c "$BATS_TEST_TMPDIR/nginx.conf"
    server=$LAST
    eventually curl -sf "http://127.0.0.1:$port/"
    background wrk -t 1 -c 16 -d 60 "http://127.0.0.1:$port/"
    "$CTL" capture --pid "$server" --seconds 5 --hz 499 -o out.pb.gz
    check_pprof out.pb.gz
    folded out.pb.gz folded
    complete folded 99.5
}

@test "postgres under pgbench" {
    bin=$(echo /usr/lib/postgresql/*/bin)
    data=$(mktemp -d "${TMPDIR:-/tmp}/cprofd-pg.XXXXXX")
    echo "$data" >folder
    chown postgres "$data"
    as() { setpriv --reuid postgres --regid postgres --init-groups --reset-env "$@"; }
    cd /
    as "$bin/initdb" -D "$data/db" >/dev/null
    background setpriv --reuid postgres --regid postgres --init-groups "$bin/postgres" -D "$data/db" -k "$data" -c listen_addresses=
    server=$LAST
    eventually as "$bin/pg_isready" -q -h "$data"
    as "$bin/pgbench" -q -i -h "$data" postgres >/dev/null 2>&1
    cd "$BATS_TEST_TMPDIR"
    background setpriv --reuid postgres --regid postgres --init-groups "$bin/pgbench" -S -c 2 -T 60 -h "$data" postgres
    runs "$LAST" pgbench
    "$CTL" capture --comm postgres --seconds 5 --hz 499 -o out.pb.gz
    kill -INT "$server"
    end_background
    check_pprof out.pb.gz
    folded out.pb.gz folded
    complete folded 99.5
}

@test "node" {
    command -v node >/dev/null || skip "node is not installed"
    cat >work.js <<'END'
let n = 0;
function fib(k) { return k < 2 ? k : fib(k - 1) + fib(k - 2); }
while (process.cpuUsage().user < 4e6) { n += fib(22); n += JSON.stringify([...Array(2000).keys()].map(x => ({ x }))).length; }
console.log(n);
END
    record_complete node work.js
}

@test "openssl speed, all kernels" {
    # what -evp alone has: kernels that are made of two, and those of one block
    cat >evp.sh <<'END'
for c in aes-256-gcm aes-128-ctr aes-128-xts aes-256-ccm aes-128-ocb aes-128-cbc-hmac-sha1 aes-256-cbc-hmac-sha256 \
    chacha20-poly1305 aria-128-ctr des-ede3-cbc sha3-256 sha512; do
    openssl speed -seconds 1 -bytes 8192 -evp $c
done
for c in aes-256-gcm chacha20-poly1305; do
    openssl speed -seconds 1 -bytes 64 -evp $c
    openssl speed -seconds 1 -bytes 8192 -decrypt -evp $c
done
END
    "$CTL" record --hz 499 -o evp.pb.gz -- sh evp.sh >/dev/null
    folded evp.pb.gz folded
    complete folded 99.5
    # the one that runs since the beginning
    for _ in $(seq 6000); do
        [ ! -e "$BATS_FILE_TMPDIR/speed.status" ] || break
        sleep 0.1
    done
    cat "$BATS_FILE_TMPDIR/speed.log"
    [ "$(cat "$BATS_FILE_TMPDIR/speed.status")" -eq 0 ]
    check_pprof "$BATS_FILE_TMPDIR/speed.pb.gz"
    folded "$BATS_FILE_TMPDIR/speed.pb.gz" folded
    complete folded 99.5
}

@test "java with frame pointers kept; without, a truthful end" {
    command -v java >/dev/null || skip "java is not installed"
    cat >W.java <<'END'
import java.util.*;
public class W { static int fib(int k) { return k < 2 ? k : fib(k - 1) + fib(k - 2); }
public static void main(String[] a) { long end = System.currentTimeMillis() + 4000; long n = 0; Map<Integer, String> m = new HashMap<>();
while (System.currentTimeMillis() < end) { n += fib(24); for (int i = 0; i < 2000; i++) m.put(i, Integer.toHexString(i * 31)); n += m.hashCode(); } System.out.println(n); } }
END
    javac W.java
    "$CTL" record --hz 499 -o out.pb.gz -- java -XX:+PreserveFramePointer W >/dev/null
    check_pprof out.pb.gz
    folded out.pb.gz folded
    complete folded 99.5
    "$CTL" record -o default.pb.gz -- java W >/dev/null
    folded default.pb.gz folded
    n=$(folded_count folded '\[truncated: JIT\]')
    other=$(folded_count folded '\[truncated: (no unwind info|broken CFI|unreadable stack|depth|budget)')
    echo "JIT $n, other $other"
    [ "$n" -gt 20 ]
}

@test "a Go program: the ten hottest functions are runtime/pprof's" {
    command -v go >/dev/null || skip "go is not installed"
    mkdir -p gowork && cp "$SOURCES/gowork.go" gowork/main.go
    (cd gowork && GOFLAGS=-mod=mod GOCACHE="$BATS_TEST_TMPDIR/cache" go build -o ../work main.go)
    # longer where the error of sampling is larger than the three points; what is taken counts
    for i in 1 2 3 4; do
        "$CTL" record --hz 499 -o ours$i.pb.gz -- ./work own$i.pb.gz 12
        check_pprof ours$i.pb.gz
        folded ours$i.pb.gz folded
        complete folded 99.5
        # a signal that comes together with the one that preempts finds asyncPreempt, which has not run yet:
        # what it interrupts is what ran
        go tool pprof -top -nodecount=10 -hide='^runtime[.]asyncPreempt$' own?.pb.gz 2>/dev/null >own.top
        go tool pprof -top -nodecount=40 -hide='^runtime[.]asyncPreempt$' ours?.pb.gz 2>/dev/null >ours.top
        cat own.top
        head -n 20 ours.top
        ! same_top || return 0
    done
    false
}

# The ten hottest functions of runtime/pprof are ours, their shares within three points.
same_top() {
    /usr/bin/python3 - own.top ours.top <<'END'
import re, sys
def top(path):
    out = {}
    for line in open(path):
        m = re.match(r'\s*\S+\s+([\d.]+)%\s+[\d.]+%\s+\S+\s+[\d.]+%\s+(.*\S)', line)
        if m: out[re.sub(r' \(inline\)$', '', m[2])] = float(m[1])
    return out
own, ours = top(sys.argv[1]), top(sys.argv[2])
bad = [(n, s, ours.get(n)) for n, s in own.items() if s >= 3 and abs(s - ours.get(n, 0)) > 3]
assert own and not bad, bad
END
}
