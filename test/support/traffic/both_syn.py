#!/usr/bin/env python3
"""Simultaneous open (RFC 9293 section 3.5, figure 7): nobody listens, both connect, and the SYNs cross.

  both_syn.py LOCAL REMOTE PORT TRIES START
      Try n begins at START + n * 0.1 s of CLOCK_MONOTONIC, from PORT + n to PORT + n; who runs the other end at the
      same time meets it. Of a SYN that comes before its port is in use the kernel makes a reset, and that try is lost;
      so whatever connects was opened by both. What is connected sends its try's number and reads the other's.
      Prints {"connected": tries that did, "echoed": those that then talked}.
"""
import json
import socket
import sys
import time

TRY_SECONDS, ANSWER_SECONDS = 0.1, 0.08


def attempt(local, remote, port, start):
    link = socket.socket(socket.AF_INET6 if ":" in local else socket.AF_INET, socket.SOCK_STREAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    link.bind((local, port))
    link.settimeout(ANSWER_SECONDS)
    time.sleep(max(0, start - time.monotonic() - 0.002))
    while time.monotonic() < start:
        pass
    try:
        link.connect((remote, port))
    except OSError:
        link.close()
        return None
    return link


def talk(link, number):
    link.settimeout(2)
    try:
        link.sendall(b"%4d" % number)
        return link.recv(4) == b"%4d" % number
    except OSError:
        return False


def main(local, remote, port, tries, start):
    links = {}
    for number in range(int(tries)):
        link = attempt(local, remote, int(port) + number, float(start) + number * TRY_SECONDS)
        if link is not None:
            links[number] = link
    echoed = [number for number, link in links.items() if talk(link, number)]
    print(json.dumps({"connected": len(links), "echoed": len(echoed)}))


main(*sys.argv[1:])
