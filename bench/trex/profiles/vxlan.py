# bench/trex/profiles/vxlan.py - frames in VXLAN, as another host sends them: for a port of TRex that
# is the underlay of a tunnel endpoint.
#
# trex-console: start -f vxlan.py -p 1 -m 1 -t --vni 100 --outer-src-ip 192.0.2.1 ...
# Sizes are of the inner frame with FCS; the outer headers are 50 bytes more (RFC 7348, 5).

from trex.stl.api import IP, UDP, Ether, STLFlowStats, STLPktBuilder, STLStream, STLTXCont
from vtepd_frames import arguments, end_of, frame, vary_ports

VXLAN_PORT = 4789
# Flags with the I bit, three reserved bytes, VNI, one reserved byte.
VXLAN_FLAGS = 0x08


def vxlan_header(vni):
    return bytes([VXLAN_FLAGS, 0, 0, 0]) + vni.to_bytes(3, "big") + b"\0"


class Vxlan:
    def get_streams(self, direction=0, port_id=0, tunables=(), **kwargs):
        args = arguments(
            tunables,
            size=(int, 64, "bytes of the inner frame with FCS"),
            vni=(int, 100, "VXLAN network"),
            outer_src_mac=(str, "02:54:52:58:01:00", "of this port"),
            outer_dst_mac=(str, "02:54:52:58:01:01", "of the next hop"),
            outer_src_ip=(str, "192.0.2.1", "endpoint of this port"),
            outer_dst_ip=(str, "192.0.2.2", "endpoint under test"),
            stats=(int, 0, "count in flow statistics of this id; 0: do not"),
        )
        inner = bytes(frame(args.size, end_of(args, direction)))
        outer = (
            Ether(src=args.outer_src_mac, dst=args.outer_dst_mac)
            / IP(src=args.outer_src_ip, dst=args.outer_dst_ip)
            / UDP(sport=49152, dport=VXLAN_PORT, chksum=0)
        )
        # The outer source port is what a real endpoint varies with the inner flow; the mark of the
        # statistics goes into the inner header, where the device under test leaves it alone.
        stats = STLFlowStats(pg_id=args.stats + port_id, vxlan=True) if args.stats > 0 else None
        packet = STLPktBuilder(pkt=outer / (vxlan_header(args.vni) + inner), vm=outer_ports(args))
        return [STLStream(packet=packet, mode=STLTXCont(pps=args.rate), flow_stats=stats)]


def outer_ports(args):
    """Only the source port of the outer header varies: the destination port is VXLAN's."""
    return vary_ports(min(args.flows, 16384))


def register():
    return Vxlan()
