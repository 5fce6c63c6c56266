#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A daemon for the client's tests: the routes of include/cprof/api.h, and every way to go wrong.

usage: fake_daemon.py --socket PATH | --private-fd N

$FAKE holds a JSON object that says how it behaves:
    refuse        {PATH PREFIX: [STATUS, TEXT]}: the answer to requests below it
    hang_up       PATH PREFIX: the connection is closed instead of an answer
    garbage       PATH PREFIX: the answer is no JSON
    die           line that goes to stderr before it exits at once
    progress      members of the progress document
    failed        error text of a capture that fails
    status, targets, version    these documents
    empty         the profile has no samples
    not_a_profile the profile's bytes are no profile
    names         function names, hottest first
    windows       the list of windows; each can be fetched by its id; a list asked with times has those that overlap
    bare          FILTER: a list asked with it has windows without samples
    comment       of each profile
    rules         the rules of continuous profiling
    rate          samples a second (100)
    slow_profile  seconds until the profile's first byte
$FAKE_LOG names a file that gets a line for each request: METHOD PATH CONNECTION BODY.
"""
import calendar
import gzip
import json
import os
import socket
import socketserver
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler

FAKE = json.loads(os.environ.get("FAKE") or "{}")
CAPTURES = {}
WINDOWS = FAKE.get("windows", [])
CONNECTIONS = []


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def pprof(names, base=()):
    """One location and one sample a name; the first has the most. base: so many samples less, by name."""
    strings = ["", "samples", "count", "cpu", "nanoseconds", "/bin/fake"] + names + ["pprof::base", "true"]
    out = field(1, field(1, 1) + field(2, 2)) + field(1, field(1, 3) + field(2, 4))
    for i, _ in enumerate(names):
        count = 10 * (len(names) - i)
        values = varint(count) + varint(count * 10000000)
        out += field(2, field(1, varint(i + 1)) + field(2, values))
    for i, count in enumerate(base):
        values = varint(2**64 - count) + varint(2**64 - count * 10000000)
        label = field(1, len(strings) - 2) + field(2, len(strings) - 1)
        out += field(2, field(1, varint(i + 1)) + field(2, values) + field(3, label))
    out += field(3, field(1, 1) + field(2, 0x400000) + field(3, 0x500000) + field(5, 5) + field(7, 1))
    for i, _ in enumerate(names):
        line = field(1, i + 1) + field(2, 10 + i)
        out += field(4, field(1, i + 1) + field(2, 1) + field(3, 0x400000 + 16 * i) + field(4, line))
    for i, _ in enumerate(names):
        out += field(5, field(1, i + 1) + field(2, 6 + i) + field(3, 6 + i) + field(4, 5))
    for s in strings:
        out += field(6, s)
    out += field(9, 1790000000000000000) + field(10, 30000000000)
    out += field(11, field(1, 3) + field(2, 4)) + field(12, 10000000)
    if "comment" in FAKE:
        out += field(6, FAKE["comment"]) + field(13, len(strings))
    return gzip.compress(out)


def listed(query):
    """The windows that overlap since= and until=."""
    since, until = (int(query.get(key, [default])[0]) for key, default in (("since", "0"), ("until", str(2**63))))
    found = []
    for window in WINDOWS:
        start, fraction = (window["start"].rstrip("Z") + ".").split(".")[:2]
        start = calendar.timegm(time.strptime(start, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int((fraction + "0" * 9)[:9])
        if start < until and start + window["duration_ns"] > since:
            bare = FAKE.get("bare") in query
            found.append(dict(window, samples=0, cpu_ns=0, top=[]) if bare else window)
    return found


class Capture:
    def __init__(self, body):
        self.start = time.time()
        self.seconds = body.get("seconds", 0)
        self.stopped = None
        self.polls = 0

    def progress(self, ident):
        end = self.stopped or (self.start + self.seconds if self.seconds else None)
        now = time.time()
        over = end is not None and now >= end
        elapsed = (end if over else now) - self.start
        self.polls += over
        doc = {
            "id": ident,
            "state": "running" if not over else "naming" if self.polls < 2 else "done",
            "elapsed_ns": int(elapsed * 1e9),
            "duration_ns": int(self.seconds * 1e9),
            "samples": 0 if FAKE.get("empty") else int(elapsed * FAKE.get("rate", 100)),
            "cpu_ns": int(elapsed * 1e9),
            "lost": {"missed_tick": 0, "ring_full": 0},
        }
        if FAKE.get("empty"):
            doc["cpu_ns"] = 0
        if "failed" in FAKE and over:
            doc.update(state="failed", error=FAKE["failed"])
        doc.update(FAKE.get("progress", {}))
        return doc


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, *args):
        pass

    def answer(self, status, body, kind="application/json"):
        if not isinstance(body, bytes):
            body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def misbehave(self):
        for prefix, (status, text) in FAKE.get("refuse", {}).items():
            if self.path.startswith(prefix):
                self.answer(status, text, "text/plain; charset=utf-8")
                return True
        if "hang_up" in FAKE and self.path.startswith(FAKE["hang_up"]):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return True
        if "garbage" in FAKE and self.path.startswith(FAKE["garbage"]):
            self.answer(200, "not { json")
            return True
        return False

    def handle_one_request(self):
        if self.connection not in CONNECTIONS:
            CONNECTIONS.append(self.connection)
        super().handle_one_request()

    def route(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if "FAKE_LOG" in os.environ:
            with open(os.environ["FAKE_LOG"], "a", encoding="utf-8") as log:
                print(self.command, self.path, CONNECTIONS.index(self.connection), body, file=log)
        if not self.misbehave():
            self.route_well(body)

    def route_well(self, body):
        parts = self.path.split("/")
        if self.path.startswith(("/api/v1/windows", "/api/v1/profile")) or self.path in (
                "/api/v1/snapshot", "/api/v1/pause", "/api/v1/resume", "/api/v1/targets/rules") or (
                self.path == "/api/v1/targets" and self.command == "POST"):
            self.route_store(body)
        elif self.path in ("/api/v1/status", "/api/v1/targets", "/api/v1/version"):
            self.answer(200, FAKE.get(parts[-1], {}))
        elif self.path == "/api/v1/captures" and self.command == "POST":
            ident = "%016x" % (len(CAPTURES) + 0xabc)
            CAPTURES[ident] = Capture(json.loads(body))
            self.answer(201, {"id": ident})
        elif len(parts) > 4 and parts[4] in CAPTURES:
            self.route_capture(parts[4], CAPTURES[parts[4]], parts[5:])
        else:
            self.answer(404, "no such page", "text/plain")

    def route_store(self, body):
        names = FAKE.get("names", ["hot", "warm", "cold"])
        path = self.path.split("?")[0]
        if path == "/api/v1/windows":
            self.answer(200, listed(urllib.parse.parse_qs(self.path.partition("?")[2])))
        elif path == "/api/v1/profile":
            base = FAKE.get("base", []) if "baseline_since=" in self.path else ()
            self.answer(200, pprof(names, base), "application/octet-stream")
        elif path.startswith("/api/v1/windows/"):
            if path.split("/")[4] in [w["id"] for w in WINDOWS]:
                self.answer(200, pprof(names), "application/octet-stream")
            else:
                self.answer(404, "there is no window of this id: `cprofctl list` shows which there are", "text/plain")
        elif path == "/api/v1/snapshot":
            self.answer(200, {"id": WINDOWS[-1]["id"], "start": "2026-11-24T02:00:00Z", "duration_ns": 5})
        elif path in ("/api/v1/pause", "/api/v1/resume"):
            seconds = json.loads(body).get("seconds")
            until = "2026-11-24T02:00:00Z" if seconds else ""
            self.answer(200, {"running": path.endswith("resume"), "paused": path.endswith("pause"), "paused_until": until})
        else:
            self.answer(200, FAKE.get("rules", {"all": True, "include": [], "exclude": []}))

    def route_capture(self, ident, capture, tail):
        if self.command == "DELETE":
            del CAPTURES[ident]
            self.answer(200, {})
        elif tail == ["stop"] and self.command == "POST":
            capture.stopped = capture.stopped or time.time()
            self.answer(200, {})
        elif tail == ["profile"]:
            time.sleep(FAKE.get("slow_profile", 0))
            names = [] if FAKE.get("empty") else FAKE.get("names", ["hot", "warm", "cold"])
            data = b"garbage" if FAKE.get("not_a_profile") else pprof(names)
            self.answer(200, data, "application/octet-stream")
        elif not tail and self.command == "GET":
            self.answer(200, capture.progress(ident))
        else:
            self.answer(405, "wrong method", "text/plain")

    do_GET = do_POST = do_DELETE = route


class Server(socketserver.ThreadingUnixStreamServer):
    request_queue_size = 128
    daemon_threads = True
    allow_reuse_address = True


def main():
    if "die" in FAKE:
        print(FAKE["die"], file=sys.stderr)
        return 1

    option, value = sys.argv[1:3]
    if option == "--private-fd":
        connection = socket.socket(fileno=int(value))
        Handler(connection, ("", 0), None)
        return 0

    with Server(value, Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        os.chmod(value, 0o666)
        print(os.getpid(), flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main())
