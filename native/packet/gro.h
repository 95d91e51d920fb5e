// packet/gro.h — the way back from superpackets of tunnel packets to superpackets of TCP.
//
// Why:    a peer sends bulk TCP as one UDP_L4 superpacket that holds many tunnel packets
//         (action/tunnel.h). Split, each of them would be parsed, looked up and given to a
//         container one by one. Where they are consecutive segments of one inner connection, they
//         become one inner TCP superpacket again: one lookup, one copy into the container.
// Source: virtio 1.2 section 5.1.6; the conditions are those of Linux's tcp_gro_receive().
// Thread: a worker, with its FrameCache. Runs before parse().
#pragma once

#include <cstdint>

#include "base/drop_reasons.h"
#include "packet/frame_pool.h"
#include "packet/gso.h"
#include "packet/packet.h"

namespace vtep {

// Joins a UDP_L4 superpacket of VXLAN or Geneve packets in place. What is left is one tunnel packet
// whose inner packet is a TCP superpacket: offload state (GSO, needs_checksum) describes the inner
// packet, and parse() opens it as any other; outer lengths are set, and offload_data_valid stands
// for the outer checksum. Inner checksums are verified while joining, unless the outer one has
// vouched for them: a sender on this machine left it unfinished, or the device verified a non-zero
// one. False: nothing has changed. The segments are not alike, not consecutive, not whole, or a
// checksum is wrong.
bool join_tunnel_segments(Packet& packet) noexcept;

// What an uplink does with a received superpacket before parse(): join, or else split. One whose
// inner packet is the superpacket, as a kernel VTEP on this machine sends it, is left as it is:
// parse() opens it. The packet is consumed: it, or its pieces, are in `out`. 0: `reason` says why;
// the frame is freed already.
uint32_t open_tunnel_superpacket(FrameCache& frames, const Packet& packet, PacketSpan out,
                                 DropReason& reason) noexcept;

// Whether a superpacket may be that of a tunnel inside the packet: cheap, and true of few others.
constexpr bool may_be_nested(const Offload& offload) noexcept {
  // Two Ethernet and two IPv4 headers, UDP and the tunnel's lie before the inner L4 header.
  return offload.gso_type != GsoType::None && offload.checksum_start >= 84;
}

// What an access port does with a superpacket that may be nested. A container that runs a VTEP of
// its own sends its TCP as one superpacket with one VXLAN or Geneve header, which nobody but its
// kernel could segment later: it is split into single tunnel packets, checksums finished. Any other
// packet is left as it is. The packet is consumed: it, or its pieces, are in `out`. 0: `reason`
// says why; the frame is freed already.
uint32_t open_nested_superpacket(FrameCache& frames, const Packet& packet, PacketSpan out,
                                 DropReason& reason) noexcept;

}  // namespace vtep
