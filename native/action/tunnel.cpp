// action/tunnel.cpp — outer headers: built once, laid down by one copy, then patched.
//
// Why:    a copy whose length the compiler knows is a handful of vector moves. It ends where the
//         inner frame begins and may begin before the outer header, inside the headroom.
#include "action/tunnel.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "packet/checksum.h"
#include "packet/gso.h"
#include "packet/headers.h"

namespace vtep {

namespace {

using tunnel_detail::encap_bytes;
using tunnel_detail::patch_encap;
using tunnel_detail::patch_ipv4;
using tunnel_detail::patch_udp;

constexpr uint32_t geneve_option_bytes = 12;
constexpr uint32_t v4_mapped_offset = 12;  // of the IPv4 address in a v4-mapped one

bool v4_mapped(const Ipv6Bytes& address) noexcept {
  constexpr uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return memcmp(address.data(), prefix, sizeof prefix) == 0;
}

uint8_t* put_ethernet(uint8_t* at, const TunnelEntry& tunnel, const NextHop* hop) noexcept {
  if (hop != nullptr) {
    memcpy(at + eth_dst_offset, hop->target_mac.data(), 6);
    memcpy(at + eth_src_offset, hop->source_mac.data(), 6);
  }
  at += eth_type_offset;
  if (hop != nullptr && hop->vlan_vid != 0) {
    store_be16(at, be16(eth_type_vlan));
    store_be16(at + 2, be16(hop->vlan_vid));
    at += vlan_tag_bytes;
  }
  store_be16(at, be16(tunnel.ipv6 ? eth_type_ipv6 : eth_type_ipv4));
  return at + 2;
}

// IPv4 or IPv6 header without lengths, TOS and checksum; fills the seeds.
uint8_t* put_ip(uint8_t* ip, TunnelEntry& tunnel, const TunnelConfig& config) noexcept {
  if (tunnel.ipv6) {
    ip[0] = 0x60;
    ip[ipv6_next_header_offset] = ip_proto_udp;
    ip[ipv6_hop_limit_offset] = config.ttl;
    memcpy(ip + ipv6_src_offset, config.local.data(), 16);
    memcpy(ip + ipv6_dst_offset, config.remote.data(), 16);
    tunnel.pseudo_seed =
        pseudo_sum_v6(ip + ipv6_src_offset, ip + ipv6_dst_offset, ip_proto_udp, 0);
    return ip + ipv6_header_bytes;
  }
  ip[0] = 0x45;
  if (tunnel.dont_fragment) store_be16(ip + ipv4_frag_offset, be16(ipv4_dont_fragment));
  ip[ipv4_ttl_offset] = config.ttl;
  ip[ipv4_proto_offset] = ip_proto_udp;
  memcpy(ip + ipv4_src_offset, config.local.data() + v4_mapped_offset, 4);
  memcpy(ip + ipv4_dst_offset, config.remote.data() + v4_mapped_offset, 4);
  tunnel.checksum_seed = checksum_add(ip, ipv4_header_bytes);
  tunnel.pseudo_seed = pseudo_sum_v4(ip + ipv4_src_offset, ip + ipv4_dst_offset, ip_proto_udp, 0);
  return ip + ipv4_header_bytes;
}

void put_encap(uint8_t* at, Encap encap) noexcept {
  if (encap == Encap::Vxlan) {
    at[vxlan_flags_offset] = vxlan_flag_vni;
    return;
  }
  at[geneve_version_optlen_offset] = geneve_option_bytes / 4;
  store_be16(at + geneve_protocol_offset, be16(eth_type_teb));
  uint8_t* option = at + geneve_header_bytes;
  store_be16(option, be16(geneve_option_class));
  option[2] = geneve_option_type;
  option[3] = (geneve_option_bytes - geneve_option_header_bytes) / 4;
}

// Lengths, TOS, IPv4 checksum and UDP source port of the outer header at packet.data.
void patch_outer(const TunnelEntry& tunnel, const TunnelPush& push, Packet& packet) noexcept {
  uint8_t* ip = packet.data + tunnel.l3;
  const uint32_t udp_bytes = packet.length - tunnel.l4;
  if (tunnel.ipv6) {
    const uint8_t tos = push.inner_tos & tunnel.tos_mask;
    store_be16(ip, be16(static_cast<uint16_t>(0x6000 | tos << 4)));
    store_be16(ip + ipv6_payload_length_offset, be16(static_cast<uint16_t>(udp_bytes)));
  } else {
    const auto tos = static_cast<uint8_t>(push.inner_tos & tunnel.tos_mask);
    patch_ipv4({tunnel.checksum_seed, push.ip_id, tos, tunnel.dont_fragment}, ip,
               packet.length - tunnel.l3);
  }
  patch_udp(push.entropy, packet.data + tunnel.l4, udp_bytes);
}

// Leaves the outer UDP checksum to whoever sends the packet.
void leave_checksum(const TunnelEntry& tunnel, Packet& packet) noexcept {
  const Be16 udp_bytes = load_be16(packet.data + tunnel.l4 + udp_length_offset);
  store_be16(packet.data + tunnel.l4 + udp_checksum_offset,
             checksum_fold(tunnel.pseudo_seed + udp_bytes.raw));
  packet.offload.flags = offload_needs_checksum;
  packet.offload.checksum_start = tunnel.l4;
  packet.offload.checksum_offset = udp_checksum_offset;
}

bool outer_fits(const TunnelEntry& tunnel, uint32_t outer_bytes) noexcept {
  return outer_bytes - (tunnel.ipv6 ? tunnel.l4 : tunnel.l3) <= 65535;
}

// Fills one superpacket with the inner segments of the plan from `first` on, as many as fit into
// super.length, which is then set to what was filled. Returns how many went in.
uint32_t fill_super(const SuperPush& how, const Packet& inner, const SegmentPlan& plan,
                    Packet& super, uint32_t first) noexcept {
  const TunnelEntry& tunnel = how.tunnel;
  const uint8_t* const end = tunnel.header + outer_header_max;
  const uint32_t encap = encap_bytes(tunnel);
  memcpy(super.data, end - tunnel.header_bytes, tunnel.header_bytes - encap);
  uint32_t filled = tunnel.header_bytes - encap;
  const uint32_t chunk = encap + plan.payload + plan.size;
  uint32_t count = 0;
  while (first + count < plan.count && filled + chunk <= super.length) {
    uint8_t* const to = super.data + filled;
    memcpy(to, end - encap, encap);
    patch_encap(tunnel.encap, {how.push.vni, how.push.logical_port}, to);
    filled += encap + write_segment(plan, inner, first + count, to + encap);
    count++;
  }
  super.length = filled;
  patch_outer(tunnel, how.push, super);
  if (count > 1 || tunnel.udp_checksum) leave_checksum(tunnel, super);
  if (count > 1) {
    super.offload.gso_type = GsoType::UdpL4;
    super.offload.gso_size = static_cast<uint16_t>(chunk);
  }
  return count;
}

}  // namespace

TunnelEntry build_tunnel(const TunnelConfig& config, const NextHop* hop) noexcept {
  TunnelEntry tunnel;
  const bool vlan = hop != nullptr && hop->vlan_vid != 0;
  tunnel.ipv6 = !v4_mapped(config.remote);
  tunnel.encap = config.encap;
  tunnel.number = static_cast<uint16_t>(config.number);
  tunnel.udp_checksum = tunnel.ipv6 || config.udp_checksum != 0;
  tunnel.tos_mask = config.dscp_inherit != 0 ? 0xff : ecn_mask;
  tunnel.dont_fragment = config.dont_fragment != 0;
  const uint32_t bytes = tunnel_overhead(config.encap, tunnel.ipv6, vlan);
  static_assert(tunnel_overhead(Encap::Geneve, true, true) <= outer_header_max);
  tunnel.header_bytes = static_cast<uint16_t>(bytes);

  uint8_t* const start = tunnel.header + outer_header_max - bytes;
  uint8_t* const ip = put_ethernet(start, tunnel, hop);
  uint8_t* const udp = put_ip(ip, tunnel, config);
  store_be16(udp + udp_dst_offset, be16(config.udp_port));
  put_encap(udp + udp_header_bytes, config.encap);
  tunnel.l3 = static_cast<uint16_t>(ip - start);
  tunnel.l4 = static_cast<uint16_t>(udp - start);

  if (hop == nullptr) return tunnel;
  tunnel.resolved = hop->uplink_port != 0;
  tunnel.uplink_port = hop->uplink_port;
  // The inner Ethernet header travels inside, the outer one does not count against an L3 MTU.
  const uint32_t overhead = bytes - tunnel.l3 + eth_header_bytes;
  if (hop->mtu > overhead) tunnel.inner_mtu = hop->mtu - overhead;
  return tunnel;
}

DropReason push_tunnel(const FramePool& pool, const TunnelEntry& tunnel, const TunnelPush& push,
                       Packet& packet) noexcept {
  DP_DASSERT(!packet.offload.any());
  if (!tunnel.resolved) return DropReason::TunnelUnresolved;
  const uint32_t bytes = tunnel.header_bytes;
  const uint32_t room = headroom(pool, packet);
  if (room < bytes) return DropReason::NoHeadroom;
  if (!outer_fits(tunnel, packet.length + bytes)) return DropReason::MtuExceeded;
  if (has_short_header(tunnel) && room >= short_header_bytes) {
    const ShortHeader header(tunnel, push.vni, push.logical_port);
    header.lay(packet, {push.entropy, push.ip_id, push.inner_tos}, packet);
    return DropReason::None;
  }
  if (room >= outer_header_max)
    memcpy(packet.data - outer_header_max, tunnel.header, outer_header_max);
  else
    memcpy(packet.data - bytes, tunnel.header + outer_header_max - bytes, bytes);
  patch_encap(tunnel.encap, {push.vni, push.logical_port}, packet.data - encap_bytes(tunnel));
  packet.data -= bytes;
  packet.length += bytes;
  packet.offload = Offload{};
  patch_outer(tunnel, push, packet);
  if (tunnel.udp_checksum) leave_checksum(tunnel, packet);
  return DropReason::None;
}

uint32_t push_tunnel_super(FrameCache& frames, const SuperPush& how, const Packet& packet,
                           PacketSpan out, DropReason& reason) noexcept {
  const TunnelEntry& tunnel = how.tunnel;
  SegmentPlan plan;
  reason = DropReason::BadSegmentation;
  if (!plan_segments(packet, how.inner.l3, how.inner.l4, plan)) return 0;
  const uint32_t chunk = encap_bytes(tunnel) + plan.payload + plan.size;
  const uint32_t room = 65535 - (tunnel.l4 - tunnel.l3) - udp_header_bytes;
  if (chunk > room) return 0;
  const uint32_t each = std::min(tunnel_super_segments, room / chunk);
  if ((plan.count + each - 1) / each > out.max) return 0;
  uint32_t made = 0;
  for (uint32_t first = 0; first < plan.count; made++) {
    const uint32_t count = std::min(each, plan.count - first);
    Packet& super = out.packets[made] =
        frames.make(tunnel.l4 + udp_header_bytes + count * chunk);
    if (super.frame == no_frame) {
      for (uint32_t i = 0; i < made; i++) frames.free(out.packets[i]);
      reason = DropReason::NoFrames;
      return 0;
    }
    super.in_port = packet.in_port;
    first += fill_super(how, packet, plan, super, first);
  }
  reason = DropReason::None;
  return made;
}

}  // namespace vtep
