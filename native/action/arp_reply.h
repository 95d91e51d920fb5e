// action/arp_reply.h — turns ARP requests and neighbour solicitations into their replies, in place.
//
// Why:    the switch knows every address of its networks, so a question for one of them is answered
//         where it was asked: no broadcast crosses the underlay, and the answer needs no slow path.
// Source: RFC 826, RFC 5227 (probes), RFC 4861 section 7.2.4, RFC 4862 section 5.4 (DAD).
// Thread: pure.
#pragma once

#include "base/drop_reasons.h"
#include "flow/flow_key.h"
#include "flow/parse.h"
#include "packet/frame_pool.h"
#include "packet/packet.h"

namespace vtep {

// The ARP request becomes the reply that says: the address asked for is at `mac`. VLAN tags stay.
// BadArp: not a request; the packet is as it was.
DropReason turn_arp_request(Packet& packet, const PacketInfo& info, const MacBytes& mac) noexcept;

// The neighbour solicitation becomes a solicited advertisement with a target link-layer address
// option and the override flag; a DAD probe (source ::) is answered to all nodes, unsolicited.
// `router` sets the R flag. The packet may grow by the option: BadL4: not a valid solicitation,
// NoFrames: no room behind it.
struct NdAnswer {
  MacBytes mac;
  bool router;
};
DropReason turn_nd_solicitation(const FramePool& pool, Packet& packet, PacketInfo& info,
                                const NdAnswer& answer) noexcept;

}  // namespace vtep
