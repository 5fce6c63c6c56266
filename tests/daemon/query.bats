#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cprofctl's verbs for the store, against a daemon that keeps one. One run of it serves all tests.

load common.bash
bats_require_minimum_version 1.5.0

setup_file()
{
    [ "$(id -u)" -eq 0 ] || return 0
    cd "$BATS_FILE_TMPDIR" || return 1
    printf '[Continuous]\nWindow=5s\n[Budget]\nCPU=100%%\n' >conf
    start_daemon --config conf
    # quiet, then a spike by a name that goes to the terminal as it is
    perl -e '$0 = "spike"; 1 while 1' 3>&- &
    spike=$!
    # three in which it ran
    eventually eval '"$CTL" list --json | jq -e "[.[] | select((.open | not) and .cpu_ns > 1e8)] | length >= 3"'
    export RUN DAEMON CPROFD_SOCKET SPIKE=$spike
}

teardown_file()
{
    [ -z "${SPIKE:-}" ] || kill -9 "$SPIKE" 2>/dev/null || true
    stop_daemon
}

setup()
{
    require_root
    cd "$BATS_TEST_TMPDIR" || return 1
}

# samples and nanoseconds of a profile, by go tool pprof
sums()
{
    go tool pprof -raw "$1" 2>/dev/null |
        awk '/^Samples:/ { on = 1 } /^Locations/ { exit } on && $1 ~ /^-?[0-9]+$/ { n += $1; ns += $2 } END { printf "%.0f %.0f\n", n, ns }'
}

# the values that a label has
label() # profile, label
{
    go tool pprof -tags "$1" 2>/dev/null |
        awk -v key="$2:" '$1 == key { on = 1; next } /: Total/ { on = 0 } on && NF { print $NF }'
}

@test "list: the table and the document tell the same" {
    "$CTL" list --json >l.json
    jq -e 'length >= 4 and .[-1].open == true and (.[:-1] | all(.open | not))' l.json
    jq -e '.[0] | has("id") and has("start") and has("duration_ns") and has("samples") and has("cpu_ns") and has("bytes")' l.json
    run -0 "$CTL" list --by comm
    [[ ${lines[0]} == WHEN*CPU*"HEAVIEST BY comm" ]]
    [ "$(grep -c '#' <<<"$output")" -ge 3 ]
    [[ $output == *"spike "*"%"* ]]
    [[ ${lines[-1]} == *"(open)" ]]
    run -0 "$CTL" list --step 1h --json
    jq -e 'all(.id == "")' <<<"$output"
}

@test "get: the range is exactly the sum of its windows" {
    "$CTL" list --json >l.json
    for i in 1 2; do "$CTL" get "$(jq -r ".[$i].id" l.json)" -o "w$i.pb.gz"; done
    # from within the second to within the third: the range overlaps no more than these two
    "$CTL" get --since "$(jq -r '.[1].start | sub("Z$"; ".5Z")' l.json)" --until "$(jq -r '.[2].start | sub("Z$"; ".5Z")' l.json)" -o both.pb.gz
    [ "$(sums both.pb.gz)" = "$({ sums w1.pb.gz; sums w2.pb.gz; } | awk '{ n += $1; ns += $2 } END { printf "%.0f %.0f\n", n, ns }')" ]
    [ "$(sums both.pb.gz)" = "$(jq -r '"\(.[1].samples + .[2].samples) \(.[1].cpu_ns + .[2].cpu_ns)"' l.json)" ]
    # the same names as pprof's own merge
    go tool pprof -proto -output go.pb.gz w1.pb.gz w2.pb.gz >/dev/null 2>&1
    diff <(go tool pprof -top -nodecount 1000 -nodefraction 0 both.pb.gz 2>/dev/null | sed 1,/flat%/d | sort) \
        <(go tool pprof -top -nodecount 1000 -nodefraction 0 go.pb.gz 2>/dev/null | sed 1,/flat%/d | sort)
    # what both cost is one line
    [ "$(go tool pprof -comments both.pb.gz 2>/dev/null | grep -c 'samples taken')" = 1 ]
}

@test "get: every window once, also while it ends and goes to the store" {
    samples() { "$CTL" list --since 1d "$@" --json | jq '[.[].samples] | add'; }
    for ((end = SECONDS + 11; SECONDS < end; )); do
        least=$(samples)
        "$CTL" get --since 1d -o all.pb.gz
        steps=$(samples --step 1h)
        most=$(samples)
        read -r n _ < <(sums all.pb.gz)
        echo "$least, $n, in steps $steps, $most"
        [ "$least" -le "$n" ]
        [ "$n" -le "$steps" ]
        [ "$steps" -le "$most" ]
    done
}

@test "get: filtered, nothing of others comes along" {
    "$CTL" get --comm spike -o s.pb.gz
    [ "$(label s.pb.gz comm)" = spike ]
    # it had another name at first
    "$CTL" get --pid "$SPIKE" -o p.pb.gz
    [ "$(label p.pb.gz pid)" = "$SPIKE" ]
    "$CTL" get --pid "$SPIKE" --format folded -o - >f
    [ "$(folded_count f '^spike;')" -gt 100 ]
    "$CTL" get --exe perl --format folded -o - >f
    [ "$(folded_count f '^spike;')" -gt 100 ]
    run -1 "$CTL" get --since 2h --until "1h ago" -o none
    [ "${#lines[@]}" = 1 ]
    [ ! -e none ]
}

@test "diff: a table of both ranges, and a pprof whose sum is the difference" {
    "$CTL" list --json >l.json
    since=$(jq -r '.[2].start' l.json)
    run -0 "$CTL" diff --since "$since" --until "$(jq -r '.[3].start' l.json)" --baseline "5s before" --comm spike
    [[ ${lines[0]} == "before  "*" s in "*" window"* ]]
    [[ ${lines[1]} == "after   "*" s in "*" window"* ]]
    grep -q 'before.*after.*delta.*points' <<<"$output"
    grep -q ' total$' <<<"$output"
    "$CTL" get "$(jq -r '.[1].id' l.json)" -o a.pb.gz
    "$CTL" get "$(jq -r '.[2].id' l.json)" -o b.pb.gz
    "$CTL" diff a.pb.gz b.pb.gz -o d.pb.gz
    [ "$(sums d.pb.gz | cut -d ' ' -f 1)" = "$(($(sums b.pb.gz | cut -d ' ' -f 1) - $(sums a.pb.gz | cut -d ' ' -f 1)))" ]
    go tool pprof -tags d.pb.gz 2>/dev/null | grep -q 'pprof::base'
    # the same file twice: nothing differs, by any judgement
    run -0 "$CTL" diff a.pb.gz a.pb.gz --rows 0
    run ! grep -v '^~\|^  *before\|^before  a.pb.gz: \|^after   a.pb.gz: ' <<<"$output"
}

@test "snapshot: the open window now" {
    "$CTL" list --json >before
    "$CTL" snapshot -o s.pb.gz
    "$CTL" list --json >after
    # exactly one of those that have come since holds what was fetched
    jq -r --slurpfile before before '[.[] | select(.open | not)] - $before[0] | .[] | "\(.samples) \(.cpu_ns)"' after >new
    [ "$(grep -cxF "$(sums s.pb.gz)" new)" = 1 ]
}

@test "top: on a terminal, for one process, and for an ordinary user" {
    run -0 "$CTL" top --by pid -n 1 -d 1s
    [[ $output == *"$SPIKE "*spike* ]]
    run -0 "$CTL" top "$SPIKE" --by comm -n 1 -d 1s
    [ "$(sed '1,/COMMAND/d' <<<"$output" | grep -c .)" = 1 ]
    # one capture after the other, and of no process but its own
    user=(setpriv --reuid=61000 --regid=61000 --clear-groups)
    "${user[@]}" perl -e '$0 = "mine"; 1 while 1' 3>&- &
    mine=$!
    runs "$mine" mine
    run -0 "${user[@]}" "$CTL" top --by comm -n 3 -d 1s
    kill -9 "$mine"
    [ "$(grep -c ' mine$' <<<"$output")" = 3 ]
    [[ $output != *spike* ]]
    TERM=xterm python3 - "$CTL" <<-'PY'
	import os, pty, sys
	pid, fd = pty.fork()
	if pid == 0:
	    os.execv(sys.argv[1], [sys.argv[1], "top", "-d", "500ms", "-n", "3"])
	out = b""
	while True:
	    try:
	        more = os.read(fd, 65536)
	    except OSError:
	        break
	    if not more:
	        break
	    out += more
	assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
	assert out.count(b"WITH CALLEES") == 3 and out.endswith(b"\x1b[?1049l"), out
	PY
}

@test "status tells of the windows" {
    run -0 "$CTL" status
    [[ $output == *$'\n'"continuous"$'\n'* ]]
    [[ $output == *$'\n'"store"$'\n'* ]]
    [[ $output == *$'\n'"budget"$'\n'* ]]
}
