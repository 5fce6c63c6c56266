#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A profile of one place without a name, as it is taken where the file has no symbols.

usage: unnamed_pprof.py FILE BUILD_ID ADDRESS > profile. The file is mapped as it is on disk: ADDRESS
(hexadecimal) is both, offset and link-time address.
"""
import gzip
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from check_pprof import reader


def main():
    file, build_id, address = sys.argv[1], sys.argv[2], int(sys.argv[3], 16)
    pb = reader()
    p = pb.Profile()
    strings = [""]

    def string(s):
        if s not in strings:
            strings.append(s)
        return strings.index(s)

    for kind, unit in (("samples", "count"), ("cpu", "nanoseconds")):
        p.sample_type.add(type=string(kind), unit=string(unit))
    p.period_type.type, p.period_type.unit, p.period = string("cpu"), string("nanoseconds"), 10000000
    p.time_nanos, p.duration_nanos = 1700000000000000000, 1000000000
    start = 0x550000000000
    text = address & ~0xfff  # of the executable segment, as the kernel maps it
    p.mapping.add(id=1, memory_start=start + text, memory_limit=start + text + 0x1000, file_offset=text,
                  filename=string(file), build_id=string(build_id), has_functions=True)
    p.function.add(id=1, name=string("[prog+0x%x]" % address), system_name=string("[prog+0x%x]" % address))
    location = p.location.add(id=1, mapping_id=1, address=start + address)
    location.line.add(function_id=1)
    sample = p.sample.add(location_id=[1], value=[7, 70000000])
    sample.label.add(key=string("comm"), str=string("prog"))
    p.comment.append(string("taken elsewhere"))
    p.string_table.extend(strings)
    sys.stdout.buffer.write(gzip.compress(p.SerializeToString()))


main()
