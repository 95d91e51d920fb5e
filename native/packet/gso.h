// packet/gso.h — what egress cannot do is finished here: checksums, segmentation; and the way back.
//
// Why:    containers send 64 KiB superpackets with unfinished checksums; that they work untouched
//         is the first thing users ask for. Offload state travels with the packet; only the last
//         step decides.
// Source: virtio 1.2 section 5.1.6; RFC 9293 (TCP), RFC 768 (UDP).
// Thread: a worker, with its FrameCache.
#pragma once

#include <cstdint>

#include "base/drop_reasons.h"
#include "packet/frame_pool.h"
#include "packet/packet.h"

namespace vtep {

constexpr uint32_t segments_max = 1024;  // 65535 / 64: the smallest MSS that Linux will use

// Room for packets that a function makes; `max` is at most what fits.
struct PacketSpan {
  Packet* packets;
  uint32_t max;
};

// How a TCP (v4, v6) or UDP (UdpL4) superpacket falls into segments.
struct SegmentPlan {
  uint16_t l3 = 0;
  uint16_t l4 = 0;
  uint16_t payload = 0;  // bytes of headers that every segment repeats
  uint32_t size = 0;     // payload bytes of each segment but the last
  uint32_t count = 0;    // segments
  bool ipv6 = false;
  bool tcp = false;
};
// False: a superpacket that cannot be segmented (DropReason::BadSegmentation).
bool plan_segments(const Packet& packet, uint16_t l3, uint16_t l4, SegmentPlan& plan) noexcept;
// Bytes of segment `index`, headers included.
constexpr uint32_t segment_bytes(const SegmentPlan& plan, const Packet& packet,
                                 uint32_t index) noexcept {
  const uint32_t left = packet.length - plan.payload - index * plan.size;
  return plan.payload + (left < plan.size ? left : plan.size);
}
// Writes segment `index`, complete with checksums, to `to`; returns its bytes. IPv4 IDs count up;
// TCP FIN and PSH only on the last segment, CWR only on the first.
uint32_t write_segment(const SegmentPlan& plan, const Packet& packet, uint32_t index,
                       uint8_t* to) noexcept;

// Segments a superpacket whose L3/L4 headers sit at the given offsets into packets with complete
// checksums, each in its own frame with at least frame_headroom bytes before it. At most out.max
// are written; returns how many. 0: `reason` says why (BadSegmentation, NoFrames), nothing was
// allocated. The source packet stays owned by the caller.
struct HeaderPlaces {
  uint16_t l3;
  uint16_t l4;
};
uint32_t segment(FrameCache& frames, const Packet& packet, HeaderPlaces at, PacketSpan out,
                 DropReason& reason) noexcept;

// Splits a received UDP_L4 superpacket of tunnel packets (an uplink's UDP_GRO) into single tunnel
// packets: the same as segment() for GsoType::UdpL4, offsets found by itself.
uint32_t split_tunnel_superpacket(FrameCache& frames, const Packet& packet, PacketSpan out,
                                  DropReason& reason) noexcept;

// Offsets of the IP header and of the TCP or UDP header behind it, found from the bytes: VLAN tags,
// IPv4 options and IPv6 extension headers are stepped over. False: another protocol, a fragment, or
// headers that do not fit the packet.
struct HeaderOffsets {
  uint16_t l3 = 0;
  uint16_t l4 = 0;
  uint16_t payload = 0;  // first byte behind the L4 header
  uint8_t proto = 0;     // ip_proto_tcp or ip_proto_udp
  bool ipv6 = false;
};
bool find_headers(const Packet& packet, HeaderOffsets& found) noexcept;

// What a port can take unfinished (PortCapabilities as bits).
constexpr uint8_t tx_can_checksum = 1;  // offload_needs_checksum
constexpr uint8_t tx_can_tso = 2;       // GsoType::TcpV4 and TcpV6
constexpr uint8_t tx_can_uso = 4;       // GsoType::UdpL4

// Whether a port takes the packet as it is. Every GSO type also needs tx_can_checksum.
constexpr bool port_takes(uint8_t can, const Offload& offload) noexcept {
  uint8_t needs = (offload.flags & offload_needs_checksum) != 0 ? tx_can_checksum : uint8_t{0};
  if (offload.gso_type != GsoType::None)
    needs |= tx_can_checksum | (offload.gso_type == GsoType::UdpL4 ? tx_can_uso : tx_can_tso);
  return (needs & can) == needs;
}

// What finishing did. The counts are added to: PortCounter::TxSegments and Checksums.
struct Finished {
  DropReason reason = DropReason::None;  // why the last packet was dropped
  uint64_t segments = 0;
  uint64_t checksums = 0;
};

// Turns the packet into packets that a port with the capabilities `can` takes: itself, itself with
// its checksum finished, or its segments. The packet is consumed: it is in `out`, or freed.
// out.max of segments_max is always enough. 0: finished.reason says why (BadSegmentation,
// NoFrames, BadOffload); the caller counts the drop, the frame is freed already.
uint32_t finish_tx(FrameCache& frames, uint8_t can, const Packet& packet, PacketSpan out,
                   Finished& finished) noexcept;

}  // namespace vtep
