// port/af_xdp.h — a port on a netdev through AF_XDP: packets straight from a driver's rings.
//
// Why:    with zero copy the fastest way in and out of a NIC. On a veth it works too, but the
//         kernel then takes GSO from the container (native) or we have to guess at what it left
//         undone (generic), so PortKind::Auto does not choose it there.
//
//         Mode              | Needs                     | Superpackets from a veth
//         native zero-copy  | driver support            | none: the driver has no GSO on receive
//         native copy       | XDP in the driver         | none: the kernel segments at the sender
//         generic           | nothing                   | yes, in chunks (offload_guess.h)
//
// Thread: as port.h says. The receiving worker reads all queues of the device; the others send by
//         AF_PACKET sockets, since two workers cannot share a completion ring without a lock.
// Limits: xdp_queue_max device queues; packets that need no more than one large frame. A VLAN tag
//         that a veth's sender left to the device (a VLAN device in the container) is not visible
//         to XDP: trunk ports on a veth need AF_PACKET.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "port/device.h"
#include "port/port.h"
#include "port/udp_sink.h"
#include "port/xdp_loader.h"
#include "port/xsk_socket.h"

namespace vtep {

class AfXdpPort final : public Port {
 public:
  // config.kind says which modes are allowed: AfXdp tries native, then generic. Throws Error.
  AfXdpPort(const PortConfig& config, FramePool& pool);

  PortStatus status() const override;
  std::unique_ptr<PortQueue> open_queue(uint32_t worker, bool receive) override;
  void set_endpoints(const std::vector<std::array<uint8_t, 16>>& addresses) override;

 private:
  using Sockets = std::vector<std::unique_ptr<XskSocket>>;

  bool try_mode(bool native, std::string& refusal);
  Sockets open_sockets(bool zero_copy);

  FramePool& pool_;
  Device device_;
  std::vector<std::shared_ptr<UdpSink>> sinks_;  // uplinks: one per tunnel port
  std::unique_ptr<XdpProgram> program_;
  bool native_ = false;
  bool zero_copy_ = false;
  std::string fallback_;  // why no better mode; empty when there is none
  Sockets opened_;        // by the constructor, for the first receiving queue
};

}  // namespace vtep
