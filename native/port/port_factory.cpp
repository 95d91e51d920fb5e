// port/port_factory.cpp — from a PortConfig to a port, and the choice behind PortKind::Auto.
#include <sys/stat.h>

#include <string>

#include "base/error.h"
#include "port/af_packet.h"
#include "port/af_xdp.h"
#include "port/memory.h"
#include "port/pcap.h"
#include "port/port.h"
#include "port/tap.h"

namespace vtep {
namespace {

struct Choice {
  PortKind kind;
  std::string why;  // one sentence
};

// Drivers with AF_XDP zero copy in Linux 6.12 (ndo_xsk_wakeup). A name too many costs nothing: the
// port falls back and says so.
bool has_zero_copy(const std::string& driver) {
  for (const char* known : {"ixgbe", "i40e", "ice", "igc", "igb", "mlx5_core", "st_gmac", "stmmac",
                            "nfp", "gve", "fsl_dpaa2_eth"})
    if (driver == known) return true;
  return false;
}

Choice choose(const PortConfig& config) {
  if (config.rx_path[0] != 0 || config.tx_path[0] != 0)
    return {PortKind::Pcap, "the port names capture files"};
  if (config.device[0] == 0) return {PortKind::Memory, "the port names no device"};
  const Device device = find_device(config.device);
  const bool uplink = (config.flags & port_flag_uplink) != 0;
  // The underlay's packets come in by the kernel's side of a TAP; its file is its maker's.
  if (device.driver == "tun" && !uplink)
    return {PortKind::Tap,
            "the device is a TAP: its file keeps all offloads and spares the host's stack"};
  if (!uplink)
    return {
        PortKind::AfPacket,
        "an access port: AF_PACKET keeps superpackets whole, XDP would cost the container its GSO"};
  if (has_zero_copy(device.driver))
    return {PortKind::AfXdp, "driver '" + device.driver + "' has zero-copy XDP"};
  return {PortKind::AfPacket, "driver '" + device.driver + "' is not known to have zero-copy XDP"};
}

std::unique_ptr<Port> make_kind(PortKind kind, const PortConfig& config, FramePool& pool) {
  switch (kind) {
    case PortKind::AfPacket:
      return std::make_unique<AfPacketPort>(config, pool);
    case PortKind::Tap:
      return std::make_unique<TapPort>(config, pool);
    case PortKind::Pcap:
      return std::make_unique<PcapPort>(config, pool);
    case PortKind::Memory:
      return std::make_unique<MemoryPort>(config, pool);
    case PortKind::AfXdp:
    case PortKind::AfXdpNative:
    case PortKind::AfXdpGeneric:
      return std::make_unique<AfXdpPort>(config, pool);
    default:
      throw Error("ERR_CONFIG_INVALID",
                  "port kind " + std::to_string(static_cast<uint32_t>(kind)) + " does not exist");
  }
}

}  // namespace

std::unique_ptr<Port> make_port(const PortConfig& config, FramePool& pool) {
  if (config.number == 0 || config.number >= port_max)
    throw Error("ERR_LIMIT", "port number " + std::to_string(config.number) + " is not in 1.." +
                                 std::to_string(port_max - 1));
  if (config.kind != PortKind::Auto) return make_kind(config.kind, config, pool);
  const Choice choice = choose(config);
  auto port = make_kind(choice.kind, config, pool);
  port->set_why(choice.why);
  return port;
}

}  // namespace vtep
