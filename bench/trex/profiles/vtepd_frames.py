# bench/trex/profiles/vtepd_frames.py - frames and streams that all our profiles and the driver send.
#
# Sizes count the whole frame with its FCS of 4 bytes (RFC 2544, 9.1), which TRex does not see. The
# UDP checksum is left out (0, RFC 768), so that varying ports costs no second pass over a frame.
# Imported from a TRex install: nothing of TRex is here.

import argparse

from trex.stl.api import (
    IP,
    UDP,
    Ether,
    STLFlowLatencyStats,
    STLFlowStats,
    STLPktBuilder,
    STLStream,
    STLTXCont,
    STLTXSingleBurst,
    STLVM,
)

FCS_BYTES = 4
# Source and destination ports as the built-in generator has them, since topologies with a firewall
# let just these through: 49184 (0xc020) is of RFC 2544's test frames.
SOURCE_FIRST = 10000
SOURCES_MAX = 50000
DESTINATION_FIRST = 49184


class End:
    """Addresses of the frames of one direction: of who sends, and of who shall receive."""

    def __init__(self, src_mac, dst_mac, src_ip, dst_ip):
        self.src_mac, self.dst_mac = src_mac, dst_mac
        self.src_ip, self.dst_ip = src_ip, dst_ip


def frame(size, end):
    """A UDP datagram in a frame that has `size` bytes with its FCS."""
    head = (
        Ether(src=end.src_mac, dst=end.dst_mac)
        / IP(src=end.src_ip, dst=end.dst_ip)
        / UDP(sport=SOURCE_FIRST, dport=DESTINATION_FIRST, chksum=0)
    )
    return head / (b"v" * (size - FCS_BYTES - len(head)))


def vary_ports(flows):
    """
    Instructions for `flows` distinct pairs of UDP ports of the first UDP header: the source port
    runs, and the destination port takes a step whenever it begins anew. Beyond 50,000 the number
    is rounded up to whole rows.
    """
    machine = STLVM()
    if flows <= 1:
        return machine
    rows = -(-flows // SOURCES_MAX)
    columns = -(-flows // rows)
    variables = [("sport", SOURCE_FIRST, columns, "dport" if rows > 1 else None)]
    if rows > 1:
        variables.append(("dport", DESTINATION_FIRST, rows, None))
    for name, first, count, following in reversed(variables):
        machine.var(
            name=name,
            min_value=first,
            max_value=first + count - 1,
            size=2,
            op="inc",
            next_var=following,
        )
        machine.write(fv_name=name, pkt_offset="UDP.%s" % name)
    return machine


def mixed(shares, end, flows, rate):
    """Continuous streams of a mix: `shares` are (size, weight), `rate` frames a second of all."""
    weights = sum(weight for _, weight in shares)
    return [
        STLStream(
            packet=STLPktBuilder(pkt=frame(size, end), vm=vary_ports(flows)),
            mode=STLTXCont(pps=rate * weight / weights),
        )
        for size, weight in shares
    ]


def counted(shares, end, trial, first_id):
    """
    Streams that send an exact number of frames, each with statistics of its own. `trial` has rate
    and count of the direction, flows, and how many of the frames are timed. Returns the streams
    and the ids of their statistics: (streams, counting ids, timing id or None).
    """
    timed = min(trial["timed"], trial["count"] - 1)
    weights = sum(weight for _, weight in shares)
    streams, ids = [], []
    left = trial["count"] - max(0, timed)
    seconds = trial["count"] / trial["rate"]
    for at, (size, weight) in enumerate(shares):
        is_last = at == len(shares) - 1
        count = left if is_last else round((trial["count"] - max(0, timed)) * weight / weights)
        count = min(count, left)
        left -= count
        if count == 0:
            continue
        ids.append(first_id + at)
        streams.append(
            STLStream(
                packet=STLPktBuilder(pkt=frame(size, end), vm=vary_ports(trial["flows"])),
                mode=STLTXSingleBurst(total_pkts=count, pps=count / seconds),
                flow_stats=STLFlowStats(pg_id=first_id + at),
            )
        )
    if timed <= 0:
        return streams, ids, None
    timing = first_id + len(shares)
    # Of the size that most frames have.
    size = max(shares, key=lambda share: share[1])[0]
    streams.append(
        STLStream(
            packet=STLPktBuilder(pkt=frame(size, end)),
            mode=STLTXSingleBurst(total_pkts=timed, pps=timed / seconds),
            flow_stats=STLFlowLatencyStats(pg_id=timing),
        )
    )
    return streams, ids, timing


def arguments(tunables, **more):
    """What people may say in trex-console: -t --rate 10000 --src-ip 10.0.0.1 ..."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=1000, help="frames a second")
    parser.add_argument("--flows", type=int, default=1, help="distinct pairs of UDP ports")
    parser.add_argument("--src-mac", default="02:54:52:58:00:00")
    parser.add_argument("--dst-mac", default="02:54:52:58:00:01")
    parser.add_argument("--src-ip", default="10.0.0.1")
    parser.add_argument("--dst-ip", default="10.0.0.2")
    for name, (kind, default, text) in more.items():
        parser.add_argument("--" + name.replace("_", "-"), type=kind, default=default, help=text)
    return parser.parse_args(tunables)


def end_of(args, direction):
    """Direction 1 is the way back."""
    there = End(args.src_mac, args.dst_mac, args.src_ip, args.dst_ip)
    if direction == 0:
        return there
    return End(args.dst_mac, args.src_mac, args.dst_ip, args.src_ip)
