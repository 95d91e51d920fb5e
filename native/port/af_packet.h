// port/af_packet.h — a port on any netdev through AF_PACKET sockets with virtio_net_hdr.
//
// Why:    works on every device and kernel, keeps all offloads of a veth (checksums unfinished, 64
//         KiB superpackets whole), and needs no program on the device. It costs one copy per
//         direction and the kernel's skb, which for TCP in superpackets is small.
// Thread: as port.h says. The receiving worker has the one socket that reads; every worker has a
//         socket of its own to send by, so that sending takes no lock of ours.
//         An uplink sends tunnel packets of one outer flow together (tx_runs.h).
// Limits: ScatterFrames::slot_max messages per read, TxRuns::packets_max packets per write.
#pragma once

#include <memory>
#include <vector>

#include "base/fd.h"
#include "port/device.h"
#include "port/ingress_guard.h"
#include "port/port.h"
#include "port/udp_sink.h"
#include "port/vnet_frame.h"

namespace vtep {

class AfPacketPort final : public Port {
 public:
  // Throws Error; see make_port().
  // `uso`: whether virtio_net_hdr says UDP segmentation, and packets may thus be joined.
  AfPacketPort(const PortConfig& config, FramePool& pool, bool uso = kernel_has_uso());

  PortStatus status() const override;
  std::unique_ptr<PortQueue> open_queue(uint32_t worker, bool receive) override;

 private:
  FramePool& pool_;
  Device device_;
  Fd first_tx_;  // opened with the port, for the first queue: closing a packet socket takes 10 ms
  std::unique_ptr<IngressGuard> guard_;          // access ports
  std::vector<std::shared_ptr<UdpSink>> sinks_;  // uplinks: one per tunnel port
};

}  // namespace vtep
