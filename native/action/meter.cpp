// action/meter.cpp — see meter.h.
#include "action/meter.h"

#include <algorithm>

namespace vtep {

namespace {

constexpr uint64_t second_ns = 1000000000;

__extension__ using Wide = unsigned __int128;

void refill(const MeterConfig& config, MeterState& state, uint64_t now_ns) noexcept {
  const int64_t burst = static_cast<int64_t>(config.burst);
  if (state.filled_ns == 0 || state.rate != config.rate || state.burst != config.burst) {
    state = MeterState{burst, now_ns, config.rate, config.burst};
    return;
  }
  if (now_ns <= state.filled_ns || config.rate == 0) return;
  const Wide whole = Wide{now_ns - state.filled_ns} * config.rate / second_ns;
  if (whole == 0) return;
  if (whole >= static_cast<uint64_t>(burst - state.tokens)) {
    state.tokens = burst;
    state.filled_ns = now_ns;
    return;
  }
  state.tokens += static_cast<int64_t>(whole);
  // What is left over of a token stays earned: time advances only by what was paid out.
  state.filled_ns += static_cast<uint64_t>(whole * second_ns / config.rate);
}

}  // namespace

bool meter_pass(const MeterConfig& config, MeterState& state, uint64_t cost,
                uint64_t now_ns) noexcept {
  refill(config, state, now_ns);
  const int64_t price = static_cast<int64_t>(cost);
  const bool full = state.tokens == static_cast<int64_t>(config.burst);
  if (price > state.tokens && !(full && config.burst > 0)) return false;
  state.tokens -= price;
  return true;
}

}  // namespace vtep
