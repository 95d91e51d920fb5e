// action/tunnel.h — builds prebuilt outer headers and lays them before inner frames.
//
// Source: RFC 7348 (VXLAN), RFC 8926 (Geneve), RFC 6040 (ECN), RFC 6935/6936 (UDP/IPv6 checksums).
// Thread: build_tunnel() on the control thread; push_tunnel() on workers.
#pragma once

#include <cstdint>
#include <cstring>

#include "action/tables.h"
#include "base/drop_reasons.h"
#include "flow/flow_key.h"
#include "flow/parse.h"
#include "packet/checksum.h"
#include "packet/frame_pool.h"
#include "packet/gso.h"
#include "packet/headers.h"
#include "packet/packet.h"

namespace vtep {

// What the control side and netlink know of a tunnel.
struct TunnelConfig {
  uint32_t number = 0;            // 1..tunnel_max-1
  Encap encap = Encap::Vxlan;
  uint8_t ttl = 64;
  uint8_t dscp_inherit = 1;       // copy the inner DSCP; ECN always is (RFC 6040 normal mode)
  uint8_t dont_fragment = 1;      // IPv4 only
  uint8_t udp_checksum = 0;       // IPv4: 0 by default (RFC 7348); IPv6: always on
  uint8_t pad[3] = {};
  uint16_t udp_port = vxlan_port_default;  // destination port, host order
  uint16_t pad2 = 0;
  Ipv6Bytes local = {};           // v4-mapped for IPv4
  Ipv6Bytes remote = {};
};

struct NextHop {
  MacBytes source_mac = {};
  MacBytes target_mac = {};
  uint32_t uplink_port = 0;       // device port
  uint32_t mtu = 0;               // of the route or device, L3 bytes
  uint16_t vlan_vid = 0;          // underlay VLAN of a sub-interface; 0: none
};

// Bytes that a tunnel adds to a frame: outer Ethernet (with VLAN), IP, UDP, VXLAN or Geneve with
// option.
constexpr uint32_t tunnel_overhead(Encap encap, bool ipv6, bool vlan) noexcept {
  return 14 + (vlan ? 4 : 0) + (ipv6 ? 40 : 20) + 8 + (encap == Encap::Geneve ? 8 + 12 : 8);
}

// The entry to publish. `hop` null: unresolved. With `encap` Geneve, room for our option is always
// there (12 bytes: 4 of option header, 8 of data), so that header_bytes does not depend on the
// packet. inner_mtu counts L3 bytes of an untagged inner frame.
TunnelEntry build_tunnel(const TunnelConfig& config, const NextHop* hop) noexcept;

struct TunnelPush {
  uint32_t vni;
  uint32_t logical_port;  // 0: none
  uint32_t entropy;       // hash of the inner flow
  uint8_t inner_tos;      // 0 for packets that are not IP
  uint16_t ip_id;         // used only where the outer header lets routers fragment
};

namespace tunnel_detail {

constexpr uint32_t source_port_min = 49152;
constexpr uint32_t source_port_mask = 0x3fff;

inline uint32_t encap_bytes(const TunnelEntry& tunnel) noexcept {
  return tunnel.header_bytes - tunnel.l4 - udp_header_bytes;
}

// VNI and option of the VXLAN or Geneve header at `encap`.
struct EncapFields {
  uint32_t vni;
  uint32_t logical_port;
};
inline void patch_encap(Encap kind, const EncapFields& fields, uint8_t* encap) noexcept {
  store_be32(encap + vxlan_vni_offset, be32(fields.vni << 8));  // at the same place in Geneve
  if (kind == Encap::Vxlan) return;
  uint8_t* data = encap + geneve_header_bytes + geneve_option_header_bytes;
  store_be32(data, be32(fields.logical_port));
  store_be32(data + 4, be32(fields.vni));
}

struct Ipv4Fields {
  uint64_t checksum_seed;
  uint16_t id;
  uint8_t tos;
  bool dont_fragment;
};
inline void patch_ipv4(const Ipv4Fields& fields, uint8_t* ip, uint32_t length) noexcept {
  const Be16 total = be16(static_cast<uint16_t>(length));
  const Be16 id = be16(fields.dont_fragment ? 0 : fields.id);
  ip[ipv4_tos_offset] = fields.tos;
  store_be16(ip + ipv4_total_length_offset, total);
  store_be16(ip + ipv4_id_offset, id);
  const uint64_t sum = fields.checksum_seed + be16(fields.tos).raw + total.raw + id.raw;
  store_be16(ip + ipv4_checksum_offset, checksum_finish(sum));
}

// UDP source port and length.
inline void patch_udp(uint32_t entropy, uint8_t* udp, uint32_t length) noexcept {
  const uint32_t port = source_port_min + (entropy & source_port_mask);
  store_be16(udp + udp_src_offset, be16(static_cast<uint16_t>(port)));
  store_be16(udp + udp_length_offset, be16(static_cast<uint16_t>(length)));
}

}  // namespace tunnel_detail

// VXLAN and Geneve over IPv4 without an underlay VLAN or an outer checksum: a copy of this many
// bytes, whose length the compiler knows, ends where the inner frame begins.
constexpr uint32_t short_header_bytes = 64;
inline bool has_short_header(const TunnelEntry& tunnel) noexcept {
  return !tunnel.ipv6 && !tunnel.udp_checksum && tunnel.header_bytes <= short_header_bytes;
}

// push_tunnel() for the steady state: the tunnel has a short header, and packets have no offload,
// at least short_header_bytes of headroom, and are short enough for small frames. Values, not
// references: stores to packet bytes may alias anything in memory.
class ShortHeader {
 public:
  ShortHeader(const TunnelEntry& tunnel, uint32_t vni, uint32_t logical_port) noexcept
      : header_(tunnel.header + outer_header_max - short_header_bytes),
        checksum_seed_(tunnel.checksum_seed),
        vni_(vni),
        logical_port_(logical_port),
        bytes_(tunnel.header_bytes),
        l3_(tunnel.l3),
        l4_(tunnel.l4),
        encap_(tunnel.encap),
        tos_mask_(tunnel.tos_mask),
        dont_fragment_(tunnel.dont_fragment) {}

  struct Inner {
    uint32_t entropy;
    uint16_t ip_id;
    uint8_t tos;
  };
  // Lays the header before `packet`; `pushed` becomes the tunnel packet, and may be `packet`.
  void lay(const Packet& packet, const Inner& inner, Packet& pushed) const noexcept {
    uint8_t* const frame = packet.data;
    uint8_t* const outer = frame - bytes_;
    const uint32_t length = packet.length + bytes_;
    pushed.data = outer;
    pushed.length = length;
    pushed.frame = packet.frame;
    pushed.offload = Offload{};
    pushed.in_port = packet.in_port;
    memcpy(frame - short_header_bytes, header_, short_header_bytes);
    tunnel_detail::patch_encap(encap_, {vni_, logical_port_}, outer + l4_ + udp_header_bytes);
    tunnel_detail::patch_ipv4({checksum_seed_, inner.ip_id,
                               static_cast<uint8_t>(inner.tos & tos_mask_), dont_fragment_},
                              outer + l3_, length - l3_);
    tunnel_detail::patch_udp(inner.entropy, outer + l4_, length - l4_);
  }

 private:
  const uint8_t* const header_;
  const uint64_t checksum_seed_;
  const uint32_t vni_;
  const uint32_t logical_port_;
  const uint32_t bytes_;
  const uint32_t l3_;
  const uint32_t l4_;
  const Encap encap_;
  const uint8_t tos_mask_;
  const bool dont_fragment_;
};

// Lays the header before the packet: VNI, lengths, IPv4 checksum, UDP source port 49152 + 14 bits
// of `entropy`, TOS. The inner packet has no offload left. Where the outer UDP header has a
// checksum (IPv6; IPv4 when configured), the packet leaves with offload_needs_checksum: whoever
// sends it finishes it (finish_tx) or leaves it to the device. Returns None, NoHeadroom,
// TunnelUnresolved, or MtuExceeded when the outer length would not fit 16 bits; in those cases the
// packet is as it was. It stays owned by the caller.
DropReason push_tunnel(const FramePool& pool, const TunnelEntry& tunnel, const TunnelPush& push,
                       Packet& packet) noexcept;

// One UDP_L4 superpacket in the place of many tunnel packets: the outer header once, then VXLAN or
// Geneve header + inner segment, again and again; a device or the kernel cuts it behind the outer
// UDP header.
//
// Why:    a 64 KiB TCP superpacket passes the underlay's stack once instead of 45 times.
// Limits: tunnel_super_segments each; the kernel's own limit (UDP_MAX_SEGMENTS) was 64 until 6.9.
//
// Takes inner TCP superpackets (offsets `l3`, `l4`) for ports with tx_can_uso. Writes at most `max`
// packets to `out`, returns how many; 0: `reason` says why (BadSegmentation, NoFrames), nothing was
// allocated. The source packet stays owned by the caller.
constexpr uint32_t tunnel_super_segments = 64;
struct SuperPush {
  const TunnelEntry& tunnel;
  const TunnelPush& push;
  HeaderPlaces inner;
};
uint32_t push_tunnel_super(FrameCache& frames, const SuperPush& how, const Packet& packet,
                           PacketSpan out, DropReason& reason) noexcept;

}  // namespace vtep
