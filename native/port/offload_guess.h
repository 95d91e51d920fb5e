// port/offload_guess.h — what a veth's sender left undone and XDP does not tell.
//
// Why:    XDP sees bytes only. On a veth they may carry an unfinished checksum and, in generic
//         mode, be a superpacket. The field that holds just the pseudo-header sum betrays the
//         first, a TCP packet longer than the MTU the second.
// Thread: pure, per packet.
// Limits: the segment size is not in the packet: the MTU's is taken. A UDP superpacket is refused,
//         since its datagrams cannot be told apart.
#pragma once

#include <cstdint>

#include "base/drop_reasons.h"
#include "packet/packet.h"
#include "port/port.h"

namespace vtep {

struct OffloadGuess {
  uint32_t mtu = 1500;       // of the device, L3 bytes
  bool uplink = false;       // look inside tunnel packets too
  uint16_t vxlan_port = 0;   // host order
  uint16_t geneve_port = 0;  // host order
};

// Completes packet.offload. DropReason::None, or why the packet cannot be forwarded.
DropReason guess_offload(Packet& packet, const OffloadGuess& guess) noexcept;

}  // namespace vtep
