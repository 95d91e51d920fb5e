// flow/parse.h — one pass over a packet: headers checked, tunnel opened, key built.
//
// Why:    there is no recirculation. A tunnel packet for one of our endpoints is opened here (outer
//         headers trimmed off, VNI, VTEP and Geneve metadata put in the key), so decapsulation
//         costs no second lookup. Every byte is bounds-checked before it is read; bad packets leave
//         with a drop reason and are never looked at again.
// Thread: pure, but for the tunnel tables, which are read-only during a breath.
// Limits: two VLAN tags, eight IPv6 extension headers.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/drop_reasons.h"
#include "base/limits.h"
#include "flow/flow_key.h"
#include "packet/packet.h"

namespace vtep {

enum class Encap : uint8_t { Vxlan = 1, Geneve = 2 };

constexpr uint16_t vxlan_port_default = 4789;
constexpr uint16_t geneve_port_default = 6081;

// Our Geneve option, which others may ignore (C bit clear). Its class is of the experimental range
// 0xff00-0xffff (RFC 8926 section 12). 8 bytes of data: source port id, network id.
constexpr uint16_t geneve_option_class = 0xff56;
constexpr uint8_t geneve_option_type = 0x01;

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

// What parse needs to know of the tunnels. Lookups are wait-free.
class TunnelEndpoints {
 public:
  // Is (address, UDP port) one of ours?
  bool ours(AddressWords address, Be16 udp_port, Encap& encap) const noexcept;
  // Number of the tunnel whose remote VTEP has this address; 0: unknown.
  uint16_t tunnel_of(AddressWords address) const noexcept;
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
  void set_tunnel(uint16_t number, const Ipv6Bytes& remote);  // throws Error{ERR_LIMIT}
  void set_network(uint32_t vni, Encap encap);               // throws Error{ERR_LIMIT}
  bool zero_udp6_checksum_allowed = false;  // RFC 6935: accept UDP/IPv6 tunnels without checksum

 private:
  Endpoint endpoints_[endpoint_max] = {};
  uint32_t endpoint_count_ = 0;
  uint32_t tunnel_count_ = 0;
  uint32_t vni_count_ = 0;
  // Open-addressed tables, at most half full (tunnel_endpoints.cpp).
  struct TunnelSlot {
    Ipv6Bytes remote;
    uint16_t number;  // 0: free
  };
  struct VniSlot {
    uint32_t vni_and_encap;  // vni | encap << 24; 0: free
  };
  TunnelSlot tunnels_[2 * tunnel_max] = {};
  static constexpr uint32_t vni_slots = 16384;  // grown networks: see vni_max
  static constexpr uint32_t vni_max = vni_slots / 2;
  VniSlot vnis_[vni_slots] = {};
};

// Facts of a packet that its key does not hold. Offsets count from Packet::data after opening.
struct PacketInfo {
  uint16_t l3 = 0;           // IP or ARP header; 0: none
  uint16_t l4 = 0;           // L4 header; 0: none, or a later fragment
  uint16_t payload = 0;      // first byte behind the L4 header; 0: none
  uint8_t tcp_flags = 0;     // low 8 bits of the TCP flags
  uint8_t ip_tos = 0;        // DSCP and ECN of the (inner) packet
  uint8_t ip_ttl = 0;        // TTL or hop limit of the (inner) packet
  uint8_t outer_tos = 0;     // of the tunnel packet
  DropReason drop = DropReason::None;  // why the packet must not go on
  uint32_t outer_bytes = 0;  // bytes trimmed off when the tunnel was opened; 0: no tunnel
};

// How the packets of one burst came in; the same for all of them.
struct RxContext {
  uint32_t in_port;                  // device port number
  bool uplink;                       // look for tunnel packets of ours
  bool verify_checksums;             // verify IPv4 header and outer UDP checksums in software
  const TunnelEndpoints* endpoints;  // used when uplink
};

// Fills keys[i] and infos[i] for packets[0..count). On an uplink, a packet that is no tunnel packet
// of ours is returned with info.outer_bytes == 0 and DropReason::None: the caller counts and frees
// it, since the host's own stack has its copy. ECN is combined as RFC 6040 section 4.2 demands, on
// the inner header, with its checksum. A superpacket of outer datagrams (UDP_GRO) must have been
// split before (see gso.h); one whose unfinished checksum and GSO type are the inner packet's (a
// sender on this machine) is opened and stays a superpacket. Returns how many packets may go on: no
// drop reason, and on an uplink, opened.
uint32_t parse(Packet* packets, uint32_t count, const RxContext& context, FlowKey* keys,
           PacketInfo* infos) noexcept;

}  // namespace vtep
