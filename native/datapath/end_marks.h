// datapath/end_marks.h — exact entries whose connection has ended a moment ago: a bit for each.
//
// Why:    who sees the end of a TCP connection has one direction of it; the other's entry may be
//         another worker's. The last packets of a connection come behind what ends it, so marks are
//         looked at when they are old enough, and not in the order of their coming: nothing grows,
//         and a look costs the same whatever was marked.
// Thread: mark() by anybody; the rest by the cache's worker.
// Limits: two bits for each entry; a look through a million entries reads 128 KiB.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>

#include "datapath/lazy_array.h"

namespace vtep {

class EndMarks {
 public:
  // Throws Error{ERR_LIMIT}.
  explicit EndMarks(uint32_t entry_count)
      : words_(entry_count / 64 + 1), memory_(size_t{2} * words_, "marks of ended connections") {}

  // Whether marks are wanted.
  void want(bool on) noexcept { wanted_.store(on, std::memory_order_relaxed); }
  void mark(uint32_t number) noexcept {
    if (!wanted_.load(std::memory_order_relaxed)) return;
    const uint32_t half = writing_.load(std::memory_order_relaxed);
    word(half, number / 64).fetch_or(uint64_t{1} << number % 64, std::memory_order_relaxed);
  }

  // Begins to look at what was marked before the last look ended.
  void begin() noexcept { at_ = 0; }
  bool looking() const noexcept { return at_ < words_; }
  // Gives the next few numbers to `take` until it returns false, which keeps that mark for the next
  // call; `budget` words at most. False: it was refused one.
  template <typename Take>
  bool look(uint32_t budget, Take take) noexcept {
    const uint32_t half = writing_.load(std::memory_order_relaxed) ^ 1;
    const uint32_t end = std::min(words_, at_ + budget);
    for (; at_ < end; ++at_) {
      std::atomic<uint64_t>& bits = word(half, at_);
      while (const uint64_t left = bits.load(std::memory_order_relaxed)) {
        const auto bit = static_cast<uint32_t>(std::countr_zero(left));
        if (!take(at_ * 64 + bit)) return false;
        bits.fetch_and(~(uint64_t{1} << bit), std::memory_order_relaxed);
      }
    }
    if (at_ == words_) writing_.store(half, std::memory_order_relaxed);
    return true;
  }

 private:
  std::atomic<uint64_t>& word(uint32_t half, uint32_t at) noexcept {
    return memory_[size_t{half} * words_ + at];
  }

  uint32_t words_;  // of each half
  LazyArray<std::atomic<uint64_t>> memory_;
  std::atomic<uint32_t> writing_ = 0;  // the half that marks go to
  std::atomic<bool> wanted_ = false;
  uint32_t at_ = ~0u;  // word of the other half that is looked at next; words_ or more: none
};

}  // namespace vtep
