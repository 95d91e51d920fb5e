// flow/parse.cpp — the loop over a burst, Ethernet, ARP, IPv4 and L4.
//
// Why:    the straight road is parse_straight.h's; here is all else, and every flaw's name.
#include "flow/parse.h"

#include "flow/parse_steps.h"
#include "flow/parse_straight.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace vtep {

namespace parse_steps {

namespace {

DropReason parse_arp(const Step& step, uint32_t l3) noexcept {
  if (step.length - l3 < arp_bytes) return DropReason::BadArp;
  const uint8_t* arp = step.data + l3;
  if (load_be16(arp + arp_hardware_offset).host() != 1 ||
      load_be16(arp + arp_protocol_offset).host() != eth_type_ipv4 || arp[arp_hlen_offset] != 6 ||
      arp[arp_plen_offset] != 4) {
    return DropReason::BadArp;
  }
  FlowKey& key = step.key;
  const uint16_t opcode = load_be16(arp + arp_opcode_offset).host();
  key.ip_proto = opcode <= 0xff ? static_cast<uint8_t>(opcode) : 0;
  key.ip_src = load_be32(arp + arp_spa_offset);
  key.ip_dst = load_be32(arp + arp_tpa_offset);
  memcpy(key.arp_sha.data(), arp + arp_sha_offset, 6);
  memcpy(key.arp_tha.data(), arp + arp_tha_offset, 6);
  step.info.l3 = static_cast<uint16_t>(l3);
  return DropReason::None;
}

inline bool header_checksum_valid(const uint8_t* ip, uint32_t header_bytes) noexcept {
  uint64_t sum = 0;
  for (uint32_t word = 0; word < header_bytes; word += 4) sum += load_be32(ip + word).raw;
  return checksum_valid(sum);
}

inline DropReason parse_tcp(const Step& step, uint32_t at, uint32_t end) noexcept {
  if (end - at < tcp_header_bytes) return DropReason::BadL4;
  const uint8_t* tcp = step.data + at;
  const uint32_t header = (tcp[tcp_data_offset] >> 4) * 4u;
  if (header < tcp_header_bytes || header > end - at) return DropReason::BadL4;
  step.key.tp_src = load_be16(tcp);
  step.key.tp_dst = load_be16(tcp + 2);
  step.info.tcp_flags = tcp[tcp_flags_offset];
  step.info.payload = static_cast<uint16_t>(at + header);
  return DropReason::None;
}

inline DropReason parse_udp(const Step& step, uint32_t at, uint32_t end) noexcept {
  if (end - at < udp_header_bytes) return DropReason::BadL4;
  const uint8_t* udp = step.data + at;
  // The length of a first fragment is that of the whole datagram: it says nothing about this
  // packet.
  const uint32_t length = load_be16(udp + udp_length_offset).host();
  if (length < udp_header_bytes || (length > end - at && step.key.ip_frag == frag_none))
    return DropReason::BadL4;
  step.key.tp_src = load_be16(udp);
  step.key.tp_dst = load_be16(udp + 2);
  step.info.payload = static_cast<uint16_t>(at + udp_header_bytes);
  return DropReason::None;
}

DropReason parse_icmp(const Step& step, uint32_t at, uint32_t end) noexcept {
  if (end - at < icmp_header_bytes) return DropReason::BadL4;
  const uint8_t* icmp = step.data + at;
  step.key.tp_src = be16(icmp[icmp_type_offset]);
  step.key.tp_dst = be16(icmp[icmp_code_offset]);
  step.info.payload = static_cast<uint16_t>(at + icmp_header_bytes);
  return DropReason::None;
}

DropReason parse_sctp(const Step& step, uint32_t at, uint32_t end) noexcept {
  if (end - at < sctp_header_bytes) return DropReason::BadL4;
  step.key.tp_src = load_be16(step.data + at);
  step.key.tp_dst = load_be16(step.data + at + 2);
  step.info.payload = static_cast<uint16_t>(at + sctp_header_bytes);
  return DropReason::None;
}

DropReason parse_other_l4(const Step& step, uint32_t at, uint32_t end) noexcept {
  switch (step.key.ip_proto) {
    case ip_proto_icmp:
      if (step.key.eth_type == be16(eth_type_ipv4)) return parse_icmp(step, at, end);
      return DropReason::None;
    case ip_proto_icmpv6:
      if (step.key.eth_type == be16(eth_type_ipv6)) return parse_icmpv6(step, at, end);
      return DropReason::None;
    case ip_proto_sctp:
      return parse_sctp(step, at, end);
    case ip_proto_none:
      if (step.key.eth_type == be16(eth_type_ipv6)) step.info.l4 = 0;
      return DropReason::None;
    default:
      return DropReason::None;  // GRE, ESP and the like pass by their protocol number
  }
}

inline DropReason parse_l4_inline(const Step& step, uint32_t at, uint32_t end) noexcept {
  step.info.l4 = static_cast<uint16_t>(at);
  const uint8_t proto = step.key.ip_proto;
  if (proto == ip_proto_tcp) return parse_tcp(step, at, end);
  if (proto == ip_proto_udp) return parse_udp(step, at, end);
  return parse_other_l4(step, at, end);
}

// `header` is that of the IPv4 header, 20 bytes or more; the caller has checked that it is there.
inline DropReason parse_ipv4_body(const Step& step, uint32_t l3, uint32_t header) noexcept {
  const uint8_t* ip = step.data + l3;
  const uint32_t total = load_be16(ip + ipv4_total_length_offset).host();
  if (total < header || total > step.length - l3) [[unlikely]]
    return DropReason::BadIpv4;
  if (step.verify_checksums && !header_checksum_valid(ip, header)) [[unlikely]]
    return DropReason::BadIpv4Checksum;
  FlowKey& key = step.key;
  key.ip_proto = ip[ipv4_proto_offset];
  key.ip_src = load_be32(ip + ipv4_src_offset);
  key.ip_dst = load_be32(ip + ipv4_dst_offset);
  step.info.l3 = static_cast<uint16_t>(l3);
  step.info.ip_tos = ip[ipv4_tos_offset];
  step.info.ip_ttl = ip[ipv4_ttl_offset];
  const Be16 frag = load_be16(ip + ipv4_frag_offset);
  if (frag.raw & be16(ipv4_more_fragments | ipv4_frag_offset_mask).raw) [[unlikely]] {
    if (frag.host() & ipv4_frag_offset_mask) {
      key.ip_frag = frag_later;
      return DropReason::None;
    }
    key.ip_frag = frag_first;
  }
  return parse_l4_inline(step, l3 + header, l3 + total);
}

DropReason parse_ipv4_options(const Step& step, uint32_t l3) noexcept {
  const uint8_t* ip = step.data + l3;
  const uint32_t header = (ip[0] & 15u) * 4;
  if (ip[0] >> 4 != 4 || header < ipv4_header_bytes || header > step.length - l3)
    return DropReason::BadIpv4;
  return parse_ipv4_body(step, l3, header);
}

inline DropReason parse_ipv4(const Step& step, uint32_t l3) noexcept {
  if (step.length - l3 < ipv4_header_bytes) [[unlikely]]
    return DropReason::BadIpv4;
  if (step.data[l3] != 0x45) [[unlikely]]
    return parse_ipv4_options(step, l3);
  return parse_ipv4_body(step, l3, ipv4_header_bytes);
}

bool is_vlan(Be16 type) noexcept {
  return type == be16(eth_type_vlan) || type == be16(eth_type_qinq);
}

Be16 vlan_key(const uint8_t* tci) noexcept {
  return be16(static_cast<uint16_t>((load_be16(tci).host() & 0x0fff) | vlan_present));
}

// Everything but untagged IPv4. step.key.eth_type holds the first EtherType.
DropReason parse_other_frame(const Step& step) noexcept {
  FlowKey& key = step.key;
  uint32_t l3 = eth_header_bytes;
  for (uint32_t tags = 0; is_vlan(key.eth_type); ++tags, l3 += vlan_tag_bytes) {
    if (tags == 2 || step.length - l3 < vlan_tag_bytes) return DropReason::BadVlan;
    (tags == 0 ? key.vlan_tci : key.vlan_tci2) = vlan_key(step.data + l3);
    key.eth_type = load_be16(step.data + l3 + 2);
  }
  const uint16_t type = key.eth_type.host();
  if (type == eth_type_ipv4) return parse_ipv4(step, l3);
  if (type == eth_type_ipv6) return parse_ipv6(step, l3);
  if (type == eth_type_arp) return parse_arp(step, l3);
  if (type < eth_type_min) key.eth_type = be16(eth_type_none);
  return DropReason::None;
}

inline DropReason parse_frame_inline(const Step& step) noexcept {
  if (step.length < eth_header_bytes) [[unlikely]]
    return DropReason::TooShort;
  FlowKey& key = step.key;
  memcpy(key.eth_dst.data(), step.data + eth_dst_offset, 6);
  memcpy(key.eth_src.data(), step.data + eth_src_offset, 6);
  key.eth_type = load_be16(step.data + eth_type_offset);
  if (key.eth_type == be16(eth_type_ipv4)) [[likely]]
    return parse_ipv4(step, eth_header_bytes);
  return parse_other_frame(step);
}

}  // namespace

DropReason parse_l4(const Step& step, uint32_t at, uint32_t end) noexcept {
  return parse_l4_inline(step, at, end);
}

DropReason parse_frame(const Step& step) noexcept { return parse_frame_inline(step); }

DropReason check_offload(Packet& packet, const FlowKey& key, const PacketInfo& info) noexcept {
  Offload& offload = packet.offload;
  const bool unfinished = (offload.flags & offload_needs_checksum) != 0;
  if (unfinished) {
    // A start behind our L4 header is legal: a tunnel inside the packet. A fragment has no whole
    // L4.
    if (info.l4 == 0 || key.ip_frag != frag_none || offload.checksum_start < info.l4 ||
        !checksum_place_inside(packet)) {
      return DropReason::BadOffload;
    }
    if (key.ip_proto == ip_proto_sctp && !finish_checksum(packet)) return DropReason::BadOffload;
  }
  if (offload.gso_type == GsoType::None) return DropReason::None;
  if (offload.gso_size == 0 || info.payload == 0 || key.ip_frag != frag_none ||
      (unfinished && offload.checksum_start != info.l4)) {
    return DropReason::BadOffload;
  }
  const bool ipv4 = key.eth_type == be16(eth_type_ipv4);
  switch (offload.gso_type) {
    case GsoType::TcpV4:
      return key.ip_proto == ip_proto_tcp && ipv4 ? DropReason::None : DropReason::BadOffload;
    case GsoType::TcpV6:
      return key.ip_proto == ip_proto_tcp && !ipv4 ? DropReason::None : DropReason::BadOffload;
    case GsoType::UdpL4:
      return key.ip_proto == ip_proto_udp ? DropReason::None : DropReason::BadOffload;
    default:
      return DropReason::BadOffload;
  }
}

namespace {

constexpr uint32_t prefetch_ahead = 6;  // packets; their headers come from L3 or memory

inline void parse_plain(Packet& packet, const RxContext& context, FlowKey& key,
                        PacketInfo& info) noexcept {
  const Ingress from{context.in_port};
  const Step step{packet.data, packet.length, context.verify_checksums, key, info};
  if (!packet.offload.any() && parse_straight(step, from)) [[likely]]
    return;
  memset(static_cast<void*>(&key), 0, sizeof key);
  info = PacketInfo{};
  key.in_port = context.in_port;
  info.drop = parse_frame_inline(step);
  if (packet.offload.any() && info.drop == DropReason::None) [[unlikely]]
    info.drop = check_offload(packet, key, info);
}

}  // namespace

}  // namespace parse_steps

uint32_t parse(Packet* packets, uint32_t count, const RxContext& context, FlowKey* keys,
               PacketInfo* infos) noexcept {
  uint32_t good = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (i + parse_steps::prefetch_ahead < count) {
      const uint8_t* ahead = packets[i + parse_steps::prefetch_ahead].data;
      __builtin_prefetch(ahead);
      if (context.uplink) __builtin_prefetch(ahead + cache_line_bytes);
    }
    if (!context.uplink) {
      parse_steps::parse_plain(packets[i], context, keys[i], infos[i]);
      good += infos[i].drop == DropReason::None;
      continue;
    }
    parse_steps::parse_uplink(packets[i], context, keys[i], infos[i]);
    good += infos[i].drop == DropReason::None && infos[i].outer_bytes != 0;
  }
  return good;
}

}  // namespace vtep
