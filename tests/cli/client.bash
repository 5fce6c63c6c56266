# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# For the client's tests: a folder of one's own, a fake daemon, and cprofctl.

bats_require_minimum_version 1.5.0

CPROFCTL=${CPROFCTL:-$(realpath "$BATS_TEST_DIRNAME/../../build/cprofctl")}
FAKE_DAEMON=$BATS_TEST_DIRNAME/fake_daemon.py

setup() {
	# bats' own folders are closed to other users
	test_folder=$(mktemp -d "${TMPDIR:-/tmp}/cprofctl-test.XXXXXX")
	cd "$test_folder" || return 1
	chmod 755 .
	export FAKE_LOG=$test_folder/requests
	unset SUDO_UID SUDO_GID CPROFD_SOCKET
	export http_proxy=http://127.0.0.1:1 # never to be used
}

teardown() {
	# the daemon itself, which another user's shell may stand in front of
	[ ! -s "$test_folder/ready" ] || kill "$(cat "$test_folder/ready")" 2>/dev/null || true
	[ -z "$fake_pid" ] || kill "$fake_pid" 2>/dev/null || true
	cd /
	rm -rf "$test_folder"
}

# fake JSON [COMMAND...]: starts the daemon (by COMMAND) on ./socket and sets $CPROFD_SOCKET
fake() {
	local json=${1:-}
	shift || true
	export CPROFD_SOCKET=$test_folder/socket
	FAKE=$json "$@" /usr/bin/python3 "$FAKE_DAEMON" --socket "$CPROFD_SOCKET" >ready 2>fake.err 3>&- &
	fake_pid=$!
	local i
	for ((i = 0; i < 600; i++)); do
		[ -s ready ] && return
		sleep 0.1
	done
	cat fake.err
	return 1
}

# In the background, as a script starts it: SIGINT ignored, then $client_pid to signal.
start_client() {
	"$CPROFCTL" "$@" >out 2>err 3>&- &
	client_pid=$!
}

# ctrl_c_on_terminal TEXT STATUS ARGUMENT...: the client on a terminal, Ctrl-C once it shows the text; how it must exit
ctrl_c_on_terminal() {
	python3 - "$1" "$2" "$CPROFCTL" "${@:3}" <<-'EOF'
		import os, pty, signal, sys
		text, status, command = sys.argv[1].encode(), int(sys.argv[2]), sys.argv[3:]
		pid, fd = pty.fork()
		if pid == 0:
		    # who runs the tests in the background has them ignore it
		    signal.signal(signal.SIGINT, signal.SIG_DFL)
		    os.execv(command[0], command)
		seen = b""
		while text not in seen:
		    seen += os.read(fd, 4096)
		os.write(fd, b"\x03")
		try:
		    while os.read(fd, 4096):
		        pass
		except OSError:
		    pass
		assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == status
	EOF
}

# Whether it is gone now; if not, one SIGINT more.
interrupt_again() {
	kill -INT "$1" 2>/dev/null || return 0
	sleep 0.2
	! kill -0 "$1" 2>/dev/null
}

# wait_for COMMAND...: until it succeeds, at most a minute
wait_for() {
	local i
	for ((i = 0; i < 1200; i++)); do
		"$@" && return
		sleep 0.05
	done
	return 1
}

requested() { grep -q "$1" "$FAKE_LOG" 2>/dev/null; }

# ended_with STATUS PID
ended_with() {
	local status=0
	wait "$2" || status=$?
	[ "$status" = "$1" ] || {
		echo "status $status, not $1"
		cat err out
		return 1
	}
}

gone() { ! kill -0 "$1" 2>/dev/null; }

is_profile() { gzip -t "$1" && [ "$(stat -c %s "$1")" -gt 60 ]; }
