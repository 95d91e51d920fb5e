// bench/native/arrivals.h — which frames of a numbered series arrived, in what order, how often.
//
// Why:    loss, reordering and duplication are counted, not sampled. A bit for each of the last
//         `window` numbers says what has come; what leaves the window without its bit is lost.
// Source: RFC 4737 section 3.3: a frame is reordered when one with a larger number came before it,
//         here one of its own flow, which is what a switch keeps in order; copies are not counted.
// Limits: a frame that comes more than `window` numbers late can be told neither from a copy nor
//         from a late one: it is counted as `untold`, and the trial is no good.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace vtep::bench {

class Arrivals {
 public:
  static constexpr uint64_t window_default = uint64_t{1} << 22;

  // Numbers are 0 to count - 1; every `flows`-th is of one flow. `window`: a power of two, at least
  // 64. `block`: losses are also counted for every so many numbers; 0: not.
  Arrivals(uint64_t count, uint32_t flows, uint64_t block = 0, uint64_t window = window_default)
      : count_(count), window_(window), block_(block), seen_(window / 64), next_of_flow_(flows) {
    if (block_ != 0) lost_by_block_.resize((count + block_ - 1) / block_);
  }

  // False: there is no such number in this series.
  bool arrive(uint64_t number) noexcept {
    if (number >= count_) return false;
    uint64_t& next = next_of_flow_[number % next_of_flow_.size()];
    if (number >= next_) {
      for (; next_ < number; next_++) enter(next_, false);
      enter(next_++, true);
      received_++;
    } else if (number + window_ < next_) {
      untold_++;
    } else if (bit(number)) {
      duplicated_++;
    } else {
      seen_[word(number)] |= mask(number);
      received_++;
      if (number < next) reordered_++;
    }
    next = std::max(next, number + 1);
    return true;
  }

  // No more will come, and only the first `sent` numbers were given out.
  void finish(uint64_t sent) noexcept {
    for (uint64_t number = next_ > window_ ? next_ - window_ : 0; number < next_; number++)
      leave(number);
    for (uint64_t number = next_; number < std::min(sent, count_); number++) judge(number, false);
  }

  uint64_t received() const noexcept { return received_; }
  uint64_t reordered() const noexcept { return reordered_; }
  uint64_t duplicated() const noexcept { return duplicated_; }
  uint64_t untold() const noexcept { return untold_; }
  // After finish(): frames that were lost one after the other, at most, and the first of them.
  uint64_t longest_gap() const noexcept { return longest_gap_; }
  uint64_t longest_gap_at() const noexcept { return longest_gap_at_; }
  const std::vector<uint64_t>& lost_by_block() const noexcept { return lost_by_block_; }

 private:
  uint64_t word(uint64_t number) const noexcept { return (number & (window_ - 1)) / 64; }
  static uint64_t mask(uint64_t number) noexcept { return uint64_t{1} << (number % 64); }
  bool bit(uint64_t number) const noexcept { return (seen_[word(number)] & mask(number)) != 0; }

  void enter(uint64_t number, bool came) noexcept {
    if (number >= window_) leave(number - window_);
    if (came)
      seen_[word(number)] |= mask(number);
    else
      seen_[word(number)] &= ~mask(number);
  }
  void leave(uint64_t number) noexcept { judge(number, bit(number)); }
  void judge(uint64_t number, bool came) noexcept {
    if (came) {
      gap_ = 0;
      return;
    }
    if (block_ != 0) lost_by_block_[number / block_]++;
    if (++gap_ <= longest_gap_) return;
    longest_gap_ = gap_;
    longest_gap_at_ = number + 1 - gap_;
  }

  const uint64_t count_;
  const uint64_t window_;
  const uint64_t block_;
  std::vector<uint64_t> seen_;          // a bit for each of the last `window_` numbers below next_
  std::vector<uint64_t> next_of_flow_;  // one above the largest number that came
  std::vector<uint64_t> lost_by_block_;
  uint64_t next_ = 0;  // one above the largest number that came
  uint64_t received_ = 0;
  uint64_t reordered_ = 0;
  uint64_t duplicated_ = 0;
  uint64_t untold_ = 0;
  uint64_t gap_ = 0;  // lost, up to the last number that left the window
  uint64_t longest_gap_ = 0;
  uint64_t longest_gap_at_ = 0;
};

}  // namespace vtep::bench
