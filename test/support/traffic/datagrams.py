#!/usr/bin/env python3
"""Numbered UDP datagrams: how many were lost, repeated, reordered or changed, exactly.

  datagrams.py receive --port P [--address A]
      Says "ready". A line "end N" on standard input tells how many were sent; then it waits until all are here
      or nothing came for half a second, prints one line of JSON and ends. SIGTERM: the same at once.
  datagrams.py send --address A --port P --rate PER_SECOND --size BYTES (--count N | --seconds S)
      Says "started" with the first datagram. Prints {"sent": N, "refused": N}. SIGTERM ends it.

A datagram is: number (4 bytes), number xor 0xa5a5a5a5 (4), then bytes that depend on its number. What the
receiver's own socket buffer dropped is told apart (socketDrops), for that is no fault of the network.
"""
import argparse
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import time

PATTERN = random.Random(4789).randbytes(65536 + 251)
SO_RCVBUFFORCE = 33
stopping = False


def stop(*_):
    global stopping
    stopping = True


def body(number, size):
    start = number % 251
    return struct.pack("!II", number, number ^ 0xA5A5A5A5) + PATTERN[start:start + size - 8]


def open_socket(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.socket(family, socket.SOCK_DGRAM)


def say(result):
    print(json.dumps(result) if isinstance(result, dict) else result, flush=True)


def send(options):
    link = open_socket(options.address)
    link.connect((options.address, options.port))
    count = options.count or int(options.rate * options.seconds)
    number = refused = 0
    start = time.monotonic()
    while number < count and not stopping:
        due = min(count, int((time.monotonic() - start) * options.rate) + 1)
        while number < due:
            try:
                link.send(body(number, options.size))
            except OSError:
                refused += 1
            number += 1
            if number == 1:
                say("started")
        time.sleep(min(0.001, 1 / options.rate))
    say({"sent": number, "refused": refused, "seconds": round(time.monotonic() - start, 3)})


class Tally:
    def __init__(self):
        self.seen = bytearray()
        self.unique = self.duplicated = self.reordered = self.corrupted = 0
        self.highest = -1
        self.last = None
        self.gap = 0.0
        self.gap_at = -1

    def take(self, data):
        now = time.monotonic()
        if len(data) < 8:
            self.corrupted += 1
            return
        number, inverse = struct.unpack_from("!II", data)
        if number ^ inverse != 0xA5A5A5A5 or data != body(number, len(data)):
            self.corrupted += 1
            return
        if self.last is not None and now - self.last > self.gap:
            self.gap, self.gap_at = now - self.last, number
        self.last = now
        if number >= len(self.seen):
            self.seen.extend(bytes(number + 1 - len(self.seen)))
        if self.seen[number]:
            self.duplicated += 1
            return
        self.seen[number] = 1
        self.unique += 1
        if number < self.highest:
            self.reordered += 1
        self.highest = max(self.highest, number)

    def report(self, total, socket_drops):
        total = self.highest + 1 if total is None else total
        missing = [n for n in range(total) if n >= len(self.seen) or not self.seen[n]]
        return {
            "expected": total, "received": self.unique, "lost": len(missing), "firstLost": missing[:10],
            "duplicated": self.duplicated, "reordered": self.reordered, "corrupted": self.corrupted,
            "socketDrops": socket_drops, "maxGapMs": round(self.gap * 1000), "maxGapAt": self.gap_at,
        }


def drops_of(link):
    """The kernel's count of datagrams that found this socket's buffer full (last column of /proc/net/udp)."""
    inode = str(os.fstat(link.fileno()).st_ino)
    table = "udp6" if link.family == socket.AF_INET6 else "udp"
    with open(f"/proc/self/net/{table}", encoding="ascii") as lines:
        for columns in map(str.split, lines):
            if columns[9] == inode:
                return int(columns[-1])
    return 0


def receive(options):
    link = open_socket(options.address)
    try:
        link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
    except PermissionError:
        pass  # the default buffer then; socketDrops tells if it was too small
    link.bind((options.address, options.port))
    link.setblocking(False)
    say("ready")
    tally, total, inputs = Tally(), None, [link, sys.stdin]
    while not stopping:
        ready, _, _ = select.select(inputs, [], [], 0.5)
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:
                inputs.remove(sys.stdin)
            elif line.startswith("end "):
                total = int(line.split()[1])
        if link in ready:
            drain(link, tally)
        if total is not None and (not ready or tally.unique >= total):
            break
    drain(link, tally)
    say(tally.report(total, drops_of(link)))


def drain(link, tally):
    try:
        for _ in range(1000):
            tally.take(link.recv(65536))
    except BlockingIOError:
        pass


def main():
    signal.signal(signal.SIGTERM, stop)
    signal.siginterrupt(signal.SIGTERM, False)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["send", "receive"])
    parser.add_argument("--address", default="::")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    options = parser.parse_args()
    if not 8 <= options.size <= 65507:
        parser.error("--size is 8 to 65507 bytes")
    (send if options.verb == "send" else receive)(options)


main()
