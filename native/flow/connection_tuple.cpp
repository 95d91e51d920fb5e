// flow/connection_tuple.cpp — which connection a packet, or the packet that it quotes, is of.
//
// Why:    apart from the table because it reads packets: ICMP ids and ICMP errors' quotations, with
//         their own bounds checks.
// Source: RFC 792, RFC 4443 (an error quotes the packet from its IP header on).
#include "flow/connection.h"
#include "packet/headers.h"

namespace vtep {

namespace {

using hash_detail::load_word;
using hash_detail::product;
using Kind = ConnectionKind;

// That an error must quote (RFC 792): ports, or type and id.
constexpr uint32_t quoted_l4_bytes = 8;

// What a packet says, its sender first.
struct Ends {
  uint64_t address[2][2] = {};
  Be16 port[2] = {};
  uint8_t ip_proto = 0;
  bool ipv6 = false;

  void take_addresses4(Be32 from, Be32 to) noexcept {
    address[0][1] = from.raw;
    address[1][1] = to.raw;
  }
  void take_addresses6(const void* from, const void* to) noexcept {
    for (const uint32_t word : {0u, 1u}) {
      address[0][word] = load_word(from, word);
      address[1][word] = load_word(to, word);
    }
  }
};

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

Kind icmp_ends(const ConnectionPacket& packet, Ends& ends) noexcept {
  const uint8_t type = static_cast<uint8_t>(packet.key->tp_src.host());
  if (is_icmp_error(type, ends.ipv6)) return Kind::IcmpError;
  // ND, MLD and router messages are link business, not connections (types 130 to 143).
  if (ends.ipv6 && type >= 130 && type <= 143) return Kind::Untracked;
  const uint8_t request = ends.ipv6 ? icmpv6_request_of(type) : icmp_request_of(type);
  if (request == 0) return Kind::Invalid;
  if (packet.data == nullptr || packet.info->l4 + icmp_header_bytes > packet.length)
    return Kind::Invalid;
  const Be16 id = load_be16(packet.data + packet.info->l4 + icmp_id_offset);
  const bool asks = type == request;
  ends.port[asks ? 0 : 1] = id;
  ends.port[asks ? 1 : 0] = be16(request);
  return asks ? Kind::IcmpRequest : Kind::IcmpReply;
}

inline Kind ends_of(const ConnectionPacket& packet, Ends& ends) noexcept {
  const FlowKey& key = *packet.key;
  ends.ipv6 = key.eth_type == be16(eth_type_ipv6);
  if (packet.zone == 0 || (!ends.ipv6 && key.eth_type != be16(eth_type_ipv4)))
    return Kind::Untracked;
  if (key.ip_frag == frag_later) return Kind::Invalid;
  if (ends.ipv6)
    ends.take_addresses6(&key.ipv6_src, &key.ipv6_dst);
  else
    ends.take_addresses4(key.ip_src, key.ip_dst);
  ends.ip_proto = key.ip_proto;
  if (key.ip_proto == (ends.ipv6 ? ip_proto_icmpv6 : ip_proto_icmp)) return icmp_ends(packet, ends);
  ends.port[0] = key.tp_src;
  ends.port[1] = key.tp_dst;
  return Kind::Flow;
}

bool quoted_ports(const uint8_t* l4, Ends& ends) noexcept {
  switch (ends.ip_proto) {
    case ip_proto_tcp:
    case ip_proto_udp:
    case ip_proto_sctp:
      ends.port[0] = load_be16(l4);
      ends.port[1] = load_be16(l4 + 2);
      return true;
    case ip_proto_icmp:
    case ip_proto_icmpv6: {
      const uint8_t request = ends.ipv6 ? icmpv6_request_of(l4[0]) : icmp_request_of(l4[0]);
      const bool asks = l4[0] == request;
      ends.port[asks ? 0 : 1] = load_be16(l4 + icmp_id_offset);
      ends.port[asks ? 1 : 0] = be16(request);
      return request != 0;
    }
    default:
      ends.port[0] = ends.port[1] = Be16{};
      return true;
  }
}

// The quotation must have been sent by the receiver of the error: else it is forged or astray.
bool quoted_ends(const ConnectionPacket& packet, Ends& ends) noexcept {
  const uint32_t at = packet.info->l4 + icmp_header_bytes;
  if (packet.data == nullptr || packet.info->l4 == 0) return false;
  const uint8_t* ip = packet.data + at;
  if (!ends.ipv6) {
    if (at + ipv4_header_bytes > packet.length || ip[0] >> 4 != 4) return false;
    const uint32_t header = (ip[0] & 15u) * 4;
    if (header < ipv4_header_bytes || at + header + quoted_l4_bytes > packet.length) return false;
    if (load_be16(ip + ipv4_frag_offset).host() & ipv4_frag_offset_mask) return false;
    if (load_be32(ip + ipv4_src_offset) != packet.key->ip_dst) return false;
    ends.take_addresses4(load_be32(ip + ipv4_src_offset), load_be32(ip + ipv4_dst_offset));
    ends.ip_proto = ip[ipv4_proto_offset];
    return quoted_ports(ip + header, ends);
  }
  if (at + ipv6_header_bytes + quoted_l4_bytes > packet.length || ip[0] >> 4 != 6) return false;
  if (memcmp(ip + ipv6_src_offset, &packet.key->ipv6_dst, 16) != 0) return false;
  ends.take_addresses6(ip + ipv6_src_offset, ip + ipv6_dst_offset);
  ends.ip_proto = ip[ipv6_next_header_offset];
  return quoted_ports(ip + ipv6_header_bytes, ends);
}

// Any order will do, as long as it is one. The answer is a toss, so there is no branch on it.
inline bool out_of_order(const Ends& ends) noexcept {
  using hash_detail::Wide;
  const Wide a = Wide{ends.address[0][0]} << 64 | ends.address[0][1];
  const Wide b = Wide{ends.address[1][0]} << 64 | ends.address[1][1];
  return (a > b) | ((a == b) & (ends.port[0].raw > ends.port[1].raw));
}

// Swaps a and b where all bits of `mask` are ones, and leaves them where they are zeroes.
inline void swap_if(uint64_t mask, uint64_t& a, uint64_t& b) noexcept {
  const uint64_t change = (a ^ b) & mask;
  a ^= change;
  b ^= change;
}

inline ConnectionTuple tuple_of(const Ends& ends, uint16_t zone, bool swapped) noexcept {
  ConnectionTuple tuple;
  const uint64_t mask = swapped ? ~0ull : 0;
  uint64_t ports[2] = {ends.port[0].raw, ends.port[1].raw};
  memcpy(tuple.address, ends.address, sizeof tuple.address);
  swap_if(mask, tuple.address[0][0], tuple.address[1][0]);
  swap_if(mask, tuple.address[0][1], tuple.address[1][1]);
  swap_if(mask, ports[0], ports[1]);
  tuple.rest = ports[0] | ports[1] << 16 | uint64_t{zone} << 32 | uint64_t{ends.ip_proto} << 48 |
               uint64_t{ends.ipv6} << 56;
  return tuple;
}

}  // namespace

uint64_t connection_hash(const ConnectionTuple& tuple, const HashSecret& secret) noexcept {
  hash_detail::Wide sum = product(tuple.address[0][0] + secret.words[0],
                                  tuple.address[0][1] + secret.words[1]);
  sum += product(tuple.address[1][0] + secret.words[2], tuple.address[1][1] + secret.words[3]);
  sum += product(tuple.rest + secret.words[4], secret.words[5]);
  return hash_detail::finish(sum, secret.words[6]);
}

void ask(const ConnectionPacket& packet, const HashSecret& secret,
         ConnectionQuestion& question) noexcept {
  Ends ends;
  question.kind = ends_of(packet, ends);
  if (question.kind == Kind::IcmpError && !quoted_ends(packet, ends)) question.kind = Kind::Invalid;
  if (question.kind == Kind::Untracked || question.kind == Kind::Invalid) return;
  const bool swapped = out_of_order(ends);
  question.sender = swapped;
  question.tuple = tuple_of(ends, packet.zone, swapped);
  question.hash = connection_hash(question.tuple, secret);
}

}  // namespace vtep
