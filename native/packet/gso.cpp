// packet/gso.cpp — segmentation and checksums in software, for ports that cannot.
//
// Why:    each segment is one copy of the headers, one of its payload, and one sum over what was
//         just written, while it is still in the first-level cache.
#include "packet/gso.h"

#include <cstring>

#include "base/assert.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace vtep {

namespace {

// `segment` is the first byte of a segment of `bytes` bytes.
void finish_ip(const SegmentPlan& plan, uint8_t* segment, uint32_t bytes, uint32_t index) noexcept {
  uint8_t* ip = segment + plan.l3;
  bytes -= plan.l3;
  if (plan.ipv6) {
    const uint16_t payload = static_cast<uint16_t>(bytes - ipv6_header_bytes);
    store_be16(ip + ipv6_payload_length_offset, be16(payload));
    return;
  }
  store_be16(ip + ipv4_total_length_offset, be16(static_cast<uint16_t>(bytes)));
  const uint32_t id = load_be16(ip + ipv4_id_offset).host() + index;
  store_be16(ip + ipv4_id_offset, be16(static_cast<uint16_t>(id)));
  store_be16(ip + ipv4_checksum_offset, Be16{0});
  store_be16(ip + ipv4_checksum_offset, checksum_finish(checksum_add(ip, (ip[0] & 15u) * 4)));
}

// Sum of the L4 header, its data and its pseudo header.
uint64_t l4_sum(const SegmentPlan& plan, const uint8_t* segment, uint32_t bytes) noexcept {
  const uint8_t* ip = segment + plan.l3;
  const uint32_t count = bytes - plan.l4;
  const uint8_t proto = plan.tcp ? ip_proto_tcp : ip_proto_udp;
  const uint64_t pseudo =
      plan.ipv6 ? pseudo_sum_v6(ip + ipv6_src_offset, ip + ipv6_dst_offset, proto, count)
                : pseudo_sum_v4(ip + ipv4_src_offset, ip + ipv4_dst_offset, proto, count);
  return checksum_add(segment + plan.l4, count, pseudo);
}

void finish_tcp(const SegmentPlan& plan, uint8_t* segment, uint32_t bytes,
                uint32_t index) noexcept {
  uint8_t* tcp = segment + plan.l4;
  const uint32_t seq = load_be32(tcp + tcp_seq_offset).host() + index * plan.size;
  store_be32(tcp + tcp_seq_offset, be32(seq));
  if (index + 1 < plan.count) tcp[tcp_flags_offset] &= static_cast<uint8_t>(~(tcp_fin | tcp_psh));
  if (index > 0) tcp[tcp_flags_offset] &= static_cast<uint8_t>(~tcp_cwr);
  store_be16(tcp + tcp_checksum_offset, Be16{0});
  store_be16(tcp + tcp_checksum_offset, checksum_finish(l4_sum(plan, segment, bytes)));
}

void finish_udp(const SegmentPlan& plan, uint8_t* segment, uint32_t bytes) noexcept {
  uint8_t* udp = segment + plan.l4;
  store_be16(udp + udp_length_offset, be16(static_cast<uint16_t>(bytes - plan.l4)));
  store_be16(udp + udp_checksum_offset, Be16{0});
  store_be16(udp + udp_checksum_offset, checksum_finish_udp(l4_sum(plan, segment, bytes)));
}

// Walks IPv6 extension headers from `next` at `offset`; false: nothing that can be segmented.
bool find_l4_v6(const Packet& packet, uint32_t& offset, uint8_t& next) noexcept {
  for (uint32_t steps = 0; steps < 8; steps++) {
    if (next != ip_proto_hop_by_hop && next != ip_proto_routing && next != ip_proto_dest_opts)
      return true;
    if (offset + 8 > packet.length) return false;
    const uint8_t* header = packet.data + offset;
    next = header[0];
    offset += 8 + header[1] * 8u;
  }
  return false;
}

}  // namespace

bool plan_segments(const Packet& packet, uint16_t l3, uint16_t l4, SegmentPlan& plan) noexcept {
  const Offload& offload = packet.offload;
  plan.tcp = offload.gso_type == GsoType::TcpV4 || offload.gso_type == GsoType::TcpV6;
  if (!plan.tcp && offload.gso_type != GsoType::UdpL4) return false;
  const uint32_t l4_min = plan.tcp ? tcp_header_bytes : udp_header_bytes;
  if (l3 < eth_header_bytes || offload.gso_size == 0 || l4 + l4_min > packet.length) return false;
  const uint8_t version = packet.data[l3] >> 4;
  if (version != 4 && version != 6) return false;
  plan.ipv6 = version == 6;
  if (l4 < l3 + (plan.ipv6 ? ipv6_header_bytes : ipv4_header_bytes)) return false;
  if (!plan.ipv6 && l3 + (packet.data[l3] & 15u) * 4 != l4) return false;
  if (packet.length - l3 > 65535u + (plan.ipv6 ? ipv6_header_bytes : 0)) return false;
  const uint32_t header =
      plan.tcp ? (packet.data[l4 + tcp_data_offset] >> 4) * 4u : udp_header_bytes;
  if (header < l4_min || l4 + header >= packet.length) return false;
  plan.l3 = l3;
  plan.l4 = l4;
  plan.payload = static_cast<uint16_t>(l4 + header);
  plan.size = offload.gso_size;
  plan.count = (packet.length - plan.payload + plan.size - 1) / plan.size;
  return true;
}

uint32_t write_segment(const SegmentPlan& plan, const Packet& packet, uint32_t index,
                       uint8_t* to) noexcept {
  const uint32_t bytes = segment_bytes(plan, packet, index);
  memcpy(to, packet.data, plan.payload);
  memcpy(to + plan.payload, packet.data + plan.payload + index * plan.size, bytes - plan.payload);
  finish_ip(plan, to, bytes, index);
  if (plan.tcp)
    finish_tcp(plan, to, bytes, index);
  else
    finish_udp(plan, to, bytes);
  return bytes;
}

uint32_t segment(FrameCache& frames, const Packet& packet, HeaderPlaces at, PacketSpan out,
                 DropReason& reason) noexcept {
  SegmentPlan plan;
  reason = DropReason::BadSegmentation;
  if (!plan_segments(packet, at.l3, at.l4, plan) || plan.count > out.max) return 0;
  for (uint32_t i = 0; i < plan.count; i++) {
    Packet& made = out.packets[i] = frames.make(segment_bytes(plan, packet, i));
    if (made.frame == no_frame) {
      for (uint32_t j = 0; j < i; j++) frames.free(out.packets[j]);
      reason = DropReason::NoFrames;
      return 0;
    }
    made.in_port = packet.in_port;
    write_segment(plan, packet, i, made.data);
  }
  reason = DropReason::None;
  return plan.count;
}

bool find_headers(const Packet& packet, HeaderOffsets& found) noexcept {
  uint32_t l3 = eth_header_bytes;
  if (packet.length < l3 + ipv4_header_bytes) return false;
  uint16_t type = load_be16(packet.data + eth_type_offset).host();
  while ((type == eth_type_vlan || type == eth_type_qinq) && l3 + vlan_tag_bytes < packet.length) {
    type = load_be16(packet.data + l3 + 2).host();
    l3 += vlan_tag_bytes;
  }
  const uint8_t* ip = packet.data + l3;
  uint32_t l4 = l3;
  if (type == eth_type_ipv4 && l3 + ipv4_header_bytes <= packet.length) {
    l4 += (ip[0] & 15u) * 4;
    found.proto = ip[ipv4_proto_offset];
    const uint16_t frag = load_be16(ip + ipv4_frag_offset).host();
    if (ip[0] < 0x45 || ip[0] > 0x4f) return false;
    if ((frag & (ipv4_more_fragments | ipv4_frag_offset_mask)) != 0) return false;
  } else if (type == eth_type_ipv6 && l3 + ipv6_header_bytes <= packet.length) {
    l4 += ipv6_header_bytes;
    found.proto = ip[ipv6_next_header_offset];
    if (!find_l4_v6(packet, l4, found.proto)) return false;
  } else {
    return false;
  }
  const bool tcp = found.proto == ip_proto_tcp;
  if (!tcp && found.proto != ip_proto_udp) return false;
  if (l4 + (tcp ? tcp_header_bytes : udp_header_bytes) > packet.length) return false;
  const uint32_t header = tcp ? (packet.data[l4 + tcp_data_offset] >> 4) * 4u : udp_header_bytes;
  if (header < udp_header_bytes || l4 + header > packet.length) return false;
  found.l3 = static_cast<uint16_t>(l3);
  found.l4 = static_cast<uint16_t>(l4);
  found.payload = static_cast<uint16_t>(l4 + header);
  found.ipv6 = type == eth_type_ipv6;
  return true;
}

uint32_t split_tunnel_superpacket(FrameCache& frames, const Packet& packet, PacketSpan out,
                                  DropReason& reason) noexcept {
  HeaderOffsets at;
  if (packet.offload.gso_type != GsoType::UdpL4 || !find_headers(packet, at)) {
    reason = DropReason::BadSegmentation;
    return 0;
  }
  return segment(frames, packet, {at.l3, at.l4}, out, reason);
}

uint32_t finish_tx(FrameCache& frames, uint8_t can, const Packet& packet, PacketSpan out,
                   Finished& finished) noexcept {
  DP_DASSERT(out.max > 0);
  finished.reason = DropReason::None;
  if (port_takes(can, packet.offload)) {
    out.packets[0] = packet;
    return 1;
  }
  if (packet.offload.gso_type == GsoType::None) {
    out.packets[0] = packet;
    if (finish_checksum(out.packets[0])) {
      finished.checksums++;
      return 1;
    }
    finished.reason = DropReason::BadOffload;
    frames.free(packet);
    return 0;
  }
  HeaderOffsets at;
  uint32_t made = 0;
  if (find_headers(packet, at))
    made = segment(frames, packet, {at.l3, at.l4}, out, finished.reason);
  else
    finished.reason = DropReason::BadSegmentation;
  frames.free(packet);
  finished.segments += made;
  return made;
}

}  // namespace vtep
