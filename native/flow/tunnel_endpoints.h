// flow/tunnel_endpoints.h — what parse asks about a tunnel packet: ours? whose? which network?
//
// Why:    asked once or more of every tunnel packet, so the answers are inlined.
// Thread: lookups from any worker; writers only before publication. Entries are never removed: the
//         control side builds a new object and publishes it whole.
// Limits: endpoint_max, tunnel_max, vni_max.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/limits.h"
#include "flow/flow_key.h"

namespace vtep {

enum class Encap : uint8_t { Vxlan = 1, Geneve = 2 };

constexpr uint16_t vxlan_port_default = 4789;
constexpr uint16_t geneve_port_default = 6081;

// An address of the underlay as two native words of its 16 bytes, for registers; IPv4 addresses are
// v4-mapped (::ffff:a.b.c.d).
struct AddressWords {
  uint64_t high;
  uint64_t low;
  bool operator==(const AddressWords&) const noexcept = default;

  static AddressWords of(const uint8_t* ipv6) noexcept {
    AddressWords words;
    memcpy(&words.high, ipv6, 8);
    memcpy(&words.low, ipv6 + 8, 8);
    return words;
  }
  static AddressWords of(const Ipv6Bytes& ipv6) noexcept { return of(ipv6.data()); }
  static AddressWords mapped(Be32 ipv4) noexcept {
    constexpr bool little = std::endian::native == std::endian::little;
    const uint64_t address = ipv4.raw;
    return {0, little ? 0xffff0000u | address << 32 : uint64_t{0xffff} << 32 | address};
  }
};

namespace tunnel_endpoints_detail {

// The keys come from the model, not from packets, so the hash need not be keyed.
inline uint32_t spread(uint64_t value) noexcept {
  return static_cast<uint32_t>((value * 0x9e3779b97f4a7c15ull) >> 40);
}

inline uint32_t spread(AddressWords address) noexcept {
  return spread(address.low ^ (address.high << 7 | address.high >> 57));
}

}  // namespace tunnel_endpoints_detail

// What parse needs to know of the tunnels. Lookups are wait-free.
class TunnelEndpoints {
 public:
  // Is (address, UDP port) one of ours?
  bool ours(AddressWords address, Be16 udp_port, Encap& encap) const noexcept;
  // Number of the tunnel whose remote VTEP has this address, with this encapsulation if there are
  // two, so that what goes back goes the way that the packet came; 0: unknown.
  uint16_t tunnel_of(AddressWords address, Encap encap = Encap::Vxlan) const noexcept;
  // Whether a network of the model has this VNI, and with which encapsulation.
  enum class VniKind : uint8_t { Unknown = 0, Vxlan = 1, Geneve = 2 };
  VniKind network(uint32_t vni) const noexcept;

  struct Endpoint {
    Ipv6Bytes address;   // v4-mapped for IPv4
    Be16 vxlan_port;
    Be16 geneve_port;
  };

  // Writers, control side: build a new object, then publish it whole.
  void set_endpoints(const Endpoint* endpoints, uint32_t count);
  // Throws Error{ERR_LIMIT}.
  void set_tunnel(uint16_t number, const Ipv6Bytes& remote, Encap encap = Encap::Vxlan);
  void set_network(uint32_t vni, Encap encap);               // throws Error{ERR_LIMIT}
  bool zero_udp6_checksum_allowed = false;  // RFC 6935: accept UDP/IPv6 tunnels without checksum

 private:
  Endpoint endpoints_[endpoint_max] = {};
  uint32_t endpoint_count_ = 0;
  uint32_t tunnel_count_ = 0;
  uint32_t vni_count_ = 0;
  // Open-addressed tables, at most half full: a lookup, hit or miss, reads one or two lines.
  struct TunnelSlot {
    Ipv6Bytes remote;
    uint16_t numbers[2];  // by encapsulation; one that is not there has the other's; 0: free
  };
  static constexpr uint32_t place_of(Encap encap) noexcept { return encap == Encap::Geneve; }
  struct VniSlot {
    uint32_t vni_and_encap;  // vni | encap << 24; 0: free
  };
  static constexpr uint32_t tunnel_slots = 2 * tunnel_max;
  static_assert((tunnel_slots & (tunnel_slots - 1)) == 0);
  TunnelSlot tunnels_[tunnel_slots] = {};
  static constexpr uint32_t vni_slots = 16384;  // grown networks: see vni_max
  static constexpr uint32_t vni_max = vni_slots / 2;
  VniSlot vnis_[vni_slots] = {};
};

inline bool TunnelEndpoints::ours(AddressWords address, Be16 udp_port,
                                  Encap& encap) const noexcept {
  for (uint32_t i = 0; i < endpoint_count_; ++i) {
    const Endpoint& endpoint = endpoints_[i];
    if (AddressWords::of(endpoint.address) != address) continue;
    if (udp_port == endpoint.vxlan_port) {
      encap = Encap::Vxlan;
      return true;
    }
    if (udp_port == endpoint.geneve_port) {
      encap = Encap::Geneve;
      return true;
    }
  }
  return false;
}

inline uint16_t TunnelEndpoints::tunnel_of(AddressWords address, Encap encap) const noexcept {
  uint32_t slot = tunnel_endpoints_detail::spread(address) % tunnel_slots;
  while (tunnels_[slot].numbers[0] != 0) {
    if (AddressWords::of(tunnels_[slot].remote) == address)
      return tunnels_[slot].numbers[place_of(encap)];
    slot = (slot + 1) % tunnel_slots;
  }
  return 0;
}

inline TunnelEndpoints::VniKind TunnelEndpoints::network(uint32_t vni) const noexcept {
  uint32_t slot = tunnel_endpoints_detail::spread(vni) % vni_slots;
  while (vnis_[slot].vni_and_encap != 0) {
    const uint32_t found = vnis_[slot].vni_and_encap;
    if ((found & 0xffffffu) == vni) return static_cast<VniKind>(found >> 24);
    slot = (slot + 1) % vni_slots;
  }
  return VniKind::Unknown;
}

}  // namespace vtep
