#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Where cprofctl's files go, and to whom they belong.

load client

capture() { "$CPROFCTL" capture 1234 --seconds 0.1 "$@" 2>err; }

@test "the default name tells target, day and time, and is never overwritten" {
	fake
	for _ in 1 2 3 4 5 6; do capture; done
	[ "$(find . -name 'cprofd-1234-*.pb.gz' | wc -l)" = 6 ]
	[ "$(find . -regextype posix-extended -regex \
		'./cprofd-1234-20[0-9]{6}-[0-9]{6}(-[0-9])?\.pb\.gz' | wc -l)" = 6 ]
	[ "$(find . -name '.cprofctl-*')" = "" ]
}

@test "a taken default name gets -1, -2, also while captures run at once" {
	fake
	for i in 1 2 3 4 5 6 7 8; do capture 3>&- & pids[i]=$!; done
	wait "${pids[@]}"
	[ "$(find . -name 'cprofd-1234-*.pb.gz' | wc -l)" = 8 ]
	for f in cprofd-1234-*; do is_profile "$f"; done
}

@test "default names of other targets" {
	fake
	"$CPROFCTL" capture --seconds 0.1 --all
	"$CPROFCTL" capture --seconds 0.1 --unit nginx.service
	"$CPROFCTL" capture --seconds 0.1 --comm 'ev il/;$(x)' -p 3
	"$CPROFCTL" capture --seconds 0.1 --cgroup /system.slice/a
	ls cprofd-all-*.pb.gz cprofd-nginx.service-*.pb.gz cprofd-system.slice_a-*.pb.gz
	ls cprofd-ev_il____x_-and-1-more-*.pb.gz
	"$CPROFCTL" capture --seconds 0.1 11,12 13
	"$CPROFCTL" capture --seconds 0.1 14 14,14
	ls cprofd-11-and-2-more-*.pb.gz cprofd-14-2*.pb.gz
}

@test "the format is what the file's name ends with; --format decides, and a note says so" {
	fake
	capture -o x.svg
	grep -q '<svg' x.svg
	capture -o x.txt
	grep -q 'hot$' x.txt
	capture -o x.folded
	grep -q 'hot [0-9]*$' x.folded
	capture -o x.out
	is_profile x.out
	run ! grep -q '^note: x' err
	capture -o y.pb.gz --format svg
	grep -q '<svg' y.pb.gz
	grep -qx 'note: y.pb.gz will hold svg, as --format says, and not pprof, as its name says' err
	capture -o y.svg --format pprof
	is_profile y.svg
	grep -q '^note: y.svg will hold pprof' err
	"$CPROFCTL" get -o z.svg
	grep -q '<svg' z.svg
	"$CPROFCTL" report x.out -o w.svg
	grep -q '<svg' w.svg
	"$CPROFCTL" diff x.out x.out -o d.txt
	run ! is_profile d.txt
}

@test "-o replaces a regular file at the end, keeping its mode" {
	fake '{"refuse": {"/api/v1/captures/": [500, "broken"]}}'
	echo old >f
	chmod 640 f
	run -1 capture -o f
	[ "$(cat f)" = old ]
	kill "$fake_pid"
	wait_for gone "$fake_pid"
	rm -f ready socket
	fake
	capture -o f
	is_profile f
	[ "$(stat -c %a f)" = 640 ]
}

@test "a new file has the umask's mode" {
	fake
	umask 027
	capture -o f
	[ "$(stat -c %a f)" = 640 ]
}

@test "-o writes through a symbolic link, also to nothing" {
	fake
	echo old >real
	ln -s real link
	ln -s later dangling
	capture -o link
	capture -o dangling
	[ -L link ] && [ -L dangling ]
	is_profile real
	is_profile later
}

@test "-o writes through a FIFO" {
	fake
	mkfifo fifo
	cat fifo >got 3>&- &
	cat_pid=$!
	capture -o fifo
	wait "$cat_pid"
	[ -p fifo ]
	is_profile got
}

@test "a FIFO that nobody reads can be given up" {
	fake
	mkfifo fifo
	start_client capture 1 --seconds 0.1 -o fifo
	wait_for requested '/profile'
	wait_for interrupt_again "$client_pid"
	ended_with 1 "$client_pid"
}

@test "-o writes through a device" {
	fake
	capture -o /dev/null
	[ -c /dev/null ]
}

@test "a full disk is told, exit 1" {
	fake
	capture -o p.pb.gz
	run -1 "$CPROFCTL" report p.pb.gz --format text -o /dev/full
	[ "$output" = "cprofctl: cannot write /dev/full: No space left on device; free some space, or choose another place with -o" ]
}

# Where the last capture says that its profile went instead.
rescued() { sed -n 's/^cprofctl: cannot write .*; the profile is in \(.*\) instead$/\1/p' err; }

@test "a profile that cannot be written goes to \$TMPDIR" {
	fake
	mkdir tmp
	TMPDIR=$PWD/tmp run -1 capture -o /dev/full
	[[ $(rescued) == "$PWD/tmp/cprofd-profile-"*.pb.gz ]]
	is_profile "$(rescued)"
	[ "$(stat -c %a "$(rescued)")" = 600 ]
	# with its summary, which names it
	grep -qx "$(rescued)" err
	grep -q ' hot$' err
	TMPDIR=$PWD/tmp "$CPROFCTL" capture 1234 --seconds 0.1 -o - --format folded >/dev/full 2>err || status=$?
	[ "$status" = 1 ]
	grep -q 'hot' "$(rescued)"
	# /tmp, where that is none
	TMPDIR=$PWD/nowhere run -1 capture -o /dev/full
	[[ $(rescued) == /tmp/cprofd-profile-* ]]
	is_profile "$(rescued)"
	rm "$(rescued)"
}

@test "a disk that is full at the end: the profile is elsewhere, record's status says so" {
	[ "$(id -u)" = 0 ] || skip "needs root to mount"
	fake
	mkdir small tmp
	TMPDIR=$PWD/tmp run -1 unshare -m sh -c '
		mount -t tmpfs -o size=4k tmpfs small && head -c 4096 /dev/zero >small/full || exit 9
		"$0" capture 1234 --seconds 0.1 -o small/f.svg 2>err; a=$?
		"$0" record -o small/f.pb.gz -- true 2>err.record; b=$?
		"$0" record -o small/f.pb.gz -- sh -c "exit 3" 2>/dev/null; c=$?
		[ "$(ls -A small)" = full ] && [ "$b" = 125 ] && [ "$c" = 3 ] || exit 8
		exit $a' "$CPROFCTL"
	[[ $(head -n 1 err) == "cprofctl: cannot write small/f.svg: No space left on device; the profile is in $PWD/tmp/f-"* ]]
	grep -q '<svg' "$(rescued)"
	[ "$(find tmp -name 'f-*.pb.gz' | wc -l)" = 2 ]
}

@test "a profile that can be written nowhere is lost, which is told" {
	fake
	local name=lost-$$
	# no file may have a byte
	run -1 bash -c 'trap "" XFSZ; ulimit -f 0; TMPDIR=. "$0" capture 1 --seconds 0.1 -o "$1" 2>&1 | cat; exit "${PIPESTATUS[0]}"' "$CPROFCTL" "$name.pb.gz"
	[[ $output == "cprofctl: cannot write $name.pb.gz: File too large, nor to /tmp: File too large; the profile is lost: "* ]]
	[ "${#lines[@]}" = 1 ]
	[ "$(find . /tmp -maxdepth 1 -name "$name*")" = "" ]
}

@test "what cannot be written is refused before anything is captured" {
	fake
	run -1 capture -o nowhere/f
	[ "$(cat err)" = "cprofctl: cannot write nowhere/f: No such file or directory; make its folder, or choose another place with -o" ]
	run -1 capture -o .
	[[ $(cat err) == *"Is a directory"* ]]
	ln -s . folder
	run -1 capture -o folder
	[[ $(cat err) == *"Is a directory"* ]]
	[ ! -e "$FAKE_LOG" ]
}

@test "a folder without permission" {
	[ "$(id -u)" = 0 ] || skip "needs root to become another user"
	fake
	chmod 755 .
	run -1 setpriv --reuid 65534 --clear-groups "$CPROFCTL" capture 1 --seconds 0.1
	[[ $output == *"cannot write to the current folder: Permission denied; choose another place with -o" ]]
	[ ! -e "$FAKE_LOG" ]
}

@test "under sudo the file belongs to the calling user" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	fake
	SUDO_UID=1234 SUDO_GID=4321 capture -o f
	SUDO_UID=1234 SUDO_GID=4321 capture
	[ "$(stat -c %u:%g f)" = 1234:4321 ]
	[ "$(stat -c %u:%g cprofd-1234-*)" = 1234:4321 ]
}

@test "under sudo a file that was there keeps its owner, and nonsense is ignored" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	fake
	echo old >f
	chown 77:78 f
	SUDO_UID=1234 SUDO_GID=4321 capture -o f
	[ "$(stat -c %u:%g f)" = 77:78 ]
	SUDO_UID=12x SUDO_GID=-1 capture -o g
	[ "$(stat -c %u:%g g)" = 0:0 ]
}

@test "a name that the shell would take apart is quoted in the next commands" {
	fake
	capture -o "a b'c"
	grep -qF "cprofctl report 'a b'\\''c'" err
}

@test "a closed pipe is an error of writing" {
	fake
	set +o pipefail
	(
		trap '' PIPE
		"$CPROFCTL" capture 1 --seconds 0.3 -o - 2>err || echo $? >status
	) | true
	[ "$(cat status)" = 1 ]
	grep -q 'cannot write to standard output: Broken pipe' err
}
