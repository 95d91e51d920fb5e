// datapath/control.h — the rare calls on a datapath, wherever it runs.
//
// Why:    the binding speaks to a datapath in its own process (Datapath) or behind the control
//         socket (host/datapath_client.h) through the same words. All of them may throw Error;
//         none is on the packet path.
// Thread: one control thread at a time.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "datapath/datapath_types.h"

namespace vtep {

class DatapathControl {
 public:
  virtual ~DatapathControl() = default;

  // Ports. ERR_PORT_EXISTS, ERR_PORT_NOT_FOUND and what make_port() throws; then nothing has
  // changed.
  virtual PortStatus add_port(const PortConfig& config) = 0;
  virtual void remove_port(uint32_t number) = 0;
  virtual std::vector<std::pair<PortConfig, PortStatus>> list_ports() = 0;

  // Tables: each call replaces the entry, in place for the flows that refer to it. ERR_LIMIT.
  virtual void set_endpoints(const std::vector<TunnelEndpoints::Endpoint>& endpoints) = 0;
  virtual std::vector<TunnelEndpoints::Endpoint> list_endpoints() = 0;
  virtual void set_networks(const std::vector<NetworkConfig>& networks) = 0;  // the whole set
  virtual std::vector<NetworkConfig> list_networks() = 0;
  virtual void set_tunnel(const TunnelConfig& config) = 0;  // unresolved until a next hop is known
  virtual void remove_tunnel(uint32_t number) = 0;
  virtual std::vector<TunnelStatus> list_tunnels() = 0;
  // All at once, since a document has a group per network.
  virtual void set_groups(const std::vector<GroupConfig>& groups) = 0;
  virtual void remove_groups(const std::vector<uint32_t>& numbers) = 0;
  virtual std::vector<GroupConfig> list_groups() = 0;
  virtual void set_meter(uint32_t number, const MeterConfig& config) = 0;
  virtual void remove_meter(uint32_t number) = 0;
  // Connection tracking zone of packets from a port's VLAN (vni 0; VLAN 0: no tag) or from a VNI
  // (port 0); zone 0: not tracked.
  virtual void set_zone(uint32_t port, uint32_t vni, uint16_t zone, uint16_t vlan = 0) = 0;
  // Copies of the packets of `port` (0: all) go to the event ring.
  virtual void set_capture(uint32_t port, bool on) = 0;

  // Shared memory: the mapping in this process, and the doorbells (eventfds).
  virtual uint8_t* memory() const noexcept = 0;
  virtual uint64_t memory_bytes() const noexcept = 0;
  virtual int slow_path_doorbell() const noexcept = 0;              // rung by workers
  virtual int worker_doorbell(uint32_t worker) const noexcept = 0;  // rung by the slow path
  // Remote: readable or hung up when the datapath process has gone; -1 for a local one.
  virtual int liveness_fd() const noexcept = 0;
};

}  // namespace vtep
