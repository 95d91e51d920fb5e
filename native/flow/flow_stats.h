// flow/flow_stats.h — counters of one flow on one worker, in shared memory.
//
// Thread: written by its worker; read by anyone, torn reads across fields are accepted.
#pragma once

#include <cstdint>

namespace vtep {

struct FlowStats {
  uint64_t packets;  // that its actions ran on
  uint64_t bytes;    // of those, as they came in (after opening a tunnel)
  uint64_t used_ms;  // CLOCK_MONOTONIC of the last one; 0: never
  uint64_t spare;
};
static_assert(sizeof(FlowStats) == 32);

}  // namespace vtep
