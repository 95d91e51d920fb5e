// action/mtu.h — does a packet fit its path, and if not, what then; the MSS of new connections.
//
// Why:    an overlay's MTU is smaller than what containers believe. Whoever sends too much is told
//         (ICMP), cut (IPv4 without DF), or never gets that far (MSS clamp): no black holes.
// Source: RFC 1191, RFC 8201, RFC 879 and RFC 6691 (MSS excludes IP and TCP options).
// Thread: pure.
#pragma once

#include <cstdint>

#include "flow/parse.h"
#include "packet/headers.h"
#include "packet/packet.h"

namespace vtep {

enum class MtuVerdict : uint8_t {
  Fits,
  Segment,   // an IPv4 superpacket without DF: judge its segments
  Fragment,  // IPv4 without DF: fragment_ipv4()
  TooBig,    // drop, and answer where that is allowed
};

// L3 bytes of the packet, or of the largest segment of a superpacket.
inline uint32_t l3_bytes(const Packet& packet, const PacketInfo& info) noexcept {
  const uint32_t l3 = info.l3 != 0 ? info.l3 : eth_header_bytes;
  if (packet.offload.gso_type != GsoType::None && info.payload > l3) {
    const uint32_t whole = packet.length - l3;
    const uint32_t segment = info.payload - l3 + packet.offload.gso_size;
    return segment < whole ? segment : whole;
  }
  return packet.length > l3 ? packet.length - l3 : 0;
}

// `mtu` in L3 bytes, not 0.
MtuVerdict judge_mtu(const Packet& packet, const PacketInfo& info, uint32_t mtu) noexcept;

// Lowers the MSS option of a TCP SYN to what `mtu` carries. True if it did.
bool clamp_mss(Packet& packet, const PacketInfo& info, uint32_t mtu) noexcept;

}  // namespace vtep
