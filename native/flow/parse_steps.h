// flow/parse_steps.h — the steps of parse(), shared by its source files and by nobody else.
//
// Why:    each step returns a verdict: DropReason::None means "go on", anything else ends the
// packet.
//         The common packet (parse_straight.h) takes none of them.
#pragma once

#include <cstdint>

#include "base/drop_reasons.h"
#include "flow/flow_key.h"
#include "flow/parse.h"
#include "packet/packet.h"

namespace vtep::parse_steps {

// One frame on its way through the steps. Offsets count from `data`.
struct Step {
  const uint8_t* data;
  uint32_t length;
  bool verify_checksums;
  FlowKey& key;
  PacketInfo& info;
};

// From the Ethernet header on. Fills all of the key but in_port and the tunnel fields.
DropReason parse_frame(const Step& step) noexcept;

// An IPv6 header at l3, with its extension headers and L4.
DropReason parse_ipv6(const Step& step, uint32_t l3) noexcept;

// The L4 header at `at` of an IP packet that ends at `end`; key.ip_proto and key.ip_frag are known.
DropReason parse_l4(const Step& step, uint32_t at, uint32_t end) noexcept;

// An ICMPv6 header likewise, ND included. info.ip_ttl is known.
DropReason parse_icmpv6(const Step& step, uint32_t at, uint32_t end) noexcept;

// Whether the offload state fits the parsed packet; finishes the CRC32c of SCTP, which no later
// step could tell from an Internet checksum.
DropReason check_offload(Packet& packet, const FlowKey& key, const PacketInfo& info) noexcept;

// An uplink frame: outer headers, tunnel header, then the inner frame. Fills key and info; sets
// info.outer_bytes when it was a tunnel packet for us, else the packet is left as it was.
void parse_uplink(Packet& packet, const RxContext& context, FlowKey& key,
                  PacketInfo& info) noexcept;

}  // namespace vtep::parse_steps
