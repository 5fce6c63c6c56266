#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The daemon's options about its configuration, and the files about it that must not differ from it.

bats_require_minimum_version 1.5.0
CPROFD=${CPROFD:-$(realpath "$BATS_TEST_DIRNAME/../../build/cprofd")}
TOP=$(realpath "$BATS_TEST_DIRNAME/../..")

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

print() { "$CPROFD" --config "$1" --print-config; }

# Key=value of all keys, without where they are from
values() { print "$1" | sed -n 's/ *;.*//p'; }

@test "each value is printed with the file and the line it is from" {
	mkdir c.conf.d
	printf '[Server]\nMaxCaptures=7\nListen=127.0.0.1:1\n' >c.conf
	printf '\n[Server]\nMaxCaptures=8\nListen=127.0.0.1:2\n' >c.conf.d/a.conf
	print "$PWD/c.conf" >out
	grep -qx "MaxCaptures=8 *; $PWD/c.conf.d/a.conf:3" out
	grep -qx "Listen=127.0.0.1:1 *; $PWD/c.conf:3" out
	grep -qx "Listen=127.0.0.1:2 *; $PWD/c.conf.d/a.conf:4" out
	grep -qx "Frequency=100 *; default" out
}

@test "what is printed is a configuration, the same one" {
	printf '[Server]\nMaxCaptures=7\nListen=127.0.0.1:1 [::1]:2\n[Budget]\nCPU=2.5%%\n' >c.conf
	print "$PWD/c.conf" >again.conf
	"$CPROFD" --config "$PWD/again.conf" --check-config
	diff <(values "$PWD/c.conf") <(values "$PWD/again.conf")
}

@test "an unknown key or section warns with its file and line; an invalid value fails, all are told" {
	printf '[Server]\nNoSuchKey=1\n[CONTINUOUS]\nWindow=60s\n' >c.conf
	run -1 "$CPROFD" --config "$PWD/c.conf" --check-config
	[ "${#lines[@]}" = 2 ]
	[ "${lines[0]}" = "cprofd: $PWD/c.conf:2: unknown key NoSuchKey= in [Server], ignored" ]
	[ "${lines[1]}" = "cprofd: $PWD/c.conf:4: unknown section [CONTINUOUS], Window= ignored" ]
	run -0 --separate-stderr "$CPROFD" --config "$PWD/c.conf" --print-config
	[[ $output == *"[Continuous]"* ]]
	printf '[Server]\nMaxCaptures=0\nIdleTimeout=soon\n' >c.conf
	run -1 "$CPROFD" --config "$PWD/c.conf" --check-config
	[ "${#lines[@]}" = 2 ]
	[[ ${lines[0]} == *"c.conf:2: MaxCaptures=0 is out of range"* ]]
	[[ ${lines[1]} == *"c.conf:3: IdleTimeout=soon is not understood"* ]]
	run -1 --separate-stderr "$CPROFD" --config "$PWD/c.conf" --print-config
	[ -z "$output" ]
}

@test "the packaged file has every key, commented, with its default" {
	"$CPROFD" --config "$TOP/packaging/cprofd.conf" --check-config
	sed -n 's/^#\([A-Z][A-Za-z]*=.*\)/\1/p' "$TOP/packaging/cprofd.conf" >packaged
	: >empty.conf
	diff packaged <(values "$PWD/empty.conf")
	diff <(grep '^\[' "$TOP/packaging/cprofd.conf") <(print "$PWD/empty.conf" | grep '^\[')
}

@test "the manual has every section, as it is written, and every key" {
	: >empty.conf
	diff <(sed -n 's/^\.SH \(\[.*\]\)$/\1/p' "$TOP/docs/man/cprofd.conf.5") \
		<(print "$PWD/empty.conf" | grep '^\[')
	print "$PWD/empty.conf" | sed -n 's/=.*//p' | while read -r key; do
		grep -q "^\.BI $key= " "$TOP/docs/man/cprofd.conf.5" || { echo "no $key="; return 1; }
	done
}
