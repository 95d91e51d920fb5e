// datapath/datapath.h — the datapath: ports, workers and tables joined, and the few rare calls to
// steer it.
//
// Why:    a keyhole. Flows and packets cross through shared memory (datapath/layout.h); what is
//         rare and may fail crosses here, as plain structs, so that the same calls work inside one
//         process and over the control socket (host/control_protocol.h).
// Thread: every method from one control thread at a time. Workers are native threads of their own.
// Owner:  owns the frames, ports, workers, tables and the shared region (a memfd).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "datapath/control.h"
#include "datapath/datapath_types.h"
#include "datapath/layout.h"

namespace vtep {

class Datapath : public DatapathControl {
 public:
  // Starts the workers. Throws Error{ERR_LIMIT}.
  explicit Datapath(const DatapathConfig& config);
  ~Datapath();  // stops the workers, then removes ports and everything they attached

  // The rare calls: see datapath/control.h.
  PortStatus add_port(const PortConfig& config) override;
  void remove_port(uint32_t number) override;
  std::vector<std::pair<PortConfig, PortStatus>> list_ports() override;
  void set_endpoints(const std::vector<TunnelEndpoints::Endpoint>& endpoints) override;
  std::vector<TunnelEndpoints::Endpoint> list_endpoints() override;
  void set_networks(const std::vector<NetworkConfig>& networks) override;
  std::vector<NetworkConfig> list_networks() override;
  void set_tunnel(const TunnelConfig& config) override;
  void remove_tunnel(uint32_t number) override;
  std::vector<TunnelStatus> list_tunnels() override;
  void set_groups(const std::vector<GroupConfig>& groups) override;
  void remove_groups(const std::vector<uint32_t>& numbers) override;
  std::vector<GroupConfig> list_groups() override;
  void set_meter(uint32_t number, const MeterConfig& config) override;
  void remove_meter(uint32_t number) override;
  void set_zone(uint32_t port, uint32_t vni, uint16_t zone, uint16_t vlan = 0) override;
  void set_capture(uint32_t port, bool on) override;
  uint8_t* memory() const noexcept override;
  uint64_t memory_bytes() const noexcept override;
  int slow_path_doorbell() const noexcept override;
  int worker_doorbell(uint32_t worker) const noexcept override;
  int liveness_fd() const noexcept override { return -1; }

  // Called by the next-hop resolver of the host (or by a test): publishes the tunnel's outer
  // header. `hop` null: unresolved, and `why` says why in one sentence.
  void set_next_hop(uint32_t tunnel, const NextHop* hop, const char* why);
  int memory_fd() const noexcept;  // the memfd, to hand to vtepd
  uint32_t worker_count() const noexcept;
  bool manual() const noexcept;

  // Manual mode only: one breath of one worker; true if it did something.
  bool run_once(uint32_t worker);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vtep
