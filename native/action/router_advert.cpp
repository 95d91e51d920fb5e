// action/router_advert.cpp — see router_advert.h.
#include "action/router_advert.h"

#include <cstring>

#include "action/rewrite.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace vtep {

namespace {

constexpr uint32_t lla_option_bytes = 8;
constexpr uint32_t mtu_option_bytes = 8;
constexpr uint32_t prefix_option_bytes = 32;
constexpr uint32_t advert_bytes = ra_options_offset + lla_option_bytes + mtu_option_bytes;
constexpr uint8_t advised_hop_limit = 64;
constexpr uint8_t prefix_on_link = 0x80;
constexpr uint8_t prefix_autonomous = 0x40;
constexpr uint8_t slaac_bits = 64;
constexpr uint32_t for_ever = 0xffffffff;
constexpr MacBytes all_nodes_mac = {0x33, 0x33, 0, 0, 0, 1};
constexpr Ipv6Bytes all_nodes = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr Ipv6Bytes unspecified = {};

// A packet of neighbour discovery that nobody has forwarded.
bool is_message(const Packet& packet, const PacketInfo& info, uint8_t type) noexcept {
  if (info.l4 == 0 || ip_version(packet, info) != 6) return false;
  if (info.l4 < info.l3 + ipv6_header_bytes) return false;
  if (info.l4 + rs_options_offset > packet.length) return false;
  const uint8_t* icmp = packet.data + info.l4;
  if (l4_proto(packet, info) != ip_proto_icmpv6) return false;
  if (icmp[icmp_type_offset] != type || icmp[icmp_code_offset] != 0) return false;
  return packet.data[info.l3 + ipv6_hop_limit_offset] == nd_hop_limit;
}

// The packet ends `bytes` behind the IPv6 header from now on. False: no room.
bool resize(const FramePool& pool, Packet& packet, const PacketInfo& info,
            uint32_t bytes) noexcept {
  const uint32_t length = info.l3 + ipv6_header_bytes + bytes;
  if (length > packet.length && length - packet.length > tailroom(pool, packet)) return false;
  packet.length = length;
  store_be16(packet.data + info.l3 + ipv6_payload_length_offset,
             be16(static_cast<uint16_t>(bytes)));
  return true;
}

void put_checksum(const Packet& packet, const PacketInfo& info) noexcept {
  uint8_t* ip = packet.data + info.l3;
  uint8_t* icmp = ip + ipv6_header_bytes;
  const uint32_t bytes = packet.length - info.l3 - ipv6_header_bytes;
  store_be16(icmp + icmp_checksum_offset, Be16{});
  const uint64_t pseudo =
      pseudo_sum_v6(ip + ipv6_src_offset, ip + ipv6_dst_offset, ip_proto_icmpv6, bytes);
  store_be16(icmp + icmp_checksum_offset, checksum_finish(checksum_add(icmp, bytes, pseudo)));
}

// Modified EUI-64.
Ipv6Bytes link_local(const MacBytes& mac) noexcept {
  return {0xfe,   0x80,   0,    0,    0,      0,      0,     0, static_cast<uint8_t>(mac[0] ^ 2),
          mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
}

// Back to the sender.
void turn_headers(const Packet& packet, const PacketInfo& info) noexcept {
  uint8_t* ip = packet.data + info.l3;
  const bool nameless = memcmp(ip + ipv6_src_offset, unspecified.data(), 16) == 0;
  const uint8_t* mac = nameless ? all_nodes_mac.data() : packet.data + eth_src_offset;
  memmove(packet.data + eth_dst_offset, mac, 6);
  memmove(ip + ipv6_dst_offset, nameless ? all_nodes.data() : ip + ipv6_src_offset, 16);
}

void put_source(const Packet& packet, const PacketInfo& info, const MacBytes& mac) noexcept {
  uint8_t* ip = packet.data + info.l3;
  memcpy(packet.data + eth_src_offset, mac.data(), 6);
  store_be32(ip, be32(0x60000000));
  ip[ipv6_next_header_offset] = ip_proto_icmpv6;
  ip[ipv6_hop_limit_offset] = nd_hop_limit;
  memcpy(ip + ipv6_src_offset, link_local(mac).data(), 16);
}

}  // namespace

DropReason turn_router_solicitation(const FramePool& pool, Packet& packet, PacketInfo& info,
                                    const RouterAnswer& answer) noexcept {
  const uint8_t asked = answer.answered ? nd_neighbour_advert : nd_router_solicit;
  if (!is_message(packet, info, asked)) return DropReason::BadL4;
  if (!resize(pool, packet, info, advert_bytes)) return DropReason::NoFrames;
  if (!answer.answered) turn_headers(packet, info);
  put_source(packet, info, answer.mac);
  uint8_t* icmp = packet.data + info.l3 + ipv6_header_bytes;
  memset(icmp, 0, advert_bytes);
  icmp[icmp_type_offset] = nd_router_advert;
  icmp[ra_hop_limit_offset] = advised_hop_limit;
  store_be16(icmp + ra_lifetime_offset, be16(answer.lifetime));
  uint8_t* option = icmp + ra_options_offset;
  option[0] = nd_option_sll;
  option[1] = lla_option_bytes / 8;
  memcpy(option + 2, answer.mac.data(), 6);
  option += lla_option_bytes;
  option[0] = nd_option_mtu;
  option[1] = mtu_option_bytes / 8;
  store_be32(option + 4, be32(answer.mtu));
  packet.offload = Offload{};
  info.l4 = static_cast<uint16_t>(info.l3 + ipv6_header_bytes);
  info.payload = static_cast<uint16_t>(info.l4 + ra_options_offset);
  info.ip_tos = 0;
  info.ip_ttl = nd_hop_limit;
  put_checksum(packet, info);
  return DropReason::None;
}

DropReason add_prefix(const FramePool& pool, Packet& packet, const PacketInfo& info,
                      const AdvertisedPrefix& prefix) noexcept {
  if (ip_version(packet, info) != 6 || info.l4 != info.l3 + ipv6_header_bytes ||
      info.l4 + advert_bytes > packet.length)
    return DropReason::BadL4;
  const uint8_t* ip = packet.data + info.l3;
  if (ip[ipv6_next_header_offset] != ip_proto_icmpv6 ||
      packet.data[info.l4 + icmp_type_offset] != nd_router_advert)
    return DropReason::BadL4;
  const uint32_t end = packet.length;
  if (!resize(pool, packet, info, end - info.l4 + prefix_option_bytes)) return DropReason::NoFrames;
  uint8_t* option = packet.data + end;
  memset(option, 0, prefix_option_bytes);
  option[0] = nd_option_prefix;
  option[1] = prefix_option_bytes / 8;
  option[2] = prefix.length;
  option[3] = prefix_on_link;
  if (prefix.length == slaac_bits) option[3] |= prefix_autonomous;
  store_be32(option + 4, be32(for_ever));  // valid
  store_be32(option + 8, be32(for_ever));  // preferred
  memcpy(option + 16, prefix.prefix.data(), 16);
  put_checksum(packet, info);
  return DropReason::None;
}

}  // namespace vtep
