// datapath/worker_port.h — one port as one worker sees it: queue, lane, and how eager to look at
// it.
//
// Why:    hundreds of ports hang on one worker, and most are silent. Those that had packets lately
//         are hot and looked at every breath; the others wait in epoll until their descriptor says
//         so.
// Thread: made and destroyed by the control thread; between that, used by its worker only. It
//         changes hands through a PortSet, which is published and retired as datapath/grace.h says.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "action/tx_stage.h"
#include "port/port.h"

namespace vtep {

struct WorkerPort {
  uint32_t number = 0;               // of the port
  bool uplink = false;               // its packets may be tunnel packets
  bool receives = false;             // this worker reads the device
  bool hot = false;                  // looked at every breath
  bool muted = false;                // out of epoll until the next second
  bool flush = false;                // got packets in this breath
  uint32_t empty_bursts = 0;         // since it had packets last
  int fd = -1;                       // that polls readable; -1: pending() is asked
  std::unique_ptr<PortQueue> queue;
  PortQueueStats seen;               // what of queue->stats is in shared memory already
  TxStage::Lane lane;
};

// All ports of one worker at a time. Never changes; a new set replaces it.
struct PortSet {
  std::vector<WorkerPort*> ports;    // owned by the control thread
  uint64_t version = 0;              // of the set; addresses are used again, versions are not
};

}  // namespace vtep
