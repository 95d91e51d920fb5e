// bench/native/pacer.h — when each frame of a trial is due, and how many are by now.
//
// Why:    a constant rate comes from a schedule, not from pauses between frames: whoever is late
//         sends what is owed at once, and the mean rate stays. Being late for too long is a fault
//         of the generator, so the schedule has an end that nothing moves.
// Source: RFC 2544 section 20: the rate is constant for the whole time of a trial.
// Limits: exact to a nanosecond up to 2^53 / 1e9 seconds.
#pragma once

#include <algorithm>
#include <cstdint>

namespace vtep::bench {

class Pacer {
 public:
  // `count` frames from `begin_ns` on, `rate` (above 0) a second.
  Pacer(uint64_t begin_ns, double rate, uint64_t count) noexcept
      : begin_(begin_ns), interval_(1e9 / rate), count_(count) {}

  // When the frame numbered `sequence` (from 0) is to leave.
  uint64_t due_at(uint64_t sequence) const noexcept {
    return begin_ + static_cast<uint64_t>(static_cast<double>(sequence) * interval_);
  }

  // Frames that should have left by `now`: the first one leaves at the beginning.
  uint64_t due(uint64_t now) const noexcept {
    if (now < begin_) return 0;
    const double passed = static_cast<double>(now - begin_) / interval_;
    uint64_t frames =
        passed >= static_cast<double>(count_) ? count_ : static_cast<uint64_t>(passed) + 1;
    // Rounding may be off by one frame; due_at() is what counts.
    if (frames < count_ && due_at(frames) <= now) frames++;
    if (frames != 0 && due_at(frames - 1) > now) frames--;
    return std::min(frames, count_);
  }

  // How long sending takes by the schedule: count / rate.
  uint64_t length_ns() const noexcept {
    return static_cast<uint64_t>(static_cast<double>(count_) * interval_);
  }

  // Whether whoever has sent so many frames by `now` is too slow for this rate: a hundredth of the
  // time over its end, and a millisecond for whoever has to wake up, or far behind at any time.
  bool hopeless(uint64_t sent, uint64_t now) const noexcept {
    return now > begin_ + length_ns() + length_ns() / 100 + 1'000'000 ||
           now > due_at(sent) + behind_max_ns;
  }

 private:
  static constexpr uint64_t behind_max_ns = 200'000'000;

  const uint64_t begin_;
  const double interval_;  // nanoseconds
  const uint64_t count_;
};

}  // namespace vtep::bench
