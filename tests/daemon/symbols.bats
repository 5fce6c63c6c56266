#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Names from files that are somewhere else, are two of one name, change, or are gone.

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

lacks() { # text, file
    if grep -F -e "$1" "$2"; then return 1; fi
}

# A program that burns SECONDS in a function of this name, 16 bytes of code as any other of them.
burner() { # output, function
    cat >"$1.c" <<END
#include <stdlib.h>
#include <time.h>
volatile unsigned long sink;
__attribute__((noinline)) void $2(unsigned long n) { for (unsigned long i = 0; i < n; i++) sink += i ^ sink; }
int main(int argc, char **argv) { clock_t end = clock() + (clock_t)(atof(argv[argc - 1]) * CLOCKS_PER_SEC); while (clock() < end) $2(1 << 20); return 0; }
END
    gcc -O2 -g -o "$1" "$1.c"
}

@test "split DWARF: .dwo files where the compiler wrote them, and a .dwp beside the program" {
    cp "$SOURCES/inlines.c" .
    gcc -O2 -g -gsplit-dwarf -gdwarf-4 -c inlines.c && gcc -o split inlines.o
    ahead ./split 60
    "$CTL" capture --pid "$LAST" --seconds 2 -o out.pb.gz
    folded out.pb.gz folded
    within "$(folded_percent folded ';main;outermost;middle;innermost')" 100 5
    go tool pprof -top -lines split out.pb.gz 2>&1 | grep -qE 'innermost .*inlines\.c:[0-9]+ \(inline\)'

    mkdir elsewhere
    cp split elsewhere/packed
    dwp inlines.dwo -o elsewhere/packed.dwp
    rm inlines.dwo
    ahead elsewhere/packed 60
    "$CTL" capture --pid "$LAST" --seconds 2 -o packed.pb.gz
    folded packed.pb.gz folded
    within "$(folded_percent folded ';main;outermost;middle;innermost')" 100 5
}

@test "debug files of a container serve the container" {
    burner inside hidden_work
    mkdir -p root/app
    # program and .gnu_debuglink file exist in that namespace only
    objcopy --only-keep-debug inside inside.debug
    strip inside -o stripped && objcopy --add-gnu-debuglink=inside.debug stripped
    background "${RATHER_AHEAD[@]}" unshare --mount sh -c "mount -t tmpfs none root/app && cp stripped root/app/inside && cp inside.debug root/app/ && rm inside.debug && exec $PWD/root/app/inside 60"
    runs "$LAST" inside
    [ ! -e root/app/inside ]
    "$CTL" capture --pid "$LAST" --seconds 2 -o out.pb.gz
    folded out.pb.gz folded
    within "$(folded_percent folded ';main;hidden_work')" 100 5
    go tool pprof -top -lines out.pb.gz 2>&1 | grep -qE 'hidden_work .*inside\.c:[0-9]+'
}

@test "a program on an overlay, changed and unchanged" {
    burner lower from_below
    burner upper from_above
    mkdir below above work merged
    cp lower below/one && cp lower below/two
    background "${RATHER_AHEAD[@]}" unshare --mount sh -c "mount -t tmpfs none above && mkdir above/u above/w && mount -t overlay overlay -o lowerdir=below,upperdir=above/u,workdir=above/w merged && cp upper merged/two.new && mv merged/two.new merged/two && (merged/one 60 & exec merged/two 60)"
    descendant "$LAST" two
    two=$LAST
    STARTED+=("$two")
    descendant "$two" one
    one=$LAST
    STARTED+=("$one")
    "$CTL" capture --pid "$one" --pid "$two" --seconds 2 -o out.pb.gz
    folded out.pb.gz folded
    within "$(grep '^one;' folded | folded_percent /dev/stdin ';main;from_below')" 100 5
    within "$(grep '^two;' folded | folded_percent /dev/stdin ';main;from_above')" 100 5
}

@test "two files with one path keep their own names" {
    burner first first_work
    burner second second_work
    mkdir shared
    pids=()
    for n in first second; do
        background "${RATHER_AHEAD[@]}" unshare --mount sh -c "mount -t tmpfs none shared && cp $n shared/prog && exec $PWD/shared/prog 60"
        runs "$LAST" prog
        pids+=("$LAST")
    done
    "$CTL" capture --pid "${pids[0]}" --pid "${pids[1]}" --seconds 3 -o out.pb.gz
    folded out.pb.gz folded
    # each has what CPU it gets
    within "$(folded_percent folded ';main;(first|second)_work')" 100 5
    for pid in "${pids[@]}"; do
        go tool pprof -top "-tagfocus=pid=$pid" out.pb.gz 2>/dev/null >"top$pid"
        cat "top$pid"
    done
    grep -q ' first_work$' "top${pids[0]}"
    lacks second_work "top${pids[0]}"
    grep -q ' second_work$' "top${pids[1]}"
    lacks first_work "top${pids[1]}"
    check_pprof out.pb.gz
}

@test "a program that is only memory" {
    burner prog work_in_memory
    cat >run.py <<'END'
import os, sys
fd = os.memfd_create("hidden")
os.write(fd, open("prog", "rb").read())
os.execve(fd, ["hidden", "60"], {})
END
    background "${RATHER_AHEAD[@]}" python3 run.py
    eventually eval "readlink /proc/$LAST/exe | grep -q memfd:hidden"
    "$CTL" capture --pid "$LAST" --seconds 2 -o out.pb.gz
    folded out.pb.gz folded
    within "$(folded_percent folded ';main;work_in_memory')" 100 5
}

# A capture in the background, until `saved` ends it.
capturing() { # options...
    "$CTL" capture "$@" --seconds 120 2>summary 3>&- &
    CAPTURE=$!
    eventually_says '.captures.running >= 1'
}

saved() {
    kill -INT $CAPTURE
    wait $CAPTURE || { cat summary; return 1; }
}

@test "a process and its file that are gone when names are looked up" {
    burner prog short_work
    capturing --comm gone -o out.pb.gz
    cp prog gone
    background ./gone 1
    runs "$LAST" gone
    rm gone prog
    wait "$LAST"
    saved
    folded out.pb.gz folded
    [ "$(folded_count folded ';main;short_work ')" -gt 50 ]
    go tool pprof -top -lines out.pb.gz 2>&1 | grep -qE 'short_work .*prog\.c:[0-9]+'
}

@test "two versions of a file are two, in one profile" {
    burner one work_of_one
    burner two work_of_two
    capturing --comm version -o out.pb.gz
    cp one version
    ./version 1.2
    # a new inode under the old name, as package managers and linkers do it
    cp two version.new && mv version.new version
    ./version 1.2
    saved
    folded out.pb.gz folded
    a=$(folded_count folded ';main;work_of_one ') b=$(folded_count folded ';main;work_of_two ')
    echo "$a $b"
    [ "$a" -gt 60 ] && [ "$b" -gt 60 ]
    check_pprof out.pb.gz
}

@test "a library that is overwritten under its process gets no names rather than wrong ones" {
    for n in alpha omega; do
        printf 'volatile unsigned long sink;\nvoid entry(unsigned long);\n__attribute__((noinline)) static void %s(unsigned long n) { for (unsigned long i = 0; i < n; i++) sink += i ^ sink; }\nvoid entry(unsigned long n) { %s(n); }\n' $n $n >lib.c
        gcc -O2 -g -fPIC -shared -Wl,-soname,libwork.so -o lib$n.so lib.c
    done
    cp libalpha.so libwork.so
    cat >main.c <<'END'
#include <time.h>
void entry(unsigned long);
int main(void) { clock_t end = clock() + 60 * CLOCKS_PER_SEC; while (clock() < end) entry(1 << 20); return 0; }
END
    gcc -O2 -o main main.c -L. -lwork -Wl,-rpath,"$PWD"
    background ./main
    used_cpu "$LAST" 5
    capturing --pid "$LAST" -o out.pb.gz
    used=$(cpu_ticks "$LAST")
    used_cpu "$LAST" $((used + 100))
    dd if=libomega.so of=libwork.so conv=notrunc status=none
    used_cpu "$LAST" $((used + 300))
    saved
    folded out.pb.gz folded
    cat folded
    [ "$(folded_count folded omega)" = 0 ]
    [ "$(folded_count folded ';main')" -gt 150 ]
}

@test "nobody names the host's files from debug files of their own" {
    burner good good_work
    burner evil evil_work
    for n in good evil; do
        objcopy --only-keep-debug $n $n.debug
    done
    strip good -o host && objcopy --remove-section .note.gnu.build-id host && objcopy --remove-section .note.gnu.build-id evil.debug
    # the same name and checksum would do; so would a build-id, which anybody can copy
    objcopy --add-gnu-debuglink=evil.debug host
    mkdir -p own && mv evil.debug own/
    background "${RATHER_AHEAD[@]}" unshare --mount sh -c "mount --bind own $PWD/.debug 2>/dev/null || { mkdir -p .debug && mount --bind own .debug; }; exec $PWD/host 60"
    runs "$LAST" host
    "$CTL" capture --pid "$LAST" --seconds 2 -o out.pb.gz
    folded out.pb.gz folded
    [ "$(folded_count folded evil_work)" = 0 ]
    awk -v n="$(folded_percent folded '\[host\+0x')" 'BEGIN { exit !(n > 90) }'
}

@test "threads of a libc that is stripped start at [libc.so.6+0x...]" {
    cat >threads.c <<'END'
#include <pthread.h>
volatile unsigned long sink;
static void *in_thread(void *arg) { for (;;) sink++; return arg; }
int main(void) { pthread_t t; pthread_create(&t, 0, in_thread, 0); pthread_join(t, 0); return 0; }
END
    gcc -O2 -g -pthread -o threads threads.c
    # another file than the host's, which has no debug file under the build-id that it says it has
    libc=$(ldd threads | sed -n 's/.*=> \(.*libc.so.6\).*/\1/p')
    mkdir libs
    objcopy --remove-section .gnu_debuglink "$libc" libs/libc.so.6
    id=$(readelf -n "$libc" | sed -n 's/.*Build ID: //p')
    python3 - libs/libc.so.6 "$id" <<'END'
import sys
data = open(sys.argv[1], "rb").read()
open(sys.argv[1], "wb").write(data.replace(bytes.fromhex(sys.argv[2]), b"\x12\x34" * 10, 1))
END
    background "${RATHER_AHEAD[@]}" env LD_LIBRARY_PATH=libs ./threads
    runs "$LAST" threads
    used_cpu "$LAST" 5
    "$CTL" capture --pid "$LAST" --seconds 2 -o out.pb.gz
    folded out.pb.gz folded
    head -n 5 folded
    within "$(folded_percent folded '^threads;(__clone3?;|clone3?;)?(\[libc.so.6\+0x[0-9a-f]+\];)+in_thread')" 100 5
    # one row for all addresses of that function
    [ "$(sed -nE 's/.*(\[libc[^;]*\]);in_thread.*/\1/p' folded | sort -u | wc -l)" = 1 ]
}

@test "a Go program without symbols" {
    cat >main.go <<'END'
package main

func inner(n uint64) (s uint64) {
	for i := uint64(0); i < n; i++ {
		s += i ^ s
	}
	return
}

//go:noinline
func outer(n uint64) uint64 { return inner(n) + 1 }

func main() {
	for s := uint64(1); s != 0; {
		s = outer(1<<20) | 1
	}
}
END
    GOTOOLCHAIN=local GO111MODULE=off GOCACHE="$BATS_TEST_TMPDIR/cache" go build -ldflags='-s -w' -o bare main.go
    ahead ./bare
    "$CTL" capture --pid "$LAST" --seconds 2 -o out.pb.gz
    end_background
    folded out.pb.gz folded
    within "$(folded_percent folded ';runtime.main;main.main;main.outer;main.inner')" 100 5
    go tool pprof -top -lines out.pb.gz 2>&1 | grep -qE 'main.inner .*main\.go:[0-9]+ \(inline\)'
}
