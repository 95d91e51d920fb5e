// host/datapath_server.h — the datapath process: a datapath, its control socket and its next hops.
//
// Why:    packets must flow while vtepd is dead, so the datapath lives in a process of its own that
//         asks nobody. vtepd attaches, is handed the shared memory, and may go at any time; the
//         next one attaches and reads back.
// Thread: the constructor starts one control thread; every rare call and all netlink work runs on
//         it. It waits for no client (control_connection.h).
// Owner:  owns the Datapath; removes the socket file when it stops.
// Limits: one attached client; a second is refused with ERR_BUSY.
#pragma once

#include <memory>
#include <string>

#include "datapath/datapath_types.h"

namespace vtep {

class DatapathServer {
 public:
  // Starts everything. Throws Error: ERR_BUSY when another datapath serves the path,
  // ERR_PERMISSION, ERR_LIMIT.
  DatapathServer(const std::string& socket_path, const DatapathConfig& config);
  // Stops the control thread, then the workers; every port, program and device of ours is gone
  // afterwards.
  ~DatapathServer();
  DatapathServer(const DatapathServer&) = delete;
  DatapathServer& operator=(const DatapathServer&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vtep
