// flow/connection_tuple.cpp — which connection a packet, or the packet that it quotes, is of.
//
// Why:    apart from the table because it reads packets: ICMP ids and ICMP errors' quotations, with
//         their own bounds checks.
// Source: RFC 792, RFC 4443 (an error quotes the packet from its IP header on).
#include "flow/connection_table.h"
#include "packet/headers.h"

namespace vtep {

namespace {

constexpr uint32_t quoted_l4_bytes =
    8;  // that an error must quote (RFC 792): ports, or type and id

Ipv6Bytes mapped(const uint8_t* ipv4) noexcept {
  Ipv6Bytes address{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  memcpy(address.data() + 12, ipv4, 4);
  return address;
}

// The request of an ICMP message that asks or answers; 0: it does neither.
uint8_t icmp_request_of(uint8_t type) noexcept {
  switch (type) {
    case icmp_echo_request:
    case icmp_echo_reply:
      return icmp_echo_request;
    case 13:  // timestamp
    case 14:
      return 13;
    case 15:  // information
    case 16:
      return 15;
    case 17:  // address mask
    case 18:
      return 17;
    default:
      return 0;
  }
}

uint8_t icmpv6_request_of(uint8_t type) noexcept {
  return type == icmpv6_echo_request || type == icmpv6_echo_reply ? icmpv6_echo_request : 0;
}

bool is_icmp_error(uint8_t type, bool ipv6) noexcept {
  if (ipv6) return type >= icmpv6_unreachable && type <= icmpv6_parameter_problem;
  return type == icmp_unreachable || type == icmp_source_quench || type == icmp_redirect ||
         type == icmp_time_exceeded || type == icmp_parameter_problem;
}

}  // namespace

ConnectionTable::Kind ConnectionTable::icmp_tuple(const ConnectionPacket& packet,
                                                  Tuple& tuple) noexcept {
  const bool ipv6 = tuple.ipv6 != 0;
  const uint8_t type = static_cast<uint8_t>(packet.key.tp_src.host());
  if (is_icmp_error(type, ipv6)) return Kind::IcmpError;
  // ND, MLD and router messages are link business, not connections (types 130 to 143).
  if (ipv6 && type >= 130 && type <= 143) return Kind::Untracked;
  const uint8_t request = ipv6 ? icmpv6_request_of(type) : icmp_request_of(type);
  if (request == 0) return Kind::Invalid;
  if (packet.data == nullptr || packet.info.l4 + icmp_header_bytes > packet.length)
    return Kind::Invalid;
  const Be16 id = load_be16(packet.data + packet.info.l4 + icmp_id_offset);
  const bool asks = type == request;
  tuple.port[asks ? 0 : 1] = id;
  tuple.port[asks ? 1 : 0] = be16(request);
  return asks ? Kind::IcmpRequest : Kind::IcmpReply;
}

ConnectionTable::Kind ConnectionTable::tuple_of(const ConnectionPacket& packet,
                                                Tuple& tuple) noexcept {
  const FlowKey& key = packet.key;
  const bool ipv4 = key.eth_type == be16(eth_type_ipv4);
  if (!ipv4 && key.eth_type != be16(eth_type_ipv6)) return Kind::Untracked;
  if (key.ip_frag == frag_later) return Kind::Invalid;
  tuple.address[0] = ipv4 ? mapped(reinterpret_cast<const uint8_t*>(&key.ip_src)) : key.ipv6_src;
  tuple.address[1] = ipv4 ? mapped(reinterpret_cast<const uint8_t*>(&key.ip_dst)) : key.ipv6_dst;
  tuple.zone = packet.zone;
  tuple.ip_proto = key.ip_proto;
  tuple.ipv6 = ipv4 ? 0 : connection_ipv6;
  if (key.ip_proto == 0) return Kind::Invalid;  // 0 marks free places, and is no transport
  if (key.ip_proto == (ipv4 ? ip_proto_icmp : ip_proto_icmpv6)) return icmp_tuple(packet, tuple);
  tuple.port[0] = key.tp_src;
  tuple.port[1] = key.tp_dst;
  return Kind::Flow;
}

bool ConnectionTable::quoted_ports(const uint8_t* l4, Tuple& tuple) noexcept {
  switch (tuple.ip_proto) {
    case ip_proto_tcp:
    case ip_proto_udp:
    case ip_proto_sctp:
      tuple.port[0] = load_be16(l4);
      tuple.port[1] = load_be16(l4 + 2);
      return true;
    case ip_proto_icmp:
    case ip_proto_icmpv6: {
      const uint8_t request = tuple.ipv6 ? icmpv6_request_of(l4[0]) : icmp_request_of(l4[0]);
      const bool asks = l4[0] == request;
      tuple.port[asks ? 0 : 1] = load_be16(l4 + icmp_id_offset);
      tuple.port[asks ? 1 : 0] = be16(request);
      return request != 0;
    }
    default:
      return true;
  }
}

// The quotation must have been sent by the receiver of the error: else it is forged or astray.
bool ConnectionTable::quoted_tuple(const ConnectionPacket& packet, Tuple& tuple) noexcept {
  const uint32_t at = packet.info.l4 + icmp_header_bytes;
  if (packet.data == nullptr || packet.info.l4 == 0) return false;
  const uint8_t* ip = packet.data + at;
  tuple.zone = packet.zone;
  if (packet.key.eth_type == be16(eth_type_ipv4)) {
    if (at + ipv4_header_bytes > packet.length || ip[0] >> 4 != 4) return false;
    const uint32_t header = (ip[0] & 15u) * 4;
    if (header < ipv4_header_bytes || at + header + quoted_l4_bytes > packet.length) return false;
    if (load_be16(ip + ipv4_frag_offset).host() & ipv4_frag_offset_mask) return false;
    if (load_be32(ip + ipv4_src_offset) != packet.key.ip_dst) return false;
    tuple.address[0] = mapped(ip + ipv4_src_offset);
    tuple.address[1] = mapped(ip + ipv4_dst_offset);
    tuple.ip_proto = ip[ipv4_proto_offset];
    return tuple.ip_proto != 0 && quoted_ports(ip + header, tuple);
  }
  if (at + ipv6_header_bytes + quoted_l4_bytes > packet.length || ip[0] >> 4 != 6) return false;
  if (memcmp(ip + ipv6_src_offset, &packet.key.ipv6_dst, 16) != 0) return false;
  memcpy(&tuple.address[0], ip + ipv6_src_offset, 16);
  memcpy(&tuple.address[1], ip + ipv6_dst_offset, 16);
  tuple.ip_proto = ip[ipv6_next_header_offset];
  tuple.ipv6 = connection_ipv6;
  return tuple.ip_proto != 0 && quoted_ports(ip + ipv6_header_bytes, tuple);
}

}  // namespace vtep
