// base/spin_lock.h — a lock that is held for less than a microsecond, on a line of its own.
//
// Why:    the one thing that workers share and write is the connection table, and only for packets
//         that the exact cache does not hold. A mutex would be 40 bytes, and a call for what is
//         nearly always free. Whoever holds it neither waits nor calls the system.
// Thread: any.
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>

#include "base/limits.h"

namespace vtep {

class alignas(cache_line_bytes) SpinLock {
 public:
  // For std::lock_guard and std::unique_lock.
  void lock() noexcept {
    uint32_t tries = 0;
    while (!try_lock()) {
      // Its holder may have lost its CPU to us.
      if (++tries % yield_after == 0) sched_yield();
      pause();
    }
  }
  bool try_lock() noexcept {
    return !taken_.load(std::memory_order_relaxed) &&
           !taken_.exchange(true, std::memory_order_acquire);
  }
  void unlock() noexcept { taken_.store(false, std::memory_order_release); }

 private:
  static constexpr uint32_t yield_after = 1000;

  static void pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  std::atomic<bool> taken_ = false;
};

}  // namespace vtep
