#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folded stacks ("a;b;c 3") from standard input as a pprof file on standard output."""
import gzip
import sys

from fake_daemon import field, varint

strings = ["", "samples", "count", "cpu", "nanoseconds", "/bin/stacks"]
ids = {}
out = field(1, field(1, 1) + field(2, 2)) + field(1, field(1, 3) + field(2, 4))
for line in sys.stdin:
    stack, count = line.rstrip("\n").rsplit(" ", 1)
    frames = b"".join(varint(ids.setdefault(f, len(ids) + 1)) for f in reversed(stack.split(";")))
    out += field(2, field(1, frames) + field(2, varint(int(count)) + varint(int(count) * 10000000)))
out += field(3, field(1, 1) + field(2, 0x400000) + field(3, 0x500000) + field(5, 5) + field(7, 1))
for name, i in ids.items():
    out += field(4, field(1, i) + field(2, 1) + field(3, 0x400000 + 16 * i) + field(4, field(1, i)))
    out += field(5, field(1, i) + field(2, len(strings)) + field(3, len(strings)) + field(4, 5))
    strings.append(name)
for s in strings:
    out += field(6, s)
out += field(9, 1790000000000000000) + field(10, 30000000000)
out += field(11, field(1, 3) + field(2, 4)) + field(12, 10000000)
sys.stdout.buffer.write(gzip.compress(out))
