// port/udp_sink.h — holds the tunnel's UDP ports so that the host's stack stays silent about our
// packets.
//
// Why:    an uplink's packets are copied to us, but the host still sees them and, with nobody on
//         the UDP port, answers ICMP port unreachable. A socket that is bound and drops everything
//         prevents that, and makes a second VTEP on the host (a kernel vxlan device) show at start.
//         UDP_GRO has the kernel join tunnel packets into superpackets before we see them, and
//         keeps it from segmenting one only in order to drop it. Before Linux 6.2 packet sockets
//         do not get such superpackets at all: joining would lose the tunnel's bulk traffic.
// Thread: control thread. All uplinks of one network namespace share one sink per UDP port.
#pragma once

#include <cstdint>
#include <memory>

#include "base/fd.h"
#include "port/vnet_frame.h"

namespace vtep {

class UdpSink {
 public:
  // The sink for `port` (host order) in the network namespace of the calling thread, IPv4 and
  // (where the host has it) IPv6. Throws Error ERR_DEVICE_BUSY when something else holds the port.
  // `join`: whether the kernel may join packets to the port; the first to ask decides.
  static std::shared_ptr<UdpSink> open(uint16_t port, bool join = kernel_has_uso());

  UdpSink(uint16_t port, bool join);

 private:
  Fd ipv4_;
  Fd ipv6_;  // not open on a host without IPv6
};

}  // namespace vtep
