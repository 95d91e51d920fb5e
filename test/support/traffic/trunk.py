#!/usr/bin/env python3
"""A trunk's far end without the kernel's 802.1Q: taps in namespaces, each behind one VLAN of a device.

  trunk.py NETNS_PATH DEVICE [VLAN NETNS_PATH TAP]...

Frames of a tap leave by the device with that VLAN's tag, frames with the tag come back to the tap; VLAN 0 stands for
untagged. Offloads go through in both directions: unfinished checksums and superpackets stay what they are, since
a virtio_net_hdr travels with each frame (struct virtio_net_hdr, include/uapi/linux/virtio_net.h). Says "ready" when
all taps exist; they go with this process.
"""
import ctypes
import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
OFFLOADS = 0x01 | 0x02 | 0x04 | 0x08  # checksum, TSO4, TSO6, ECN
CLONE_NEWNET = 0x40000000
SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_OUTGOING = 263, 8, 15, 4
TP_STATUS_VLAN_VALID = 0x10
NEEDS_CSUM = 1
VNET_BYTES = 10


def enter(path):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "rb") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")


def open_tap(path, name):
    enter(path)
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    fcntl.ioctl(descriptor, TUNSETOFFLOAD, OFFLOADS)
    return descriptor


def open_link(path, name):
    enter(path)
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    link.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    link.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    link.bind((name, 0x0003))
    link.setblocking(False)
    return link


def moved(header, by):
    """The header for a frame whose IP packet starts `by` bytes later."""
    flags, gso, length, size, start, offset = struct.unpack("<BBHHHH", header)
    length = length + by if gso else length
    start = start + by if flags & NEEDS_CSUM else start
    return struct.pack("<BBHHHH", flags, gso, length, size, start, offset)


def from_tap(tap, vlan, link):
    try:
        for _ in range(64):
            taken = os.read(tap, 70000)
            header, frame = taken[:VNET_BYTES], taken[VNET_BYTES:]
            if vlan:
                header = moved(header, 4)
                frame = frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:]
            try:
                link.send(header + frame)
            except OSError:
                pass  # a queue is full or the link down: lost, as on a cable
    except (BlockingIOError, OSError):
        pass


def vlan_of(ancillary):
    for level, kind, data in ancillary:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", data[:20])
            return tci & 0xFFF if status & TP_STATUS_VLAN_VALID else 0
    return 0


def from_link(link, taps):
    try:
        for _ in range(64):
            taken, ancillary, _, address = link.recvmsg(70000, 256)
            if address[2] == PACKET_OUTGOING:
                continue
            tap = taps.get(vlan_of(ancillary))
            if tap is not None:
                os.write(tap, taken)
    except (BlockingIOError, OSError):
        pass


def main():
    path, device, *rest = sys.argv[1:]
    ends = [(int(rest[at]), rest[at + 1], rest[at + 2]) for at in range(0, len(rest), 3)]
    taps = {vlan: open_tap(namespace, name) for vlan, namespace, name in ends}
    link = open_link(path, device)
    vlans = {tap: vlan for vlan, tap in taps.items()}
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([link, *vlans], [], [])
        for one in ready:
            if one is link:
                from_link(link, taps)
            else:
                from_tap(one, vlans[one], link)


try:
    main()
except KeyboardInterrupt:
    sys.exit(0)
