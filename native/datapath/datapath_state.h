// datapath/datapath_state.h — what a Datapath is made of; for datapath*.cpp only.
//
// Thread: the control thread. Workers see what is published: tables, zones, capture flags, port
//         sets.
// Owner:  everything; destruction goes from the workers down to the memory.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "datapath/connections.h"
#include "datapath/datapath.h"
#include "datapath/grace.h"
#include "datapath/region.h"
#include "datapath/worker.h"
#include "datapath/worker_port.h"
#include "datapath/zones.h"
#include "packet/frame_pool.h"

namespace vtep {

struct Datapath::State {
  explicit State(const DatapathConfig& wanted);
  ~State();

  // A port with its end at each worker.
  struct PortEntry {
    PortConfig asked;     // as add_port() was told; the port's own has Auto resolved
    std::unique_ptr<Port> port;
    uint32_t reader = 0;  // the worker that reads the device
    std::vector<std::unique_ptr<WorkerPort>> ends;  // by worker; destroyed before `port`
  };
  struct Tunnel {
    TunnelConfig config;
    NextHop hop;
    bool resolved = false;
    std::string why;
  };

  void publish_port_sets();
  uint32_t least_loaded() const;
  // Tells an uplink the VTEP addresses as they are now; nothing to other ports.
  void narrow(Port& port);
  // Builds a tunnel's entry anew and publishes it; the old one is retired.
  void publish_tunnel(const Tunnel& tunnel);
  // Builds what parse looks up (endpoints, tunnels, networks) anew and publishes it.
  void publish_endpoints();

  template <typename T>
  void replace(std::atomic<const T*>& place, std::unique_ptr<const T> fresh) {
    std::unique_ptr<const T> old(place.exchange(fresh.release(), std::memory_order_acq_rel));
    grace.retire(std::move(old));
  }

  DatapathConfig config;
  Region region;
  FramePool pool;
  std::unique_ptr<Tables> tables;
  std::unique_ptr<Zones> zones;
  CaptureFlags capture;
  Grace grace;
  const HashSecret secret = HashSecret::random();
  Connections connections;
  Fd slow_path_doorbell;
  std::map<uint32_t, PortEntry> ports;
  std::map<uint32_t, Tunnel> tunnels;
  std::map<uint32_t, GroupConfig> groups;
  std::vector<TunnelEndpoints::Endpoint> endpoints;
  std::vector<NetworkConfig> networks;
  uint64_t port_set_version = 0;
  std::vector<std::unique_ptr<const PortSet>> port_sets;  // by worker: what each works with
  std::vector<std::unique_ptr<Worker>> workers;           // last: stopped before all else goes
};

}  // namespace vtep
