#!/usr/bin/env python3
"""A TCP connection on which nobody speaks for a while.

  idle.py serve PORT
      Says "ready", takes one connection. A line "speak" on standard input sends "hello"; whatever comes is sent back.
  idle.py connect ADDRESS PORT
      Says "ready" when it is connected and has talked. A line "speak" sends "hello" and waits for the echo.
  Each end says "heard TEXT" for what comes, and "closed: WHY" at the end.
"""
import select
import socket
import sys


def run(link, echoes):
    link.setblocking(True)
    while True:
        ready, _, _ = select.select([link, sys.stdin], [], [])
        try:
            if link in ready:
                data = link.recv(100)
                if not data:
                    break
                print("heard", data.decode(), flush=True)
                if echoes:
                    link.sendall(b"echo")
            if sys.stdin in ready and sys.stdin.readline().strip() == "speak":
                link.sendall(b"hello")
        except OSError as error:
            print("closed:", error.strerror, flush=True)
            return
    print("closed: end", flush=True)


def main(what, *args):
    if what == "serve":
        server = socket.create_server(("::", int(args[0])), family=socket.AF_INET6, dualstack_ipv6=True)
        print("ready", flush=True)
        run(server.accept()[0], True)
    else:
        link = socket.create_connection((args[0], int(args[1])), timeout=5)
        link.sendall(b"first")
        link.recv(100)
        print("ready", flush=True)
        run(link, False)


main(*sys.argv[1:])
