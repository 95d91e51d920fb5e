// flow/parse_ipv6.cpp — IPv6, its extension headers, ICMPv6 and neighbour discovery.
//
// Why:    apart from IPv4 because the chain of headers makes it the rare and the long case.
// Source: RFC 8200, RFC 4302 (AH length), RFC 6946 (atomic fragments), RFC 7112 (first fragment
// holds
//         the whole chain), RFC 4861 sections 6.1, 7.1 and 8.1, RFC 6980 (no fragmented ND).
// Limits: eight extension headers.
#include "flow/parse_steps.h"
#include "packet/headers.h"

namespace vtep::parse_steps {

namespace {

constexpr uint32_t extension_headers_max = 8;

// Where the walk along the chain stands.
struct Chain {
  uint8_t next;  // protocol of what is at `at`
  uint32_t at;   // offset of the next header
  uint32_t end;  // of the IPv6 packet
};

bool is_extension(uint8_t proto) noexcept {
  return proto == ip_proto_hop_by_hop || proto == ip_proto_routing || proto == ip_proto_fragment ||
         proto == ip_proto_dest_opts || proto == ip_proto_ah;
}

// Steps over one extension header other than Fragment.
bool skip_extension(const Step& step, Chain& chain) noexcept {
  if (chain.end - chain.at < 8) return false;
  const uint8_t* header = step.data + chain.at;
  const uint32_t bytes = chain.next == ip_proto_ah ? (header[1] + 2u) * 4 : (header[1] + 1u) * 8;
  if (bytes < 8 || bytes > chain.end - chain.at) return false;
  chain.next = header[0];
  chain.at += bytes;
  return true;
}

bool skip_fragment(const Step& step, Chain& chain) noexcept {
  if (chain.end - chain.at < ipv6_fragment_header_bytes) return false;
  const uint8_t* header = step.data + chain.at;
  const uint16_t place = load_be16(header + 2).host();
  if (place & ipv6_frag_offset_mask) {
    step.key.ip_frag = frag_later;
  } else if (place & ipv6_more_fragments) {
    step.key.ip_frag = frag_first;
  }
  chain.next = header[0];
  chain.at += ipv6_fragment_header_bytes;
  return true;
}

DropReason walk_chain(const Step& step, Chain& chain) noexcept {
  for (uint32_t headers = 0; is_extension(chain.next); ++headers) {
    if (headers == extension_headers_max) return DropReason::BadIpv6Extension;
    // RFC 8200 section 4.1: hop-by-hop options come first or not at all.
    if (chain.next == ip_proto_hop_by_hop && headers != 0) return DropReason::BadIpv6Extension;
    const bool whole =
        chain.next == ip_proto_fragment ? skip_fragment(step, chain) : skip_extension(step, chain);
    if (!whole) return DropReason::BadIpv6Extension;
    if (step.key.ip_frag == frag_later) break;
  }
  return DropReason::None;
}

// What each neighbour discovery message holds (RFC 4861 section 4).
struct NdShape {
  uint16_t bytes_min;    // options begin here
  bool target;           // an address at nd_target_offset
  uint8_t link_address;  // the option that goes into arp_sha
};

NdShape nd_shape(uint8_t type) noexcept {
  switch (type) {
    case nd_router_solicit:
      return {8, false, nd_option_sll};
    case nd_router_advert:
      return {16, false, nd_option_sll};
    case nd_neighbour_solicit:
      return {nd_options_offset, true, nd_option_sll};
    case nd_neighbour_advert:
      return {nd_options_offset, true, nd_option_tll};
    default:
      return {40, true, nd_option_tll};  // nd_redirect
  }
}

// `end` is the end of the message. The first link-layer address of the right type counts.
DropReason parse_nd_options(const Step& step, uint32_t at, uint32_t end, uint8_t wanted) noexcept {
  bool found = false;
  while (at != end) {
    if (end - at < 8) return DropReason::BadL4;
    const uint8_t* option = step.data + at;
    const uint32_t bytes = option[1] * 8u;
    if (bytes == 0 || bytes > end - at) return DropReason::BadL4;
    if (option[0] == wanted && !found) {
      memcpy(step.key.arp_sha.data(), option + 2, 6);
      found = true;
    }
    at += bytes;
  }
  return DropReason::None;
}

// Validity as RFC 4861 demands of every receiver, so that the pipeline need not repeat it.
DropReason parse_nd(const Step& step, uint32_t at, uint32_t end) noexcept {
  const uint8_t* message = step.data + at;
  const NdShape shape = nd_shape(message[icmp_type_offset]);
  if (step.info.ip_ttl != nd_hop_limit || message[icmp_code_offset] != 0 ||
      step.key.ip_frag != frag_none || end - at < shape.bytes_min) {
    return DropReason::BadL4;
  }
  if (shape.target) {
    memcpy(step.key.nd_target.data(), message + nd_target_offset, 16);
    if (step.key.nd_target[0] == 0xff) return DropReason::BadL4;  // a group has no MAC to ask for
  }
  return parse_nd_options(step, at + shape.bytes_min, end, shape.link_address);
}

bool has_long_header(uint8_t type) noexcept {
  return type <= icmpv6_parameter_problem || type == icmpv6_echo_request ||
         type == icmpv6_echo_reply;
}

}  // namespace

DropReason parse_icmpv6(const Step& step, uint32_t at, uint32_t end) noexcept {
  if (end - at < icmpv6_header_bytes) return DropReason::BadL4;
  const uint8_t* icmp = step.data + at;
  const uint8_t type = icmp[icmp_type_offset];
  const uint32_t header = has_long_header(type) ? icmp_header_bytes : icmpv6_header_bytes;
  if (end - at < header) return DropReason::BadL4;
  step.key.tp_src = be16(type);
  step.key.tp_dst = be16(icmp[icmp_code_offset]);
  step.info.payload = static_cast<uint16_t>(at + header);
  if (type >= nd_router_solicit && type <= nd_redirect) return parse_nd(step, at, end);
  return DropReason::None;
}

DropReason parse_ipv6(const Step& step, uint32_t l3) noexcept {
  if (step.length - l3 < ipv6_header_bytes) return DropReason::BadIpv6;
  const uint8_t* ip = step.data + l3;
  const uint32_t payload = load_be16(ip + ipv6_payload_length_offset).host();
  if (ip[0] >> 4 != 6 || payload > step.length - l3 - ipv6_header_bytes) return DropReason::BadIpv6;
  FlowKey& key = step.key;
  memcpy(key.ipv6_src.data(), ip + ipv6_src_offset, 16);
  memcpy(key.ipv6_dst.data(), ip + ipv6_dst_offset, 16);
  step.info.l3 = static_cast<uint16_t>(l3);
  step.info.ip_tos = static_cast<uint8_t>(load_be16(ip).host() >> 4);
  step.info.ip_ttl = ip[ipv6_hop_limit_offset];
  Chain chain{ip[ipv6_next_header_offset], l3 + ipv6_header_bytes,
              l3 + ipv6_header_bytes + payload};
  if (is_extension(chain.next)) [[unlikely]] {
    const DropReason verdict = walk_chain(step, chain);
    if (verdict != DropReason::None) return verdict;
  }
  key.ip_proto = chain.next;
  if (key.ip_frag == frag_later) return DropReason::None;
  return parse_l4(step, chain.at, chain.end);
}

}  // namespace vtep::parse_steps
