#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cprofctl record: the command is as it would be alone.

load client

record() { "$CPROFCTL" record -o "${out:-out.pb.gz}" "$@"; }

@test "the command's status passes on" {
	fake
	record -- true
	is_profile out.pb.gz
	run -7 record -- sh -c 'exit 7'
	[[ $output == *"cprofctl report out.pb.gz"* ]]
	run -255 record -- sh -c 'exit 255'
}

@test "128 + the signal that ended it" {
	fake
	run -137 record -- sh -c 'kill -KILL $$'
	is_profile out.pb.gz
	run -143 record -- sh -c 'kill -TERM $$'
	run -139 record -- sh -c 'ulimit -c 0; kill -SEGV $$'
}

@test "127 not found, 126 not executable, and no capture is left" {
	fake
	run -127 record -- no-such-command
	[[ $output == "cprofctl: cannot run no-such-command: No such file or directory; check the name and \$PATH" ]]
	touch plain
	run -126 record -- ./plain
	[[ $output == "cprofctl: cannot run ./plain: Permission denied; it must be executable" ]]
	mkdir folder
	run -126 record -- ./folder
	[ ! -e out.pb.gz ]
	[ "$(grep -c '^POST /api/v1/captures ' "$FAKE_LOG")" = "$(grep -c ^DELETE "$FAKE_LOG")" ]
}

@test "125 for failures of our own; the command has not run" {
	fake '{"refuse": {"/api/v1/captures": [503, "too many captures: wait for one to end"]}}'
	run -125 record -- touch ran
	[ "$output" = "cprofctl: too many captures: wait for one to end" ]
	[ ! -e ran ]
	out=nowhere/f run -125 record -- touch ran
	[ ! -e ran ]
	CPROFD_SOCKET=./nowhere run -125 record -- touch ran
	[ ! -e ran ]
	run -125 record --user no-such-user -- touch ran
	[ "$output" = "cprofctl: no such user: no-such-user" ]
	[ ! -e ran ]
}

@test "the capture is there before the command runs, follows its pid, and ends with it" {
	fake
	record -- sh -c 'echo $$ >pid; cp "$FAKE_LOG" before; sleep 0.3'
	grep -q '^POST /api/v1/captures ' before
	body=$(sed -n 's,^POST /api/v1/captures [0-9]* ,,p' "$FAKE_LOG")
	python3 - "$body" "$(cat pid)" <<-'EOF'
		import json, sys
		b = json.loads(sys.argv[1])
		assert b["targets"] == [{"kind": "pid", "value": sys.argv[2]}], b
		assert b["seconds"] == 0 and b["children"], b
	EOF
	requested '^POST /api/v1/captures/[0-9a-f]*/stop'
}

@test "the default name is the command's" {
	fake
	"$CPROFCTL" record -- /bin/true
	ls cprofd-true-*.pb.gz
}

@test "input, output, errors, arguments, environment and folder are the command's" {
	fake
	printf 'in\0put' >input
	record -- sh -c 'cat; echo "$X|$1|$PWD" >&2' sh 'a b' <input >output 2>err
	cmp input output
	out=out2 X='y z' record -- sh -c 'printf "%s|" "$X" "$@"' sh -o --hz '' 'a b' 2>err >output
	[ "$(cat output)" = 'y z|-o|--hz||a b|' ]
}

@test "descriptors beyond the three are neither lost nor added" {
	fake
	exec 7<"$BATS_TEST_DIRNAME/client.bash"
	ls /proc/self/fd >alone
	record -- ls /proc/self/fd >inside 2>err
	exec 7<&-
	diff alone inside
}

@test "the signal mask and dispositions are the command's" {
	fake
	grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status >alone
	record -- grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status >inside 2>err
	diff alone inside
}

@test "SIGTERM to cprofctl goes to the command" {
	fake
	start_client record -o f -- sh -c 'trap "exit 42" TERM; touch up; while :; do sleep 0.1; done'
	wait_for test -e up
	kill -TERM "$client_pid"
	ended_with 42 "$client_pid"
	is_profile f
}

@test "Ctrl-C on the terminal is the command's to take" {
	fake
	python3 - "$CPROFCTL" <<-'EOF'
		import os, pty, signal, sys
		script = 'trap "echo caught" INT; echo up; read x; trap - INT; exit 5'
		pid, fd = pty.fork()
		if pid == 0:
		    signal.signal(signal.SIGINT, signal.SIG_DFL)
		    os.execv(sys.argv[1], [sys.argv[1], "record", "-o", "f", "--", "bash", "-c", script])
		seen = b""
		def until(what):
		    global seen
		    while what not in seen:
		        seen += os.read(fd, 4096)
		until(b"up")
		os.write(fd, b"\x03")
		until(b"caught")
		os.write(fd, b"x\n")
		try:
		    while True:
		        seen += os.read(fd, 4096)
		except OSError:
		    pass
		assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5, seen
		assert b"\x1b" not in seen and b"s of" not in seen.split(b"caught")[0], seen
	EOF
	is_profile f
}

@test "a command that Ctrl-C ends is saved, exit 130" {
	fake
	ctrl_c_on_terminal up 130 record -o f -- sh -c "echo up; exec sleep 60"
	is_profile f
}

@test "Ctrl-Z stops both, fg goes on with both" {
	fake
	python3 - "$CPROFCTL" <<-'EOF'
		import glob, os, pty, signal, sys, time
		def states(group):
		    for path in glob.glob("/proc/[0-9]*/stat"):
		        try:
		            state, _, its = open(path, encoding="latin1").read().rsplit(")", 1)[1].split()[:3]
		        except OSError:
		            continue
		        if int(its) == group:
		            yield state
		def shell():
		    # what an interactive shell does for a job
		    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
		    job = os.fork()
		    if job == 0:
		        os.setpgid(0, 0)
		        os.tcsetpgrp(0, os.getpid())
		        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
		        os.execv(sys.argv[1], [sys.argv[1], "record", "-o", "f", "--", "sh", "-c", "echo up; read x; exit 7"])
		    stopped = os.waitpid(job, os.WUNTRACED)[1]
		    # the command may still be about to stop, and would read what is for the shell
		    while set(states(job)) != {"T"}:
		        time.sleep(0.05)
		    os.tcsetpgrp(0, os.getpgrp())
		    assert os.WIFSTOPPED(stopped) and os.WSTOPSIG(stopped) == signal.SIGTSTP, stopped
		    print("stopped", flush=True)
		    assert input() == "fg"
		    os.tcsetpgrp(0, job)
		    os.killpg(job, signal.SIGCONT)
		    print("again", flush=True)
		    os._exit(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]))
		pid, fd = pty.fork()
		if pid == 0:
		    shell()
		seen = b""
		def until(what):
		    global seen
		    while what not in seen:
		        try:
		            seen += os.read(fd, 4096)
		        except OSError:
		            sys.exit(seen)
		until(b"up")
		os.write(fd, b"\x1a")
		until(b"stopped")
		os.write(fd, b"fg\n")
		until(b"again")
		os.write(fd, b"x\n")
		try:
		    while True:
		        seen += os.read(fd, 4096)
		except OSError:
		    pass
		assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7, seen
	EOF
	is_profile f
}

@test "the terminal is the command's: same tty, foreground, settings untouched" {
	fake
	script -qefc "$CPROFCTL record -o f -- sh -c 'tty; ps -o stat= -p \$\$; stty -a'" typescript </dev/null >/dev/null
	grep -q '^/dev/pts/' typescript
	grep -q '^[RS][A-Za-z<]*+' typescript
	script -qefc 'stty -a' alone </dev/null >/dev/null
	diff <(grep -a 'icanon\|isig\|echo' alone) <(grep -a 'icanon\|isig\|echo' typescript)
	run ! grep -q $'\033' typescript
}

@test "processes that outlive the command: noted, not waited for" {
	fake
	run -0 record -- sh -c 'sleep 30 >/dev/null 2>&1 3>&- & echo $! >orphan'
	[[ $output == *"left processes behind"* ]]
	kill "$(cat orphan)"
	run -0 record -- true
	[[ $output != *"left processes behind"* ]]
}

@test "orphans that end meanwhile are no matter" {
	fake
	run -3 record -- sh -c '(sleep 0.1 & echo $! >a); (sleep 0.2 & echo $! >b)
		i=0; while [ $((i += 1)) -lt 600 ] && { kill -0 $(cat a) || kill -0 $(cat b); }; do sleep 0.05; done 2>/dev/null; exit 3'
	[[ $output != *"left processes behind"* ]]
}

@test "--user: ids, groups and environment of that user" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	fake
	chmod 777 .
	run -0 record --user nobody -- sh -c 'id -u; id -g; id -G; echo $HOME $USER $LOGNAME; grep Cap /proc/self/status'
	[ "${lines[0]}" = "$(id -u nobody)" ]
	[ "${lines[1]}" = "$(id -g nobody)" ]
	[ "${lines[2]}" = "$(id -G nobody)" ]
	[ "${lines[3]}" = "$(getent passwd nobody | cut -d: -f6) nobody nobody" ]
	[[ $output == *$'CapEff:\t0000000000000000'* ]]
}

@test "--user is for root" {
	[ "$(id -u)" = 0 ] || skip "needs root to become another user"
	fake
	chmod 777 .
	run -125 setpriv --reuid 65534 --regid 65534 --clear-groups "$CPROFCTL" record -o f --user root -- id
	[[ $output == "cprofctl: --user needs root"* ]]
}

@test "works for an ordinary user" {
	[ "$(id -u)" = 0 ] || skip "needs root to become another user"
	fake
	chmod 777 .
	run -4 setpriv --reuid 65534 --regid 65534 --clear-groups "$CPROFCTL" record -o f -- sh -c 'id -u; exit 4'
	[ "${lines[0]}" = 65534 ]
	is_profile f
}

@test "a daemon that dies meanwhile: the command goes on, its failure wins" {
	fake '{"hang_up": "/api/v1/captures/"}'
	run -125 record -- sh -c 'sleep 1.5; touch finished'
	[ -e finished ]
	[[ $output == *"the command goes on without a profile"* ]]
	run -9 record -- sh -c 'sleep 1.5; exit 9'
}

@test "--seconds profiles the first part only" {
	fake
	run -0 record --seconds 0.3 -- sh -c 'sleep 1.6'
	is_profile out.pb.gz
	grep -qE '"seconds":(0\.3|0\.29999)' "$FAKE_LOG"
}

@test "what was due is the CPU time of the command and its children, in hz" {
	fake
	record --hz 1000 -- bash -c 'for i in 1 2; do bash -c "x=0; while ((x < 100000)); do ((++x)); done"; done; times >used.txt' 2>err
	cat err used.txt
	# "0m0.012s 0m0.001s", its own and its children's
	used=$(tr 'ms' '  ' <used.txt | awk '{ t += $1 * 60 + $2 + $3 * 60 + $4 } END { printf "%d", t * 1000 }')
	due=$(tr -d , <err | sed -nE 's/^samples +([0-9]+) due.*/\1/p')
	[ "$used" -gt 50 ]
	[ "$due" -ge $((used - 5)) ]
	[ "$due" -le $((used + 50)) ]
}

@test "-o - with a command that prints: both, in this order" {
	fake
	out=- record -- echo text >both 2>err
	[ "$(head -n 1 both)" = text ]
	tail -n +2 both >profile
	is_profile profile
}

@test "a command too short for a sample: a higher rate is advised, not record" {
	fake '{"empty": true, "progress": {"lost": {"missed_tick": 3}, "target_ended": true}}'
	run -0 record -- true
	[[ $output == *"no samples: the command used "*" of CPU, and at 100 Hz a sample stands for 0.01 s; take more with -F 10000"* ]]
	[[ $output != *"cprofctl record"* ]]
	run -0 record -F 10000 -- true
	[[ $output == *"a sample stands for 0.0001 s; let one command do its work several times"* ]]
	run -0 record --seconds 0.2 -- sleep 0.5
	[[ $output == *"no samples: the command hardly ran in "*"--seconds"* ]]
}
