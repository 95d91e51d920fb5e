// flow/flow_key.h — what identifies a connection: the key of every table, 112 bytes, no padding.
//
// Why:    per-packet facts (TTL, TOS/ECN, TCP flags, lengths) are not in the key. They vary inside
//         one connection, so a key that held them could not be "one entry per direction of a
//         connection"; actions and connection tracking read them from the packet.
//         Fields keep network byte order where the wire has one, so building a key is loads and
//         stores. Unused fields are zero. The mask of a megaflow has the same type, bit for bit.
//         The first 48 bytes hold all of an IPv4 key, the first 80 all but ARP/ND contents: the
//         exact cache compares only those. ARP and ND never enter the exact cache.
// Owner:  plain bytes, hashed and compared as bytes. src/flow/key.ts mirrors this layout.
//
//   offset size field          meaning
//   0      4    in_port        device port number (host order)
//   4      4    tunnel_id      VNI of the tunnel packet (host order, 24 bits); 0: not from a tunnel
//   8      2    tunnel_src     number of the tunnel whose remote VTEP sent it (host order); 0: none
//   10     2    eth_type       EtherType behind the VLAN tags (network order); 0x05ff: 802.3
//   12     2    vlan_tci       outermost VLAN tag: vid | present bit 0x1000, no PCP (network)
//   14     2    vlan_tci2      second VLAN tag, likewise
//   16     6    eth_dst
//   22     1    ip_proto       IP protocol; ARP opcode (low byte)
//   23     1    ip_frag        0 none, 1 first fragment, 3 later fragment (FragFirst|FragLater)
//   24     6    eth_src
//   30     1    ct_state       ConnState bits; 0: not tracked
//   31     1    zero
//   32     2    tp_src         TCP/UDP/SCTP source port; ICMP type (low byte, network order);
//                              0 in later fragments
//   34     2    tp_dst         destination port; ICMP code
//   36     4    tunnel_port    logical source port from our Geneve option (host order); 0: none
//   40     4    ip_src         IPv4 source; ARP sender address
//   44     4    ip_dst         IPv4 destination; ARP target address
//   48     16   ipv6_src
//   64     16   ipv6_dst
//   80     16   nd_target      target address of ND solicitation/advertisement
//   96     6    arp_sha        ARP sender MAC; ND source/target link-layer address option
//   102    6    arp_tha        ARP target MAC
//   108    4    zero
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/be.h"

namespace vtep {

using MacBytes = std::array<uint8_t, 6>;
using Ipv6Bytes = std::array<uint8_t, 16>;

constexpr uint8_t frag_none = 0;
constexpr uint8_t frag_first = 1;
constexpr uint8_t frag_later = 3;
constexpr uint16_t vlan_present = 0x1000;  // host order, as the CFI bit in OVS's vlan_tci
constexpr uint16_t eth_type_none = 0x05ff;  // an 802.3 frame: length instead of EtherType

// Bits of ct_state, as in OVS.
constexpr uint8_t ct_new = 0x01;      // would start a connection
constexpr uint8_t ct_est = 0x02;      // belongs to a committed connection
constexpr uint8_t ct_rel = 0x04;      // an ICMP error about one
constexpr uint8_t ct_rpl = 0x08;      // in the reply direction
constexpr uint8_t ct_inv = 0x10;      // fits no connection in its state
constexpr uint8_t ct_tracked = 0x20;  // the connection table was asked
// Ours: the operator lets the connection go on, whatever the policy says of it by now.
constexpr uint8_t ct_kept = 0x40;

struct FlowKey {
  uint32_t in_port;
  uint32_t tunnel_id;
  uint16_t tunnel_src;
  Be16 eth_type;
  Be16 vlan_tci;
  Be16 vlan_tci2;
  MacBytes eth_dst;
  uint8_t ip_proto;
  uint8_t ip_frag;
  MacBytes eth_src;
  uint8_t ct_state;
  uint8_t zero1;
  Be16 tp_src;
  Be16 tp_dst;
  uint32_t tunnel_port;
  Be32 ip_src;
  Be32 ip_dst;
  Ipv6Bytes ipv6_src;
  Ipv6Bytes ipv6_dst;
  Ipv6Bytes nd_target;
  MacBytes arp_sha;
  MacBytes arp_tha;
  uint32_t zero2;

  bool operator==(const FlowKey& other) const noexcept {
    return memcmp(this, &other, sizeof *this) == 0;
  }
};
static_assert(sizeof(FlowKey) == 112);
static_assert(std::has_unique_object_representations_v<FlowKey>);
static_assert(offsetof(FlowKey, eth_dst) == 16 && offsetof(FlowKey, tp_src) == 32);
static_assert(offsetof(FlowKey, ip_src) == 40 && offsetof(FlowKey, ipv6_src) == 48);
static_assert(offsetof(FlowKey, nd_target) == 80 && offsetof(FlowKey, arp_sha) == 96);

constexpr uint32_t flow_key_words = sizeof(FlowKey) / 8;
constexpr uint32_t exact_key_bytes_v4 = 48;  // all that an IPv4 (or non-IP) key holds
constexpr uint32_t exact_key_bytes = 80;     // all but ARP/ND contents

// A mask has the key's type: a 1-bit matters. A 1 too many is slow, a 1 too few is wrong.
using FlowMask = FlowKey;

}  // namespace vtep
