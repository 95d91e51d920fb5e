// action/drop_samples.h — which dropped packets are shown to the operator: a few, of every kind.
//
// Why:    "why was it dropped" wants a packet to look at. One of each port and reason a second is
//         enough, and what a flood of drops pays for it is one look at a small table.
// Thread: one worker. Limits: cells, found by port and reason; two that share one take turns.
#pragma once

#include <cstdint>

#include "base/drop_reasons.h"

namespace vtep {

class DropSamples {
 public:
  // Whether this drop is to be shown.
  bool due(uint32_t port, DropReason reason, uint64_t now_ns) noexcept {
    const auto period = static_cast<uint32_t>(now_ns >> 30) + 1;  // 1.07 s; never 0
    uint32_t& cell = cells_[(port * 61 + static_cast<uint32_t>(reason)) % cell_count];
    if (cell == period) [[likely]]
      return false;
    return first_of(cell, period);
  }

 private:
  static constexpr uint32_t cell_count = 4096;
  static constexpr uint32_t shown_max = 128;  // of all kinds in one period

  bool first_of(uint32_t& cell, uint32_t period) noexcept {
    if (period != period_) shown_ = 0;
    period_ = period;
    if (shown_ >= shown_max) return false;
    shown_++;
    cell = period;
    return true;
  }

  uint32_t cells_[cell_count] = {};  // the period that last showed one
  uint32_t period_ = 0;
  uint32_t shown_ = 0;
};

}  // namespace vtep
