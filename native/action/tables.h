// action/tables.h — what actions refer to by number: tunnels, groups, meters.
//
// Why:    a program says "tunnel 7", not "this outer header", so that a changed next hop, MTU or
//         group membership touches one entry here and no flow. A tunnel's outer header is prebuilt:
//         laid down by one fixed-size copy, then length, checksum and source port are patched.
// Thread: the control thread builds a new entry and publishes its pointer; workers load it once per
//         use; the old one is freed after every worker has finished its breath (datapath/grace.h).
// Owner:  entries belong to the control thread, for ever const once published.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/limits.h"
#include "flow/flow_key.h"
#include "flow/parse.h"

namespace vtep {

// One remote VTEP with one encapsulation, ready to be written before an inner frame.
struct TunnelEntry {
  // Ethernet, IP, UDP, VXLAN or Geneve with our option, in the *last* header_bytes of the array: a
  // copy of a fixed number of bytes that ends before the inner frame needs no length.
  alignas(cache_line_bytes) uint8_t header[outer_header_max] = {};
  uint16_t header_bytes = 0;        // Geneve option included
  uint16_t l3 = 0;                  // of the outer IP header, from the outer frame's first byte
  uint16_t l4 = 0;                  // of the outer UDP header, likewise
  uint16_t number = 0;              // its own
  uint32_t uplink_port = 0;         // device port it leaves by; 0: unresolved
  uint32_t inner_mtu = 0;           // L3 bytes that fit inside: underlay MTU - overhead; 0: unknown
  // Both without lengths, TOS and ID, as sums of native words (packet/checksum.h).
  uint64_t checksum_seed = 0;       // of the IPv4 header
  uint64_t pseudo_seed = 0;         // of the UDP pseudo header
  Encap encap = Encap::Vxlan;
  bool ipv6 = false;                // outer IP version
  bool udp_checksum = false;        // fill the outer UDP checksum (IPv6: always, RFC 6935 aside)
  bool resolved = false;            // route and neighbour are known
  uint8_t tos_mask = 0xff;          // what the outer TOS takes of the inner one: all, or ECN only
  bool dont_fragment = true;        // IPv4
};

struct GroupMember {
  enum class Kind : uint8_t { Port = 0, Tunnel = 1 };
  Kind kind = Kind::Port;
  uint32_t number = 0;    // port or tunnel
  uint16_t vlan_vid = 0;  // port: push this tag (trunk ports); 0: none
  uint16_t meter = 0;     // port: that its copies must pass; 0: none
};

struct Group {
  std::vector<GroupMember> members;
};

struct MeterConfig {
  uint64_t rate = 0;    // per second: bytes, or packets when `packets`
  uint64_t burst = 0;   // bytes or packets
  bool packets = false;
};

// The pointers that workers follow. Index is the number; null: no such thing.
struct Tables {
  std::atomic<const TunnelEntry*> tunnels[tunnel_max] = {};
  std::atomic<const Group*> groups[group_max] = {};
  std::atomic<const MeterConfig*> meters[meter_max] = {};
  std::atomic<const TunnelEndpoints*> endpoints = nullptr;

  const TunnelEntry* tunnel(uint32_t number) const noexcept {
    return number < tunnel_max ? tunnels[number].load(std::memory_order_acquire) : nullptr;
  }
  const MeterConfig* meter(uint32_t number) const noexcept {
    return number < meter_max ? meters[number].load(std::memory_order_acquire) : nullptr;
  }
  const Group* group(uint32_t number) const noexcept {
    return number < group_max ? groups[number].load(std::memory_order_acquire) : nullptr;
  }
};

// What an EnforceMtu action (its first word is words[0]) allows now, in L3 bytes: the least of the
// network's and the tunnel's; 0: anything.
inline uint32_t effective_mtu(const Tables& tables, const uint32_t* words) noexcept {
  const uint32_t mtu = words[1];
  const TunnelEntry* tunnel = words[2] != 0 ? tables.tunnel(words[2]) : nullptr;
  if (tunnel == nullptr || tunnel->inner_mtu == 0) return mtu;
  return mtu == 0 || tunnel->inner_mtu < mtu ? tunnel->inner_mtu : mtu;
}

}  // namespace vtep
