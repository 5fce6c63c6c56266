#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a newcomer meets: one line that says what was wrong and what to do.

load client

as_user() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }

usage_error() {
	run -2 "$CPROFCTL" "$@"
	[[ ${lines[0]} == "cprofctl: "* ]]
	[[ ${lines[1]} == "usage: cprofctl "* ]]
	[ "${#lines[@]}" = 2 ]
}

@test "wrong usage exits 2 with the usage line" {
	usage_error frobnicate
	usage_error --frob
	usage_error --socket
	usage_error capture
	usage_error capture nginx
	usage_error capture 0
	usage_error capture 1,,2
	usage_error capture 99999999999
	usage_error capture 1 --hz 0
	usage_error capture 1 --hz 10001
	usage_error capture 1 -F 1e3
	usage_error capture 1 --seconds -3
	usage_error capture 1 --seconds 3parsecs
	usage_error capture 1 --seconds 100d
	usage_error capture 1 --format png
	usage_error capture 1 --symbols some
	usage_error capture 1 --names some
	usage_error capture 1 --frob
	usage_error capture 1 -Z
	usage_error capture 1 -o
	usage_error capture 1 -o ''
	usage_error capture --comm ''
	usage_error capture --user nobody 1
	usage_error record
	usage_error record --
	usage_error status now
	usage_error targets --frob
	usage_error version 3
	usage_error help nosuch
	usage_error report
}

@test "no arguments: the overview on stderr, exit 2; --help on stdout, exit 0" {
	run -2 "$CPROFCTL"
	[ "$("$CPROFCTL" 2>/dev/null || true)" = "" ]
	[[ $("$CPROFCTL" --help) == *"capture"*"record"*"report"*"status"*"targets"*"version"* ]]
}

@test "every verb explains itself in three ways, alike" {
	for verb in capture record report status targets list get diff top snapshot pause resume version; do
		a=$("$CPROFCTL" help $verb)
		b=$("$CPROFCTL" $verb --help)
		[ "$a" = "$b" ]
		[[ $a == "usage: cprofctl $verb"* ]]
		[ "$(wc -l <<<"$a")" -gt 2 ]
		[ "$(awk '{ if (length > 100) print }' <<<"$a" | tail -n +2)" = "" ]
	done
}

@test "a misspelt verb gets a suggestion" {
	run -2 "$CPROFCTL" captrue
	[[ $output == *"did you mean 'capture'?"* ]]
	run -2 "$CPROFCTL" stat
	[[ $output == *"did you mean 'status'?"* ]]
	run -2 "$CPROFCTL" help foo
	[[ $output != *"did you mean"* ]]
	run -2 "$CPROFCTL" xyzzy
	[[ $output != *"did you mean"* ]]
}

@test "a misspelt option gets a suggestion, and is told from a wrong value" {
	said() { # MESSAGE ARGUMENT...
		usage_error "${@:2}"
		[ "${lines[0]}" = "cprofctl: $1" ]
	}
	said "unknown option --secnds: did you mean --seconds?" capture --all --secnds 3
	said "unknown option --secnds: did you mean --seconds?" capture --all --secnds=3
	said "unknown option --sicne: did you mean --since?" list --sicne 2h
	said "unknown option --basename-only" symbolize --basename-only x
	said "unknown option --fromat: did you mean --format?" report --fromat svg x
	said "status does not take '--jsno': did you mean --json?" status --jsno
	said "unknown option --frob" capture --frob 1
	said "--co may be --comm or --container: write more of it" capture --co x
	said "--all takes no value: 'yes' is one too many" capture --all=yes
	said "--no-children takes no value: '1' is one too many" capture --no-children=1 1
	said "unknown option -Z" capture --all -Zx
	said "unknown option -Z" get -Z
	said "--seconds needs a value" capture --seconds
	said "-o needs a value" capture 1 -ao
}

@test "pause and symbolize name the word that is wrong" {
	usage_error pause 30min 2
	[[ ${lines[0]} == "cprofctl: one span: '2' is one too many"* ]]
	usage_error symbolize "$CPROFCTL" zz
	[ "${lines[0]}" = "cprofctl: 'zz' is no hexadecimal address" ]
}

@test "two files for report, none for symbolize" {
	touch a b
	usage_error report a b
	[[ ${lines[0]} == "cprofctl: one file at a time: 'b' is one too many; \`cprofctl diff BEFORE AFTER\` compares two" ]]
	usage_error report a nosuch
	[[ ${lines[0]} == *"unknown report 'nosuch'"* ]]
	usage_error symbolize
	[[ ${lines[0]} == "cprofctl: no file: "* ]]
}

@test "hostile arguments are escaped" {
	run -2 "$CPROFCTL" $'\e[2J'
	[[ ${lines[0]} == *'\x1b[2J'* ]]
}

@test "a chosen socket that is not there" {
	run -1 "$CPROFCTL" --socket ./nowhere capture 1
	[ "$output" = "cprofctl: no daemon at ./nowhere: check --socket and \$CPROFD_SOCKET" ]
	CPROFD_SOCKET=./nowhere run -1 "$CPROFCTL" status
	[ "$output" = "cprofctl: no daemon at ./nowhere: check --socket and \$CPROFD_SOCKET" ]
	run -1 "$CPROFCTL" --socket ./nowhere version
	[ "${lines[1]}" = "cprofctl: no daemon at ./nowhere: check --socket and \$CPROFD_SOCKET" ]
}

@test "--socket wins over the environment" {
	fake '{"version": {"version": "9.8.7", "kernel": "6.1"}}'
	CPROFD_SOCKET=./nowhere run -0 "$CPROFCTL" --socket ./socket version
	[[ $output == *"9.8.7"* ]]
	CPROFD_SOCKET=./nowhere run -0 "$CPROFCTL" --socket=./socket version
	[[ $output == *"9.8.7"* ]]
}

@test "a socket that nobody listens on" {
	python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("dead")'
	run -1 "$CPROFCTL" --socket ./dead capture 1
	[[ $output == "cprofctl: no daemon at ./dead: the socket is there, but nothing listens on it; "* ]]
	[ "${#lines[@]}" = 1 ]
}

@test "a socket without permission" {
	[ "$(id -u)" = 0 ] || skip "needs root to become another user"
	fake
	chmod 600 socket
	run -1 as_user "$CPROFCTL" --socket ./socket status
	[[ $output == "cprofctl: cannot open the socket ./socket: Permission denied; "* ]]
}

@test "a socket path that is too long" {
	run -1 "$CPROFCTL" --socket "/$(printf 'a%.0s' {1..110})" status
	[[ $output == *"is too long: at most 107 bytes"* ]]
}

@test "an ordinary user without a daemon is told both ways out" {
	[ "$(id -u)" = 0 ] || skip "needs root to become another user"
	[ ! -e /run/cprofd/cprofd.sock ] || skip "a daemon runs here"
	mkdir open
	chmod 777 open
	cd open
	for verb in "capture 1" status targets; do
		run -1 as_user "$CPROFCTL" $verb
		[ "$output" = "cprofctl: no daemon at /run/cprofd/cprofd.sock: start it with \`sudo systemctl start cprofd\`, or run this with sudo" ]
	done
	run -125 as_user "$CPROFCTL" record -- true
	[ "$output" = "cprofctl: no daemon at /run/cprofd/cprofd.sock: start it with \`sudo systemctl start cprofd\`, or run this with sudo" ]
}

@test "root does not trust a socket of somebody else" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	chmod 777 .
	fake '' as_user
	run -1 "$CPROFCTL" capture 1
	[[ $output == *"belongs to uid 65534: root trusts only a daemon that runs as root or cprofd"* ]]
	[ ! -s "$FAKE_LOG" ]
}

@test "an ordinary user does" {
	[ "$(id -u)" = 0 ] || skip "needs root to become another user"
	chmod 777 .
	fake '{"version": {"version": "1"}}' as_user
	run -0 as_user "$CPROFCTL" version
}

@test "the daemon's refusal is shown as it is, escaped, on one line" {
	fake '{"refuse": {"/api/v1/captures": [404, "no process 77777: see `cprofctl targets`\u001b[2J\n"],
		"/api/v1/status": [403, ""]}}'
	run -1 "$CPROFCTL" capture 77777
	[ "$output" = 'cprofctl: no process 77777: see `cprofctl targets`\x1b[2J' ]
	run -1 "$CPROFCTL" status
	[[ $output == *"HTTP status 403"* ]]
}

@test "a daemon that hangs up" {
	fake '{"hang_up": "/api/v1/captures/"}'
	run -1 "$CPROFCTL" capture 1
	[[ $output == "cprofctl: "*"closed the connection"*"journalctl -u cprofd"* ]]
	[ "${#lines[@]}" = 1 ]
	[ "$(find . -name 'cprofd-*' -o -name '.cprofctl*')" = "" ]
}

@test "a daemon that is killed in the middle" {
	fake
	start_client capture 1 -o f
	wait_for requested '^GET /api/v1/captures/'
	kill -KILL "$fake_pid"
	ended_with 1 "$client_pid"
	grep -q 'closed the connection' err
	[ "$(wc -l <err)" = 1 ]
}

@test "an answer that is no JSON" {
	fake '{"garbage": "/api/v1"}'
	run -1 "$CPROFCTL" status
	[[ $output == *"is no JSON"*"of one version?" ]]
	run -1 "$CPROFCTL" capture 1
	[[ $output == *"named no capture"* ]]
}

@test "every error is one line" {
	fake '{"refuse": {"/api": [500, "a\nb"]}}'
	for verb in "capture 1" status targets version; do
		run -1 "$CPROFCTL" $verb
		[ "$(grep -c '^cprofctl: a' <<<"$output")" = 1 ]
		[[ ${lines[-1]} == 'cprofctl: a\x0ab' ]]
	done
}

@test "the program is under 1 MB" {
	cp "$CPROFCTL" stripped
	strip stripped
	[ "$(stat -c %s stripped)" -lt 1000000 ]
}

@test "libcurl is loaded by the verbs that speak HTTP, and by no other" {
	run -0 readelf -d "$CPROFCTL"
	[[ $output != *libcurl* ]]
	fake '{"status": {"samples": {"taken": 1}}}'
	mkdir broken
	: >broken/libcurl.so.4
	LD_LIBRARY_PATH=broken run -0 "$CPROFCTL" help
	LD_LIBRARY_PATH=broken run -1 "$CPROFCTL" status
	[ "$output" = "cprofctl: cannot load libcurl.so.4, which speaks to the daemon: install libcurl4 (Debian) or libcurl" ]
	run -0 "$CPROFCTL" status
}

@test "standard output that cannot be written is an error" {
	fake '{"status": {"samples": {"taken": 1}}}'
	run -1 bash -c '"$0" status >/dev/full' "$CPROFCTL"
	run -1 bash -c '"$0" status --json >/dev/full' "$CPROFCTL"
	run -1 bash -c '"$0" help >/dev/full' "$CPROFCTL"
	"$CPROFCTL" capture 1 --seconds 0.1 -o p.pb.gz
	run -1 bash -c '"$0" report p.pb.gz >/dev/full' "$CPROFCTL"
	[ "$output" = "cprofctl: cannot write to standard output: No space left on device" ]
}
