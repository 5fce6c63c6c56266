#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cprofctl status, targets and version.

load client

STATUS='{"status": {"version": "1.2.3", "kernel": "6.18",
	"samples": {"taken": 1000000, "lost": {"missed_tick": 900, "ring_full": 100, "other": 0},
		"truncated": {"no_unwind_info": 5000, "jit": 0}},
	"memory": {"daemon": 12582912, "maps_bytes": 1048576},
	"cpu": {"daemon_ns": 1500000000, "share": 0.25},
	"worker": {"restarts": 2, "last_file": "/a\u001b[2J"}}}'

@test "status shows what is lost, why, and how much of all" {
	fake "$STATUS"
	run -0 "$CPROFCTL" status
	[[ $output == *"taken"*"1,000,000"* ]]
	[[ $output == *"lost"*"1,000 (0.1 %): missed tick 900, ring full 100"* ]]
	[[ $output == *"truncated"*"5,000 (0.5 %): no unwind info 5,000"* ]]
	[[ $output != *"jit"* ]]
	[[ $output == *"daemon  12.0 MiB"* ]]
	[[ $output == *"maps  1.0 MiB"* ]]
	[[ $output == *"daemon  1.5 s"* ]]
	[[ $output == *"restarts  2"* ]]
	[[ $output == *"version  1.2.3"* ]]
	[[ $output == *'/a\x1b[2J'* ]]
}

@test "status says what its numbers are; times are local" {
	fake '{"status": {"store": {"bytes": 2048, "written": 6, "written_bytes": 512000, "deleted_for_bytes": 3,
		"deleted_for_age": 4, "keep_free": 5, "oldest": "2026-11-28T11:00:05Z", "newest": null},
		"budget": {"cpu_ppm_used": 10490, "cpu_ppm_limit": 200000}}}'
	TZ=XYZ-1 run -0 "$CPROFCTL" status
	for line in "size  2.0 KiB" "profiles written  6" "bytes written  500 KiB" "deleted for MaxBytes=  3" \
		"deleted for MaxAge=  4" "not stored for KeepFree=  5" "oldest  2026-11-28 12:00:05" "newest  -" \
		"cpu used  1.05 %" "cpu limit  20.00 %"; do
		grep -qx "  $line" <<<"$output"
	done
}

@test "status --json is one document, the daemon's" {
	fake "$STATUS"
	"$CPROFCTL" status --json >s
	python3 -c 'import json; d = json.load(open("s")); assert d["samples"]["lost"]["missed_tick"] == 900, d'
}

@test "targets: the busiest first, unit or container, hostile names escaped" {
	fake '{"targets": [
		{"pid": 10, "comm": "idle", "unit": "", "container": "", "user": "root", "cpu": 0},
		{"pid": 11, "comm": "e\u001b[2Jvil \n x", "unit": "u.service", "container": "", "user": "www", "cpu": 0.1234},
		{"pid": 12, "comm": "näme", "unit": "c.scope", "container": "3f4e8a", "user": "root", "cpu": 1.5}]}'
	run -0 "$CPROFCTL" targets
	[ "${#lines[@]}" = 4 ]
	[[ ${lines[1]} == *"12  150.0  root"*"container 3f4e8a" ]]
	[[ ${lines[2]} == *"11   12.3  www"*'e\x1b[2Jvil \x0a x'*"u.service" ]]
	[[ ${lines[3]} == *"10    0.0  root"*"idle"* ]]
	"$CPROFCTL" targets --json | python3 -c 'import json, sys; assert len(json.load(sys.stdin)) == 3'
}

@test "--json on a terminal holds no control characters" {
	fake '{"targets": [{"pid": 1, "comm": "\u009b2J\u202e"}]}'
	script -qefc "$CPROFCTL targets --json" typescript </dev/null >/dev/null
	grep -qi '\\u009b' typescript
	run ! grep -qP '\x{9b}|\xc2\x9b|\xe2\x80\xae' typescript
}

@test "version: client, daemon, kernel" {
	fake '{"version": {"version": "9.9", "kernel": "6.1.0-\u001b"}}'
	run -0 "$CPROFCTL" version
	[[ ${lines[0]} =~ ^cprofctl\ +[0-9]+\.[0-9]+\.[0-9]+$ ]]
	[[ ${lines[1]} == "cprofd    9.9" ]]
	[[ ${lines[2]} == 'kernel    6.1.0-\x1b' ]]
}

@test "version --json, with and without a daemon" {
	fake '{"version": {"version": "9.9", "kernel": "6.1", "api": 1}}'
	"$CPROFCTL" version --json >with
	"$CPROFCTL" --version >plain
	# with a default socket that nobody listens on, where there is none
	[ -e /run/cprofd/cprofd.sock ] || CPROFD_SOCKET='' "$CPROFCTL" version --json >without
	python3 - <<-'PY'
		import json, os
		mine = open("plain").readline().split()[1]
		assert json.load(open("with")) == {"cprofctl": mine, "cprofd": "9.9", "kernel": "6.1"}
		if os.path.exists("without"):
		    assert json.load(open("without")) == {"cprofctl": mine, "cprofd": None, "kernel": None}
	PY
}

@test "report --json: the functions of top" {
	fake '{"names": ["hot", "e\u001b[2Jvil"]}'
	"$CPROFCTL" get -o p.pb.gz
	"$CPROFCTL" report p.pb.gz --json >all.json
	"$CPROFCTL" report - top --json <p.pb.gz | cmp - all.json
	python3 - <<-'PY'
		import json
		d = json.load(open("all.json"))
		assert {k: d[k] for k in d if k != "rows"} == {"type": "cpu", "unit": "nanoseconds", "start": "2026-09-21T14:13:20Z",
		                                              "duration_ns": 30000000000, "total": 300000000}, d
		assert d["rows"][0] == {"name": "hot", "flat": 200000000, "flat_share": 0.666666666666667, "cum": 200000000,
		                        "cum_share": 0.666666666666667}, d["rows"]
		assert d["rows"][1]["name"] == "e\x1b[2Jvil"
	PY
	for args in "tree --json" "--json --format text" "--json -o x.svg"; do
		# shellcheck disable=SC2086 # words are wanted
		run -2 "$CPROFCTL" report p.pb.gz $args
		[[ ${lines[0]} == *"--json"* ]]
	done
}

@test "the proxy of the environment is never asked" {
	fake '{"version": {"version": "9.9", "kernel": "x"}}'
	HTTP_PROXY=http://127.0.0.1:9 ALL_PROXY=socks5://127.0.0.1:9 run -0 "$CPROFCTL" version
}
