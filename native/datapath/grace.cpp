// datapath/grace.cpp — see grace.h.

#include "datapath/grace.h"

#include <time.h>

#include <utility>

namespace vtep {

void Grace::synchronize() {
  const uint64_t epoch = next_epoch();
  // A breath lasts microseconds; a worker that sleeps counts as passed, so this is short.
  const timespec pause{0, 20000};
  while (!passed(epoch)) nanosleep(&pause, nullptr);
  collect();
}

uint32_t Grace::collect() {
  size_t freed = 0;
  while (freed < retired_.size() && passed(retired_[freed].epoch)) freed++;
  retired_.erase(retired_.begin(), retired_.begin() + static_cast<ptrdiff_t>(freed));
  return static_cast<uint32_t>(retired_.size());
}

uint64_t Grace::next_epoch() noexcept {
  const uint64_t epoch = epoch_.load(std::memory_order_relaxed) + 1;
  epoch_.store(epoch, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return epoch;
}

bool Grace::passed(uint64_t epoch) const noexcept {
  for (uint32_t worker = 0; worker < worker_count_; worker++)
    if (seen_[worker].epoch.load(std::memory_order_acquire) < epoch) return false;
  return true;
}

void Grace::add(Retired retired) {
  retired_.push_back(std::move(retired));
  collect();
}

}  // namespace vtep
