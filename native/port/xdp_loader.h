// port/xdp_loader.h — the XDP program of one device: loaded, told its rules, attached by a
// bpf_link.
//
// Why:    the link ends with its descriptor, so even SIGKILL leaves no program on the device.
// Thread: control thread.
// Owner:  an XdpProgram owns program, maps and link. Sockets leave the map by themselves when they
//         close.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "port/device.h"
#include "port/port.h"

namespace vtep {

class XdpProgram {
 public:
  // Loads the program for a device and attaches it: by the driver (`native`) or in the kernel's
  // generic path. Throws Error ERR_XDP_UNSUPPORTED, ERR_DEVICE_BUSY (another program is there),
  // ERR_PERMISSION.
  XdpProgram(const Device& device, const PortConfig& config, bool native);

  // Packets of the device's queue `queue` go to this socket from now on. Throws Error.
  void set_socket(uint32_t queue, int socket);
  // See Port::set_endpoints().
  void set_endpoints(const std::vector<std::array<uint8_t, 16>>& addresses);

 private:
  void attach(const Device& device, bool native);

  std::string device_;
  uint32_t uplink_;
  uint16_t vxlan_port_;   // host order
  uint16_t geneve_port_;  // host order
  Fd sockets_;            // XSKMAP
  Fd rules_;              // array of one xdp_redirect_config
  Fd program_;
  Fd link_;
};

constexpr uint32_t xdp_queue_max = 64;  // device queues of one port

}  // namespace vtep
