#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who reads our profiles, and what must not be in them: go tool pprof with the target's binary, over a
# file and over HTTP; no byte of anybody's stack in any file (docs/security.md 4); a flood of records costs
# nobody else (10).

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
    export BATS_TEST_RETRIES=2
    file_daemon_use
    export PPROF_TMPDIR=$BATS_TEST_TMPDIR/pprof
}

teardown() {
    tries_told
    end_background
}

# pprof's report of a kind in `out`; its warnings, apart from what it always says, in `warnings`.
pprof() { # source, what must be in the output, options...
    local source=$1 wanted=$2
    shift 2
    go tool pprof "$@" "$PROGRAM" "$source" >out 2>err
    grep -vE '^(Fetching profile over HTTP from|Saved profile in|Generating report in) |^tagfocus:Interpreted' err >warnings || true
    if [ -s warnings ] || ! grep -qE "$wanted" out; then
        echo "pprof $*"
        cat warnings out
        return 1
    fi
}

@test "go tool pprof reads all of it, without a warning" {
    program shares
    background "$PROGRAM" 60 47
    target=$LAST
    runs "$target" shares
    "$CTL" capture --pid "$target" --seconds 3 --hz 200 -o p.pb.gz
    for source in p.pb.gz "http://127.0.0.1:$PORT/debug/pprof/profile?seconds=1&hz=500&pid=$target"; do
        pprof "$source" ' sixty$' -top
        pprof "$source" ' main$' -top -cum
        pprof "$source" 'WORK\(n \* 6\)' -list '^sixty$'
        pprof "$source" 'sixty shares\.c:[0-9]+' -disasm sixty
    done
    pprof p.pb.gz '\| +sixty$' -peek '^main$'
    pprof p.pb.gz '\| sixty$' -tree
    pprof p.pb.gz '^ +pid: +'"$target" -traces
    pprof p.pb.gz ' sixty$' -top "-tagfocus=pid=$target"
    pprof p.pb.gz '<svg' -svg -output /dev/stdout
    pprof p.pb.gz 'shares\.c:[0-9]+$' -top -lines
}

@test "what lies on a stack is in no file" {
    cat >secret.c <<'END'
#include <stdlib.h>
#include <string.h>
#include <time.h>
static volatile unsigned long s;
__attribute__((noinline)) static void work(void) { clock_t e = clock() + CLOCKS_PER_SEC / 20; while (clock() < e) for (int i = 0; i < 10000; i++) s += i; }
int main(int argc, char **argv) { char marker[8192]; size_t n = strlen(argv[argc - 1]);
for (size_t i = 0; i < sizeof(marker); i++) marker[i] = (char)(argv[argc - 1][i % n] ^ 0x15);
__asm__ volatile("" : : "r"(marker) : "memory"); work(); return marker[7] == 1; }
END
    gcc -O2 -o secret secret.c
    key=$(head -c 12 /dev/urandom | base64)
    before=$("$CTL" status --json | jq .samples.stack_copies)
    "$CTL" record --hz 1000 -o out.pb.gz -- sh -c "for i in 1 2 3 4 5 6 7 8 9 10; do ./secret $key; done"
    # one at least of each that is new, and of the shell
    [ "$("$CTL" status --json | jq .samples.stack_copies)" -ge $((before + 10)) ]
    zcat out.pb.gz >out
    /usr/bin/python3 - "$key" "$RUN" "$PWD" /dev/shm /var/tmp <<'END'
import os, sys
marker = bytes(b ^ 0x15 for b in sys.argv[1].encode())
seen = 0
for top in sys.argv[2:]:
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                try:
                    with open(path, 'rb') as f:
                        data = f.read()
                except FileNotFoundError:
                    continue # somebody's, gone meanwhile
                seen += 1
                assert marker not in data, path
assert seen > 2, seen
END
    grep -qE '^Max core file size +0 ' "/proc/$DAEMON/limits"
}

@test "a process that floods side-band and maps without end: its bystanders stay complete" {
    program flood
    cp "$PROGRAM" "$RUN/flood"
    background setpriv --reuid=61000 --regid=61000 --clear-groups "$RUN/flood"
    runs "$LAST" flood
    program shares
    # slices of time between others' would be what is judged
    background "${AHEAD[@]}" "$PROGRAM" 60 47
    runs "$LAST" shares
    "$CTL" capture --pid "$LAST" --seconds 8 --hz 500 -o out.pb.gz 2>err
    cat err
    "$CTL" status --json | jq -c '.sideband, .memory, .samples.lost'
    check_pprof out.pb.gz
    folded out.pb.gz folded
    n=$(folded_count folded .)
    complete=$(folded_count folded '^shares;_start;.*;main;|^shares;\[ex')
    echo "$complete of $n"
    [ "$n" -gt 500 ]
    [ $((complete * 100)) -ge $((n * 99)) ]
    # none of the bystander's samples is lost, nor is it charged for the flood: a wakeup for each of its
    # 150,000 mappings a second made that 46 %. 4,000 draws have a deviation of 32 at most
    due=$(due_of <err)
    [ "$n" -ge $((due - due / 50 - 5)) ]
    [ "$n" -le $((due + due / 8 + 130)) ]
}
