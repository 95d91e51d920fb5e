#!/usr/bin/env python3
"""UDP as QUIC stacks send it: one system call hands the kernel up to 64 KiB, to be cut into datagrams of one size.

  superdatagrams.py receive ADDRESS PORT plain|gro
      Says "ready". A line "end N" on standard input tells how many datagrams were sent; then it waits until all are
      here or nothing came for a second, prints one line of JSON and ends. gro: takes joined datagrams (UDP_GRO).
  superdatagrams.py send ADDRESS PORT SIZE
      Sends by UDP_SEGMENT, 20 superpackets; the last datagram of each is shorter. Prints {"sent": datagrams}.

A datagram is its number (4 bytes), then bytes that depend on the number.
"""
import json
import random
import select
import socket
import struct
import sys
import time

UDP_SEGMENT, UDP_GRO, SO_RCVBUFFORCE = 103, 104, 33
PATTERN = random.Random(8926).randbytes(65536 + 251)
SUPERPACKETS = 20


def body(number, size):
    start = number % 251
    return struct.pack("!I", number) + PATTERN[start:start + size - 4]


def open_socket(address):
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)


def send(address, port, size):
    link = open_socket(address)
    link.setsockopt(socket.SOL_UDP, UDP_SEGMENT, size)
    link.connect((address, port))
    number = 0
    for _ in range(SUPERPACKETS):
        count = min(60, 60000 // size)
        sizes = [size] * (count - 1) + [size - 100]
        link.send(b"".join(body(number + at, one) for at, one in enumerate(sizes)))
        number += count
        time.sleep(0.005)
    print(json.dumps({"sent": number}))


def receive(address, port, gro):
    link = open_socket(address)
    link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
    if gro:
        link.setsockopt(socket.SOL_UDP, UDP_GRO, 1)
    link.bind((address, port))
    print("ready", flush=True)
    seen, corrupted, expected, quiet = set(), 0, None, time.monotonic()
    while expected is None or (len(seen) < expected and time.monotonic() - quiet < 1):
        ready, _, _ = select.select([link, sys.stdin] if expected is None else [link], [], [], 0.1)
        if link in ready:
            data, ancillary, _, _ = link.recvmsg(70000, 64)
            size = next((struct.unpack("H", value[:2])[0] for level, kind, value in ancillary
                         if level == socket.SOL_UDP and kind == UDP_GRO), len(data))
            for at in range(0, len(data), size):
                one = data[at:at + size]
                number = struct.unpack("!I", one[:4])[0]
                if one != body(number, len(one)) or number in seen:
                    corrupted += 1
                seen.add(number)
            quiet = time.monotonic()
        elif sys.stdin in ready:
            expected = int(sys.stdin.readline().split()[1])
            quiet = time.monotonic()
    print(json.dumps({"received": len(seen), "corrupted": corrupted}), flush=True)


if sys.argv[1] == "send":
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    receive(sys.argv[2], int(sys.argv[3]), sys.argv[4] == "gro")
