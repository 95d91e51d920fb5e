#!/usr/bin/env python3
"""A cable between two network namespaces, made of two taps: what crosses it is what a real wire would carry.

  wire.py [--record FILE.pcap] NETNS_PATH DEVICE NETNS_PATH DEVICE

A veth hands over packets whose checksums and segmentation are still to be done. A tap without offloads does not:
its kernel finishes every checksum and segments every superpacket before the packet is read here. Says "ready" when
both ends exist; they go with this process. --record writes every frame, in the order of crossing.
"""
import argparse
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
CLONE_NEWNET = 0x40000000


def tap(path, name):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "rb") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


class Recorder:
    def __init__(self, path):
        self.file = open(path, "wb", buffering=0) if path else None
        if self.file:
            self.file.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))

    def take(self, frame):
        if self.file:
            now = time.time()
            micros = int(now % 1 * 1e6)
            self.file.write(struct.pack("<IIII", int(now), micros, len(frame), len(frame)) + frame)


def carry(source, target, recorder):
    try:
        for _ in range(256):
            frame = os.read(source, 65536)
            recorder.take(frame)
            try:
                os.write(target, frame)
            except OSError:
                pass  # the far end is down: the frame is lost, as on a cable that is unplugged
    except BlockingIOError:
        pass
    except OSError:
        time.sleep(0.01)  # this end is down; it may come back


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record")
    parser.add_argument("ends", nargs=4, metavar="NETNS DEVICE")
    options = parser.parse_args()
    recorder = Recorder(options.record)
    left = tap(options.ends[0], options.ends[1])
    right = tap(options.ends[2], options.ends[3])
    print("ready", flush=True)
    other = {left: right, right: left}
    while True:
        ready, _, _ = select.select(list(other), [], [])
        for end in ready:
            carry(end, other[end], recorder)


try:
    main()
except KeyboardInterrupt:
    sys.exit(0)
