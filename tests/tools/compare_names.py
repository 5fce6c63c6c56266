#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares what two symbolizers print (addr2line -a -f -i -C), address by address.

usage: compare_names.py [--show N] [--aliases ELF] OURS THEIRS

What is not a difference: clone suffixes, symbol versions, ABI tags, hashes of Rust names, folders of
files, discriminators; with --aliases also two names of one place in the symbol table. Prints counts and
the first N differences, and for each kind of difference how many there are.
"""
import argparse
import os
import re
import subprocess

CLONES = r"(\.(isra|part|constprop|cold|lto_priv|localalias|llvm|hot|unlikely|clone)(\.[0-9]+)*)+|\s*\[clone [^]]*\]"


def parse(path):
    answers, frames, name = [], None, None
    for line in open(path, errors="replace"):
        line = line.rstrip("\n")
        if re.fullmatch(r"0x[0-9a-f]+", line):
            frames, name = [], None
            answers.append((int(line, 16), frames))
        elif not line:
            continue
        elif name is None:
            name = line
        else:
            frames.append((name, place(line)))
            name = None
    return answers


def place(text):
    text = re.sub(r" \(discriminator [0-9]+\)$", "", text)
    text = re.sub(r"(:[0-9]+):[0-9]+$", r"\1", text)  # elfutils: a column
    file, _, line = text.rpartition(":")
    return os.path.basename(file), 0 if line == "?" else int(line)


def plain(name):
    name = re.sub(r" inlined at .* in .*", "", name)  # elfutils, once more what the next frame says
    name = re.sub(CLONES, "", name)
    name = re.sub(r"\[abi:[^]]*\]|::h[0-9a-f]{16}\b|@@?[A-Z][A-Za-z0-9_.]*$|\.[0-9]+$", "", name)
    return re.sub(r"\s", "", name)


def read_aliases(elf):
    places = {}
    out = subprocess.run(["readelf", "-sW", elf], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        p = line.split()
        if len(p) == 8 and p[3] in ("FUNC", "IFUNC", "NOTYPE") and p[6].isdigit():
            places.setdefault(plain(p[7]), set()).add(int(p[1], 16))
    return places


def same_name(a, b, aliases):
    a, b = plain(a), plain(b)
    if a == b or a.split("(")[0] == b.split("(")[0]:
        return True
    if a in aliases and b in aliases and aliases[a] & aliases[b]:
        return True
    strip = lambda s: re.sub(r"^_*(GI_+)?", "", s)
    return bool(aliases) and strip(a) == strip(b)


def kind_of(ours, theirs, aliases):
    unknown = ours == [("??", ("??", 0))]
    if unknown != (theirs == [("??", ("??", 0))]):
        if unknown and all(n == "??" for n, _ in theirs):
            return "a line outside of any function"
        return "only they know it" if unknown else "only we know it"
    if len(ours) != len(theirs):
        return "number of frames"
    if not all(same_name(a[0], b[0], aliases) for a, b in zip(ours, theirs)):
        return "names"
    for (_, a), (_, b) in zip(ours, theirs):
        if a != b and 0 in (a[1], b[1]):
            return "line 0"
        if a[0] != b[0]:
            return "files"
        if a != b:
            return "lines"
    return None


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--show", type=int, default=0)
    p.add_argument("--aliases")
    p.add_argument("ours")
    p.add_argument("theirs")
    a = p.parse_args()
    aliases = read_aliases(a.aliases) if a.aliases else {}
    ours, theirs = parse(a.ours), parse(a.theirs)
    if [x for x, _ in ours] != [x for x, _ in theirs]:
        raise SystemExit("not the same addresses: %d and %d" % (len(ours), len(theirs)))
    kinds, same = {}, 0
    for (address, f), (_, g) in zip(ours, theirs):
        kind = kind_of(f, g, aliases)
        if kind is None:
            same += 1
            continue
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] <= a.show:
            print("%#x %s\n  ours   %s\n  theirs %s" % (address, kind, f, g))
    rest = ", ".join("%s %d" % kv for kv in sorted(kinds.items(), key=lambda kv: -kv[1]))
    print("%d of %d the same%s" % (same, len(ours), "; " + rest if rest else ""))


main()
