#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Names and files made to hurt: docs/security.md 1, 3, 11.

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
}

teardown() {
    end_background
}

@test "a hostile command name is data in every output" {
    cat >name.c <<'END'
#include <sys/prctl.h>
#include <time.h>
static volatile unsigned long s;
int main(void) { prctl(PR_SET_NAME, "\033[2J;a 9\n\"<\xff"); clock_t e = clock() + 60 * CLOCKS_PER_SEC; while (clock() < e) for (int i = 0; i < 100000; i++) s += i; return 0; }
END
    # the path, too: it is a mapping's, a window's and an error's
    path=$'bad\n\e]0;x\a";{le="1"}'
    mkdir "$path"
    gcc -O2 -o "$path/name" name.c
    cp "$path/name" "$path/large"
    truncate -s 200G "$path/large" # and who cannot read it says so
    background "$path/large"
    large=$LAST
    background "$path/name"
    used_cpu "$large" 2
    used_cpu "$LAST" 2
    "$CTL" capture --pid "$LAST" --pid "$large" --seconds 2 -o out.pb.gz 2>err
    check_pprof out.pb.gz
    "$CTL" targets >targets
    "$CTL" targets --json | jq -e . >/dev/null
    "$CTL" status >status
    "$CTL" status --json | tee status.json | jq -e . >/dev/null
    "$CTL" report out.pb.gz top >top
    "$CTL" report out.pb.gz tree >tree
    "$CTL" report out.pb.gz traces >traces
    "$CTL" report out.pb.gz peek main >peek
    "$CTL" report out.pb.gz --format svg -o out.svg
    "$CTL" report out.pb.gz --format text -o text
    folded out.pb.gz folded
    curl -sS --unix-socket "$CPROFD_SOCKET" http://localhost/debug/pprof/ >index
    curl -sS --unix-socket "$CPROFD_SOCKET" http://localhost/metrics >metrics
    cp "$RUN/log" log
    for f in err targets status status.json top tree traces peek text out.svg folded index metrics log; do
        run grep -aP '[\x1b\x07\xff]' "$f"
        echo "$f: $output"
        [ "$status" -ne 0 ]
    done
    # a line of metrics is a name, labels, a number
    run grep -avE '^(#|[a-z_]+(\{[^ ]*\})? [0-9.e+-]+$)' metrics
    [ "$status" -ne 0 ]
    /usr/bin/python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' out.svg
    # a stack is one line: "frames count"
    run grep -avE ' [0-9]+$' folded
    [ "$status" -ne 0 ]
}

@test "files that are broken cost a counted failure, the others keep their names" {
    program shares
    # valid to run, hostile to read: sections and symbols that point anywhere
    /usr/bin/python3 - "$PROGRAM" <<'END'
import random, struct, sys
good = bytearray(open(sys.argv[1], 'rb').read())
shoff, = struct.unpack_from('<Q', good, 40)
shnum, = struct.unpack_from('<H', good, 60)
random.seed(7)
for n in range(6):
    b = bytearray(good)
    for i in range(shnum):
        at = shoff + 64 * i
        if n % 3 == 0: struct.pack_into('<QQ', b, at + 24, random.getrandbits(63), random.getrandbits(40))
        elif n % 3 == 1: struct.pack_into('<Q', b, at + 56, random.getrandbits(8))
        else:
            off, size = struct.unpack_from('<QQ', b, at + 24)
            flags, = struct.unpack_from('<Q', b, at + 8)
            if not flags & 2:
                for k in range(off, min(off + size, len(b))): b[k] = random.getrandbits(8)
    open('broken%d' % n, 'wb').write(b)
END
    cp "$PROGRAM" broken6
    truncate -s 200G broken6
    chmod +x broken*
    for n in 0 1 2 3 4 5 6; do
        background ./broken$n 60 20
    done
    background "$PROGRAM" 60 47
    good=$LAST
    runs "$good" shares
    "$CTL" capture --all --seconds 4 --hz 500 -o out.pb.gz
    check_pprof out.pb.gz
    folded out.pb.gz folded
    within "$(grep '^shares;' folded | folded_percent /dev/stdin ';main;sixty ')" 60 20
    kill -0 "$good"
    grep -c '^broken' folded
    "$CTL" status --json | jq -e '.symbols.failed_files > 0 and ([.symbols.failures[].file | test("/broken")] | any)'
    # no frame without a name
    run grep -E '(^|;)( |;|0x)' folded
    [ "$status" -ne 0 ]
}

@test "a file that shrinks while it is mapped" {
    cp "$BUILD/../tests/programs/shares.c" .
    program shares
    cat >lib.c <<'END'
static volatile unsigned long s;
void work(void) { for (long i = 0; i < 100000000; i++) s += i; }
END
    gcc -O2 -g -fPIC -shared -o liblater.so lib.c
    cat >main.c <<'END'
#include <dlfcn.h>
#include <time.h>
int main(void) { void (*f)(void) = (void (*)(void))dlsym(dlopen("./liblater.so", RTLD_NOW), "work"); clock_t e = clock() + 10 * CLOCKS_PER_SEC; while (clock() < e) f(); return 0; }
END
    gcc -O2 -o main main.c
    background ./main
    # it has opened the library when it works
    eventually grep -q liblater "/proc/$LAST/maps"
    used_cpu "$LAST" 2
    # the text stays in the page cache of the mapping, what follows it is cut off
    truncate -s 8192 liblater.so
    "$CTL" capture --pid "$LAST" --seconds 2 -o out.pb.gz || true
    "$CTL" status --json | jq -e '.worker.restarts == 0'
    "$CTL" capture --all --seconds 1 -o after.pb.gz
    check_pprof after.pb.gz
}

@test "two programs that claim one build-id keep their own names and stacks, over a restart" {
    for who in right left; do
        # frames of different sizes: the other's unwind table does not fit
        size=$([ $who = right ] && echo 64 || echo 4096)
        cat >$who.c <<END
#include <string.h>
#include <time.h>
static volatile unsigned long s;
__attribute__((noinline)) void leaf_of_$who(char *p) { for (int i = 0; i < 100000; i++) s += (unsigned char)p[i % $size]; }
__attribute__((noinline)) void work_of_$who(void) { char room[$size]; memset(room, 1, sizeof(room)); clock_t e = clock() + 30 * CLOCKS_PER_SEC; while (clock() < e) leaf_of_$who(room); }
int main(void) { work_of_$who(); return 0; }
END
        gcc -O2 -fomit-frame-pointer -Wl,--build-id=0x0123456789abcdef0123456789abcdef01234567 -o $who $who.c
        background ./$who
    done
    pids=("${STARTED[@]}")
    mkdir -m 750 kept
    for round in first second; do
        start_daemon --state-dir "$PWD/kept"
        "$CTL" capture --pid "${pids[0]}" --pid "${pids[1]}" --seconds 2 -o $round.pb.gz
        stop_daemon
        check_pprof $round.pb.gz
        folded $round.pb.gz folded
        for who in right left; do
            grep -qE "^$who;_start;.*;main;(.*;)?work_of_$who(;| )" folded
            grep "^$who;" folded >own
            within "$(folded_percent own ";main;(.*;)?work_of_$who(;| )")" 100 10
        done
        run grep -E '^(right;.*_of_left|left;.*_of_right)' folded
        [ "$status" -ne 0 ]
    done
}
