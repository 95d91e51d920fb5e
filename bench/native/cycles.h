// bench/native/cycles.h — the clock of the benches: time stamp counter, quantiles, pinned threads.
//
// Why:    cycles per packet are compared with those of other switches, which count TSC cycles too.
//         The TSC runs at one rate whatever the core's clock does.
// Limits: on other machines than x86 a "cycle" is a tick of the generic timer (arm64).
#pragma once

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace vtep::bench {

inline uint64_t cycles_now() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  uint64_t ticks;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#else
#error "this machine's cycle counter is not known here"
#endif
}

inline uint64_t now_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

// How fast the counter runs, from the time between construction and hertz().
class CycleRate {
 public:
  double hertz() const noexcept {
    const auto cycles = static_cast<double>(cycles_now() - cycles_);
    return cycles * 1e9 / static_cast<double>(now_ns() - ns_);
  }

 private:
  const uint64_t ns_ = now_ns();
  const uint64_t cycles_ = cycles_now();
};

// The value that `share` (0 to 1) of the list is not above; 0 of an empty list. Reorders the list.
inline double quantile(std::vector<float>& list, double share) {
  if (list.empty()) return 0;
  const auto rank = static_cast<size_t>(share * static_cast<double>(list.size()));
  const auto at = list.begin() + static_cast<long>(std::min(rank, list.size() - 1));
  std::nth_element(list.begin(), at, list.end());
  return *at;
}

// Pins the calling thread to the n-th CPU from the end of those that `allowed` has: the first ones
// serve interrupts. Throws when there are not so many.
inline void pin_thread(uint32_t from_end, const cpu_set_t& allowed) {
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  if (from_end >= cpus.size())
    throw std::runtime_error(std::to_string(from_end + 1) +
                             " workers need as many CPUs; this process may use " +
                             std::to_string(cpus.size()));
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpus[cpus.size() - 1 - from_end], &one);
  sched_setaffinity(0, sizeof one, &one);
}

inline cpu_set_t allowed_cpus() noexcept {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  return allowed;
}

}  // namespace vtep::bench
