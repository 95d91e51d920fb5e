// port/offload_guess.cpp — finds the unfinished checksum, outside or inside a tunnel, and the
// segment size.
#include "port/offload_guess.h"

#include "base/be.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace vtep {
namespace {

constexpr uint32_t vxlan_header_bytes = 8;   // RFC 7348
constexpr uint32_t geneve_header_bytes = 8;  // RFC 8926, without options

struct L3 {
  uint32_t offset = 0;  // of the IP header
  uint16_t type = 0;    // Ethernet type
};

L3 find_l3(const uint8_t* data, uint32_t length) noexcept {
  L3 l3{eth_header_bytes, load_be16(data + eth_type_offset).host()};
  for (uint32_t tags = 0; tags < 2; ++tags) {
    if (l3.type != eth_type_vlan && l3.type != eth_type_qinq) break;
    if (l3.offset + vlan_tag_bytes > length) break;
    l3.type = load_be16(data + l3.offset + 2).host();
    l3.offset += vlan_tag_bytes;
  }
  return l3;
}

// Offset of the Ethernet header inside a tunnel packet; 0 when it is none.
uint32_t find_inner(const Packet& packet, const L3& l3, const OffloadGuess& guess) noexcept {
  const uint8_t* ip = packet.data + l3.offset;
  uint32_t udp = 0;
  if (l3.type == eth_type_ipv4 && l3.offset + ipv4_header_bytes <= packet.length &&
      ip[ipv4_proto_offset] == ip_proto_udp)
    udp = l3.offset + (ip[ipv4_version_ihl_offset] & 15u) * 4;
  if (l3.type == eth_type_ipv6 && l3.offset + ipv6_header_bytes <= packet.length &&
      ip[ipv6_next_header_offset] == ip_proto_udp)
    udp = l3.offset + ipv6_header_bytes;
  if (udp == 0 || udp + udp_header_bytes + geneve_header_bytes + eth_header_bytes > packet.length)
    return 0;
  const uint16_t port = load_be16(packet.data + udp + udp_dst_offset).host();
  const uint32_t tunnel = udp + udp_header_bytes;
  uint32_t inner = 0;
  if (port == guess.vxlan_port) inner = tunnel + vxlan_header_bytes;
  if (port == guess.geneve_port)
    inner = tunnel + geneve_header_bytes + (packet.data[tunnel] & 63u) * 4;
  return inner + eth_header_bytes <= packet.length ? inner : 0;
}

// Marks the unfinished checksum inside the tunnel. The outer one, if it has one, counts on it.
bool mark_inner(Packet& packet, uint32_t inner) noexcept {
  Packet inside = packet;
  inside.data += inner;
  inside.length -= inner;
  if (!mark_if_partial(inside)) return false;
  packet.offload = inside.offload;
  packet.offload.checksum_start = static_cast<uint16_t>(inside.offload.checksum_start + inner);
  return true;
}

// `l3` is the outer IP header, `l4_type` the Ethernet type over the unfinished checksum.
DropReason guess_segments(Packet& packet, const L3& l3, uint16_t l4_type, uint32_t mtu) noexcept {
  Offload& offload = packet.offload;
  const uint32_t tcp = offload.checksum_start;
  if (offload.checksum_offset != tcp_checksum_offset) return DropReason::BadOffload;
  if (tcp + tcp_header_bytes > packet.length) return DropReason::BadL4;
  const uint32_t payload = tcp + (packet.data[tcp + tcp_data_offset] >> 4) * 4u;
  if (payload >= l3.offset + mtu) return DropReason::BadOffload;
  offload.gso_type = l4_type == eth_type_ipv4 ? GsoType::TcpV4 : GsoType::TcpV6;
  offload.gso_size = static_cast<uint16_t>(mtu - (payload - l3.offset));
  if ((packet.data[tcp + tcp_flags_offset] & tcp_cwr) != 0) offload.flags |= offload_tcp_ecn;
  return DropReason::None;
}

}  // namespace

DropReason guess_offload(Packet& packet, const OffloadGuess& guess) noexcept {
  if (packet.length < eth_header_bytes) return DropReason::TooShort;
  const L3 l3 = find_l3(packet.data, packet.length);
  const uint32_t inner = guess.uplink ? find_inner(packet, l3, guess) : 0;
  uint16_t l4_type = l3.type;
  bool marked = false;
  if (inner != 0) {
    marked = mark_inner(packet, inner);
    if (marked) l4_type = find_l3(packet.data + inner, packet.length - inner).type;
  }
  if (!marked) marked = mark_if_partial(packet);
  if (!marked || packet.length <= l3.offset + guess.mtu) return DropReason::None;
  return guess_segments(packet, l3, l4_type, guess.mtu);
}

}  // namespace vtep
