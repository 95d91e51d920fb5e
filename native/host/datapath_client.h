// host/datapath_client.h — a datapath behind the control socket, with the same calls as a local
// one.
//
// Thread: one thread. Calls block until the reply, at most call_timeout_ms; a datapath that does
// not answer is taken
//         for gone (ERR_DATAPATH_CLOSED), and so is every later call.
// Owner:  owns the mapping of the shared memory and the doorbells.
#pragma once

#include <memory>
#include <string>

#include "datapath/control.h"

namespace vtep {

// Throws Error: ERR_DATAPATH_CLOSED, ERR_BUSY, ERR_PROTOCOL, ERR_PERMISSION.
std::unique_ptr<DatapathControl> attach_datapath(const std::string& socket_path);

}  // namespace vtep
