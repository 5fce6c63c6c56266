# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# What the daemon's tests share: programs, a daemon of their own, captures.

BUILD=$BATS_TEST_DIRNAME/../../${CPROF_BUILD:-build}
SOURCES=$BATS_TEST_DIRNAME/../programs
CTL=$BUILD/cprofctl

require_root()
{
    [ "$(id -u)" -eq 0 ] || skip "needs root"
}

# Compiles tests/programs/NAME once a file of tests.
program() # name, further flags
{
    local name=$1
    shift
    [ -x "$BATS_FILE_TMPDIR/$name" ] || gcc -O2 -g -o "$BATS_FILE_TMPDIR/$name" "$@" "$SOURCES/$name.c"
    PROGRAM=$BATS_FILE_TMPDIR/$name
}

# A daemon of this file's own; its pid in DAEMON.
start_daemon() # further options
{
    # sockets' paths are short
    RUN=$(mktemp -d "${TMPDIR:-/tmp}/cprofd-test.XXXXXX")
    chmod 755 "$RUN"
    export CPROFD_SOCKET=$RUN/s
    "$BUILD/cprofd" --config /dev/null --socket "$CPROFD_SOCKET" --state-dir "$RUN/state" "$@" 2>"$RUN/log" 3>&- &
    DAEMON=$!
    answers && return 0
    cat "$RUN/log" >&2
    return 1
}

# Waits until the daemon answers, a minute at most.
answers()
{
    for _ in $(seq 600); do
        "$CTL" version >/dev/null 2>&1 && return 0
        kill -0 "$DAEMON" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

stop_daemon()
{
    [ -n "${DAEMON:-}" ] || return 0
    kill "$DAEMON" 2>/dev/null || true
    wait "$DAEMON" 2>/dev/null || true
    DAEMON=
    rm -rf "$RUN"
}

# Kills what a test started and left; each by its own pid.
STARTED=()
background()
{
    "$@" >/dev/null 2>&1 3>&- &
    LAST=$!
    STARTED+=("$LAST")
}

end_background()
{
    local pid
    for pid in "${STARTED[@]}"; do
        kill -9 "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    STARTED=()
}

# Waits until a command succeeds, a minute at most: for what another process does in its own time.
eventually() # command...
{
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    echo "not after a minute: $*"
    return 1
}

# Waits until a process is this program: fork and exec take what they take.
runs() # pid, command name
{
    eventually grep -qxF -e "$2" "/proc/$1/comm"
}

# Waits until the program that a process has become, or started, runs; its pid in LAST.
descendant() # pid, command name
{
    eventually descends "$1" "$2"
    LAST=$(descends "$1" "$2")
}

descends() # pid, command name
{
    local child
    ! grep -qsxF -e "$2" "/proc/$1/comm" || { echo "$1"; return 0; }
    for child in $(pgrep -P "$1"); do
        descends "$child" "$2" && return 0
    done
    return 1
}

# Waits until a process has used so much CPU time.
used_cpu() # pid, ticks of 10 ms
{
    eventually eval "[ \$(cpu_ticks $1) -ge $2 ]"
}

status_says() # jq's expression
{
    "$CTL" status --json | jq -e "$1"
}

# Waits until the status says so.
eventually_says() # jq's expression
{
    eventually status_says "$1" || { "$CTL" status --json; return 1; }
}

# A port of 127.0.0.1 that nobody has.
free_port()
{
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Before a command: it goes ahead of the machine's other work, so that slices of time between which a
# clock's ticks fall by chance are not what is measured. The daemon's own priority is higher than usual, too.
AHEAD=(setsid sh -c 'echo -20 2>/dev/null >/proc/self/autogroup; exec nice -n -20 "$@"' sh)
# The same by so much that it has most of a CPU, and what looks at it has the rest.
RATHER_AHEAD=(setsid sh -c 'echo -10 2>/dev/null >/proc/self/autogroup; exec nice -n -10 "$@"' sh)

# In the background: a program whose shares of some hundred samples are judged. It runs when this returns.
ahead() # program, arguments...
{
    local name=${1##*/}
    background "${RATHER_AHEAD[@]}" "$@"
    runs "$LAST" "${name:0:15}"
}

# CPU time of a process and its waited-for children so far, in clock ticks of 10 ms.
cpu_ticks() # pid
{
    # a name may have any byte
    tr '\n' ' ' <"/proc/$1/stat" | LC_ALL=C awk '{ sub(/^.*\) /, ""); print $12 + $13 + $14 + $15 }'
}

# Sum of the samples (or, with a second argument, share in percent) of stacks that match.
folded_count() # folded file, regexp
{
    awk -v re="$2" '$0 ~ re { n += $NF } END { print n + 0 }' "$1"
}

folded_percent()
{
    awk -v re="$2" '{ all += $NF } $0 ~ re { n += $NF } END { printf "%.1f\n", all ? 100 * n / all : 0 }' "$1"
}

within() # value, expected, tolerance
{
    awk -v v="$1" -v e="$2" -v t="$3" 'BEGIN { d = v - e; if (d < 0) d = -d; if (d > t) { print v " is not within " t " of " e; exit 1 } }'
}

folded() # profile, output
{
    "$CTL" report "$1" --format folded -o "$2"
}

# The summary's number of samples due, from a summary on standard input.
due_of()
{
    tr -d , | sed -nE 's/^samples +([0-9]+) due.*/\1/p'
}

# Ticks that the kernel left out while a profile was taken: its CPUs were somewhere else.
missed_of() # profile
{
    go tool pprof -comments "$1" 2>/dev/null | sed -n 's/.*missed_tick \([0-9]*\).*/\1/p' | head -n 1
}

# Whether captures have what their targets' CPU time is worth. A measurement is made longer until it is
# within the percentage, four times at most: errors of sampling become smaller, others do not. Where the
# kernel itself has left out ticks, they are the machine's.
worth() # percent, command that makes a profile at $1 with its summary at $2
{
    local percent=$1 n=0 due=0 missed=0 m i
    shift
    for i in 1 2 3 4; do
        rm -f worth.pb.gz
        "$@" worth.pb.gz worth.err || { cat worth.err; return 1; }
        cat worth.err
        folded worth.pb.gz worth.folded
        m=$(missed_of worth.pb.gz)
        n=$((n + $(folded_count worth.folded .))) due=$((due + $(due_of <worth.err))) missed=$((missed + ${m:-0}))
        echo "$*: $n samples, $due due, $missed missed by the kernel"
        ! within "$n" "$due" $((due * percent / 100 + 2)) || return 0
    done
    [ "$n" -le $((due + due * percent / 100 + 2)) ] && [ "$missed" -gt 0 ] &&
        [ $((n + missed)) -ge $((due - due * percent / 100 - 2)) ]
}

check_pprof()
{
    /usr/bin/python3 "$BATS_TEST_DIRNAME/../cli/check_pprof.py" "$@"
}

# In a file whose tests have BATS_TEST_RETRIES: which of them needed one is counted (scripts/check).
tries_told()
{
    [ "${BATS_TEST_TRY_NUMBER:-1}" -eq 1 ] || [ -z "${BATS_TEST_COMPLETED:-}" ] || echo "passed once more: $BATS_TEST_DESCRIPTION" >&3
}

# One daemon for all tests of a file: setup_file, teardown_file and setup call these.
file_daemon() # further options
{
    require_root
    start_daemon "$@"
    printf 'DAEMON=%s\nRUN=%s\nexport CPROFD_SOCKET=%s\n' "$DAEMON" "$RUN" "$CPROFD_SOCKET" >"$BATS_FILE_TMPDIR/daemon"
}

file_daemon_end()
{
    [ -e "$BATS_FILE_TMPDIR/daemon" ] || return 0
    # shellcheck source=/dev/null
    . "$BATS_FILE_TMPDIR/daemon"
    # not a child of this shell any more
    kill "$DAEMON" 2>/dev/null || true
    for _ in $(seq 300); do
        kill -0 "$DAEMON" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$DAEMON" 2>/dev/null || true
    cat "$RUN/log"
    rm -rf "$RUN"
}

file_daemon_use()
{
    require_root
    # shellcheck source=/dev/null
    . "$BATS_FILE_TMPDIR/daemon"
    cd "$BATS_TEST_TMPDIR" || return 1
}

# Compiles what is on standard input and records it; `ends` counts its samples by how they ended.
record_c() { # name, flags...
    local name=$1
    shift
    cat >"$name.c"
    "${CC_:-gcc}" "$@" -w -o "$name" "$name.c"
    rm -f out.pb.gz
    "$CTL" record --hz "${HZ:-100}" -o out.pb.gz -- "./$name" >/dev/null
    folded out.pb.gz folded
}

# At least PERCENT of the program's samples have stacks that match.
mostly() { # regexp, percent
    local n
    n=$(folded_percent folded "$1")
    echo "$n % match $1"
    sort -t' ' -k2 -n folded | tail -n 3
    awk -v n="$n" -v p="$2" 'BEGIN { exit !(n >= p) }'
}

# Two seconds of CPU time, so that a first sample more or less is within the percentages.
BURN='long clock(void); static volatile unsigned long s; __attribute__((noinline)) static void burn(void) { for (long end = clock() + 2000000; clock() < end;) for (long i = 0; i < 1000000; i++) s += i; }'
