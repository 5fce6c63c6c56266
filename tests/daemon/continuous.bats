#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Profiling all the time: windows, whom they take, captures beside them, pause, the budget.

load common.bash

setup()
{
    require_root
    cd "$BATS_TEST_TMPDIR" || return 1
}

teardown()
{
    end_background
    stop_daemon
}

# A daemon with a configuration of its own.
continuous_daemon() # configuration
{
    printf '%s\n' "$1" >conf
    # what the machine's other work costs it is not to lower the frequency, but where that is the subject
    grep -q Budget conf || printf '[Budget]\nCPU=100%%\n' >>conf
    start_daemon --config conf
}

api() # path, further options of curl
{
    local path=$1
    shift
    curl -sS --fail-with-body --unix-socket "$CPROFD_SOCKET" "http://cprofd$path" "$@"
}

busy()
{
    background perl -e "\$0 = '$1'; 1 while 1"
}

# Nanoseconds of CPU that windows have of a command name.
used() # comm
{
    api "/api/v1/windows?comm=$1" | jq '[.[].cpu_ns] | add // 0'
}

# Waits for a number of stored windows.
wait_windows() # at least
{
    eventually stored_windows "$1"
}

stored_windows() # at least
{
    [ "$(api /api/v1/windows | jq '[.[] | select(.open | not)] | length')" -ge "$1" ]
}

# Waits until a command name has more than so many nanoseconds.
has_used() # comm, nanoseconds
{
    eventually eval "[ \$(used '$1') -gt $2 ]"
}

# A CPU that tests may use: the first or the last.
cpu() # index
{
    /usr/bin/python3 -c 'import os, sys; print(sorted(os.sched_getaffinity(0))[int(sys.argv[1])])' "$1"
}

@test "windows are aligned to the clock, follow upon one another, and miss nothing of a busy process" {
    continuous_daemon $'[Continuous]\nWindow=5s'
    background "${AHEAD[@]}" taskset -c "$(cpu 0)" perl -e '1 while 1'
    wait_windows 3
    api /api/v1/windows >w.json
    jq -e '.[-1].open == true and .[-1].id == "open"' w.json
    # the first one begins when the daemon does; each further one where the last ended, on a multiple of 5 s
    jq -e '[.[1:-1][] | .start | test(":[0-5][05]Z$")] | all' w.json
    jq -e '[.[1:-1][] | .duration_ns - 5e9 | fabs < 1e7] | all' w.json
    jq -e '.[1].frequency_hz == 100' w.json
    # what one process used is what the kernel says that it did, less what the status counts as lost
    before=$(awk -v t="$(cpu_ticks "$LAST")" 'BEGIN { print t / 100 }')
    api "/api/v1/windows?pid=$LAST" | jq '[.[].cpu_ns] | add / 1e9' >seconds
    after=$(awk -v t="$(cpu_ticks "$LAST")" 'BEGIN { print t / 100 }')
    lost=$("$CTL" status --json | jq '[.samples.lost[]] | add / 100')
    awk -v s="$(cat seconds)" -v b="$before" -v a="$after" -v l="$lost" 'BEGIN { exit !(s > b * 0.9 - l - 1 && s < a * 1.05 + 0.5) }'
    # labels of stored samples
    id=$(jq -r '.[1].id' w.json)
    api "/api/v1/windows/$id/profile" -o one.pb.gz
    go tool pprof -tags one.pb.gz >tags 2>/dev/null
    grep -q ' pid: ' tags
    grep -q ' comm: ' tags
    grep -q ' thread: ' tags
    run grep -E ' (tid|cpu): ' tags
    [ "$status" -ne 0 ]
    api "/api/v1/profile?pid=$LAST" -o pid.pb.gz
    check_pprof pid.pb.gz
}

@test "a range is one profile, the open window included; what it holds is what the list says" {
    continuous_daemon $'[Continuous]\nWindow=5s'
    busy spinner
    wait_windows 2
    listed() { api "/api/v1/windows?comm=perl&comm=spinner" | jq '[.[].cpu_ns] | add / 1e9'; }
    least=$(listed)
    api "/api/v1/profile?comm=perl&comm=spinner" -o all.pb.gz
    most=$(listed)
    check_pprof all.pb.gz
    seconds=$(go tool pprof -raw all.pb.gz 2>/dev/null | awk '/^ *[0-9]+ +[0-9]+:/ { n += $2 } END { print n / 1e9 }')
    echo "$least, $seconds, $most"
    awk -v l="$least" -v s="$seconds" -v m="$most" 'BEGIN { exit !(s > l - 0.001 && s < m + 0.001) }'
    # stored windows alone: exactly
    api /api/v1/windows >w.json
    until=$(jq -r '[.[] | select(.open | not)][-1].start' w.json)
    stored=$(jq -r --arg u "$until" '[.[] | select(.start < $u and (.open | not)) | .samples] | add' w.json)
    api "/api/v1/profile?until=$until" -o stored.pb.gz
    samples=$(go tool pprof -raw stored.pb.gz 2>/dev/null | awk '/^ *[0-9]+ +[0-9]+:/ { n += $1 } END { print n }')
    [ "$samples" -eq "$stored" ]
    # the same as net/http/pprof's path has it
    api "/debug/pprof/profile?until=$until" -o same.pb.gz
    cmp stored.pb.gz same.pb.gz
    # its executable, whose build-id the index knows
    api "/api/v1/profile?exe=perl" -o exe.pb.gz
    go tool pprof -tags exe.pb.gz 2>/dev/null | grep -q spinner
    run api "/api/v1/profile?exe=no-such-thing"
    [[ $output == *"no window is in this range"* ]]
    run api "/api/v1/profile?since=2000-01-01T00:00:00Z&until=2000-01-02T00:00:00Z"
    [[ $output == *"no window is in this range"* ]]
    run api "/api/v1/profile?since=tomorrow&until=yesterday"
    [[ $output == *"since must be before until"* ]]
}

@test "with a baseline its samples are negative and labelled" {
    continuous_daemon $'[Continuous]\nWindow=5s'
    busy spinner
    wait_windows 2
    split=$(api /api/v1/windows | jq -r '.[1].start')
    api "/api/v1/profile?since=$split&baseline_until=$split" -o diff.pb.gz
    go tool pprof -raw diff.pb.gz 2>/dev/null >raw
    grep -q 'pprof::base:\[true\]' raw
    awk '/^ *-[0-9]+ +-[0-9]+:/ { n++ } END { exit !n }' raw
}

@test "a capture beside it: neither takes from the other" {
    continuous_daemon $'[Continuous]\nWindow=5s'
    background "${AHEAD[@]}" taskset -c "$(cpu -1)" perl -e '1 while 1'
    pid=$LAST
    used_cpu "$pid" 50
    "$CTL" capture --pid "$pid" --seconds 4 -o same.pb.gz 2>same &
    "$CTL" capture --pid "$pid" --seconds 4 --hz 200 -o other.pb.gz 2>other
    wait $!
    # of 100 Hz, which is the clock of continuous profiling, too, and of 200 Hz: never more than was due
    for which in same other; do
        due=$(due_of <$which)
        taken=$(go tool pprof -raw $which.pb.gz 2>/dev/null | awk '/^ *[0-9]+ +[0-9]+:/ { n += $1 } END { print n }')
        lost=$(tr -d , <$which | sed -nE 's/.*taken, ([0-9]+) lost.*/\1/p')
        [ "$taken" -le $((due * 11 / 10 + 5)) ]
        [ $((taken + ${lost:-0})) -ge $((due * 8 / 10 - 5)) ]
    done
    before=$(awk -v t="$(cpu_ticks "$pid")" 'BEGIN { print t / 100 }')
    api "/api/v1/windows?pid=$pid" | jq '[.[].cpu_ns] | add / 1e9' >seconds
    after=$(awk -v t="$(cpu_ticks "$pid")" 'BEGIN { print t / 100 }')
    lost=$("$CTL" status --json | jq '[.samples.lost[]] | add / 100')
    awk -v s="$(cat seconds)" -v b="$before" -v a="$after" -v l="$lost" 'BEGIN { exit !(s > b * 0.9 - l - 1 && s < a * 1.05 + 0.5) }'
}

@test "a snapshot closes the open window now; a stop keeps the cut one with its true duration" {
    continuous_daemon $'[Continuous]\nWindow=1h'
    busy spinner
    used_cpu "$LAST" 150
    api /api/v1/snapshot -X POST >snapshot
    jq -e '.duration_ns > 1e9 and .duration_ns < 20e9 and .samples > 50' snapshot
    id=$(jq -r .id snapshot)
    api "/api/v1/windows/$id/profile" -o one.pb.gz
    go tool pprof -top one.pb.gz >/dev/null 2>&1
    api "/api/v1/profile?comm=spinner" -o spinner.pb.gz
    check_pprof spinner.pb.gz
    sleep 1
    start=$(date +%s%N)
    kill "$DAEMON"
    wait "$DAEMON"
    [ $((($(date +%s%N) - start) / 1000000)) -lt 5000 ]
    sqlite3 "$RUN/state/index.sqlite" 'SELECT duration_ns / 1e9 FROM window ORDER BY seq' >durations
    [ "$(wc -l <durations)" -eq 2 ]
    awk 'NR == 2 { exit !($1 > 0.9 && $1 < 60) }' durations
    DAEMON=
    rm -rf "$RUN"
}

@test "what is excluded is left out and counted; targets come and go at run time" {
    continuous_daemon $'[Continuous]\nWindow=5s\nExclude=comm:left-out'
    busy left-out
    busy taken
    taken=$LAST
    has_used taken 100000000
    eventually_says '.continuous.excluded > 5'
    [ "$(used left-out)" -eq 0 ]
    # now the other way round
    api /api/v1/targets -d '{"action":"add","targets":[{"kind":"comm","value":"left-out"}]}' | jq -e '.exclude == []'
    api /api/v1/targets -d "{\"action\":\"remove\",\"targets\":[{\"kind\":\"pid\",\"value\":\"$taken\"}]}" |
        jq -e '.exclude[0].kind == "pid"'
    api /api/v1/snapshot -X POST >/dev/null
    taken_before=$(used taken)
    sleep 2
    has_used left-out 100000000
    # what was under way when it was said
    [ $(($(used taken) - taken_before)) -lt 300000000 ]
    # a rule of a process ends with it
    kill -9 "$taken"
    eventually eval "api /api/v1/targets/rules | jq -e '.exclude == []'"
    run api /api/v1/targets -d '{"action":"remove","targets":[{"kind":"pid","value":"999999999"}]}'
    [[ $output == *"pid:999999999"* ]]
    # also where all is taken, so that there is nothing to add
    run "$CTL" targets add --pid 4194303
    [ "$output" = "cprofctl: pid:4194303: no such process: see what runs with \`cprofctl targets\`" ]
    [ "$status" -eq 1 ]
    run "$CTL" targets add --user no-such-user
    [ "$status" -eq 1 ]
    [[ $output == *"no such user"* ]]
    run api /api/v1/targets -d '{"action":"add","targets":[{"kind":"colour","value":"red"}]}'
    [[ $output == *"kind must be"* ]]
}

@test "only what is included: a name with its children, or a user" {
    continuous_daemon $'[Continuous]\nWindow=5s\nInclude=comm:chosen user:nobody'
    busy other
    background perl -e '$0 = "chosen"; if (fork == 0) { $0 = "child"; } 1 while 1'
    # it is nobody's to wait for when its parent is gone
    descendant "$LAST" child
    STARTED+=("$LAST")
    background setpriv --reuid=65534 --clear-groups perl -e '$0 = "nobodys"; 1 while 1'
    for name in nobodys chosen child; do has_used $name 0; done
    api "/api/v1/windows?by=comm" >w.json
    # a name is that of the process when it began; what runs as nobody besides is not ours to say
    jq -e '[.[].top[].name] | index("other") == null' w.json
    [ "$(used other)" -eq 0 ]
}

@test "pause for a while, and resume" {
    continuous_daemon $'[Continuous]\nWindow=1h'
    busy spinner
    eventually_says '.continuous.samples > 0'
    api /api/v1/pause -d '{}' | jq -e '.paused == true and .running == false'
    # what was under way comes in; then nothing
    # (if sampling went on there would be more each second)
    count() { "$CTL" status --json | jq .continuous.samples; }
    no_more() { local n; n=$(count); sleep 2; [ "$(count)" -eq "$n" ]; }
    eventually no_more
    status_says '.continuous.paused and .continuous.samples > 0'
    eventually eval "api /api/v1/windows | jq -e '[.[] | select(.open)] == []'"
    run api /api/v1/snapshot -X POST
    [[ $output == *"does not run"* ]]
    api /api/v1/resume -X POST | jq -e '.running == true'
    api /api/v1/pause -d '{"seconds":1}' | jq -e '.paused == true and (.paused_until | length > 0)'
    eventually_says '.continuous.paused == false and .continuous.running'
}

@test "ordinary users get nothing of it" {
    continuous_daemon $'[Continuous]\nWindow=5s'
    for path in windows windows/open/profile profile targets/rules; do
        run setpriv --reuid=61000 --regid=61000 --clear-groups curl -sS -o /dev/null -w '%{http_code}' --unix-socket "$CPROFD_SOCKET" "http://cprofd/api/v1/$path"
        [ "$output" = 403 ]
    done
    for path in snapshot pause resume targets; do
        run setpriv --reuid=61000 --regid=61000 --clear-groups curl -sS -X POST -d '{}' -w '%{http_code}' --unix-socket "$CPROFD_SOCKET" "http://cprofd/api/v1/$path" --output /dev/null
        [ "$output" = 403 ]
    done
    run setpriv --reuid=61000 --regid=61000 --clear-groups curl -sS -w '%{http_code}' --unix-socket "$CPROFD_SOCKET" "http://cprofd/debug/pprof/profile?since=-1h" --output /dev/null
    [ "$output" = 403 ]
}

# Seconds that all CPUs were busy since the machine's start, by the kernel's account.
busy_seconds()
{
    awk '$1 == "cpu" { print ($2 + $3 + $4 + $7 + $8) / 100 }' /proc/stat
}

@test "over the budget naming waits, then the frequency goes down, and it is said; and back" {
    earliest=$(busy_seconds)
    continuous_daemon $'[Continuous]\nWindow=5s\n[Budget]\nCPU=0.01%\nMean=5s'
    begun=$(busy_seconds)
    busy a
    busy b
    eventually_says '.budget.state == "reduced" and .continuous.frequency_hz <= 50 and .continuous.configured_hz == 100'
    grep -q 'windows are named later' "$RUN/log"
    grep -q 'Hz in place of 100 Hz' "$RUN/log"
    api /api/v1/snapshot -X POST >/dev/null
    # long enough for a few dozen samples at 1 Hz
    sleep 20
    api /api/v1/snapshot -X POST >snapshot
    jq -e '.samples < .duration_ns / 1e9 * 2 * 60' snapshot
    api "/api/v1/windows/$(jq -r .id snapshot)/profile" -o one.pb.gz
    go tool pprof -comments one.pb.gz | grep -q 'budget: '
    # more is allowed: back at once
    printf '[Continuous]\nWindow=5s\n[Budget]\nCPU=100%%\nMean=5s\n' >conf
    kill -HUP "$DAEMON"
    eventually_says '.budget.state == "ok" and .continuous.frequency_hz == 100'
    # Totals stay true at 100 Hz, at every rate below, and at 100 Hz again: fewer samples weigh more. What a CPU did
    # since the last tick of each of a clock's two events is in no sample when the rate changes: a period at the mean,
    # two at most, 3.4 s a CPU for all of them from 100 Hz to 1 Hz and back.
    ended=$(busy_seconds)
    api /api/v1/windows >w.json
    latest=$(busy_seconds)
    jq -r '"\([.[].cpu_ns] | add / 1e9) \([.[].samples] | add / 100) \([.[] | .lost / .frequency_hz] | add)"' w.json >totals
    echo "busy from $earliest, $begun to $ended, $latest; cpu, seconds at 100 Hz, lost: $(cat totals)"
    awk -v least="$(awk -v a="$ended" -v b="$begun" -v n="$(nproc)" 'BEGIN { print (a - b) * 0.94 - 3.4 * n }')" \
        -v most="$(awk -v a="$latest" -v b="$earliest" -v n="$(nproc)" 'BEGIN { print (a - b) * 1.04 + n }')" '
        { exit !($1 + $3 > least && $1 < most && $2 < $1 * 0.6) }' totals
}

@test "Enabled=no: nothing is sampled while nobody asks; a reload switches it on" {
    continuous_daemon $'[Continuous]\nEnabled=no'
    busy spinner
    used_cpu "$LAST" 50
    "$CTL" status --json | jq -e '.samples.taken == 0 and .continuous.enabled == false and .continuous.running == false'
    printf '[Continuous]\nWindow=5s\n' >conf
    kill -HUP "$DAEMON"
    eventually_says '.continuous.running and .continuous.samples > 50'
}
