// action/rewrite.cpp — see rewrite.h.
#include "action/rewrite.h"

#include <cstring>

#include "packet/checksum.h"
#include "packet/headers.h"

namespace vtep {

namespace {

constexpr uint16_t sctp_checksum_offset = 8;

bool is_vlan(uint16_t type) noexcept { return type == eth_type_vlan || type == eth_type_qinq; }

// Whether the L4 checksum of the packet is left to a device.
bool partial(const Packet& packet, const PacketInfo& info) noexcept {
  return (packet.offload.flags & offload_needs_checksum) != 0 &&
         packet.offload.checksum_start == info.l4;
}

// Where the L4 checksum that covers the pseudo header is; null: there is none.
uint8_t* l4_checksum(const Packet& packet, const PacketInfo& info, uint8_t proto) noexcept {
  uint32_t offset = 0;
  switch (proto) {
    case ip_proto_tcp: offset = tcp_checksum_offset; break;
    case ip_proto_udp: offset = udp_checksum_offset; break;
    case ip_proto_icmpv6: offset = icmp_checksum_offset; break;
    default: return nullptr;
  }
  if (info.l4 + offset + 2 > packet.length) return nullptr;
  return packet.data + info.l4 + offset;
}

// Bytes that the L4 checksum covers, before and after.
struct Change {
  const uint8_t* before;
  const uint8_t* after;
  uint32_t count;
  bool pseudo;  // they are addresses
};

void update_l4(const Packet& packet, const PacketInfo& info, const Change& change) noexcept {
  if (info.l4 == 0) return;
  const uint8_t proto = l4_proto(packet, info);
  uint8_t* field = l4_checksum(packet, info, proto);
  if (field == nullptr) return;
  const Be16 old = load_be16(field);
  if (partial(packet, info)) {
    if (!change.pseudo) return;
    // The field is a sum, not a complement: update the complement of it, then turn it back.
    const Be16 turned{static_cast<uint16_t>(~old.raw)};
    const Be16 updated = checksum_update(turned, change.before, change.after, change.count);
    store_be16(field, Be16{static_cast<uint16_t>(~updated.raw)});
    return;
  }
  if (proto == ip_proto_udp && old.raw == 0) return;
  Be16 updated = checksum_update(old, change.before, change.after, change.count);
  if (proto == ip_proto_udp && updated.raw == 0) updated = Be16{0xffff};
  store_be16(field, updated);
}

void set_address(Packet& packet, const PacketInfo& info, uint32_t offset, const uint8_t* address,
                 uint32_t bytes) noexcept {
  uint8_t* ip = packet.data + info.l3;
  uint8_t* field = ip + offset;
  if (memcmp(field, address, bytes) == 0) return;
  if (bytes == 4) {
    const Be16 old = load_be16(ip + ipv4_checksum_offset);
    store_be16(ip + ipv4_checksum_offset, checksum_update(old, field, address, bytes));
  }
  update_l4(packet, info, {field, address, bytes, true});
  memcpy(field, address, bytes);
}

// SCTP's CRC covers the whole packet, so it is made anew. A fragment's CRC is not made at all.
void finish_sctp(const Packet& packet, const PacketInfo& info) noexcept {
  if (partial(packet, info)) return;
  const uint8_t* ip = packet.data + info.l3;
  uint32_t end = packet.length;
  if (ip[0] >> 4 == 4) {
    if ((load_be16(ip + ipv4_frag_offset).host() & ipv4_more_fragments) != 0) return;
    end = info.l3 + load_be16(ip + ipv4_total_length_offset).host();
  } else {
    end = info.l3 + ipv6_header_bytes + load_be16(ip + ipv6_payload_length_offset).host();
  }
  if (end > packet.length) return;
  Packet whole = packet;
  whole.length = end;
  whole.offload = Offload{offload_needs_checksum, GsoType::None, 0, info.l4, sctp_checksum_offset};
  finish_checksum(whole);
}

void set_port(Packet& packet, const PacketInfo& info, uint32_t offset, Be16 port) noexcept {
  if (info.l4 == 0 || ip_version(packet, info) == 0) return;
  const uint8_t proto = l4_proto(packet, info);
  if (proto != ip_proto_tcp && proto != ip_proto_udp && proto != ip_proto_sctp) return;
  uint8_t* field = packet.data + info.l4 + offset;
  uint8_t after[2];
  store_be16(after, port);
  if (memcmp(field, after, 2) == 0) return;
  if (proto != ip_proto_sctp) update_l4(packet, info, {field, after, 2, false});
  memcpy(field, after, 2);
  if (proto == ip_proto_sctp) finish_sctp(packet, info);
}

// One 16-bit word of the IPv4 header changes.
void set_ipv4_word(uint8_t* ip, uint32_t offset, Be16 after) noexcept {
  const Be16 before = load_be16(ip + offset);
  const Be16 old = load_be16(ip + ipv4_checksum_offset);
  store_be16(ip + ipv4_checksum_offset, checksum_update(old, before, after));
  store_be16(ip + offset, after);
}

void move_offsets(PacketInfo& info, int bytes) noexcept {
  for (uint16_t* offset : {&info.l3, &info.l4, &info.payload})
    if (*offset != 0) *offset = static_cast<uint16_t>(*offset + bytes);
}

}  // namespace

uint8_t ip_version(const Packet& packet, const PacketInfo& info) noexcept {
  if (info.l3 < eth_header_bytes) return 0;
  const uint16_t type = load_be16(packet.data + info.l3 - 2).host();
  if (type == eth_type_ipv4) return 4;
  return type == eth_type_ipv6 ? 6 : 0;
}

uint8_t l4_proto(const Packet& packet, const PacketInfo& info) noexcept {
  const uint8_t* ip = packet.data + info.l3;
  if (ip[0] >> 4 == 4) return ip[ipv4_proto_offset];
  uint8_t next = ip[ipv6_next_header_offset];
  // parse() has walked this chain and checked its bounds.
  for (uint32_t at = info.l3 + ipv6_header_bytes; at < info.l4;) {
    const uint8_t* header = packet.data + at;
    const uint32_t bytes = next == ip_proto_fragment ? ipv6_fragment_header_bytes
                           : next == ip_proto_ah     ? (header[1] + 2u) * 4
                                                     : (header[1] + 1u) * 8;
    next = header[0];
    at += bytes;
  }
  return next;
}

void set_eth_src(Packet& packet, const MacBytes& mac) noexcept {
  memcpy(packet.data + eth_src_offset, mac.data(), mac.size());
}

void set_eth_dst(Packet& packet, const MacBytes& mac) noexcept {
  memcpy(packet.data + eth_dst_offset, mac.data(), mac.size());
}

bool push_vlan(const FramePool& pool, Packet& packet, PacketInfo& info, uint16_t vid) noexcept {
  if (headroom(pool, packet) < vlan_tag_bytes) return false;
  prepend(packet, vlan_tag_bytes);
  memmove(packet.data, packet.data + vlan_tag_bytes, eth_type_offset);
  store_be16(packet.data + eth_type_offset, be16(eth_type_vlan));
  store_be16(packet.data + eth_type_offset + 2, be16(vid));
  move_offsets(info, vlan_tag_bytes);
  return true;
}

void pop_vlan(Packet& packet, PacketInfo& info) noexcept {
  if (packet.length < eth_header_bytes + vlan_tag_bytes) return;
  if (!is_vlan(load_be16(packet.data + eth_type_offset).host())) return;
  memmove(packet.data + vlan_tag_bytes, packet.data, eth_type_offset);
  trim_front(packet, vlan_tag_bytes);
  move_offsets(info, -static_cast<int>(vlan_tag_bytes));
}

void set_ip_src(Packet& packet, const PacketInfo& info, const uint8_t* address,
                uint32_t bytes) noexcept {
  const uint8_t version = ip_version(packet, info);
  if (version == 4 && bytes == 4) set_address(packet, info, ipv4_src_offset, address, bytes);
  if (version == 6 && bytes == 16) set_address(packet, info, ipv6_src_offset, address, bytes);
}

void set_ip_dst(Packet& packet, const PacketInfo& info, const uint8_t* address,
                uint32_t bytes) noexcept {
  const uint8_t version = ip_version(packet, info);
  if (version == 4 && bytes == 4) set_address(packet, info, ipv4_dst_offset, address, bytes);
  if (version == 6 && bytes == 16) set_address(packet, info, ipv6_dst_offset, address, bytes);
}

void set_tp_src(Packet& packet, const PacketInfo& info, Be16 port) noexcept {
  set_port(packet, info, 0, port);
}

void set_tp_dst(Packet& packet, const PacketInfo& info, Be16 port) noexcept {
  set_port(packet, info, 2, port);
}

void set_dscp(Packet& packet, PacketInfo& info, uint8_t dscp) noexcept {
  const uint8_t version = ip_version(packet, info);
  if (version == 0) return;
  const uint8_t tos = static_cast<uint8_t>(dscp << 2 | (info.ip_tos & ecn_mask));
  uint8_t* ip = packet.data + info.l3;
  const uint16_t word = load_be16(ip).host();
  if (version == 4)
    set_ipv4_word(ip, 0, be16(static_cast<uint16_t>((word & 0xff00) | tos)));
  else  // version 4 bits, traffic class 8, flow label
    store_be16(ip, be16(static_cast<uint16_t>((word & 0xf00f) | tos << 4)));
  info.ip_tos = tos;
}

void set_ttl(Packet& packet, PacketInfo& info, uint8_t ttl) noexcept {
  const uint8_t version = ip_version(packet, info);
  if (version == 0) return;
  info.ip_ttl = ttl;
  uint8_t* ip = packet.data + info.l3;
  if (version == 6) {
    ip[ipv6_hop_limit_offset] = ttl;
    return;
  }
  const uint16_t word = load_be16(ip + ipv4_ttl_offset).host();
  set_ipv4_word(ip, ipv4_ttl_offset, be16(static_cast<uint16_t>((word & 0xff) | ttl << 8)));
}

bool dec_ttl(Packet& packet, PacketInfo& info) noexcept {
  if (ip_version(packet, info) == 0) return true;
  if (info.ip_ttl <= 1) return false;
  set_ttl(packet, info, static_cast<uint8_t>(info.ip_ttl - 1));
  return true;
}

}  // namespace vtep
