// action/meter.h — token buckets: one per meter and worker.
//
// Why:    no bucket is shared between workers, so a meter's rate holds per worker. All packets of
//         one device queue are handled by one worker, so for a port's own rate that is the whole
//         rate.
// Thread: a MeterState belongs to one worker.
// Limits: rate and burst up to 2^40, which keeps the arithmetic below in 128 bits.
#pragma once

#include <cstdint>

#include "action/tables.h"

namespace vtep {

struct MeterState {
  int64_t tokens = 0;      // bytes or packets that may still pass; negative: a debt
  uint64_t filled_ns = 0;  // when tokens were last added; 0: never, the bucket is full
  uint64_t rate = 0;       // that of the configuration seen last: a change refills the bucket
  uint64_t burst = 0;      // likewise
};

// Takes `cost` tokens (bytes, or packets) if there are as many. `now_ns` is CLOCK_MONOTONIC. A cost
// above the whole burst passes when the bucket is full and leaves a debt, so that superpackets are
// not stuck for ever and still cost what they are.
bool meter_pass(const MeterConfig& config, MeterState& state, uint64_t cost,
                uint64_t now_ns) noexcept;

}  // namespace vtep
