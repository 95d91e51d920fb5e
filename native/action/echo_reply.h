// action/echo_reply.h — turns ICMP echo requests to a gateway into their replies, in place.
//
// Why:    a gateway is an address that no device has, and yet people ping it first of all.
// Source: RFC 792, RFC 4443 section 4.2.
// Thread: pure.
#pragma once

#include "base/drop_reasons.h"
#include "flow/parse.h"
#include "packet/packet.h"

namespace vtep {

// The request becomes the reply, from the address and the MAC that it was sent to; VLAN tags stay.
// A fragment behind the first is turned around, and joins its turned first one at the sender.
// BadL4: no echo request; the packet is as it was.
DropReason turn_echo_request(Packet& packet, PacketInfo& info) noexcept;

}  // namespace vtep
