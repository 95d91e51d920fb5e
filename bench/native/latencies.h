// bench/native/latencies.h — times of frames: minimum, mean, maximum, jitter, and a histogram.
//
// Why:    percentiles of millions of frames in a fixed piece of memory, without sampling: buckets
//         grow with the value, so that each is known to better than 1 %. The idea is
//         HdrHistogram's.
// Source: RFC 3550 section 6.4.1 for jitter: differences between successive frames' times, here as
//         their plain mean.
// Limits: above value_max (about 18 minutes) values fall into the last bucket.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace vtep::bench {

class Latencies {
 public:
  static constexpr uint32_t sub_bits = 7;  // 2^7 buckets for each doubling of the value
  static constexpr uint64_t value_max = (uint64_t{1} << 40) - 1;

  // Values up to 2^(sub_bits + 1) have a bucket each.
  static uint32_t bucket_of(uint64_t value) noexcept {
    value = std::min(value, value_max);
    const auto width = static_cast<uint32_t>(std::bit_width(value));
    const uint32_t shift = width > sub_bits + 1 ? width - (sub_bits + 1) : 0;
    return (shift << sub_bits) + static_cast<uint32_t>(value >> shift);
  }
  // The largest value of a bucket.
  static uint64_t upper(uint32_t bucket) noexcept {
    if (bucket < (2u << sub_bits)) return bucket;
    const uint32_t shift = (bucket >> sub_bits) - 1;
    const uint64_t lead = bucket - (shift << sub_bits);
    return ((lead + 1) << shift) - 1;
  }

  Latencies() : buckets_(bucket_of(value_max) + 1) {}

  void add(uint64_t nanoseconds) noexcept {
    buckets_[bucket_of(nanoseconds)]++;
    min_ = std::min(min_, nanoseconds);
    max_ = std::max(max_, nanoseconds);
    sum_ += nanoseconds;
    if (count_++ != 0) steps_ += nanoseconds > last_ ? nanoseconds - last_ : last_ - nanoseconds;
    last_ = nanoseconds;
  }

  uint64_t count() const noexcept { return count_; }
  uint64_t min() const noexcept { return count_ == 0 ? 0 : min_; }
  uint64_t max() const noexcept { return max_; }
  double average() const noexcept { return share(sum_, count_); }
  double jitter() const noexcept { return share(steps_, count_ - (count_ != 0)); }
  const std::vector<uint64_t>& buckets() const noexcept { return buckets_; }

 private:
  static double share(uint64_t sum, uint64_t count) noexcept {
    return count == 0 ? 0 : static_cast<double>(sum) / static_cast<double>(count);
  }

  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  uint64_t min_ = UINT64_MAX;
  uint64_t max_ = 0;
  uint64_t sum_ = 0;
  uint64_t steps_ = 0;
  uint64_t last_ = 0;
};

}  // namespace vtep::bench
