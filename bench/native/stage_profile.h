// bench/native/stage_profile.h — in which stage of its breath a worker spends its time, by samples.
//
// Why:    a clock read at every stage would cost what a stage costs at small bursts, and would be a
//         path that only the bench takes. So a timer interrupts the thread, at times that have
//         nothing to do with its bursts, and notes by which of the worker's functions it had come
//         there.
// Thread: made, started and stopped on the thread that is sampled; one at a time in a process.
// Limits: frame pointers and a symbol table, as the bench tree is built; sample_max samples.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace vtep::bench {

constexpr std::array<const char*, 6> stage_names = {"rx", "parse", "lookup", "run", "tx", "other"};

class StageProfile {
 public:
  // Throws std::runtime_error, naming a function of the worker that has gone, or what the kernel
  // refused.
  StageProfile();
  ~StageProfile();
  StageProfile(const StageProfile&) = delete;
  StageProfile& operator=(const StageProfile&) = delete;

  void start();
  // The share of the samples since start() in each of stage_names; they add up to 1.
  std::array<double, stage_names.size()> stop();

 private:
  struct Function {
    uintptr_t first, end;  // addresses in this process
    uint32_t stage;
  };
  uint32_t stage_of(const uintptr_t* frames) const;

  std::vector<Function> functions_;
  void* timer_ = nullptr;  // timer_t
};

}  // namespace vtep::bench
