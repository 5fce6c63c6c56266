#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One row of the table of sources: shares.py PROFILE FILE-REGEXP SOURCE PROGRAM.

Counts the frames of all samples that lie in files whose base name matches.
"""
import gzip
import os
import re
import subprocess
import sys
import tempfile

path, pattern, source, program = sys.argv[1:]
proto = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib/profile")
with tempfile.TemporaryDirectory() as folder:
    subprocess.run(["protoc", "--proto_path=" + proto, "--python_out=" + folder, "profile.proto"], check=True)
    sys.path.insert(0, folder)
    import profile_pb2

p = profile_pb2.Profile()
p.ParseFromString(gzip.decompress(open(path, "rb").read()))
s = p.string_table
functions = {f.id: f for f in p.function}
kinds = {}
for l in p.location:
    file = s[p.mapping[l.mapping_id - 1].filename] if l.mapping_id else ""
    first = functions[l.line[0].function_id]
    counts = re.search(pattern, os.path.basename(file)) is not None
    named = re.match(r"\[.*\+0x[0-9a-f]+\]$", s[first.name]) is None
    kinds[l.id] = (counts, named, l.line[0].line > 0 and first.filename > 0, len(l.line) > 1)
n = [0, 0, 0, 0]
for sample in p.sample:
    for i in sample.location_id:
        if kinds[i][0]:
            n = [a + b * sample.value[0] for a, b in zip(n, kinds[i])]


def share(k):
    return "%.1f %%" % (100.0 * n[k] / n[0]) if n[0] else "-"


print("| %s | %s | %d | %s | %s | %s |" % (source, program, n[0], share(1), share(2), share(3)))
