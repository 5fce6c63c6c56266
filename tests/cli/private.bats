#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The private daemon that root gets where none runs; here a fake one beside a copy of cprofctl.

load client

private_setup() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	[ ! -e /run/cprofd/cprofd.sock ] || skip "a daemon runs here"
	export FAKE=${1:-}
	mkdir bin
	cp "$CPROFCTL" bin/cprofctl
	cat >bin/cprofd <<-EOF
		#!/bin/sh
		echo "\$\$" >daemon-pid
		exec /usr/bin/python3 "$FAKE_DAEMON" "\$@"
	EOF
	chmod 755 bin/cprofd
	CPROFCTL=$PWD/bin/cprofctl
}

@test "root's capture starts one, says so, and it ends with the client" {
	private_setup
	run -0 "$CPROFCTL" capture 1 --seconds 0.3 -o f
	[ "${lines[0]}" = "cprofctl: no daemon at /run/cprofd/cprofd.sock: starting one for this run" ]
	is_profile f
	gone "$(cat daemon-pid)"
}

@test "so does record; the command's status passes on" {
	private_setup
	run -5 "$CPROFCTL" record -o f -- sh -c 'ls /proc/self/fd | wc -l; exit 5'
	[[ $output == *"starting one for this run"* ]]
	[[ $output != *"left processes behind"* ]]
	is_profile f
	gone "$(cat daemon-pid)"
}

@test "Ctrl-C does not reach it: the capture is saved" {
	private_setup
	ctrl_c_on_terminal " of 30 s" 0 capture 1 -o f
	is_profile f
}

@test "what it has lost is not looked up with status: it is gone" {
	private_setup '{"empty": true, "progress": {"lost": {"ring_full": 3}}}'
	run -0 "$CPROFCTL" capture 1 --seconds 0.1 -o f
	[[ $output == *"may have been its"* ]]
	[[ $output != *"cprofctl status"* ]]
}

@test "it dies with a client that is killed" {
	private_setup
	"$CPROFCTL" capture 1 -o f 2>err 3>&- &
	client_pid=$!
	wait_for test -s daemon-pid
	wait_for requested '^GET /api/v1/captures/'
	kill -KILL "$client_pid"
	wait_for gone "$(cat daemon-pid)"
}

@test "why it does not start is told in its own words" {
	private_setup '{"die": "<3>cprofd: this kernel has no BTF: use one with CONFIG_DEBUG_INFO_BTF=y"}'
	run -1 "$CPROFCTL" capture 1
	[ "${lines[1]}" = "cprofctl: this kernel has no BTF: use one with CONFIG_DEBUG_INFO_BTF=y" ]
	[ "${#lines[@]}" = 2 ]
	run -125 "$CPROFCTL" record -- touch ran
	[ ! -e ran ]
}

@test "one that ends without a word" {
	private_setup
	printf '#!/bin/sh\nexit 3\n' >bin/cprofd
	run -1 "$CPROFCTL" capture 1
	[[ ${lines[1]} == "cprofctl: the private daemon ended without a word"* ]]
}

@test "no program to start" {
	private_setup
	rm bin/cprofd
	[ ! -e /usr/sbin/cprofd ] && ! command -v cprofd >/dev/null || skip "cprofd is installed"
	run -1 "$CPROFCTL" capture 1
	[[ $output == *"no program cprofd to start"* ]]
}

@test "a log that floods neither blocks it nor grows" {
	private_setup
	sed -i 's,^exec,head -c 3000000 /dev/zero | tr "\\0" x >\&2\nexec,' bin/cprofd
	run -0 "$CPROFCTL" capture 1 --seconds 0.2 -o f
	is_profile f
}

@test "a chosen socket never gets a private one" {
	private_setup
	run -1 "$CPROFCTL" --socket ./nowhere capture 1
	CPROFD_SOCKET=./nowhere run -1 "$CPROFCTL" capture 1
	[ ! -e daemon-pid ]
}

@test "status, targets and version start none" {
	private_setup
	run -1 "$CPROFCTL" status
	[ "$output" = "cprofctl: no daemon at /run/cprofd/cprofd.sock: start it with \`systemctl start cprofd\`" ]
	run -1 "$CPROFCTL" targets
	run -0 "$CPROFCTL" version
	[[ ${lines[1]} == "cprofd    not running"* ]]
	[ ! -e daemon-pid ]
}
