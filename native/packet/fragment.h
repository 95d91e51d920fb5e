// packet/fragment.h — IPv4 fragmentation in software (RFC 791), for packets that allow it.
//
// Why:    a packet without DF that is too large for the path is cut, not answered: its sender did
//         not ask to be told. IPv6 has no such packets (RFC 8200 section 4.5).
// Thread: a worker, with its FrameCache.
#pragma once

#include <cstdint>

#include "base/drop_reasons.h"
#include "packet/frame_pool.h"
#include "packet/gso.h"
#include "packet/packet.h"

namespace vtep {

constexpr uint32_t fragments_max = 128;  // 65535 bytes at an MTU of 576 are 119

// Cuts the IPv4 packet into fragments, each in its own frame with its headers. A fragment may be
// cut again. The packet has no offload left and stays owned by the caller. Returns how many are in
// `out`; 0: `reason` says why (MtuExceeded: DF, a malformed header or more than out.max; NoFrames),
// nothing was allocated.
struct FragmentPlace {
  uint16_t l3;   // offset of the IPv4 header
  uint32_t mtu;  // L3 bytes of each fragment, header included
};
uint32_t fragment_ipv4(FrameCache& frames, const Packet& packet, FragmentPlace at,
                       PacketSpan out, DropReason& reason) noexcept;

}  // namespace vtep
