// action/icmp_error.cpp — see icmp_error.h.
#include "action/icmp_error.h"

#include <algorithm>
#include <cstring>

#include "action/rewrite.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace vtep {

namespace {

constexpr uint8_t error_ttl = 64;
constexpr uint8_t error_tos = 0xc0;  // internetwork control (RFC 1812 section 4.3.2.5)
constexpr uint32_t icmp_mtu_offset = 6;    // IPv4: 16 bits (RFC 1191)
constexpr uint32_t icmpv6_mtu_offset = 4;  // 32 bits

// Type and code of an error, for IPv4 and for IPv6.
struct IcmpCodes {
  uint8_t type4;
  uint8_t code4;
  uint8_t type6;
  uint8_t code6;
};

IcmpCodes codes_of(IcmpErrorKind kind) noexcept {
  switch (kind) {
    case IcmpErrorKind::TooBig: return {icmp_unreachable, 4, icmpv6_packet_too_big, 0};
    case IcmpErrorKind::TimeExceeded: return {icmp_time_exceeded, 0, icmpv6_time_exceeded, 0};
    case IcmpErrorKind::NoRoute: return {icmp_unreachable, 0, icmpv6_unreachable, 0};
    case IcmpErrorKind::HostUnreachable: return {icmp_unreachable, 1, icmpv6_unreachable, 3};
    case IcmpErrorKind::PortUnreachable: break;
  }
  return {icmp_unreachable, 3, icmpv6_unreachable, 4};
}

bool multicast_mac(const MacBytes& mac) noexcept { return (mac[0] & 1) != 0; }

bool unicast_v4(Be32 address) noexcept {
  const uint32_t first = address.host() >> 24;
  return first != 0 && first != 127 && first < 224;
}

bool unicast_v6(const Ipv6Bytes& address) noexcept {
  static constexpr Ipv6Bytes unspecified = {};
  return address[0] != 0xff && address != unspecified;
}

bool icmp_error_type(uint8_t type) noexcept {
  return type == icmp_unreachable || type == icmp_source_quench || type == icmp_redirect ||
         type == icmp_time_exceeded || type == icmp_parameter_problem;
}

// Puts the dropped packet's addresses and ports back to what they were when it came in.
void restore(Packet& packet, const FlowKey& key, const PacketInfo& info, uint8_t version) noexcept {
  if (version == 4) {
    uint8_t src[4];
    uint8_t dst[4];
    store_be32(src, key.ip_src);
    store_be32(dst, key.ip_dst);
    set_ip_src(packet, info, src, 4);
    set_ip_dst(packet, info, dst, 4);
  } else {
    set_ip_src(packet, info, key.ipv6_src.data(), 16);
    set_ip_dst(packet, info, key.ipv6_dst.data(), 16);
  }
  set_tp_src(packet, info, key.tp_src);
  set_tp_dst(packet, info, key.tp_dst);
}

bool tagged(Be16 tci) noexcept { return (tci.host() & vlan_present) != 0; }

uint8_t* put_tag(uint8_t* at, uint16_t type, Be16 tci) noexcept {
  store_be16(at, be16(type));
  store_be16(at + 2, be16(tci.host() & 0x0fff));
  return at + vlan_tag_bytes;
}

uint8_t* put_ethernet(uint8_t* at, const FlowKey& key) noexcept {
  memcpy(at + eth_dst_offset, key.eth_src.data(), 6);
  memcpy(at + eth_src_offset, key.eth_dst.data(), 6);
  at += eth_type_offset;
  if (tagged(key.vlan_tci))
    at = put_tag(at, tagged(key.vlan_tci2) ? eth_type_qinq : eth_type_vlan, key.vlan_tci);
  if (tagged(key.vlan_tci2)) at = put_tag(at, eth_type_vlan, key.vlan_tci2);
  store_be16(at, key.eth_type);
  return at + 2;
}

uint32_t tag_bytes(const FlowKey& key) noexcept {
  return (tagged(key.vlan_tci) ? vlan_tag_bytes : 0) + (tagged(key.vlan_tci2) ? vlan_tag_bytes : 0);
}

// A header back to the sender, before `bytes` of the protocol.
void put_ipv4(uint8_t* ip, const FlowKey& key, uint8_t proto, uint32_t bytes) noexcept {
  memset(ip, 0, ipv4_header_bytes);
  ip[0] = 0x45;
  const uint32_t total = ipv4_header_bytes + bytes;
  store_be16(ip + ipv4_total_length_offset, be16(static_cast<uint16_t>(total)));
  store_be16(ip + ipv4_frag_offset, be16(ipv4_dont_fragment));
  ip[ipv4_ttl_offset] = error_ttl;
  ip[ipv4_proto_offset] = proto;
  store_be32(ip + ipv4_src_offset, key.ip_dst);
  store_be32(ip + ipv4_dst_offset, key.ip_src);
}

void put_ipv6(uint8_t* ip, const FlowKey& key, uint8_t proto, uint32_t bytes) noexcept {
  memset(ip, 0, ipv6_header_bytes);
  ip[0] = 0x60;
  store_be16(ip + ipv6_payload_length_offset, be16(static_cast<uint16_t>(bytes)));
  ip[ipv6_next_header_offset] = proto;
  ip[ipv6_hop_limit_offset] = error_ttl;
  memcpy(ip + ipv6_src_offset, &key.ipv6_dst, 16);
  memcpy(ip + ipv6_dst_offset, &key.ipv6_src, 16);
}

// `bytes`: of the ICMP message, header and quote.
void put_v4(uint8_t* ip, const FlowKey& key, const IcmpError& error, uint32_t bytes) noexcept {
  uint8_t* icmp = ip + ipv4_header_bytes;
  put_ipv4(ip, key, ip_proto_icmp, bytes);
  memset(icmp, 0, icmp_header_bytes);
  ip[ipv4_tos_offset] = error_tos;
  if (error.ipv4_source.raw != 0) store_be32(ip + ipv4_src_offset, error.ipv4_source);
  store_be16(ip + ipv4_checksum_offset, checksum_finish(checksum_add(ip, ipv4_header_bytes)));
  const IcmpCodes codes = codes_of(error.kind);
  icmp[icmp_type_offset] = codes.type4;
  icmp[icmp_code_offset] = codes.code4;
  if (error.kind == IcmpErrorKind::TooBig)
    store_be16(icmp + icmp_mtu_offset, be16(static_cast<uint16_t>(std::min(error.mtu, 65535u))));
  store_be16(icmp + icmp_checksum_offset, checksum_finish(checksum_add(icmp, bytes)));
}

void put_v6(uint8_t* ip, const FlowKey& key, const IcmpError& error, uint32_t bytes) noexcept {
  static constexpr Ipv6Bytes unspecified = {};
  uint8_t* icmp = ip + ipv6_header_bytes;
  put_ipv6(ip, key, ip_proto_icmpv6, bytes);
  memset(icmp, 0, icmp_header_bytes);
  if (error.ipv6_source != unspecified) memcpy(ip + ipv6_src_offset, &error.ipv6_source, 16);
  const IcmpCodes codes = codes_of(error.kind);
  icmp[icmp_type_offset] = codes.type6;
  icmp[icmp_code_offset] = codes.code6;
  if (error.kind == IcmpErrorKind::TooBig) store_be32(icmp + icmpv6_mtu_offset, be32(error.mtu));
  const uint64_t pseudo =
      pseudo_sum_v6(ip + ipv6_src_offset, ip + ipv6_dst_offset, ip_proto_icmpv6, bytes);
  store_be16(icmp + icmp_checksum_offset, checksum_finish(checksum_add(icmp, bytes, pseudo)));
}

// Sequence numbers and flags as RFC 9293 has them, so that the sender believes the reset.
void put_reset(uint8_t* tcp, const Packet& packet, const FlowKey& key,
               const PacketInfo& info) noexcept {
  const uint8_t* segment = packet.data + info.l4;
  memset(tcp, 0, tcp_header_bytes);
  store_be16(tcp, key.tp_dst);
  store_be16(tcp + 2, key.tp_src);
  tcp[tcp_data_offset] = (tcp_header_bytes / 4) << 4;
  tcp[tcp_flags_offset] = tcp_rst;
  if ((info.tcp_flags & tcp_ack) != 0) {
    memcpy(tcp + tcp_seq_offset, segment + tcp_ack_offset, 4);
    return;
  }
  tcp[tcp_flags_offset] |= tcp_ack;
  const uint32_t flags = (info.tcp_flags & tcp_syn ? 1 : 0) + (info.tcp_flags & tcp_fin ? 1 : 0);
  const uint32_t bytes = packet.length - std::min<uint32_t>(info.payload, packet.length);
  const uint32_t next = load_be32(segment + tcp_seq_offset).host() + flags + bytes;
  store_be32(tcp + tcp_ack_offset, be32(next));
}

}  // namespace

bool may_answer(const Packet& packet, const FlowKey& key, const PacketInfo& info) noexcept {
  const uint8_t version = ip_version(packet, info);
  if (version == 0 || key.ip_frag == frag_later) return false;
  if (multicast_mac(key.eth_dst) || multicast_mac(key.eth_src)) return false;
  if (version == 4 && !(unicast_v4(key.ip_src) && unicast_v4(key.ip_dst))) return false;
  if (version == 6 && !(unicast_v6(key.ipv6_src) && unicast_v6(key.ipv6_dst))) return false;
  if (info.l4 == 0 || info.l4 >= packet.length) return true;
  const uint8_t proto = l4_proto(packet, info);
  const uint8_t type = packet.data[info.l4];
  if (proto == ip_proto_icmp) return !icmp_error_type(type);
  return proto != ip_proto_icmpv6 || (type >= icmpv6_echo_request && type != nd_redirect);
}

Packet make_icmp_error(FrameCache& frames, Packet& packet, const FlowKey& key,
                       const PacketInfo& info, const IcmpError& error) noexcept {
  if (!may_answer(packet, key, info)) return Packet{};
  const uint8_t version = ip_version(packet, info);
  const uint32_t header = version == 4 ? ipv4_header_bytes : ipv6_header_bytes;
  const uint32_t bytes_max = version == 4 ? icmp_error_bytes_max : icmpv6_error_bytes_max;
  restore(packet, key, info, version);
  const uint32_t quote = std::min(packet.length - info.l3, bytes_max - header - icmp_header_bytes);
  Packet made = frames.make(eth_header_bytes + tag_bytes(key) + header + icmp_header_bytes + quote);
  if (made.frame == no_frame) return made;
  uint8_t* ip = put_ethernet(made.data, key);
  memcpy(ip + header + icmp_header_bytes, packet.data + info.l3, quote);
  if (version == 4)
    put_v4(ip, key, error, icmp_header_bytes + quote);
  else
    put_v6(ip, key, error, icmp_header_bytes + quote);
  return made;
}

Packet make_tcp_reset(FrameCache& frames, const Packet& packet, const FlowKey& key,
                      const PacketInfo& info) noexcept {
  const bool segment = info.l4 != 0 && info.l4 + tcp_header_bytes <= packet.length;
  if (!segment || (info.tcp_flags & tcp_rst) != 0 || !may_answer(packet, key, info))
    return Packet{};
  const bool ipv4 = ip_version(packet, info) == 4;
  const uint32_t header = ipv4 ? ipv4_header_bytes : ipv6_header_bytes;
  Packet made = frames.make(eth_header_bytes + tag_bytes(key) + header + tcp_header_bytes);
  if (made.frame == no_frame) return made;
  uint8_t* ip = put_ethernet(made.data, key);
  uint8_t* tcp = ip + header;
  put_reset(tcp, packet, key, info);
  uint64_t pseudo = 0;
  if (ipv4) {
    put_ipv4(ip, key, ip_proto_tcp, tcp_header_bytes);
    store_be16(ip + ipv4_checksum_offset, checksum_finish(checksum_add(ip, ipv4_header_bytes)));
    pseudo = pseudo_sum_v4(ip + ipv4_src_offset, ip + ipv4_dst_offset, ip_proto_tcp,
                           tcp_header_bytes);
  } else {
    put_ipv6(ip, key, ip_proto_tcp, tcp_header_bytes);
    pseudo = pseudo_sum_v6(ip + ipv6_src_offset, ip + ipv6_dst_offset, ip_proto_tcp,
                           tcp_header_bytes);
  }
  store_be16(tcp + tcp_checksum_offset,
             checksum_finish(checksum_add(tcp, tcp_header_bytes, pseudo)));
  return made;
}

}  // namespace vtep
