#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cprofctl capture, against a fake daemon.

load client

@test "capture writes the profile and tells what it has seen" {
	fake '{"progress": {"due": 2999, "target_cpu_ns": 29900000000, "elapsed_ns": 30000000000,
		"samples": 2997, "lost": {"missed_tick": 2, "ring_full": 0}, "truncated": 30}}'
	run "$CPROFCTL" capture 1234 --seconds 0.3 -o out.pb.gz
	[ "$status" = 0 ]
	is_profile out.pb.gz
	[[ $output == *"out.pb.gz"* ]]
	[[ $output == *"cpu      29.9 s of 30 s, 99.7 %"* ]]
	[[ $output == *"2,999 due, 2,997 taken, 30 cut short (1 %); of the whole machine 2 lost (missed tick)"* ]]
	[[ $output == *"go tool pprof -http=: out.pb.gz"* ]]
	[[ $output == *"cprofctl report out.pb.gz"* ]]
	[[ $output != *"ring full"* ]]
	[[ $output != *"mostly waits"* ]]
}

@test "capture shows the hottest functions, ten at most, hottest first" {
	fake '{"names": ["f01", "f02", "f03", "f04", "f05", "f06", "f07", "f08", "f09", "f10", "f11"]}'
	run "$CPROFCTL" capture 1234 --seconds 0.2 -o out.pb.gz
	[ "$status" = 0 ]
	[ "$(grep -o 'f[01][0-9]$' <<<"$output" | tr '\n' ' ')" = "f01 f02 f03 f04 f05 f06 f07 f08 f09 f10 " ]
}

@test "capture asks for what the options say" {
	fake
	"$CPROFCTL" capture 12,13 -p 14 --comm nginx --unit a.service --cgroup /x --container 3f4e \
		--seconds 100ms -F 250 --no-children --symbols=fast --names=short -o out.pb.gz
	body=$(sed -n 's,^POST /api/v1/captures [0-9]* ,,p' "$FAKE_LOG")
	python3 - "$body" <<-'EOF'
		import json, sys
		b = json.loads(sys.argv[1])
		assert [(t["kind"], t["value"]) for t in b["targets"]] == [("pid", "14"), ("comm", "nginx"),
		    ("unit", "a.service"), ("cgroup", "/x"), ("container", "3f4e"), ("pid", "12"), ("pid", "13")], b
		assert (b["seconds"], b["hz"], b["children"], b["symbols"], b["names"]) == (0.1, 250, False, "fast", "short"), b
	EOF
}

@test "defaults are 30 seconds, 100 Hz, children, full symbols" {
	fake '{"refuse": {"/api": [400, "enough"]}}'
	run -1 "$CPROFCTL" capture -a -o out.pb.gz
	body=$(sed -n 's,^POST /api/v1/captures [0-9]* ,,p' "$FAKE_LOG")
	python3 - "$body" <<-'EOF'
		import json, sys
		b = json.loads(sys.argv[1])
		assert b["targets"] == [{"kind": "all", "value": ""}], b
		assert (b["seconds"], b["hz"], b["children"], b["symbols"], b["names"]) == (30, 100, True, "full", "full"), b
	EOF
}

@test "one connection carries all requests of a capture" {
	fake
	"$CPROFCTL" capture 1 --seconds 0.5 -o out.pb.gz
	[ "$(wc -l <"$FAKE_LOG")" -gt 3 ]
	[ "$(awk '{ print $3 }' "$FAKE_LOG" | sort -u | wc -l)" = 1 ]
}

@test "-o - sends the profile, and nothing else, to standard output" {
	fake
	"$CPROFCTL" capture 1 --seconds 0.2 -o - >piped 2>err
	is_profile piped
	grep -q 'standard output' err
	[ "$(find . -name 'cprofd-*')" = "" ]
}

@test "a pipe sees no progress bar, a terminal does" {
	fake
	"$CPROFCTL" capture 1 --seconds 0.6 -o out.pb.gz 2>err
	run ! grep -q $'\r\|\033' err
	TERM=xterm script -qefc "$CPROFCTL capture 1 --seconds 0.8 -o tty.pb.gz" typescript >/dev/null </dev/null
	grep -q $'\r.*s of 0.8 s  [0-9]* samples' typescript
}

@test "a compressed profile does not go to a terminal" {
	fake
	run -2 script -qefc "$CPROFCTL capture 1 --seconds 0.2 -o -" typescript </dev/null
	[[ $output == *"does not belong on a terminal"* ]]
}

@test "Ctrl-C ends the capture, saves it and exits 0" {
	fake
	start_client capture 1 -o out.pb.gz
	wait_for requested '^GET /api/v1/captures/'
	kill -INT "$client_pid"
	ended_with 0 "$client_pid"
	requested '^POST /api/v1/captures/[0-9a-f]*/stop'
	is_profile out.pb.gz
	grep -q 'samples' err
}

@test "SIGTERM does the same" {
	fake
	start_client capture 1 --seconds 0 -o out.pb.gz
	wait_for requested '^GET /api/v1/captures/'
	kill -TERM "$client_pid"
	ended_with 0 "$client_pid"
	is_profile out.pb.gz
}

@test "Ctrl-C on a terminal saves too" {
	fake
	ctrl_c_on_terminal " of 30 s" 0 capture 1 -o out.pb.gz
	is_profile out.pb.gz
}

@test "a second Ctrl-C gives up and leaves nothing behind" {
	fake '{"slow_profile": 60}'
	start_client capture 1 --seconds 0.1 -o out.pb.gz
	wait_for requested '/profile'
	# two that come together are one
	wait_for interrupt_again "$client_pid"
	ended_with 1 "$client_pid"
	grep -q 'nothing was saved' err
	[ ! -e out.pb.gz ]
	[ "$(find . -name '.cprofctl-*')" = "" ]
}

@test "nohup's SIGHUP is ignored, another one saves" {
	fake
	(trap '' HUP; exec "$CPROFCTL" capture 1 --seconds 1 -o out.pb.gz 2>err 3>&-) &
	client_pid=$!
	wait_for requested '^GET /api/v1/captures/'
	kill -HUP "$client_pid"
	ended_with 0 "$client_pid"
	run ! requested '/stop'
}

@test "a process that mostly waits is told apart, with its threads' states" {
	fake '{"progress": {"target_cpu_ns": 400000000, "elapsed_ns": 30000000000, "waiting": "2 sleeping, 1 in disk wait"}}'
	run "$CPROFCTL" capture 1 --seconds 0.2 -o out.pb.gz
	[ "$status" = 0 ]
	[[ $output == *"cpu      0.4 s of 30 s, 1.3 %"* ]]
	[[ $output == *"mostly waits"*"2 sleeping, 1 in disk wait"* ]]
}

@test "no samples: a valid empty file, and why" {
	fake '{"empty": true, "progress": {"waiting": "1 sleeping"}}'
	run "$CPROFCTL" capture 1 --seconds 0.2 -o out.pb.gz
	[ "$status" = 0 ]
	gzip -t out.pb.gz
	[[ $output == *"no samples: it waited all the time (its threads: 1 sleeping)"* ]]
	[[ $output == *"--seconds"* ]]
}

@test "no samples because they are others'" {
	fake '{"empty": true, "progress": {"not_permitted": 7}}'
	run "$CPROFCTL" capture 1 --seconds 0.2 -o out.pb.gz
	[[ $output == *"no samples: what ran belongs to other users"*"sudo"* ]]
	[[ $output == *"7 not permitted"* ]]
}

@test "no samples: the machine's missed ticks are not the target's" {
	fake '{"empty": true, "progress": {"lost": {"missed_tick": 4, "ring_full": 0}}}'
	run "$CPROFCTL" capture --comm nosuch --seconds 0.2 -o out.pb.gz
	[ "$status" = 0 ]
	[[ $output == *"no samples: nothing of it ran in "*"\`cprofctl targets\`"* ]]
	[[ $output == *"0 taken; of the whole machine 4 lost (missed tick)"* ]]
}

@test "no samples: what may have been the target's is not passed over" {
	fake '{"empty": true, "progress": {"lost": {"missed_tick": 4, "ring_full": 2, "aggregate_full": 0}}}'
	run "$CPROFCTL" capture 1 --seconds 0.2 -o out.pb.gz
	[[ $output == *"no samples: what the machine lost, see below, may have been its; \`cprofctl status\`"* ]]
	[[ $output == *"0 taken; of the whole machine 4 lost (missed tick), 2 lost (ring full)"* ]]
}

@test "a capture of everything counts the machine's losses as its own" {
	fake '{"progress": {"samples": 38, "truncated": 38, "lost": {"missed_tick": 4}}}'
	run "$CPROFCTL" capture --all --seconds 0.2 -o out.pb.gz
	[[ $output == *"38 taken, 4 lost (missed tick), 38 cut short (100 %)"* ]]
}

@test "a target that ends is noted, and what it left is saved" {
	fake '{"progress": {"state": "done", "target_ended": true, "samples": 12, "elapsed_ns": 300000000}}'
	run "$CPROFCTL" capture 1 --seconds 20 -o out.pb.gz
	[ "$status" = 0 ]
	[[ $output == *"ended before the capture did"* ]]
	is_profile out.pb.gz
}

@test "hostile function names, reasons and states reach the terminal escaped" {
	fake '{"names": ["a\u001b[2Jb", "nl\nx", "bidi\u202ey"],
		"progress": {"waiting": "\u001b]0;x\u0007", "lost": {"a\u001bb": 3}, "target_cpu_ns": 1}}'
	run "$CPROFCTL" capture 1 --seconds 0.2 -o out.pb.gz
	[ "$status" = 0 ]
	[[ $output == *'a\x1b[2Jb'* ]]
	run ! grep -q $'\033\|\007\|\u202e' <<<"$output"
}

@test "a capture that fails tells the daemon's reason" {
	fake '{"failed": "the worker has no sandbox: install libseccomp"}'
	run -1 "$CPROFCTL" capture 1 --seconds 0.1 -o out.pb.gz
	[ "$output" = "cprofctl: the worker has no sandbox: install libseccomp" ]
	[ ! -e out.pb.gz ]
}

@test "--format makes other files" {
	fake
	"$CPROFCTL" capture 1 --seconds 0.1 --format folded
	"$CPROFCTL" capture 1 --seconds 0.1 --format svg
	"$CPROFCTL" capture 1 --seconds 0.1 --format text
	grep -q 'hot [0-9]*$' cprofd-1-*.folded
	grep -q '<svg' cprofd-1-*.svg
	grep -q 'hot$' cprofd-1-*.txt
	[ "$(find . -name '*.pb.gz')" = "" ]
}

@test "an unreadable profile is saved as it is, but makes no other format" {
	fake '{"not_a_profile": true}'
	"$CPROFCTL" capture 1 --seconds 0.1 -o raw
	[ "$(cat raw)" = garbage ]
	run -1 "$CPROFCTL" capture 1 --seconds 0.1 --format svg -o x.svg
	[[ $output == *"--format pprof"* ]]
	[ ! -e x.svg ]
}

@test "while names are looked up the bar counts files" {
	fake '{"progress": {"files": 12, "files_named": 3}}'
	TERM=xterm script -qefc "$CPROFCTL capture 1 --seconds 0.3 -o tty.pb.gz" typescript >/dev/null </dev/null
	grep -q "finding names: 3 of 12 files" typescript
}

@test "a command name that nobody has now is told at once, and waited for" {
	fake '{"targets": [{"pid": 7, "comm": "elsewhere"}]}'
	run -0 "$CPROFCTL" capture --comm nosuch --seconds 100ms -o p.pb.gz
	[[ ${lines[0]} == "note: no process is called nosuch now: waiting for one; "* ]]
	# one that the daemon sees, and one that runs here
	for name in elsewhere "$(cat /proc/$$/comm)"; do
		run -0 "$CPROFCTL" capture --comm "$name" --seconds 100ms -o q.pb.gz
		[[ $output != *"no process is called"* ]]
		rm q.pb.gz
	done
}
