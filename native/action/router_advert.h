// action/router_advert.h — turns router solicitations into advertisements, in place.
//
// Why:    hosts make their addresses and find their gateway by what a router tells (SLAAC). Ours is
//         on every host, so the one who asks is answered at its own port.
// Source: RFC 4861 sections 4.1, 4.2, 4.6 and 6.1.1, RFC 4862, RFC 4291 appendix A.
// Thread: pure.
#pragma once

#include <cstdint>

#include "base/drop_reasons.h"
#include "flow/flow_key.h"
#include "flow/parse.h"
#include "packet/frame_pool.h"
#include "packet/packet.h"

namespace vtep {

struct RouterAnswer {
  MacBytes mac;       // the link-local address that it stands for is the source
  uint32_t mtu;       // of the link
  uint16_t lifetime;  // seconds that the router may be a default router; 0: it is none
  bool answered;      // the packet is our own neighbour advertisement, which has been sent
};

// The solicitation becomes an advertisement to its sender, or to all nodes when it has no address
// yet, with the options source link-layer address and MTU. Who asks for the neighbour is told of
// the router as well, so that it is remembered while it is used (`answered`). The packet may grow.
// BadL4: not a valid solicitation; NoFrames: no room behind it.
DropReason turn_router_solicitation(const FramePool& pool, Packet& packet, PacketInfo& info,
                                    const RouterAnswer& answer) noexcept;

struct AdvertisedPrefix {
  Ipv6Bytes prefix;
  uint8_t length;  // 64: hosts make addresses of it
};

// Adds an on-link prefix to an advertisement made above. BadL4: it is none; NoFrames: no room.
DropReason add_prefix(const FramePool& pool, Packet& packet, const PacketInfo& info,
                      const AdvertisedPrefix& prefix) noexcept;

}  // namespace vtep
