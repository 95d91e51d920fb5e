// flow/parse_tunnel.cpp — opens tunnel packets that are addressed to us.
//
// Why:    an uplink carries other people's packets too. Until a packet is known to be for one of
// our
//         endpoints nothing about it is an error: the host's own stack has its copy. From then on
//         every flaw has a name.
// Source: RFC 7348 (VXLAN), RFC 8926 (Geneve), RFC 768, RFC 6935 (UDP/IPv6 without checksum), RFC
// 6040
//         section 4.2 (ECN at the tunnel's end).
#include "flow/parse_steps.h"
#include "flow/parse_straight.h"
#include "packet/checksum.h"
#include "packet/frame_pool.h"
#include "packet/headers.h"

namespace vtep::parse_steps {

namespace {

// The outer headers of an uplink frame, as far as they are needed. Offsets count from Packet::data.
struct Outer {
  uint32_t l3 = 0;
  uint32_t l4 = 0;   // UDP header
  uint32_t end = 0;  // of the IP packet as its header says; may be wrong until checked
  bool ipv6 = false;
  bool fragment = false;  // a first fragment; later ones have no port to know them by
  Encap encap = Encap::Vxlan;
  AddressWords src = {};
  AddressWords dst = {};
  uint8_t tos = 0;
  uint32_t vni = 0;
  uint32_t tunnel_port = 0;
  uint32_t inner = 0;      // first byte of the inner frame
  uint32_t inner_end = 0;  // behind its last
};

bool find_outer_ipv4(const Packet& packet, Outer& outer) noexcept {
  if (packet.length - outer.l3 < ipv4_header_bytes + udp_header_bytes) return false;
  const uint8_t* ip = packet.data + outer.l3;
  const uint32_t header = (ip[0] & 15u) * 4;
  if (ip[0] >> 4 != 4 || header < ipv4_header_bytes || ip[ipv4_proto_offset] != ip_proto_udp)
    return false;
  const uint16_t frag = load_be16(ip + ipv4_frag_offset).host();
  if (frag & ipv4_frag_offset_mask) return false;
  outer.fragment = (frag & ipv4_more_fragments) != 0;
  outer.l4 = outer.l3 + header;
  outer.end = outer.l3 + load_be16(ip + ipv4_total_length_offset).host();
  outer.tos = ip[ipv4_tos_offset];
  outer.src = AddressWords::mapped(load_be32(ip + ipv4_src_offset));
  outer.dst = AddressWords::mapped(load_be32(ip + ipv4_dst_offset));
  return outer.l4 + udp_header_bytes <= packet.length;
}

// Tunnel packets of a VTEP carry no extension headers but, by accident, a Fragment header.
bool find_outer_ipv6(const Packet& packet, Outer& outer) noexcept {
  if (packet.length - outer.l3 < ipv6_header_bytes + udp_header_bytes) return false;
  const uint8_t* ip = packet.data + outer.l3;
  if (ip[0] >> 4 != 6) return false;
  uint8_t next = ip[ipv6_next_header_offset];
  outer.ipv6 = true;
  outer.l4 = outer.l3 + ipv6_header_bytes;
  outer.end = outer.l4 + load_be16(ip + ipv6_payload_length_offset).host();
  if (next == ip_proto_fragment) {
    const uint16_t place = load_be16(packet.data + outer.l4 + 2).host();
    if (place & ipv6_frag_offset_mask) return false;
    next = packet.data[outer.l4];
    outer.fragment = (place & ipv6_more_fragments) != 0;
    outer.l4 += ipv6_fragment_header_bytes;
  }
  outer.tos = static_cast<uint8_t>(load_be16(ip).host() >> 4);
  outer.src = AddressWords::of(ip + ipv6_src_offset);
  outer.dst = AddressWords::of(ip + ipv6_dst_offset);
  return next == ip_proto_udp && outer.l4 + udp_header_bytes <= packet.length;
}

// Whether the frame is UDP to one of our endpoints; fills `outer` up to tos. Reads inside the frame
// only.
bool find_outer(const Packet& packet, const TunnelEndpoints& endpoints, Outer& outer) noexcept {
  uint32_t type_at = eth_type_offset;
  for (uint32_t tags = 0;; ++tags, type_at += vlan_tag_bytes) {
    if (tags > 2 || packet.length < type_at + 2) return false;
    const uint16_t type = load_be16(packet.data + type_at).host();
    outer.l3 = type_at + 2;
    if (type == eth_type_ipv4) {
      if (!find_outer_ipv4(packet, outer)) return false;
      break;
    }
    if (type == eth_type_ipv6) {
      if (!find_outer_ipv6(packet, outer)) return false;
      break;
    }
    if (type != eth_type_vlan && type != eth_type_qinq) return false;
  }
  const Be16 port = load_be16(packet.data + outer.l4 + udp_dst_offset);
  return endpoints.ours(outer.dst, port, outer.encap);
}

// The outer IP header, whose destination we know to be us.
DropReason check_outer_ip(const Packet& packet, const RxContext& context,
                          const Outer& outer) noexcept {
  if (outer.end > packet.length || outer.end < outer.l4 + udp_header_bytes)
    return outer.ipv6 ? DropReason::BadIpv6 : DropReason::BadIpv4;
  if (!outer.ipv6 && context.verify_checksums) {
    const uint8_t* ip = packet.data + outer.l3;
    if (!checksum_valid(checksum_add(ip, outer.l4 - outer.l3))) return DropReason::BadIpv4Checksum;
  }
  return outer.fragment ? DropReason::OuterFragment : DropReason::None;
}

// Sets inner_end. A checksum that the device vouches for, or that a sender on this machine left
// unfinished, has crossed no wire since: it is not verified.
DropReason check_outer_udp(const Packet& packet, const RxContext& context, Outer& outer) noexcept {
  const uint8_t* udp = packet.data + outer.l4;
  const uint32_t length = load_be16(udp + udp_length_offset).host();
  if (length < udp_header_bytes || length > outer.end - outer.l4) return DropReason::BadOuterUdp;
  outer.inner_end = outer.l4 + length;
  if (load_be16(udp + udp_checksum_offset).raw == 0) {
    const bool allowed = !outer.ipv6 || context.endpoints->zero_udp6_checksum_allowed;
    return allowed ? DropReason::None : DropReason::ZeroUdp6Checksum;
  }
  const uint8_t vouched = offload_data_valid | offload_needs_checksum;
  if (!context.verify_checksums || (packet.offload.flags & vouched) != 0) return DropReason::None;
  const uint8_t* ip = packet.data + outer.l3;
  const uint64_t pseudo =
      outer.ipv6 ? pseudo_sum_v6(ip + ipv6_src_offset, ip + ipv6_dst_offset, ip_proto_udp, length)
                 : pseudo_sum_v4(ip + ipv4_src_offset, ip + ipv4_dst_offset, ip_proto_udp, length);
  return checksum_valid(checksum_add(udp, length, pseudo)) ? DropReason::None
                                                           : DropReason::BadOuterChecksum;
}

// Reserved bits and fields are ignored, as RFC 7348 section 5 demands.
DropReason open_vxlan(const Packet& packet, Outer& outer) noexcept {
  const uint32_t at = outer.l4 + udp_header_bytes;
  if (outer.inner_end - at < vxlan_header_bytes) return DropReason::BadVxlan;
  const uint8_t* vxlan = packet.data + at;
  if ((vxlan[vxlan_flags_offset] & vxlan_flag_vni) == 0) return DropReason::BadVxlan;
  outer.vni = load_be32(vxlan + vxlan_vni_offset).host() >> 8;
  outer.inner = at + vxlan_header_bytes;
  return DropReason::None;
}

// Options in [at, end): ours is taken, others are skipped unless critical.
DropReason parse_geneve_options(const uint8_t* at, const uint8_t* end, Outer& outer) noexcept {
  while (at != end) {
    if (end - at < static_cast<ptrdiff_t>(geneve_option_header_bytes)) return DropReason::BadGeneve;
    const uint32_t data_bytes = (at[3] & 0x1fu) * 4;
    const uint8_t* data = at + geneve_option_header_bytes;
    if (end - data < static_cast<ptrdiff_t>(data_bytes)) return DropReason::BadGeneve;
    const uint8_t type = at[2];
    if (load_be16(at).host() == geneve_option_class && type == geneve_option_type) {
      if (data_bytes != 8) return DropReason::BadGeneve;
      outer.tunnel_port = load_be32(data).host();
    } else if (type & geneve_option_critical) {
      return DropReason::GeneveCriticalOption;
    }
    at = data + data_bytes;
  }
  return DropReason::None;
}

DropReason open_geneve(const Packet& packet, Outer& outer) noexcept {
  const uint32_t at = outer.l4 + udp_header_bytes;
  if (outer.inner_end - at < geneve_header_bytes) return DropReason::BadGeneve;
  const uint8_t* geneve = packet.data + at;
  const uint32_t option_bytes = (geneve[geneve_version_optlen_offset] & 0x3fu) * 4;
  if (geneve[geneve_version_optlen_offset] >> 6 != 0 ||
      outer.inner_end - at - geneve_header_bytes < option_bytes) {
    return DropReason::BadGeneve;
  }
  if (geneve[geneve_flags_offset] & geneve_flag_control) return DropReason::GeneveControl;
  const uint8_t* options = geneve + geneve_header_bytes;
  const DropReason verdict = parse_geneve_options(options, options + option_bytes, outer);
  if (verdict != DropReason::None) return verdict;
  if (load_be16(geneve + geneve_protocol_offset).host() != eth_type_teb)
    return DropReason::GeneveProtocol;
  outer.vni = load_be32(geneve + geneve_vni_offset).host() >> 8;
  outer.inner = at + geneve_header_bytes + option_bytes;
  return DropReason::None;
}

// Whether the model knows the sender and the network.
DropReason admit(const TunnelEndpoints& endpoints, const Outer& outer, FlowKey& key) noexcept {
  key.tunnel_src = endpoints.tunnel_of(outer.src, outer.encap);
  if (key.tunnel_src == 0) return DropReason::UnknownVtep;
  using VniKind = TunnelEndpoints::VniKind;
  const VniKind kind = endpoints.network(outer.vni);
  if (kind == VniKind::Unknown) return DropReason::UnknownVni;
  if ((kind == VniKind::Vxlan) != (outer.encap == Encap::Vxlan)) return DropReason::WrongEncap;
  key.tunnel_id = outer.vni;
  key.tunnel_port = outer.tunnel_port;
  return DropReason::None;
}

// Trims the outer headers and whatever padded the outer frame. An unfinished checksum of the outer
// UDP header is gone with it; one of the inner packet (a sender on this machine) moves along.
DropReason strip_outer(Packet& packet, const Outer& outer) noexcept {
  Offload& offload = packet.offload;
  if ((offload.flags & offload_needs_checksum) && offload.checksum_start < outer.inner)
    offload.flags = static_cast<uint8_t>(offload.flags & ~offload_needs_checksum);
  offload.flags = static_cast<uint8_t>(offload.flags & ~offload_data_valid);
  const bool inner_unfinished = (offload.flags & offload_needs_checksum) != 0;
  if (offload.gso_type != GsoType::None && !inner_unfinished) return DropReason::BadOffload;
  packet.length = outer.inner_end;
  trim_front(packet, outer.inner);
  if (!inner_unfinished) offload = Offload{};
  return DropReason::None;
}

// The ECN field of the packet that goes on (RFC 6040 figure 4); ecn_mask + 1: it must be dropped.
uint8_t combined_ecn(uint8_t outer, uint8_t inner) noexcept {
  if (outer == ecn_ce) return inner == ecn_not_ect ? ecn_mask + 1 : ecn_ce;
  return outer == ecn_ect1 && inner == ecn_ect0 ? ecn_ect1 : inner;
}

DropReason combine_ecn(Packet& packet, const FlowKey& key, PacketInfo& info) noexcept {
  if ((info.outer_tos & ecn_mask) == 0 || info.l3 == 0 || key.eth_type == be16(eth_type_arp))
    return DropReason::None;
  const uint8_t inner = info.ip_tos & ecn_mask;
  const uint8_t combined = combined_ecn(info.outer_tos & ecn_mask, inner);
  if (combined > ecn_mask) return DropReason::EcnIllegal;
  if (combined == inner) return DropReason::None;
  info.ip_tos = static_cast<uint8_t>((info.ip_tos & ~ecn_mask) | combined);
  uint8_t* ip = packet.data + info.l3;
  const Be16 before = load_be16(ip);
  if (key.eth_type == be16(eth_type_ipv4)) {
    ip[ipv4_tos_offset] = info.ip_tos;
    const Be16 checksum = load_be16(ip + ipv4_checksum_offset);
    store_be16(ip + ipv4_checksum_offset, checksum_update(checksum, before, load_be16(ip)));
  } else {
    store_be16(ip, be16(static_cast<uint16_t>((before.host() & 0xf00f) | info.ip_tos << 4)));
  }
  return DropReason::None;
}

DropReason open_tunnel(Packet& packet, const RxContext& context, Outer& outer,
                       FlowKey& key) noexcept {
  DropReason verdict = check_outer_ip(packet, context, outer);
  if (verdict != DropReason::None) return verdict;
  verdict = check_outer_udp(packet, context, outer);
  if (verdict != DropReason::None) return verdict;
  verdict = outer.encap == Encap::Vxlan ? open_vxlan(packet, outer) : open_geneve(packet, outer);
  if (verdict != DropReason::None) return verdict;
  verdict = admit(*context.endpoints, outer, key);
  if (verdict != DropReason::None) return verdict;
  return strip_outer(packet, outer);
}

DropReason parse_opened(Packet& packet, const RxContext& context, FlowKey& key,
                        PacketInfo& info) noexcept {
  DropReason verdict =
      parse_frame({packet.data, packet.length, context.verify_checksums, key, info});
  if (verdict == DropReason::None && packet.offload.any())
    verdict = check_offload(packet, key, info);
  return verdict == DropReason::None ? combine_ecn(packet, key, info) : verdict;
}

// Any uplink frame, step by step.
DropReason parse_any(Packet& packet, const RxContext& context, FlowKey& key,
                     PacketInfo& info) noexcept {
  Outer outer;
  if (!find_outer(packet, *context.endpoints, outer)) return DropReason::None;
  info.outer_tos = outer.tos;
  const DropReason verdict = open_tunnel(packet, context, outer, key);
  if (verdict != DropReason::None) return verdict;
  info.outer_bytes = outer.inner;
  return parse_opened(packet, context, key, info);
}

// VXLAN over plain IPv4 without UDP checksum, from a VTEP and for a network that we know: where its
// inner frame is. Anything else, every flaw included, is parse_any()'s.
struct Opened {
  Ingress from;
  uint32_t inner_bytes = 0;  // 0: parse_any() must look
};

constexpr uint32_t straight_inner = straight_l4 + udp_header_bytes + vxlan_header_bytes;

inline Opened open_straight(const Packet& packet, const RxContext& context) noexcept {
  Opened opened;
  const uint8_t* frame = packet.data;
  if (packet.length < straight_inner || packet.offload.any() || !is_plain_ipv4(frame))
    return opened;
  const uint8_t* ip = frame + straight_l3;
  const uint8_t* udp = frame + straight_l4;
  const uint8_t* vxlan = udp + udp_header_bytes;
  const uint32_t total = load_be16(ip + ipv4_total_length_offset).host();
  const uint32_t udp_bytes = load_be16(udp + udp_length_offset).host();
  const bool lengths = (total <= packet.length - straight_l3) &
                       (udp_bytes + ipv4_header_bytes <= total) &
                       (udp_bytes > udp_header_bytes + vxlan_header_bytes);
  const bool plain = (ip[ipv4_proto_offset] == ip_proto_udp) &
                     (load_be16(udp + udp_checksum_offset).raw == 0) &
                     ((vxlan[vxlan_flags_offset] & vxlan_flag_vni) != 0);
  if (!(lengths & plain)) return opened;
  Encap encap = Encap::Geneve;
  const TunnelEndpoints& endpoints = *context.endpoints;
  const AddressWords local = AddressWords::mapped(load_be32(ip + ipv4_dst_offset));
  if (!endpoints.ours(local, load_be16(udp + udp_dst_offset), encap) || encap != Encap::Vxlan)
    return opened;
  if (context.verify_checksums && !plain_ipv4_checksum_valid(ip)) return opened;
  const uint32_t vni = load_be32(vxlan + vxlan_vni_offset).host() >> 8;
  if (endpoints.network(vni) != TunnelEndpoints::VniKind::Vxlan) return opened;
  const AddressWords remote = AddressWords::mapped(load_be32(ip + ipv4_src_offset));
  opened.from = {context.in_port, vni, 0, endpoints.tunnel_of(remote, Encap::Vxlan)};
  if (opened.from.tunnel_src != 0)
    opened.inner_bytes = udp_bytes - udp_header_bytes - vxlan_header_bytes;
  return opened;
}

// Both headers straight: false, and nothing is changed, if one of them is not.
inline bool parse_straight_tunnel(Packet& packet, const RxContext& context, FlowKey& key,
                                  PacketInfo& info) noexcept {
  const Opened opened = open_straight(packet, context);
  if (opened.inner_bytes == 0) return false;
  const Step inner{packet.data + straight_inner, opened.inner_bytes, context.verify_checksums, key,
                   info};
  if (!parse_straight(inner, opened.from)) return false;
  info.outer_bytes = straight_inner;
  info.outer_tos = packet.data[straight_l3 + ipv4_tos_offset];
  packet.data += straight_inner;
  packet.length = opened.inner_bytes;
  packet.offload = Offload{};
  if ((info.outer_tos & ecn_mask) != 0) info.drop = combine_ecn(packet, key, info);
  return true;
}

}  // namespace

void parse_uplink(Packet& packet, const RxContext& context, FlowKey& key,
                  PacketInfo& info) noexcept {
  if (parse_straight_tunnel(packet, context, key, info)) [[likely]]
    return;
  memset(static_cast<void*>(&key), 0, sizeof key);
  info = PacketInfo{};
  key.in_port = context.in_port;
  info.drop = parse_any(packet, context, key, info);
}

}  // namespace vtep::parse_steps
