# support/traffic/unruly.py — a device of two ports that loses, copies and swaps UDP frames.
#
# usage: unruly.py IN OUT COUNT
#
# Takes COUNT frames of UDP from device IN to device OUT: of every ten it loses the fourth, of every
# twenty it sends the sixth twice, of every fifty it sends the eighth after the one behind it. Then
# it prints what it did as JSON. Frames that this host sends itself are not seen.

import json
import socket
import sys

ETH_P_IP = 0x0800
PACKET_IGNORE_OUTGOING = 23
SO_RCVBUFFORCE = 33
SOL_PACKET = 263


def port(device):
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
    made.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    # Room for all of a trial, should this program wait for a CPU.
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 23)
    made.bind((device, ETH_P_IP))
    return made


def main():
    entry, leave = port(sys.argv[1]), port(sys.argv[2])
    done = {"lost": 0, "copied": 0, "swapped": 0, "seen": 0}
    held = None
    print("ready", flush=True)
    while done["seen"] < int(sys.argv[3]):
        frame = entry.recv(65535)
        if frame[23] != socket.IPPROTO_UDP:
            continue
        number = done["seen"]
        done["seen"] += 1
        if number % 10 == 3:
            done["lost"] += 1
            continue
        if number % 50 == 7:
            held = frame
            continue
        leave.send(frame)
        if number % 20 == 5:
            leave.send(frame)
            done["copied"] += 1
        if held is not None:
            leave.send(held)
            done["swapped"] += 1
            held = None
    print(json.dumps(done), flush=True)


main()
