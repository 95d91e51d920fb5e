// bench/native/lab.h — a datapath between memory ports, under a known policy: what the native
// benches measure.
//
// Why:    one set-up for all of them: packets arrive for ever at one port per worker, are
//         encapsulated or opened, pass a stateful firewall or not, and leave by another port.
// Thread: made and destroyed by one thread; breathe(worker) by one thread per worker.
// Policy: as of the peers. Stateless: one megaflow (port, VNI, destination MAC and UDP port).
//         Stateful: port and VNI have a zone, and a megaflow on ct_state new
//         commits the connection and forwards, one on ct_state established forwards; answers to
//         established connections pass.
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
  bool decap = false;        // packets come from the other host; else from the container
  bool stateful = false;     // with connections
  uint32_t flows = 1;        // tables are made large enough for them
  uint32_t connections = 0;  // room in the connection table; 0: enough for all flows
  uint32_t burst = 256;      // packets that arrive together
  uint32_t workers = 1;
};

class Lab {
 public:
  explicit Lab(const LabConfig& config);

  // From now on these arrive, round and round, and nothing else; they are dealt out to the workers
  // in turn. Not while a worker breathes; a change only when the last round has ended.
  void replay(const std::vector<Frame>& frames);
  // The same with answers: frames that arrive at the ports which so far only sent.
  void replay_back(const std::vector<Frame>& frames);

  // One breath of the worker, then its questions are answered.
  void breathe(uint32_t worker);

  uint64_t received(uint32_t worker) const;  // packets that the worker took in, both ways
  uint64_t sent(uint32_t worker) const;
  uint64_t asked(uint32_t worker) const;    // upcalls
  uint64_t dropped(uint32_t worker) const;  // for any reason, of any port
  uint64_t counter(uint32_t worker, WorkerCounter which) const {
    return region_.worker_counters(worker)[static_cast<uint32_t>(which)];
  }

 private:
  void add_port(uint32_t number, uint32_t flags);
  void add_tunnel(uint32_t worker);
  void arrive(const std::vector<Frame>& frames, bool back);
  void answer(uint32_t worker);
  void decide(uint32_t worker, UpcallRecord& record);
  void install(uint32_t worker, uint32_t slot, const FlowKey& key);
  uint64_t port_counters(uint32_t worker, PortCounter which) const;  // of both its ports
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
