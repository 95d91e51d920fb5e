// bench/native/lab.h — a datapath between memory ports, under a known policy: what the native
// benches measure.
//
// Why:    one set-up for all of them: packets arrive for ever at one port per worker, are
//         encapsulated or opened, pass a stateful firewall or not, and leave by another port.
// Thread: made and destroyed by one thread; breathe(worker) by one thread per worker.
// Policy: as of the peers. Stateless: one megaflow (port, VNI, destination MAC and UDP port).
//         Stateful: the port (encap) or VNI (decap) has a zone, and a megaflow on ct_state new
//         commits the connection and forwards, one on ct_state established forwards.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/counters.h"
#include "bench/native/input.h"
#include "datapath/datapath.h"
#include "datapath/region.h"
#include "datapath/slow_path_ends.h"

namespace vtep::bench {

struct LabConfig {
  bool decap = false;     // open tunnels; else encapsulate
  bool stateful = false;  // with connections
  uint32_t flows = 1;     // tables are made large enough for them
  uint32_t burst = 256;   // packets that arrive together
  uint32_t workers = 1;
};

class Lab {
 public:
  // `frames` are dealt out to the workers in turn, and arrive round and round.
  Lab(const LabConfig& config, const std::vector<Frame>& frames);

  // One breath of the worker, then its questions are answered.
  void breathe(uint32_t worker);

  uint64_t received(uint32_t worker) const;  // packets that the worker took in
  uint64_t sent(uint32_t worker) const;
  uint64_t asked(uint32_t worker) const;    // upcalls
  uint64_t dropped(uint32_t worker) const;  // for any reason, of any port
  uint64_t counter(uint32_t worker, WorkerCounter which) const {
    return region_.worker_counters(worker)[static_cast<uint32_t>(which)];
  }

 private:
  void add_port(uint32_t number, uint32_t flags);
  void add_tunnel(uint32_t worker);
  void answer(uint32_t worker);
  void decide(uint32_t worker, UpcallRecord& record);
  void install(uint32_t slot, const UpcallRecord& record);
  uint64_t port_counter(uint32_t worker, uint32_t port, PortCounter which) const {
    return region_.port_counters(worker)[port][static_cast<uint32_t>(which)];
  }
  uint32_t in_port(uint32_t worker) const;
  uint32_t out_port(uint32_t worker) const;
  std::string port_name(uint32_t number) const { return name_ + std::to_string(number); }

  const LabConfig config_;
  const std::string name_;
  std::unique_ptr<Datapath> datapath_;
  RegionView region_;
  std::vector<SlowPathEnds> ends_;  // by worker
};

}  // namespace vtep::bench
