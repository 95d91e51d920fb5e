// datapath/datapath_types.h — the plain structs of the rare calls.
//
// Why:    the datapath in this process, the one behind the control socket and the binding pass the
//         same structs, and a client needs them without the datapath itself.
// Owner:  values; nothing here points into tables.
#pragma once

#include <cstdint>
#include <vector>

#include "action/tables.h"
#include "action/tunnel.h"
#include "base/limits.h"
#include "flow/parse.h"
#include "port/port.h"

namespace vtep {

// When TCP connections are picked up in the middle, their SYN not having been seen.
enum class TcpPickUp : uint32_t {
  Always = 0,
  AfterStart = 1,  // for tcp_pick_up_ms, in which those that lived before show themselves
  Never = 2,
};
constexpr uint64_t tcp_pick_up_ms = 300'000;

struct DatapathConfig {
  uint32_t worker_count = 1;
  uint32_t flow_max = flow_max_default;
  uint32_t exact_max = 65536;       // exact entries per worker, a power of two
  uint32_t connection_max = 65536;  // connections of all workers
  TcpPickUp tcp_pick_up = TcpPickUp::Always;
  uint32_t small_frames = 16384;
  uint32_t large_frames = 256;
  uint32_t spin_us = 20;            // how long an idle worker looks again before it sleeps
  uint32_t upcall_ring_bytes = ring_bytes_default;
  uint32_t manual = 0;              // 1: no threads; run_once() drives the workers (tests, benches)
};

struct TunnelStatus {
  TunnelConfig config;
  NextHop hop;
  uint32_t resolved = 0;
  char why[128] = {};               // why it is not resolved, one sentence
};

struct NetworkConfig {              // a VNI that the model has
  uint32_t vni = 0;
  uint32_t encap = 1;               // Encap
};

struct GroupConfig {
  uint32_t number = 0;
  std::vector<GroupMember> members;
};

}  // namespace vtep
