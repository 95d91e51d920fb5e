// port/tap.h — a port on a TAP device: VMs, containers, and the host itself, with all offloads.
//
// Why:    a TAP file hands over the frame and its offload state without an AF_PACKET tap in
//         between, and the host's stack never sees the packet: the other end of the device is the
//         guest.
// Thread: one worker reads; all write through the same descriptor, which the kernel allows.
// Owner:  a device that did not exist vanishes with the port; a persistent one stays. It may be
//         moved to another network namespace at any time: the descriptor goes on working.
#pragma once

#include <memory>
#include <string>

#include "base/fd.h"
#include "port/port.h"

namespace vtep {

class TapPort final : public Port {
 public:
  // Throws Error; ERR_DEVICE_BUSY when another program has the device open.
  TapPort(const PortConfig& config, FramePool& pool);

  PortStatus status() const override;
  std::unique_ptr<PortQueue> open_queue(uint32_t worker, bool receive) override;

 private:
  void set_up_device(const std::string& doing);

  FramePool& pool_;
  Fd file_;
};

}  // namespace vtep
