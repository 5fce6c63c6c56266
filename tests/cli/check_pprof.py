#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks profiles against the rules that their consumers have: usage: check_pprof.py FILE...

Reads with protobuf's own Python runtime, from a module that protoc makes of lib/profile/profile.proto.
"""
import gzip
import importlib.util
import os
import re
import stat
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def reader():
    with tempfile.TemporaryDirectory() as folder:
        proto = os.path.join(ROOT, "lib", "profile")
        subprocess.run(["protoc", "--proto_path=" + proto, "--python_out=" + folder, "profile.proto"], check=True)
        spec = importlib.util.spec_from_file_location("profile_pb2", os.path.join(folder, "profile_pb2.py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def check_comment(p, s):
    """The comment line tells host, version, frequency, samples taken, lost and truncated."""
    assert p.comment, "no comment"
    line = s[p.comment[0]]
    m = re.match(r"cprofd \S+ on \S+, .*?(\d+) Hz: samples taken (\d+), lost (\d+) .*truncated stacks (\d+)", line)
    if not m:
        return  # merged from others, or another program's
    hz, taken, _, truncated = map(int, m.groups())
    assert p.period == 10**9 // hz, "period %d at %d Hz" % (p.period, hz)
    count = sum(sample.value[0] for sample in p.sample)
    assert count <= taken, "%d samples, %d taken" % (count, taken)
    assert truncated <= taken
    if count > 200:  # the clocks are 1 % off, the mean is exact
        mean = sum(sample.value[1] for sample in p.sample) / count
        assert abs(mean / p.period - 1) < 0.03, "mean period %f" % mean


def is_now(path, p):
    """Whether what has this path is what had it as the profile was taken: others come and go, of one build even."""
    try:
        st = os.stat(path)
    except OSError:
        return False
    return stat.S_ISREG(st.st_mode) and st.st_ctime < p.time_nanos / 1e9


def check_mappings(p, s):
    ranges = sorted((m.memory_start, m.memory_limit, s[m.filename]) for m in p.mapping)
    for a, b in zip(ranges, ranges[1:]):
        assert a[1] <= b[0], "mappings overlap: %r %r" % (a, b)
    seen = set()
    for m in p.mapping:
        name = s[m.filename]
        assert name, "a mapping without a name"
        assert m.has_functions, name
        assert re.fullmatch("([0-9a-f]{2})*", s[m.build_id]), "build id %s" % s[m.build_id]
        if name.startswith("/"):
            assert m.memory_start % 4096 == 0, "%s starts at 0x%x" % (name, m.memory_start)
            key = (name, s[m.build_id], m.file_offset, m.memory_limit - m.memory_start)
            assert s[m.build_id] == "" or key not in seen or not is_now(name, p), "%s is mapped twice" % name
            seen.add(key)
    # the target's main executable, or what stands for many
    first = s[p.mapping[0].filename]
    assert first.startswith("/") or first.startswith("["), first
    assert not first.startswith("[kernel") or len(p.mapping) == 1, "the kernel is the first mapping"


def check_location(l, p, s):
    assert l.line, "a location without a line"
    for line in l.line:
        assert 1 <= line.function_id <= len(p.function)
        assert line.line >= 0
    assert l.mapping_id <= len(p.mapping)
    name = s[p.function[l.line[0].function_id - 1].name]
    if not l.mapping_id:
        assert name.startswith("["), "%s lies in no mapping" % name
        assert l.address == 0 or "+0x" in name, "%s has an address" % name
        return
    m = p.mapping[l.mapping_id - 1]
    assert m.memory_start <= l.address < m.memory_limit, "0x%x outside %s (%s)" % (l.address, s[m.filename], name)
    # where the instruction is in the file
    if s[m.filename].startswith("/") and s[m.build_id] and is_now(s[m.filename], p):
        offset = l.address - m.memory_start + m.file_offset
        assert offset < os.path.getsize(s[m.filename]), "%s ends before 0x%x" % (s[m.filename], offset)


def check(path, pb):
    with open(path, "rb") as f:
        data = f.read()
    assert data[:2] == b"\x1f\x8b", "not gzip"
    p = pb.Profile()
    p.ParseFromString(gzip.decompress(data))
    s = p.string_table  # protobuf refuses a string that is no UTF-8
    assert s[0] == "", "string 0 is not empty"
    assert [(s[t.type], s[t.unit]) for t in p.sample_type] == [("samples", "count"), ("cpu", "nanoseconds")]
    assert s[p.default_sample_type] == "cpu"
    assert (s[p.period_type.type], s[p.period_type.unit]) == ("cpu", "nanoseconds") and p.period > 0
    assert p.time_nanos > 0 and p.duration_nanos > 0
    assert not p.drop_frames and not p.keep_frames
    assert not getattr(p, "doc_url", 0)
    check_comment(p, s)

    for table in (p.mapping, p.function, p.location):
        assert [e.id for e in table] == list(range(1, len(table) + 1)), "ids are not 1..N in order"
    assert p.mapping, "no first mapping"
    check_mappings(p, s)
    for f in p.function:
        assert s[f.name].strip(), "a function without a name"
        assert s[f.system_name], s[f.name]
        assert not s[f.name].startswith("0x"), s[f.name]
    for l in p.location:
        check_location(l, p, s)
    used = set(i for sample in p.sample for i in sample.location_id)
    assert used == set(range(1, len(p.location) + 1)), "locations that no sample has"
    for sample in p.sample:
        assert len(sample.value) == 2 and sample.value[0] > 0 and sample.value[1] > 0
        assert sample.location_id, "an empty stack"
        for i in sample.location_id:
            assert 1 <= i <= len(p.location)
        keys = []
        for label in sample.label:
            key = s[label.key]
            keys.append(key)
            if key in ("pid", "tid", "cpu"):
                assert s[label.num_unit] == "id" and not label.str and label.num >= 0, key
            else:
                assert not label.num and not label.num_unit, key
                assert key in ("comm", "thread", "unit", "container") and label.str, key
        assert "pid" in keys and "comm" in keys
        assert len(keys) == len(set(keys))


def main():
    pb = reader()
    for path in sys.argv[1:]:
        try:
            check(path, pb)
        except AssertionError as e:
            sys.exit("%s: %s" % (path, e))


if __name__ == "__main__":
    main()
