#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cprofctl list, get, diff, top, snapshot, pause, resume, targets add: what is asked for, what is shown.

load client

WINDOWS='{"windows": [
	{"id": "b-0", "start": "2026-11-24T02:00:00Z", "duration_ns": 60000000000, "samples": 600, "cpu_ns": 6000000000,
	 "bytes": 5000, "lost": 3, "truncated": 0, "frequency_hz": 100, "top": [{"name": "nginx.service", "cpu_ns": 3000000000}]},
	{"id": "b-1", "start": "2026-11-24T02:01:00Z", "duration_ns": 60000000000, "samples": 12000, "cpu_ns": 120000000000,
	 "bytes": 90000, "lost": 0, "truncated": 0, "frequency_hz": 100, "top": [{"name": "cron\u001b[2J\u202e.service", "cpu_ns": 110000000000},
	  {"name": "nginx.service", "cpu_ns": 6000000000}, {"name": "", "cpu_ns": 4000000000}]},
	{"id": "open", "start": "2026-11-24T02:02:00.5Z", "duration_ns": 1000000000, "samples": 10, "cpu_ns": 100000000,
	 "bytes": 0, "lost": 0, "truncated": 0, "frequency_hz": 100, "top": [], "open": true}]}'

asked() { tail -n 1 "$FAKE_LOG" | cut -d ' ' -f 2; }

@test "list: a bar, the heaviest, the spike stands out" {
	fake "$WINDOWS"
	TZ=UTC run -0 "$CPROFCTL" list
	[ "${#lines[@]}" = 4 ]
	[[ ${lines[1]} == "2026-11-24 02:00:00  60 s"*"10.0 %  #  "*"nginx.service 50 %" ]]
	[[ ${lines[2]} == *"200.0 %  ####################  "*'cron\x1b[2J\u{202e}.service 92 %, nginx.service 5.0 %, - 3.3 %' ]] || { echo "${lines[2]}"; false; }
	[[ ${lines[3]} == *"(open)" ]]
	[ "$(asked)" = "/api/v1/windows?by=unit" ]
}

@test "list --sort cpu puts the spike first; --json is one array, the open window last" {
	fake "$WINDOWS"
	TZ=UTC run -0 "$CPROFCTL" list --sort cpu
	[[ ${lines[1]} == "2026-11-24 02:01:00"* ]]
	"$CPROFCTL" list --json >list.json
	python3 - <<-'PY'
		import json
		l = json.load(open("list.json"))
		assert [w["id"] for w in l] == ["b-0", "b-1", "open"], l
		assert l[-1]["open"] is True and l[1]["cpu_ns"] == 120000000000
	PY
}

@test "list --ids: what get takes" {
	fake "$WINDOWS"
	TZ=UTC run -0 "$CPROFCTL" list --ids
	[[ ${lines[0]} == "ID    WHEN "* ]]
	[[ ${lines[1]} == "b-0   2026-11-24 02:00:00  60 s"* ]]
	[[ ${lines[3]} == "open  2026-11-24 02:02:00"*"(open)" ]]
}

@test "list: a filter that meets nothing is told" {
	fake '{"bare": "unit", '"${WINDOWS#\{}"
	run -0 --separate-stderr "$CPROFCTL" list --unit nosuch --json
	[[ $stderr == "note: nothing that was asked for ran in these windows"* ]]
	python3 -c 'import json, sys; assert len(json.load(sys.stdin)) == 3' <<<"$output"
	run -0 --separate-stderr "$CPROFCTL" list --comm nginx
	[ -z "$stderr" ]
}

@test "list --by exe: file names, cut only where there is no room" {
	top='{"name": "/usr/lib/a/very/long/way/cc1plus", "cpu_ns": 83}, {"name": "/usr/bin/as", "cpu_ns": 10}, {"name": "/opt/a-rather-long-name-of-a-program", "cpu_ns": 7}'
	fake '{"windows": [{"id": "b", "start": "2026-11-24T02:00:00Z", "duration_ns": 1000, "samples": 1, "cpu_ns": 100, "top": ['"$top]}]}"
	run -0 "$CPROFCTL" list --by exe
	[[ ${lines[1]} == *" cc1plus 83 %, as 10 %, a-rather-long-name-of-a-program 7.0 %" ]]
	for columns in 80 120 128 129; do
		script -qefc "stty cols $columns; $CPROFCTL list --by exe" "at$columns" </dev/null >/dev/null
	done
	grep -q ' cc1plus 83 %, as 10 %, a-ra.*… 7' at120
	grep -q ' cc1plus 83 %, as 10 %, a-rather-long-name-of-a-program 7' at129
	grep -q ' cc1plus 83 %, as 10 %, a-rather-long-name-of-a-prog.*… 7' at128
	grep -q ' cc1pl… 83 %, as 10 %, a-rat… 7' at80
}

@test "list asks with times in nanoseconds, filters encoded" {
	fake "$WINDOWS"
	TZ=UTC "$CPROFCTL" list --since @1000 --until 1970-01-01T00:20:00Z --step 10m --by comm --unit 'a b&c=d%' --exe /bin/x -p 7 --build-id ff --user root >/dev/null
	[ "$(asked)" = "/api/v1/windows?by=comm&step=600000000000&since=1000000000000&until=1200000000000&unit=a%20b%26c%3Dd%25&exe=%2Fbin%2Fx&pid=7&build_id=ff&user=root" ]
}

@test "a number that may be meant otherwise is no time" {
	for s in 1795864800 11.00; do
		run -2 "$CPROFCTL" list --since $s
		[[ ${lines[0]} == *"'$s' is not a time for --since: write @$s for seconds since 1970"* ]]
	done
}

@test "a night is one range: --since 23:00 --until 00:30" {
	fake "$WINDOWS"
	"$CPROFCTL" list --since 23:00 --until 00:30 >/dev/null
	python3 - "$(asked)" <<-'PY'
		import sys, urllib.parse
		q = urllib.parse.parse_qs(sys.argv[1].split("?")[1])
		assert int(q["until"][0]) - int(q["since"][0]) == 5400 * 10**9, q
	PY
}

@test "no windows: said, and no error" {
	fake '{"windows": []}'
	run -0 "$CPROFCTL" list
	[[ $output == "no windows in this range"* ]]
	[ "$("$CPROFCTL" list --json)" = "[]" ]
}

@test "get: a range, a window by its id, formats" {
	fake "$WINDOWS"
	run -0 "$CPROFCTL" get --since 1h --comm nginx -o p.pb.gz
	is_profile p.pb.gz
	[[ $output == *"p.pb.gz"*"hot"* ]]
	requested '^GET /api/v1/profile?since=[0-9]*&comm=nginx '
	run -0 "$CPROFCTL" get b-1 --format folded -o -
	[[ $output == *"hot 30"* ]]
	requested '^GET /api/v1/windows/b-1/profile '
	run -1 "$CPROFCTL" get nowhere -o q.pb.gz
	[[ $output == *"no window of this id"* ]]
	[ ! -e q.pb.gz ]
	"$CPROFCTL" get
	is_profile cprofd-store-*.pb.gz
}

@test "get: what the file holds, and what to do with it" {
	fake '{"comment": "cprofd 1.0 on host: samples taken 9, lost 1"}'
	TZ=UTC run -0 "$CPROFCTL" get --since 1h --comm hot -o p.pb.gz
	[[ $output == *"cpu      0.6 s in windows of 30 s, the first from 2026-09-21 14:13:20"* ]] || { echo "$output"; false; }
	[[ $output == *"note     all that was recorded then: cprofd 1.0 on host: samples taken 9, lost 1"* ]]
	[[ ${lines[-2]} == "next     go tool pprof -http=: p.pb.gz" ]]
	[[ ${lines[-1]} == "         cprofctl report p.pb.gz" ]]
	run -0 --separate-stderr "$CPROFCTL" get --since 1h --format text -o -
	[[ $stderr != *"next "* ]]
}

@test "snapshot closes the window and fetches it" {
	fake "$WINDOWS"
	"$CPROFCTL" snapshot -o s.pb.gz
	is_profile s.pb.gz
	grep -q '^POST /api/v1/snapshot' "$FAKE_LOG"
	[ "$(asked)" = "/api/v1/windows/open/profile" ]
}

@test "get and snapshot ask for nothing that they cannot write" {
	fake "$WINDOWS"
	for verb in get snapshot; do
		run -1 "$CPROFCTL" $verb -o nowhere/f
		[ "$output" = "cprofctl: cannot write nowhere/f: No such file or directory; make its folder, or choose another place with -o" ]
	done
	[ ! -e "$FAKE_LOG" ]
	[ "$(find . -name '.cprofctl-*')" = "" ]
}

# What diff compares with: windows of 5 s on 2026-11-24, and one of a minute before.
SIDES='"windows": [
	{"id": "o-0", "start": "2026-11-24T01:58:40Z", "duration_ns": 60000000000, "samples": 900},
	{"id": "o-1", "start": "2026-11-24T02:00:00Z", "duration_ns": 5000000000, "samples": 90},
	{"id": "o-2", "start": "2026-11-24T02:00:05Z", "duration_ns": 5000000000, "samples": 90},
	{"id": "o-3", "start": "2026-11-24T02:00:10.5Z", "duration_ns": 5000000000, "samples": 90}]'

# diff_between FROM TO BASELINE [OPTION...]: minutes and seconds after one o'clock in UTC
diff_between() {
	TZ=UTC "$CPROFCTL" diff --since "2026-11-24T0$1Z" --until "2026-11-24T0$2Z" --baseline "$3" "${@:4}"
}

@test "diff of ranges: before, after, delta, points; what is noise is marked" {
	fake '{"names": ["same", "grew.isra.0", "gone::h0123456789abcdef"], "base": [30, 2, 500], '"$SIDES}"
	run -0 diff_between 2:00:05 2:00:10 "5s before"
	t=1795485600
	[ "$(asked)" = "/api/v1/profile?since=$((t + 5))000000000&until=$((t + 10))000000000&baseline_since=${t}000000000&baseline_until=$((t + 5))000000000" ]
	[ "${lines[0]}" = "before  2026-11-24 02:00:00 to 02:00:05, 5.0 s in 1 window" ]
	[ "${lines[1]}" = "after   2026-11-24 02:00:05 to 02:00:10, 5.0 s in 1 window" ]
	[[ ${lines[2]} == *"before"*"after"*"delta"*"points"*"function"* ]]
	[[ ${lines[3]} == *"5.32s"*"0.60s"*"-4.72s"*"total" ]]
	[[ ${lines[4]} =~ ^\ \ .*5\.00s\ +0\.10s\ +-4\.90s\ +-77\.32\ \ gone$ ]]
	[[ ${lines[5]} =~ ^\ \ .*0\.02s\ +0\.20s\ +\+0\.18s\ .*\ grew$ ]]
	[[ ${lines[6]} =~ ^\ \ .*same$ ]]
}

@test "diff of ranges of unequal length: said, and rates are compared" {
	fake '{"names": ["same", "gone"], "base": [240, 120], '"$SIDES}"
	run -0 diff_between 2:00:06 2:00:09 "1min before"
	[ "${lines[0]}" = "before  2026-11-24 01:58:40 to 01:59:40, 60 s in 1 window" ]
	[ "${lines[1]}" = "after   2026-11-24 02:00:05 to 02:00:10, 5.0 s in 1 window" ]
	[ "${lines[2]}" = "note    lengths differ, rates are compared: before's 60 s are scaled to 5.0 s (times 0.0833)" ]
	# 3.6 s of 60 s are 0.3 s of 5 s
	[[ ${lines[4]} =~ ^~\ +0\.30s\ +0\.30s\ +\+0\.00s\ .*total$ ]]
	# in a file they stay what they are, and that is said
	run -0 --separate-stderr diff_between 2:00:06 2:00:09 "1min before" --format folded -o -
	[[ ${stderr_lines[2]} == "note    lengths differ, 60 s and 5.0 s: values are as recorded"* ]]
	[[ $output == *"same -220"* ]]
}

@test "diff of ranges: no window is on both sides" {
	fake '{"names": ["f"], "base": [9], '"$SIDES}"
	# the range takes o-2 whole: the baseline ends where it begins
	run -0 diff_between 2:00:07 2:00:12 "5s before"
	[ "${lines[0]}" = "before  2026-11-24 02:00:00 to 02:00:05, 5.0 s in 1 window" ]
	[ "${lines[1]}" = "after   2026-11-24 02:00:05 to 02:00:15, 10 s in 2 windows" ]
	[[ $(asked) == *"&baseline_until=1795485605000000000" ]]
	# a later baseline begins where the range's last window ends
	run -0 diff_between 2:00:01 2:00:06 "2026-11-24T02:00:07Z"
	[ "${lines[0]}" = "before  2026-11-24 02:00:10 to 02:00:15, 5.0 s in 1 window" ]
	[[ $(asked) == *"&baseline_since=1795485610000000000&"* ]]
	# in one merged window there is nothing to compare
	run -1 diff_between 1:59:10 1:59:20 "10s before"
	[[ $output == *"the range and its baseline are in the same windows"* ]]
	[ "${#lines[@]}" = 1 ]
}

@test "diff of ranges: which side is empty" {
	fake '{"bare": "comm", '"$SIDES}"
	run -1 diff_between 3:00:00 3:00:05 "1h before"
	[[ $output == "cprofctl: no window is in the range (--since, --until): "* ]]
	run -1 diff_between 2:00:05 2:00:10 "1h before"
	[[ $output == "cprofctl: no window is in the baseline: "* ]]
	run -1 diff_between 2:00:05 2:00:10 "5s before" --comm nosuch
	[[ $output == "cprofctl: nothing that was asked for is in the range (--since, --until): "* ]]
}

@test "diff of files, as a table and as a pprof with pprof::base" {
	fake '{"names": ["f.constprop.1", "g"]}'
	"$CPROFCTL" get -o a.pb.gz
	kill "$fake_pid"
	rm ready socket
	fake '{"names": ["f", "g", "h"]}'
	"$CPROFCTL" get -o b.pb.gz
	run -0 "$CPROFCTL" diff a.pb.gz b.pb.gz
	[[ $output =~ 0\.20s\ +0\.30s\ +\+0\.10s\ .*\ f ]]
	[[ ${lines[-1]} == "~ no larger than the error of sampling" ]]
	[[ ${lines[0]} == "before  a.pb.gz: from 2026-"*", 30 s" ]]
	[[ ${lines[1]} == "after   b.pb.gz: from 2026-"*", 30 s" ]]
	"$CPROFCTL" diff a.pb.gz b.pb.gz -o d.pb.gz
	gzip -dc d.pb.gz | grep -q 'pprof::base'
	run -1 "$CPROFCTL" diff a.pb.gz nowhere
	[[ $output == *"cannot read nowhere: No such file"* ]]
	echo no profile >text
	run -1 "$CPROFCTL" diff text b.pb.gz
	[[ $output == *"text is no profile"* ]]
}

@test "diff --json: values, shares, what is more than noise; both sides" {
	fake '{"names": ["same", "grew.isra.0", "gone::h0123456789abcdef", "e\u001b[2Jvil\u202e"], "base": [30, 2, 500, 20], '"$SIDES}"
	diff_between 2:00:05 2:00:10 "5s before" --json >diff.json
	run -0 diff_between 2:00:05 2:00:10 "5s before" --json --rows 1
	python3 - "$output" <<-'PY'
		import json, sys
		d = json.load(open("diff.json"))
		assert d["unit"] == "nanoseconds" and d["scale"] == 1.0, d
		assert d["before"] == {"start": "2026-11-24T02:00:00Z", "end": "2026-11-24T02:00:05Z", "duration_ns": 5000000000,
		                       "windows": 1, "total": 5520000000, "samples": 552}, d["before"]
		assert d["after"]["total"] == 1000000000 and d["after"]["samples"] == 100, d["after"]
		first, grew, evil, same = d["rows"]
		assert first["name"] == "gone" and first["delta"] == first["after"] - first["before"] == -4800000000, first
		assert abs(first["before_share"] - 500 / 552) < 1e-9 and first["after_share"] == 0.2, first
		assert grew["name"] == "grew" and grew["significant"] is True
		assert evil["name"] == "e\x1b[2Jvil\u202e"
		assert same["before"] == 300000000 and same["after"] == 400000000, same
		assert json.loads(sys.argv[1])["rows"] == [first]
	PY
	run -2 diff_between 2:00:05 2:00:10 "5s before" --json -o x.json
	[[ ${lines[0]} == *"--json goes to standard output"* ]]
}

@test "diff --json of files: named, not scaled" {
	fake
	"$CPROFCTL" get -o a.pb.gz
	"$CPROFCTL" diff a.pb.gz a.pb.gz --json >diff.json
	python3 - <<-'PY'
		import json
		d = json.load(open("diff.json"))
		assert d["before"] == {"file": "a.pb.gz", "start": "2026-09-21T14:13:20Z", "duration_ns": 30000000000,
		                       "total": 600000000, "samples": 60}, d["before"]
		assert [r["delta"] for r in d["rows"]] == [0, 0, 0] and not any(r["significant"] for r in d["rows"])
	PY
}

@test "diff on a terminal dims, without colours it does not" {
	fake '{"names": ["a", "b"], "base": [19, 10], '"$SIDES}"
	ranges="--since 2026-11-24T02:00:05Z --until 2026-11-24T02:00:10Z --baseline '5s before'"
	script -qefc "$CPROFCTL diff $ranges" dimmed </dev/null >/dev/null
	grep -q $'\e\\[2m' dimmed
	NO_COLOR=1 script -qefc "$CPROFCTL diff $ranges" plain </dev/null >/dev/null
	run ! grep -q $'\e\\[2m' plain
}

@test "pause and resume" {
	fake
	run -0 "$CPROFCTL" pause 1h
	[[ $output == *"paused until "*"resume"* ]]
	requested '^POST /api/v1/pause .*{"seconds":3600.0*}'
	run -0 "$CPROFCTL" pause
	[[ $output == *"paused until \`cprofctl resume\`"* ]]
	run -0 "$CPROFCTL" resume
	[[ $output == *"goes on"* ]]
}

@test "targets add, remove, rules" {
	fake '{"rules": {"all": false, "include": [{"kind": "pid", "value": "1234"}], "exclude": [{"kind": "comm", "value": "x\u001b[2J"}]}}'
	run -0 "$CPROFCTL" targets add 1234 --unit nginx.service
	grep '^POST /api/v1/targets ' "$FAKE_LOG" | grep -q '"action":"add","targets":\[{"kind":"unit","value":"nginx.service"},{"kind":"pid","value":"1234"}\]'
	[[ $output == *"include  pid       1234"* ]]
	[[ $output == *'exclude  comm      x\x1b[2J'* ]]
	run -0 "$CPROFCTL" targets remove --pid 1234
	requested '"action":"remove"'
	"$CPROFCTL" targets rules --json | python3 -c 'import json, sys; assert json.load(sys.stdin)["all"] is False'
}

@test "targets add: what nothing is of now, and what is taken anyway, is noted" {
	fake '{"rules": {"all": false, "include": [], "exclude": []}, "targets": [
		{"pid": 1, "comm": "a-name-of-15-by", "unit": "nginx.service", "container": "", "user": "root", "cpu": 0},
		{"pid": 2, "comm": "b", "unit": "", "container": "3f4e8a1122", "user": "root", "cpu": 0}]}'
	run -0 --separate-stderr "$CPROFCTL" targets add --comm a-name-of-15-bytes-or-more --unit nginx --unit nginx.service --unit user.slice \
		--container 3f4e8a --cgroup /nosuch --pid 77777
	[ "$stderr" = "" ]
	run -0 --separate-stderr "$CPROFCTL" targets add --comm nosuch-$$ --unit ngin --container 3f4e8b
	[ "${#stderr_lines[@]}" = 3 ]
	[ "${stderr_lines[1]}" = "note: no process is of unit ngin now: it is taken when one starts; \`cprofctl targets\` shows the names of what runs" ]
	run -0 --separate-stderr "$CPROFCTL" targets remove --unit ngin
	[[ $stderr == *"unit ngin now: it is left out when one starts"* ]]
	kill "$fake_pid"
	rm ready socket
	fake '{"targets": [{"comm": "b"}]}'
	run -0 --separate-stderr "$CPROFCTL" targets add --comm b
	[[ $stderr == "note: everything is taken"* ]]
	run -0 --separate-stderr "$CPROFCTL" targets remove --comm b
	[ "$stderr" = "" ]
}

@test "top: plain lines where there is no terminal" {
	fake '{"names": ["hot", "e\u001b[2Jvil", "cold"]}'
	run -0 "$CPROFCTL" top -n 2 -d 200ms --rows 2 1234
	[ "$(grep -c '^cprofctl top' <<<"$output")" = 2 ]
	[[ $output == *"FUNCTION"*"hot"*'e\x1b[2Jvil'* ]]
	[[ $output != *"cold"* ]]
	requested '"targets":\[{"kind":"pid","value":"1234"}\]'
	requested '"symbols":"fast"'
}

@test "top: whose it is that ran, where none of it may be seen" {
	fake '{"empty": true, "names": [], "progress": {"not_permitted": 7}}'
	run -0 "$CPROFCTL" top -n 1 -d 200ms
	[[ $output == *"nothing of yours ran: what ran belongs to other users"* ]]
}

@test "top --json: one document, or with -n one a line" {
	fake '{"names": ["hot", "e\u001b[2Jvil", "cold"], "progress": {"lost": {"ring_full": 3}}}'
	"$CPROFCTL" top --json -d 200ms >one.json
	"$CPROFCTL" top --json -n 2 -d 200ms --rows 2 >two.json
	"$CPROFCTL" top --json --by pid -d 200ms >pids.json
	python3 - <<-'PY'
		import json
		one = json.load(open("one.json"))
		assert list(one) == ["start", "duration_ns", "samples", "cpu_ns", "lost", "by", "rows"], one
		assert one["start"].endswith("Z") and one["by"] == "function" and one["lost"] == 3, one
		hot, evil, cold = one["rows"]
		assert hot["name"] == "hot" and hot["flat_ns"] == hot["cum_ns"] == 300000000 and hot["flat_share"] == 0.5, hot
		assert abs(hot["cpu"] - hot["flat_ns"] / one["duration_ns"]) < 1e-9
		assert evil["name"] == "e\x1b[2Jvil"
		lines = [json.loads(l) for l in open("two.json")]
		assert [len(l["rows"]) for l in lines] == [2, 2]
		assert json.load(open("pids.json"))["rows"][0]["pid"] == 0
	PY
}

@test "top --json on a terminal: a line, no page" {
	fake
	TERM=xterm script -qefc "$CPROFCTL top --json -d 200ms" page </dev/null >/dev/null
	run ! grep -q '1049h' page
	grep -q '"by":"function"' page
	start_client top --json -n 0 -d 200ms
	wait_for grep -q '"rows"' out
	kill -TERM "$client_pid"
	ended_with 0 "$client_pid"
}

@test "top on a terminal: draws again, follows its size, q ends, all is as before" {
	fake
	run -0 python3 - "$CPROFCTL" <<-'PY'
		import fcntl, os, pty, select, signal, struct, sys, termios, time

		def size(fd, rows, columns):
		    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

		def run(end):
		    pid, fd = pty.fork()
		    if pid == 0:
		        size(0, 24, 100)
		        os.environ["TERM"] = "xterm"
		        os.execv(sys.argv[1], [sys.argv[1], "top", "-d", "200ms"])
		    out = b""
		    before = termios.tcgetattr(fd)
		    deadline, ended = time.time() + 120, False
		    while time.time() < deadline:
		        if select.select([fd], [], [], 0.1)[0]:
		            try:
		                more = os.read(fd, 65536)
		            except OSError:
		                break
		            if not more:
		                break
		            out += more
		        if not ended and out.count(b"FUNCTION") >= 2:
		            assert not termios.tcgetattr(fd)[3] & termios.ECHO
		            size(fd, 10, 20)
		            os.kill(pid, signal.SIGWINCH)
		            time.sleep(0.3)
		            end(fd, pid)
		            ended = True
		    status = os.waitpid(pid, 0)[1]
		    assert ended, out
		    assert out.startswith(b"\x1b[?1049h") and out.rstrip().endswith(b"\x1b[?1049l"), out
		    assert out.count(b"\x1b[?25h") == 1
		    assert os.waitstatus_to_exitcode(status) == 0, status

		run(lambda fd, pid: os.write(fd, b"q"))
		run(lambda fd, pid: os.write(fd, b"\x03"))
		run(lambda fd, pid: os.kill(pid, signal.SIGTERM))
	PY
}

@test "top: the daemon's refusal is told, on a terminal after the page is gone" {
	fake '{"refuse": {"/api/v1/captures": [403, "no, not you"]}}'
	run -1 "$CPROFCTL" top -n 1
	[ "$output" = "cprofctl: no, not you" ]
	kill "$fake_pid"
	rm ready socket
	fake '{"failed": "it broke"}'
	# keys that never come: the end of the input would end top, perhaps before the refusal does
	mkfifo keys
	TERM=xterm script -qefc "$CPROFCTL top -d 200ms" page <>keys >/dev/null || true
	# the page, then the line, and nothing behind it that would hide it
	grep -a 'it broke' page | tail -n 1 | grep -qva '1049h.*it broke.*1049l'
}

@test "wrong usage of the store's verbs exits 2" {
	for args in "list --since soon" "list --until yesterdays" "list --sort size" "list --by user" "list --step 0" "list x" "list --ids --step 1h" \
		"list --since 1h --until 2h" "get a b" "get --format png" "get -p x" "get id --since 1h" "get a/b" "diff" "diff a" "diff a b c" \
		"diff --since 1h" "diff --baseline 1h" "diff --since 1h --baseline soon" "diff a b --format svg" "diff a b --rows x" \
		"snapshot x" "snapshot --format png" "pause soon" "pause 0" "pause 1h 2h" "resume x" "targets add" "targets add x" \
		"targets add --all" "targets remove --frob" "top --by exe" "top -d 0" "top -n x" "top --rows 0" "top -d 1h" "top x" "top --hz 0"; do
		# shellcheck disable=SC2086 # words are wanted
		run -2 "$CPROFCTL" $args
		[[ ${lines[0]} == "cprofctl: "* ]] && [[ ${lines[1]} == "usage: cprofctl "* ]] || { echo "$args: $output"; false; }
		[ "${#lines[@]}" = 2 ]
	done
	run -2 "$CPROFCTL" get --since $'\e[2J'
	[[ ${lines[0]} == *'\x1b[2J'* ]]
}
