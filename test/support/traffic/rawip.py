#!/usr/bin/env python3
"""Packets of any IP protocol, by raw sockets: also of those that the kernel does not speak.

  rawip.py receive PROTOCOL 4|6
      Says "ready", then a line "from ADDRESS" for each packet, until it is stopped.
  rawip.py send PROTOCOL ADDRESS HEX
      Sends one packet whose IP payload is HEX.
"""
import socket
import sys


def main(what, protocol, address, *payload):
    six = address == "6" or ":" in address
    family = socket.AF_INET6 if six else socket.AF_INET
    link = socket.socket(family, socket.SOCK_RAW, int(protocol))
    if what == "send":
        link.sendto(bytes.fromhex(payload[0]), (address, 0))
        return
    print("ready", flush=True)
    while True:
        print("from", link.recvfrom(65536)[1][0], flush=True)


main(*sys.argv[1:])
