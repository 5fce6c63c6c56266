#!/usr/bin/env bats
# shellcheck disable=SC2016
# SPDX-License-Identifier: Apache-2.0
# Stacks that are hard to unwind, and those of processes that are gone at once.

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

# Samples that are there, complete and named, in percent of what the children's CPU time is worth; what
# the parent does itself is not theirs. Then the same with the ticks that the kernel left out.
short_lived() { # count, burn ms
    "$CTL" record --hz 100 -o out.pb.gz -- "${AHEAD[@]:0:1}" -w "${AHEAD[@]:1}" "$PROGRAM" "$1" "$2" "$PROGRAM" >seconds 2>err
    folded out.pb.gz folded
    grep '^samples' err >&2 || true
    awk -v cpu="$(cat seconds)" -v missed="$(missed_of out.pb.gz)" '/^forks;/ && !/\[truncated|\[unknown|;main;(_?_?libc_)?(_?[Ff]ork|_*wait(pid|4))/ && /;child_work|;_dl_|;__libc_start|;_start|\[exec\]|\[exit\]/ { n += $NF }
        END { printf "%.1f %.1f\n", n / cpu, (n + missed) / cpu }' folded
    rm out.pb.gz
}

mean_of_five() { # count, burn ms, least percent
    program forks
    # a sampler draws: where five are too few to say, the mean of ten and of fifteen
    for _ in 1 2 3; do
        for _ in 1 2 3 4 5; do short_lived "$1" "$2"; done >>shares
        cat shares
        ! awk -v p="$3" '{ n += $1 } END { printf "mean %.1f %%\n", n / NR; exit !(n / NR >= p) }' shares || return 0
    done
    # where the kernel itself has left out ticks, they are the machine's
    awk -v p="$3" '{ n += $2 } END { printf "mean with missed ticks %.1f %%\n", n / NR; exit !(n / NR >= p) }' shares
}

@test "300 children that exec and burn 20 ms: 98 %, complete and named" {
    mean_of_five 300 20 98
}

@test "1,200 children that exec and burn 5 ms: 95 %, complete and named" {
    mean_of_five 1200 5 95
}

@test "make -j of short compilers: 99 % complete and named" {
    for i in $(seq "${SHORT_COMPILERS:-1000}"); do echo "int f$i(int a) { return a * $i; }" >c$i.c; done
    printf 'all: $(patsubst %%.c,%%.o,$(wildcard c*.c))\n%%.o: %%.c\n\tgcc -O1 -c -o $@ $<\n' >Makefile
    "$CTL" record -o out.pb.gz -- make -s -j"$(nproc)"
    folded out.pb.gz folded
    all=$(folded_count folded .) bad=$(folded_count folded '\[truncated|\[unknown|\[anon|;0x')
    echo "$all samples, $bad of them cut or without a name"
    grep -E '\[truncated|\[unknown|\[anon|;0x' folded | sort -t' ' -k2 -n | tail -n 5 || true
    [ "$all" -gt 100 ]
    [ $((bad * 100)) -le "$all" ]
}

@test "Go programs of milliseconds: also what runs on the runtime's stack goes back to its goroutine" {
    command -v go >/dev/null || skip "go is not installed"
    mkdir -p goshort && cp "$SOURCES/goshort.go" goshort/main.go
    (cd goshort && GOFLAGS=-mod=mod GOCACHE="$BATS_TEST_TMPDIR/cache" go build -o ../short main.go)
    "$CTL" record --hz 499 -o out.pb.gz -- sh -c 'for i in $(seq 150); do ./short; done'
    folded out.pb.gz folded
    grep -oE ';runtime\.systemstack;[^;]*' folded | sort | uniq -c | sort -n | tail -n 5
    grep -F '[truncated' folded || true
    [ "$(folded_count folded '^short;.*;runtime\.systemstack;')" -gt 10 ]
    mostly '^[^;]*;[^[]|^[^;]*;\[(exec|exit|kernel thread)\]' 99
}

@test "a static program, and a static one that is position-independent" {
    record_c a -O2 -static <<<"$BURN int main(void) { burn(); return 0; }"
    mostly '^a;_start;.*main;burn' 98
    record_c b -O2 -static-pie <<<"$BURN int main(void) { burn(); return 0; }"
    mostly '^b;_start;.*main;burn' 98
}

@test "musl: complete as far as it says; a signal in it, too" {
    command -v musl-gcc >/dev/null || skip "musl-gcc is not installed"
    CC_=musl-gcc record_c m -O2 -static <<<"#include <signal.h>
#include <stdlib.h>
$BURN static void h(int n) { burn(); exit(0); } int main(void) { signal(SIGUSR1, h); raise(SIGUSR1); return 0; }"
    mostly '^m;.*main;.*;h;burn' 98
    [ "$(folded_count folded '\[truncated')" -le 2 ]
}

@test "a handler on an alternate stack, and what it interrupted" {
    record_c alt -O2 <<<"#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/time.h>
static char stack[65536]; $BURN static void h(int n) { burn(); _exit(0); }
__attribute__((noinline)) static void victim(void) { for (;;) s++; }
int main(void) { stack_t t = { .ss_sp = stack, .ss_size = sizeof(stack) }; struct sigaction a = { .sa_handler = h, .sa_flags = SA_ONSTACK };
struct itimerval v = { .it_value = { 0, 10000 } }; sigaltstack(&t, 0); sigaction(SIGALRM, &a, 0); setitimer(ITIMER_REAL, &v, 0); victim(); return 0; }"
    mostly '^alt;_start;.*main;victim;.*;h;burn' 95
}

@test "coroutines of makecontext, threads, vfork" {
    record_c co -O2 <<<"#include <ucontext.h>
static ucontext_t m, c; static char stack[65536]; $BURN static void run(void) { burn(); }
int main(void) { getcontext(&c); c.uc_stack.ss_sp = stack; c.uc_stack.ss_size = sizeof(stack); c.uc_link = &m; makecontext(&c, run, 0); swapcontext(&m, &c); return 0; }"
    mostly '^co;(__start_context|[^;]*);run;burn|^co;[^;]*;burn' 95
    [ "$(folded_count folded '\[truncated')" -le 1 ]
    record_c th -O2 -pthread <<<"#include <pthread.h>
$BURN static void *run(void *a) { burn(); return a; } int main(void) { pthread_t t; pthread_create(&t, 0, run, 0); pthread_join(t, 0); return 0; }"
    mostly '^th;.*clone.*;.*;run;burn' 95
    [ "$(folded_count folded '\[truncated')" -le 1 ]
    record_c vf -O2 <<<"#include <unistd.h>
#include <sys/wait.h>
$BURN int main(void) { if (vfork() == 0) { burn(); _exit(0); } wait(0); return 0; }"
    mostly '^vf;_start;.*main;burn' 95
}

@test "threads that start and end, and children of fork and posix_spawn: where they begin" {
    HZ=1000 record_c starts -O2 -pthread <<<"#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
static void *run(void *a) { return a; }
int main(void) { char *v[] = { \"true\", 0 }; pid_t p;
for (int i = 0; i < 40000; i++) { pthread_t t; if (pthread_create(&t, 0, run, 0) == 0) pthread_join(t, 0); }
for (int i = 0; i < 1000; i++) { if (fork() == 0) _exit(0); wait(0); if (posix_spawn(&p, \"/bin/true\", 0, 0, v, 0) == 0) wait(0); } return 0; }"
    # both sides of the system call: the thread's own, and its parent's
    [ "$(folded_count folded '^starts;_*clone3?;.*ret_from_fork')" -gt 5 ]
    [ "$(folded_count folded '^starts;_start;.*main;.*pthread_create.*;_*clone3?;.*(kernel_clone|copy_process)')" -gt 5 ]
    mostly '^[^;]*;[^[]|^[^;]*;\[(exec|exit|kernel thread)\]' 99
}

@test "recursion to the limit, and past it" {
    record_c deep -O1 <<<"$BURN __attribute__((noinline)) static int r(int n) { if (n == 0) { burn(); return 0; } return r(n - 1) + 1; } int main(void) { return r(900) & 1; }"
    mostly '^deep;_start;.*main;r;r;r;.*;r;burn' 98
    record_c over -O1 <<<"$BURN __attribute__((noinline)) static int r(int n) { if (n == 0) { burn(); return 0; } return r(n - 1) + 1; } int main(void) { return r(3000) & 1; }"
    mostly '^over;\[truncated: depth\];r;r;.*;r;burn' 98
}

@test "frames of more than 64 KiB, functions of more than 64 KiB" {
    HZ=1000 record_c big -O1 <<<"$BURN __attribute__((noinline)) static void f(void) { volatile char a[3000000]; a[0] = 1; burn(); a[1] = 2; } int main(void) { f(); return 0; }"
    mostly '^big;_start;.*main;f;burn' 98
    {
        echo "$BURN __attribute__((noinline)) static void g(long n) {"
        for i in $(seq 8000); do echo "s += n ^ $i; s *= n;"; done
        echo 'burn(); s++; } int main(int c, char **v) { g(c); return 0; }'
    } | record_c far -O0
    mostly '^far;_start;.*main;g;burn' 98
}

@test "several files in 64 KiB, several mappings of one, a base address that is not zero" {
    local next='' base i
    # a frame in each, called through the one before; pages of few bytes lie side by side
    for i in $(seq 12); do
        base=
        [ $((i % 3)) -ne 0 ] || base=-Wl,-Ttext-segment=$(printf %x000000 "$i")
        echo "void $([ "$i" -eq 1 ] && echo "(*cb)(void)" || echo "f$((i - 1))(void (*)(void))"); volatile int v$i;
void f$i(void (*burn)(void)) { $([ "$i" -eq 1 ] && echo "burn()" || echo "f$((i - 1))(burn)"); v$i++; }" >l.c
        # shellcheck disable=SC2086
        gcc -O2 -w -shared -fPIC -nostdlib -Wl,-z,noseparate-code -Wl,-z,max-page-size=4096 -Wl,-rpath,"$PWD" $base -o libf$i.so l.c $next
        next=$PWD/libf$i.so
    done
    record_c side -O2 -D_GNU_SOURCE <<<"#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
$BURN static void (*other)(void (*)(void)); static void both(void) { other(burn); s++; }
int main(void) { void (*f)(void (*)(void)) = dlsym(dlopen(\"./libf12.so\", RTLD_NOW), \"f12\"); other = dlsym(dlmopen(LM_ID_NEWLM, \"./libf12.so\", RTLD_NOW), \"f12\");
char line[512]; FILE *m = fopen(\"/proc/self/maps\", \"r\"), *o = fopen(\"maps\", \"w\"); while (fgets(line, sizeof(line), m)) fputs(line, o); fclose(o);
f(both); return 0; }"
    # they do lie so: more than three mappings of code within 64 KiB, and each file twice
    awk '$2 ~ /x/ && /libf/ { n[substr($1, 1, index($1, "-") - 5)]++; f[$6]++ } END { for (i in n) if (n[i] > most) most = n[i]; print most " in 64 KiB, " f["'"$PWD"'/libf12.so"] " times"; exit !(most > 3) }' maps
    chain='f12;f11;f10;f9;f8;f7;f6;f5;f4;f3;f2;f1'
    mostly "^side;_start;.*main;$chain;both;$chain;burn" 98
}

# Of 3.2 million rows, in one function of 16 MB.
huge() {
    [ -x "$BATS_FILE_TMPDIR/huge" ] || gcc -O1 -w -x c -o "$BATS_FILE_TMPDIR/huge" - <<<"$BURN"'
__asm__(".globl huge\n.type huge,@function\nhuge: .cfi_startproc\n.rept 1600000\n push %rax\n .cfi_adjust_cfa_offset 8\n .nops 4\n"
" pop %rax\n .cfi_adjust_cfa_offset -8\n .nops 4\n.endr\n push %rbx\n .cfi_adjust_cfa_offset 8\n mov %rdi, %rax\n call *%rax\n"
" pop %rbx\n .cfi_adjust_cfa_offset -8\n ret\n.cfi_endproc\n.size huge, . - huge\n");
void huge(void (*)(void)); int main(void) { huge(burn); s++; return 0; }'
}

@test "more than three million rows" {
    huge
    "$CTL" record -o out.pb.gz -- "$BATS_FILE_TMPDIR/huge" >/dev/null
    folded out.pb.gz folded
    mostly '^huge;_start;.*main;huge;burn' 98
}

@test "a bystander keeps its ticks, or they are counted, while tables are loaded" {
    huge
    program shares
    # by itself on its CPU, however many others there are
    background "${AHEAD[@]}" "$PROGRAM" 60 20
    bystander=$LAST
    runs "$bystander" shares
    echo 'int f(int a) { return a * 3; }' >f.c
    # a huge file that is a new one each time
    printf '%s\n' 'cp "$1" huge && ./huge; rm huge' 'gcc -O2 -c f.c' 'perl -e "1 for 1..1e7"' 'g++ -O2 -x c++ -c f.c' \
        '! command -v node || node -e "for (let i = 0; i < 1e8; i++);"' >load.sh
    while_loaded() # profile, summary
    {
        "$CTL" capture --pid "$bystander" --seconds 6 -o "$1" 2>"$2" &
        local capture=$!
        "$CTL" record -o load.pb.gz -- sh load.sh "$BATS_FILE_TMPDIR/huge" >/dev/null
        wait "$capture"
    }
    worth 1 while_loaded
}

@test "no .eh_frame: .debug_frame alone; and none at all, by frame pointers or truthfully cut" {
    record_c dbg -O2 -g -fno-asynchronous-unwind-tables -fno-exceptions -fno-unwind-tables <<<"$BURN __attribute__((noinline)) static void mid(void) { burn(); s++; } int main(void) { mid(); s++; return 0; }"
    mostly '^dbg;_start;.*main;mid;burn' 95
    record_c none -O2 -g0 -fno-asynchronous-unwind-tables -fno-exceptions -fno-unwind-tables -fno-omit-frame-pointer <<<"$BURN __attribute__((noinline)) static void mid(void) { burn(); s++; } int main(void) { mid(); s++; return 0; }"
    mostly '^none;.*main;mid;burn' 95
}

@test "forked children that never exec, and libraries that come later" {
    record_c kid -O2 <<<"#include <unistd.h>
#include <sys/wait.h>
$BURN int main(void) { for (int i = 0; i < 2; i++) if (fork() == 0) { burn(); _exit(0); } while (wait(0) > 0); return 0; }"
    mostly '^kid;_start;.*main;burn' 95
}

@test "32-bit programs are counted, with their reason" {
    printf '.globl _start\n_start: mov $3000000000, %%ecx\n1: dec %%ecx\njnz 1b\nmov $1, %%eax\nxor %%ebx, %%ebx\nint $0x80\n' >w.s
    as --32 -o w.o w.s
    ld -m elf_i386 -o w32 w.o
    ./w32 || skip "this kernel runs no 32-bit programs"
    "$CTL" record --hz 1000 -o out.pb.gz -- ./w32
    folded out.pb.gz folded
    mostly '^w32;\[truncated: 32-bit' 95
}
