// action/arp_reply.cpp — see arp_reply.h.
#include "action/arp_reply.h"

#include <cstring>

#include "action/rewrite.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace vtep {

namespace {

constexpr uint8_t na_router = 0x80;
constexpr uint8_t na_solicited = 0x40;
constexpr uint8_t na_override = 0x20;
constexpr uint32_t nd_lla_option_bytes = 8;
constexpr uint32_t na_bytes = nd_options_offset + nd_lla_option_bytes;
constexpr MacBytes all_nodes_mac = {0x33, 0x33, 0, 0, 0, 1};
constexpr Ipv6Bytes all_nodes = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr Ipv6Bytes unspecified = {};

bool is_solicitation(const Packet& packet, const PacketInfo& info) noexcept {
  if (info.l4 == 0 || ip_version(packet, info) != 6) return false;
  if (info.l4 < info.l3 + ipv6_header_bytes) return false;
  if (info.l4 + nd_options_offset > packet.length) return false;
  const uint8_t* icmp = packet.data + info.l4;
  if (l4_proto(packet, info) != ip_proto_icmpv6) return false;
  if (icmp[icmp_type_offset] != nd_neighbour_solicit || icmp[icmp_code_offset] != 0) return false;
  if (packet.data[info.l3 + ipv6_hop_limit_offset] != nd_hop_limit) return false;
  return icmp[nd_target_offset] != 0xff;  // RFC 4861 section 7.1.1: the target is no multicast
}

}  // namespace

DropReason turn_arp_request(Packet& packet, const PacketInfo& info, const MacBytes& mac) noexcept {
  uint8_t* arp = packet.data + info.l3;
  if (info.l3 < eth_header_bytes || info.l3 + arp_bytes > packet.length) return DropReason::BadArp;
  if (load_be16(arp - 2).host() != eth_type_arp) return DropReason::BadArp;
  if (load_be16(arp + arp_opcode_offset).host() != arp_request) return DropReason::BadArp;
  uint8_t asked[4];
  memcpy(asked, arp + arp_tpa_offset, 4);
  store_be16(arp + arp_opcode_offset, be16(arp_reply));
  memcpy(arp + arp_tha_offset, arp + arp_sha_offset, 6);
  memcpy(arp + arp_tpa_offset, arp + arp_spa_offset, 4);
  memcpy(arp + arp_sha_offset, mac.data(), 6);
  memcpy(arp + arp_spa_offset, asked, 4);
  memcpy(packet.data + eth_dst_offset, packet.data + eth_src_offset, 6);
  memcpy(packet.data + eth_src_offset, mac.data(), 6);
  return DropReason::None;
}

DropReason turn_nd_solicitation(const FramePool& pool, Packet& packet, PacketInfo& info,
                                const NdAnswer& answer) noexcept {
  if (!is_solicitation(packet, info)) return DropReason::BadL4;
  const uint32_t length = info.l3 + ipv6_header_bytes + na_bytes;
  if (length > packet.length && length - packet.length > tailroom(pool, packet))
    return DropReason::NoFrames;
  Ipv6Bytes target;
  memcpy(target.data(), packet.data + info.l4 + nd_target_offset, target.size());
  uint8_t* ip = packet.data + info.l3;
  const bool probe = memcmp(ip + ipv6_src_offset, unspecified.data(), 16) == 0;

  if (probe)
    memcpy(packet.data + eth_dst_offset, all_nodes_mac.data(), 6);
  else
    memcpy(packet.data + eth_dst_offset, packet.data + eth_src_offset, 6);
  memcpy(packet.data + eth_src_offset, answer.mac.data(), 6);
  store_be32(ip, be32(0x60000000));
  store_be16(ip + ipv6_payload_length_offset, be16(na_bytes));
  ip[ipv6_next_header_offset] = ip_proto_icmpv6;
  ip[ipv6_hop_limit_offset] = nd_hop_limit;
  memcpy(ip + ipv6_dst_offset, probe ? all_nodes.data() : ip + ipv6_src_offset, 16);
  memcpy(ip + ipv6_src_offset, target.data(), 16);

  uint8_t* icmp = ip + ipv6_header_bytes;
  memset(icmp, 0, na_bytes);
  icmp[icmp_type_offset] = nd_neighbour_advert;
  icmp[nd_flags_offset] = static_cast<uint8_t>(na_override | (answer.router ? na_router : 0) |
                                               (probe ? 0 : na_solicited));
  memcpy(icmp + nd_target_offset, target.data(), 16);
  icmp[nd_options_offset] = nd_option_tll;
  icmp[nd_options_offset + 1] = nd_lla_option_bytes / 8;
  memcpy(icmp + nd_options_offset + 2, answer.mac.data(), 6);
  const uint64_t pseudo =
      pseudo_sum_v6(ip + ipv6_src_offset, ip + ipv6_dst_offset, ip_proto_icmpv6, na_bytes);
  store_be16(icmp + icmp_checksum_offset, checksum_finish(checksum_add(icmp, na_bytes, pseudo)));

  packet.length = length;
  packet.offload = Offload{};
  info.l4 = static_cast<uint16_t>(info.l3 + ipv6_header_bytes);
  info.payload = static_cast<uint16_t>(info.l4 + nd_options_offset);
  info.ip_tos = 0;
  info.ip_ttl = nd_hop_limit;
  return DropReason::None;
}

}  // namespace vtep
