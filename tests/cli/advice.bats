#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a report says of frames without names, and of interpreters.
load client

setup()
{
	CTL=$BATS_TEST_DIRNAME/../../${CPROF_BUILD:-build}/cprofctl
	cd "$BATS_TEST_TMPDIR" || return 1
}

# A profile whose stacks are of one function in one file.
profile() # file of the mapping, build-id, function... (each of a sample)
{
	/usr/bin/python3 - "$BATS_TEST_DIRNAME/../../lib/profile" "$@" <<'END'
import gzip, subprocess, sys, tempfile
proto, file, build_id, *functions = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    subprocess.run(["protoc", "--proto_path=" + proto, "--python_out=" + folder, "profile.proto"], check=True)
    sys.path.insert(0, folder)
    import profile_pb2
p = profile_pb2.Profile()
strings = [""]
def s(text):
    if text not in strings:
        strings.append(text)
    return strings.index(text)
p.sample_type.add(type=s("cpu"), unit=s("nanoseconds"))
p.period_type.type, p.period_type.unit, p.period = s("cpu"), s("nanoseconds"), 1
p.mapping.add(id=1, memory_start=0x1000, memory_limit=0x900000, filename=s(file), build_id=s(build_id), has_functions=True)
for i, name in enumerate(functions, 1):
    p.function.add(id=i, name=s(name), system_name=s(name))
    l = p.location.add(id=i, mapping_id=1, address=0x1000 + i)
    l.line.add(function_id=i)
    p.sample.add(location_id=[i], value=[1000000])
p.string_table.extend(strings)
open("p.pb.gz", "wb").write(gzip.compress(p.SerializeToString()))
END
}

@test "a file of a Debian package: its debug package, and where that is" {
	[ -e /var/lib/dpkg/status ] || skip "no Debian"
	profile /usr/bin/dash be6397ddffc3 '[dash+0x1230]' main main main
	"$CTL" report p.pb.gz >out 2>err
	cat err
	grep -q '^names    25.0 % of the time has frames without a name in /usr/bin/dash, build-id be6397ddffc3$' err
	grep -q '^         apt install dash-dbgsym$' err
	grep -qE 'deb .*debian-debug [a-z]+-debug main$' err || grep -rq debian-debug /etc/apt/sources.list.d /etc/apt/sources.list
	run grep -c 'frames without' out
	[ "$output" = 0 ]
	profile /lib/x86_64-linux-gnu/libc.so.6 abcd '[libc.so.6+0x1230]'
	"$CTL" report p.pb.gz 2>err >out
	grep -q '^         apt install libc6-dbg$' err
}

@test "a file of nobody: by its build-id, or build it otherwise" {
	profile '/opt/a b/libfoo.so.1' abcdef '[libfoo.so.1+0x1230]'
	"$CTL" report p.pb.gz 2>err >out
	cat err
	grep -qF '/usr/lib/debug/.build-id/ab/cdef.debug, or set DebuginfodUrls= in cprofd.conf' err
	profile $'/opt/\033[31m; rm -rf $(x)' '' '[x+0x1230]'
	"$CTL" report p.pb.gz 2>err >out
	grep -q 'build it with debug information' err
	run grep -c $'\033' err
	[ "$output" = 0 ]
}

@test "all has a name: nothing is said" {
	profile /usr/bin/dash be63 main other '[kernel thread]'
	"$CTL" report p.pb.gz 2>err >out
	[ ! -s err ]
}

@test "interpreters and JIT compilers" {
	profile /usr/bin/python3.11 '' _PyEval_EvalFrameDefault main
	"$CTL" report p.pb.gz 2>err >out
	grep -q '^note     100 % of the time is in the Python interpreter itself$' err
	profile /usr/bin/node '' main
	"$CTL" report p.pb.gz 2>err >out
	grep -q 'node --perf-basic-prof' err
	profile /usr/bin/node '' 'JS:*fib /srv/app.js:1:1' main
	"$CTL" report p.pb.gz 2>err >out
	[ ! -s err ]
	profile /usr/lib/jvm/lib/server/libjvm.so '' '[anon+0x7f00]' main
	"$CTL" report p.pb.gz 2>err >out
	cat err
	grep -q 'code that a JIT compiler made' err
	grep -q 'jcmd PID Compiler.perfmap' err
}
