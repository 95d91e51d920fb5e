// action/echo_reply.cpp — see echo_reply.h.
#include "action/echo_reply.h"

#include <algorithm>

#include "action/rewrite.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace vtep {

namespace {

constexpr uint8_t reply_ttl = 64;

// Where the ICMP header is; null: there is none, or not whole.
uint8_t* icmp_header(const Packet& packet, const PacketInfo& info, uint8_t proto) noexcept {
  if (info.l4 == 0 || info.l4 + icmp_header_bytes > packet.length) return nullptr;
  return l4_proto(packet, info) == proto ? packet.data + info.l4 : nullptr;
}

// The first word, type and code, changes. The checksum may be left to a device.
void set_type(const Packet& packet, const PacketInfo& info, uint8_t* icmp, uint8_t type) noexcept {
  const bool partial = (packet.offload.flags & offload_needs_checksum) != 0 &&
                       packet.offload.checksum_start == info.l4;
  const Be16 before = load_be16(icmp);
  icmp[icmp_type_offset] = type;
  if (partial) return;
  uint8_t* field = icmp + icmp_checksum_offset;
  store_be16(field, checksum_update(load_be16(field), before, load_be16(icmp)));
}

}  // namespace

DropReason turn_echo_request(Packet& packet, PacketInfo& info) noexcept {
  const uint8_t version = ip_version(packet, info);
  const uint32_t header = version == 4 ? ipv4_header_bytes : ipv6_header_bytes;
  if (version == 0 || info.l3 + header > packet.length) return DropReason::BadL4;
  const uint8_t request = version == 4 ? icmp_echo_request : icmpv6_echo_request;
  const uint8_t reply = version == 4 ? icmp_echo_reply : icmpv6_echo_reply;
  if (info.l4 != 0) {
    uint8_t* icmp = icmp_header(packet, info, version == 4 ? ip_proto_icmp : ip_proto_icmpv6);
    if (icmp == nullptr || icmp[icmp_type_offset] != request || icmp[icmp_code_offset] != 0)
      return DropReason::BadL4;
    set_type(packet, info, icmp, reply);
  }
  // Sums of headers and pseudo headers do not change when addresses change places.
  uint8_t* ip = packet.data + info.l3;
  if (version == 4)
    std::swap_ranges(ip + ipv4_src_offset, ip + ipv4_src_offset + 4, ip + ipv4_dst_offset);
  else
    std::swap_ranges(ip + ipv6_src_offset, ip + ipv6_src_offset + 16, ip + ipv6_dst_offset);
  std::swap_ranges(packet.data + eth_dst_offset, packet.data + eth_dst_offset + 6,
                   packet.data + eth_src_offset);
  set_ttl(packet, info, reply_ttl);
  return DropReason::None;
}

}  // namespace vtep
