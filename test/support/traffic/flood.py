#!/usr/bin/env python3
"""Sends frames by a device as fast as it can.

  flood.py DEVICE SECONDS FRAME...
      Each FRAME is in hexadecimal; they take turns. Says "ready" with the first, and at the end prints
      {"sent": frames}. What the kernel has no room for is not counted.
"""
import json
import socket
import sys
import time


def main(device, seconds, *frames):
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    link.bind((device, 0))
    frames = [bytes.fromhex(text) for text in frames]
    print("ready", flush=True)
    sent, end = 0, time.monotonic() + float(seconds)
    while time.monotonic() < end:
        for _ in range(64):
            for frame in frames:
                try:
                    link.send(frame)
                    sent += 1
                except BlockingIOError:
                    pass
                except OSError as error:
                    if error.errno != 105:  # ENOBUFS
                        raise
    print(json.dumps({"sent": sent}))


main(*sys.argv[1:])
