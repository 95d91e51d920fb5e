// packet/gro.cpp — see gro.h. First everything is checked, then everything is moved.
#include "packet/gro.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "packet/checksum.h"
#include "packet/gso.h"
#include "packet/headers.h"

namespace vtep {

namespace {

// Inner Ethernet, VLAN tags, IPv6 with extension headers, TCP with options: 14 + 8 + 100 + 60.
constexpr uint32_t inner_header_max = 192;

// The superpacket as a row of chunks: encapsulation header, inner headers, inner payload.
struct Row {
  HeaderOffsets outer;
  HeaderOffsets inner;   // offsets from the inner frame's first byte
  uint32_t first = 0;    // offset of the first chunk in the packet
  uint32_t encap = 0;    // bytes of VXLAN or Geneve header of each chunk
  uint32_t chunk = 0;    // bytes of each chunk but the last
  uint32_t count = 0;
  uint32_t last = 0;     // bytes of the last chunk
  bool verify = false;   // inner checksums
};

// Bytes of the VXLAN or Geneve header at `at`; 0: neither. Which of them is told by where Geneve
// has its protocol type and VXLAN reserved zeroes.
uint32_t encap_header_bytes(const uint8_t* at, uint32_t left) noexcept {
  if (left < vxlan_header_bytes) return 0;
  const uint16_t type = load_be16(at + geneve_protocol_offset).host();
  if (type == eth_type_teb) {
    if ((at[geneve_version_optlen_offset] & 0xc0) != 0) return 0;
    return geneve_header_bytes + (at[geneve_version_optlen_offset] & 0x3fu) * 4;
  }
  return type == 0 && (at[vxlan_flags_offset] & vxlan_flag_vni) != 0 ? vxlan_header_bytes : 0;
}

bool lay_out(const Packet& packet, Row& row) noexcept {
  if (packet.offload.gso_type != GsoType::UdpL4 || packet.offload.gso_size == 0) return false;
  if (!find_headers(packet, row.outer) || row.outer.proto != ip_proto_udp) return false;
  row.first = row.outer.payload;
  row.chunk = packet.offload.gso_size;
  const uint32_t bytes = packet.length - row.first;
  if (bytes <= row.chunk) return false;
  row.count = (bytes + row.chunk - 1) / row.chunk;
  row.last = bytes - (row.count - 1) * row.chunk;
  row.encap = encap_header_bytes(packet.data + row.first, row.chunk);
  if (row.encap == 0 || row.encap >= std::min(row.chunk, row.last)) return false;
  Packet inner;
  inner.data = packet.data + row.first + row.encap;
  inner.length = row.chunk - row.encap;
  if (!find_headers(inner, row.inner) || row.inner.proto != ip_proto_tcp) return false;
  if (row.inner.payload > inner_header_max) return false;
  if (row.encap + row.inner.payload >= std::min(row.chunk, row.last)) return false;
  const bool unfinished = (packet.offload.flags & offload_needs_checksum) != 0;
  const Be16 outer_checksum = load_be16(packet.data + row.outer.l4 + udp_checksum_offset);
  const bool vouched =
      (packet.offload.flags & offload_data_valid) != 0 && outer_checksum.raw != 0;
  row.verify = !unfinished && !vouched;
  return true;
}

uint64_t pseudo_sum(const HeaderOffsets& at, const uint8_t* frame, uint32_t bytes) noexcept {
  const uint8_t* ip = frame + at.l3;
  return at.ipv6 ? pseudo_sum_v6(ip + ipv6_src_offset, ip + ipv6_dst_offset, ip_proto_tcp, bytes)
                 : pseudo_sum_v4(ip + ipv4_src_offset, ip + ipv4_dst_offset, ip_proto_tcp, bytes);
}

// Whether the inner IP header gives the frame's own length, to the byte.
bool length_agrees(const HeaderOffsets& at, const uint8_t* frame, uint32_t bytes) noexcept {
  const uint8_t* ip = frame + at.l3;
  if (at.ipv6)
    return load_be16(ip + ipv6_payload_length_offset).host() + at.l3 + ipv6_header_bytes == bytes;
  return load_be16(ip + ipv4_total_length_offset).host() + uint32_t{at.l3} == bytes;
}

bool checksums_right(const HeaderOffsets& at, const uint8_t* frame, uint32_t bytes) noexcept {
  const uint8_t* ip = frame + at.l3;
  if (!at.ipv6 && !checksum_valid(checksum_add(ip, at.l4 - at.l3))) return false;
  const uint32_t tcp = bytes - at.l4;
  return checksum_valid(checksum_add(frame + at.l4, tcp, pseudo_sum(at, frame, tcp)));
}

// Whether flags of segment `index` may follow those of the first.
bool flags_agree(const Row& row, uint8_t first, uint8_t flags, uint32_t index) noexcept {
  if (((first | flags) & (tcp_syn | tcp_rst | tcp_urg)) != 0) return false;
  if ((flags & tcp_ack) == 0) return false;
  const bool last = index + 1 == row.count;
  if (!last && (flags & (tcp_psh | tcp_fin)) != 0) return false;
  const uint8_t free = tcp_psh | tcp_fin | tcp_cwr;
  if (((first ^ flags) & ~free) != 0) return false;
  return index == 0 || (flags & tcp_cwr) == 0;
}

// Copies the headers of `frame` with everything that may differ between segments blanked out.
void blank_headers(const HeaderOffsets& at, const uint8_t* frame, uint8_t* to) noexcept {
  memcpy(to, frame, at.payload);
  uint8_t* ip = to + at.l3;
  if (at.ipv6) {
    memset(ip + ipv6_payload_length_offset, 0, 2);
  } else {
    memset(ip + ipv4_total_length_offset, 0, 4);  // and the ID
    memset(ip + ipv4_checksum_offset, 0, 2);
  }
  memset(to + at.l4 + tcp_seq_offset, 0, 4);
  memset(to + at.l4 + tcp_checksum_offset, 0, 2);
  to[at.l4 + tcp_flags_offset] = 0;
}

// Without DF the IDs matter: they must be those that segmenting again will give.
bool id_agrees(const HeaderOffsets& at, const uint8_t* first, const uint8_t* frame,
               uint32_t index) noexcept {
  if (at.ipv6) return true;
  const uint8_t* ip = frame + at.l3;
  if ((load_be16(ip + ipv4_frag_offset).host() & ipv4_dont_fragment) != 0) return true;
  const uint32_t id = load_be16(first + at.l3 + ipv4_id_offset).host() + index;
  return load_be16(ip + ipv4_id_offset).host() == static_cast<uint16_t>(id);
}

bool segments_agree(const Packet& packet, const Row& row) noexcept {
  const uint8_t* const start = packet.data + row.first;
  const uint8_t* const first = start + row.encap;
  const HeaderOffsets& at = row.inner;
  uint8_t wanted[inner_header_max];
  uint8_t found[inner_header_max];
  blank_headers(at, first, wanted);
  const uint32_t payload = row.chunk - row.encap - at.payload;
  const uint32_t seq = load_be32(first + at.l4 + tcp_seq_offset).host();
  for (uint32_t i = 0; i < row.count; i++) {
    const uint8_t* encap = start + i * row.chunk;
    const uint8_t* frame = encap + row.encap;
    const uint32_t bytes = (i + 1 == row.count ? row.last : row.chunk) - row.encap;
    if (memcmp(encap, start, row.encap) != 0) return false;
    blank_headers(at, frame, found);
    if (memcmp(found, wanted, at.payload) != 0) return false;
    const uint8_t* tcp = frame + at.l4;
    if (load_be32(tcp + tcp_seq_offset).host() != seq + i * payload) return false;
    if (!flags_agree(row, first[at.l4 + tcp_flags_offset], tcp[tcp_flags_offset], i)) return false;
    if (!length_agrees(at, frame, bytes) || !id_agrees(at, first, frame, i)) return false;
    if (row.verify && !checksums_right(at, frame, bytes)) return false;
  }
  return true;
}

void set_ip_length(const HeaderOffsets& at, uint8_t* frame, uint32_t frame_bytes) noexcept {
  uint8_t* ip = frame + at.l3;
  if (at.ipv6) {
    const uint32_t bytes = frame_bytes - at.l3 - ipv6_header_bytes;
    store_be16(ip + ipv6_payload_length_offset, be16(static_cast<uint16_t>(bytes)));
    return;
  }
  const Be16 before = load_be16(ip + ipv4_total_length_offset);
  const Be16 after = be16(static_cast<uint16_t>(frame_bytes - at.l3));
  const Be16 checksum = load_be16(ip + ipv4_checksum_offset);
  store_be16(ip + ipv4_total_length_offset, after);
  store_be16(ip + ipv4_checksum_offset, checksum_update(checksum, before, after));
}

// Whether the offload state is about the inner packet already. A kernel VTEP on this machine sends
// such packets over a veth: TCP or UDP superpackets with one tunnel header, which virtio_net_hdr
// does not tell from others but by where the unfinished checksum is.
bool describes_inner(const Packet& packet) noexcept {
  const Offload& offload = packet.offload;
  HeaderOffsets outer;
  return (offload.flags & offload_needs_checksum) != 0 && find_headers(packet, outer) &&
         outer.proto == ip_proto_udp && offload.checksum_start > outer.l4;
}

// Sets the outer headers of piece `index` of a nested superpacket right for its length.
void finish_outer(const HeaderOffsets& at, Packet& piece, uint32_t index) noexcept {
  uint8_t* const ip = piece.data + at.l3;
  if (!at.ipv6) {
    const Be16 before = load_be16(ip + ipv4_id_offset);
    const Be16 after = be16(static_cast<uint16_t>(before.host() + index));
    const Be16 checksum = load_be16(ip + ipv4_checksum_offset);
    store_be16(ip + ipv4_id_offset, after);
    store_be16(ip + ipv4_checksum_offset, checksum_update(checksum, before, after));
  }
  set_ip_length(at, piece.data, piece.length);
  uint8_t* const udp = piece.data + at.l4;
  const uint32_t bytes = piece.length - at.l4;
  store_be16(udp + udp_length_offset, be16(static_cast<uint16_t>(bytes)));
  if (load_be16(udp + udp_checksum_offset).raw == 0) return;
  store_be16(udp + udp_checksum_offset, Be16{});
  const uint64_t pseudo =
      at.ipv6 ? pseudo_sum_v6(ip + ipv6_src_offset, ip + ipv6_dst_offset, ip_proto_udp, bytes)
              : pseudo_sum_v4(ip + ipv4_src_offset, ip + ipv4_dst_offset, ip_proto_udp, bytes);
  Be16 checksum = checksum_finish(checksum_add(udp, bytes, pseudo));
  if (checksum.raw == 0) checksum.raw = 0xffff;  // 0 says that there is none (RFC 768)
  store_be16(udp + udp_checksum_offset, checksum);
}

// The tunnel's inner frame in a packet: where it begins; 0: there is none.
uint32_t nested_frame(const Packet& packet, const HeaderOffsets& outer) noexcept {
  if (outer.proto != ip_proto_udp) return 0;
  const uint32_t left = packet.length - outer.payload;
  const uint32_t encap = encap_header_bytes(packet.data + outer.payload, left);
  return encap == 0 || encap >= left ? 0 : outer.payload + encap;
}

// Writes the pieces; returns how many, 0 with `reason`, nothing allocated.
uint32_t split_nested(FrameCache& frames, const Packet& packet, const HeaderOffsets& outer,
                      PacketSpan out, DropReason& reason) noexcept {
  reason = DropReason::BadSegmentation;
  const uint32_t at = nested_frame(packet, outer);
  if (at == 0) return 0;
  Packet inner = packet;
  inner.data += at;
  inner.length -= at;
  inner.offload.checksum_start = static_cast<uint16_t>(packet.offload.checksum_start - at);
  HeaderOffsets places;
  SegmentPlan plan;
  if (packet.offload.checksum_start < at || !find_headers(inner, places) ||
      !plan_segments(inner, places.l3, places.l4, plan) || plan.count > out.max) {
    return 0;
  }
  for (uint32_t i = 0; i < plan.count; i++) {
    Packet& piece = out.packets[i] = frames.make(at + segment_bytes(plan, inner, i));
    if (piece.frame == no_frame) {
      for (uint32_t j = 0; j < i; j++) frames.free(out.packets[j]);
      reason = DropReason::NoFrames;
      return 0;
    }
    piece.in_port = packet.in_port;
    memcpy(piece.data, packet.data, at);
    write_segment(plan, inner, i, piece.data + at);
    finish_outer(outer, piece, i);
  }
  reason = DropReason::None;
  return plan.count;
}

// Moves the payloads together; returns the packet's new length.
uint32_t compact(Packet& packet, const Row& row) noexcept {
  uint8_t* to = packet.data + row.first + row.chunk;
  const uint32_t skip = row.encap + row.inner.payload;
  for (uint32_t i = 1; i < row.count; i++) {
    const uint32_t bytes = (i + 1 == row.count ? row.last : row.chunk) - skip;
    memmove(to, packet.data + row.first + i * row.chunk + skip, bytes);
    to += bytes;
  }
  return static_cast<uint32_t>(to - packet.data);
}

}  // namespace

bool join_tunnel_segments(Packet& packet) noexcept {
  Row row;
  if (!lay_out(packet, row) || !segments_agree(packet, row)) return false;
  const HeaderOffsets& at = row.inner;
  uint8_t* const frame = packet.data + row.first + row.encap;
  const uint8_t* const last = frame + (row.count - 1) * row.chunk;
  const uint8_t last_flags = last[at.l4 + tcp_flags_offset];
  packet.length = compact(packet, row);

  uint8_t* const tcp = frame + at.l4;
  const bool cwr = (tcp[tcp_flags_offset] & tcp_cwr) != 0;
  tcp[tcp_flags_offset] |= last_flags & (tcp_psh | tcp_fin);
  const uint32_t frame_bytes = packet.length - row.first - row.encap;
  set_ip_length(at, frame, frame_bytes);
  store_be16(tcp + tcp_checksum_offset,
             checksum_fold(pseudo_sum(at, frame, frame_bytes - at.l4)));
  set_ip_length(row.outer, packet.data, packet.length);
  store_be16(packet.data + row.outer.l4 + udp_length_offset,
             be16(static_cast<uint16_t>(packet.length - row.outer.l4)));

  Offload& offload = packet.offload;
  offload.flags = offload_needs_checksum | offload_data_valid | (cwr ? offload_tcp_ecn : 0);
  offload.gso_type = at.ipv6 ? GsoType::TcpV6 : GsoType::TcpV4;
  offload.gso_size = static_cast<uint16_t>(row.chunk - row.encap - at.payload);
  offload.checksum_start = static_cast<uint16_t>(row.first + row.encap + at.l4);
  offload.checksum_offset = tcp_checksum_offset;
  return true;
}

uint32_t open_tunnel_superpacket(FrameCache& frames, const Packet& packet, PacketSpan out,
                                 DropReason& reason) noexcept {
  DP_DASSERT(out.max > 0);
  Packet joined = packet;
  if (describes_inner(packet) || join_tunnel_segments(joined)) {
    reason = DropReason::None;
    out.packets[0] = joined;
    return 1;
  }
  const uint32_t count = split_tunnel_superpacket(frames, packet, out, reason);
  frames.free(packet);
  return count;
}

uint32_t open_nested_superpacket(FrameCache& frames, const Packet& packet, PacketSpan out,
                                 DropReason& reason) noexcept {
  DP_DASSERT(out.max > 0);
  reason = DropReason::None;
  HeaderOffsets outer;
  if (!describes_inner(packet) || !find_headers(packet, outer)) {
    out.packets[0] = packet;
    return 1;
  }
  const uint32_t count = split_nested(frames, packet, outer, out, reason);
  frames.free(packet);
  return count;
}

}  // namespace vtep
