// flow/parse.h — one pass over a packet: headers checked, tunnel opened, key built.
//
// Why:    there is no recirculation. A tunnel packet for one of our endpoints is opened here (outer
//         headers trimmed off, VNI, VTEP and Geneve metadata put in the key), so decapsulation
//         costs no second lookup. Every byte is bounds-checked before it is read; bad packets leave
//         with a drop reason and are never looked at again.
// Thread: pure, but for the tunnel tables, which are read-only during a breath.
// Limits: two VLAN tags, eight IPv6 extension headers.
#pragma once

#include <cstdint>

#include "base/drop_reasons.h"
#include "base/limits.h"
#include "flow/flow_key.h"
#include "flow/tunnel_endpoints.h"
#include "packet/packet.h"

namespace vtep {

// Our Geneve option, which others may ignore (C bit clear). Its class is of the experimental range
// 0xff00-0xffff (RFC 8926 section 12). 8 bytes of data: source port id, network id.
constexpr uint16_t geneve_option_class = 0xff56;
constexpr uint8_t geneve_option_type = 0x01;

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
