#!/usr/bin/env python3
"""Asks the kernel whether XDP works: loads a program that passes every frame and attaches it by a link.

  xdp.py native|generic DEVICE     exit 0: it works; exit 1 and a sentence: it does not

The link goes with this process, so nothing stays attached. Also opens an AF_XDP socket.
"""
import ctypes
import os
import socket
import struct
import sys

AF_XDP = 44
BPF_PROG_LOAD, BPF_LINK_CREATE = 5, 28
BPF_PROG_TYPE_XDP, BPF_XDP = 6, 37
XDP_FLAGS = {"generic": 1 << 1, "native": 1 << 2}
SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]


def bpf(command, attributes):
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = libc.syscall(SYS_BPF, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def main():
    mode, device = sys.argv[1], sys.argv[2]
    step = "socket(AF_XDP)"
    try:
        socket.socket(AF_XDP, socket.SOCK_RAW, 0).close()
        step = "BPF_PROG_LOAD"
        # r0 = 2 (XDP_PASS); exit
        code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, 2, 0x95, 0, 0, 0))
        licence = ctypes.create_string_buffer(b"Apache-2.0")
        program = bpf(BPF_PROG_LOAD, struct.pack(
            "<IIQQ", BPF_PROG_TYPE_XDP, 2, ctypes.addressof(code), ctypes.addressof(licence)))
        step = f"BPF_LINK_CREATE on {device}"
        bpf(BPF_LINK_CREATE, struct.pack(
            "<IIII", program, socket.if_nametoindex(device), BPF_XDP, XDP_FLAGS[mode]))
    except OSError as error:
        sys.exit(f"{step}: {error.strerror}")


main()
