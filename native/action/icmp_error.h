// action/icmp_error.h — errors that the data path sends itself: too big, time exceeded, refused.
//
// Why:    path MTU discovery works only if someone answers. Here the answer comes from the virtual
//         network, at the sender's own port, so no underlay and no slow path takes part.
//         What is refused is answered as by a host where nobody listens: TCP by a reset.
// Source: RFC 792, RFC 1191, RFC 1812 section 4.3.2, RFC 4443 sections 2.4, 3.1 to 3.3, RFC 9293
//         section 3.10.7.1.
// Thread: a worker, with its FrameCache.
#pragma once

#include <cstdint>

#include "base/be.h"
#include "flow/flow_key.h"
#include "flow/parse.h"
#include "packet/frame_pool.h"
#include "packet/packet.h"

namespace vtep {

constexpr uint32_t icmp_error_bytes_max = 576;     // IPv4: of the whole datagram (RFC 1812 4.3.2.3)
constexpr uint32_t icmpv6_error_bytes_max = 1280;  // IPv6: the minimum MTU (RFC 4443 2.4 c)

enum class IcmpErrorKind : uint8_t {
  TooBig,
  TimeExceeded,
  PortUnreachable,
  NoRoute,
  HostUnreachable
};

struct IcmpError {
  IcmpErrorKind kind;
  uint32_t mtu = 0;             // TooBig: L3 bytes that would fit
  Be32 ipv4_source = {};        // zero: the packet's own destination answers
  Ipv6Bytes ipv6_source = {};   // likewise
};

// Whether a packet may be answered with an ICMP error at all: unicast from a unicast source, no
// ICMP error itself, no later fragment.
bool may_answer(const Packet& packet, const FlowKey& key, const PacketInfo& info) noexcept;

// The error about `packet`, back to its sender: MACs turned around and VLAN tags as in `key`, IPv4
// or IPv6 like the packet. The quoted headers are put back to what came in (`key`), so the dropped
// packet may be changed. in_port is 0: we made it. frame == no_frame: none may be sent
// (may_answer), or no frame is free.
Packet make_icmp_error(FrameCache& frames, Packet& packet, const FlowKey& key,
                       const PacketInfo& info, const IcmpError& error) noexcept;

// The reset that answers a TCP segment, likewise; none for a reset.
Packet make_tcp_reset(FrameCache& frames, const Packet& packet, const FlowKey& key,
                      const PacketInfo& info) noexcept;

}  // namespace vtep
