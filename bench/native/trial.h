// bench/native/trial.h — one trial of RFC 2544: sends at a rate, counts what arrives, both ways.
//
// Why:    a thread sends and a thread receives for each direction, all in one process, so that one
//         clock serves. A trial that the generator itself spoiled says so and is no result: it was
//         too slow, its ring overflowed, a device went down.
// Thread: run_trial() starts its threads and returns when they have ended; `stop` may be set, and
//         `Progress` read, by any thread meanwhile.
// Limits: after the last frame stragglers have straggle_ns (RFC 2544 section 23); it ends at once
//         when all have come.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/native/arrivals.h"
#include "bench/native/latencies.h"
#include "bench/native/wire.h"

namespace vtep::bench {

constexpr uint64_t straggle_ns = 2'000'000'000;

struct TrialEnd {
  Station station;
  Wire* wire = nullptr;
  std::string name;  // for messages
};

struct TrialOrder {
  double rate = 0;     // frames a second in each direction
  uint64_t count = 0;  // frames in each direction
  bool both = false;
  uint32_t flows = 1;
  uint64_t block = 0;           // frames for each of which losses are counted; 0: not
  std::vector<uint32_t> sizes;  // with FCS, in the order that repeats
  uint32_t run = 0;             // even; the backward direction has the next one
};

// Of one direction, so far.
struct Progress {
  std::atomic<uint64_t> sent{0};
  std::atomic<uint64_t> received{0};
};

struct DirectionResult {
  explicit DirectionResult(const TrialOrder& order)
      : arrivals(order.count, order.flows, order.block) {}

  uint64_t sent = 0;
  uint64_t sending_ns = 0;   // from the first frame to when the one behind the last is due
  uint64_t late_ns_max = 0;  // how far a frame was behind its time, at most
  Arrivals arrivals;
  Latencies latencies;
  bool timed = true;        // false: the clock was set meanwhile
  uint64_t wrong = 0;       // frames of the trial with another length than they were sent with
  uint64_t ring_drops = 0;  // lost in our own ring
  uint8_t ttl_min = 255;
  uint8_t ttl_max = 0;
  uint64_t silence_ns = 0;  // longest time between two arrivals
  int send_error = 0;
};

struct TrialOutcome {
  std::vector<DirectionResult> directions;
  std::string fault;  // empty: none
};

// Throws std::runtime_error when the order makes no sense for these ends, Error when a socket
// refuses.
TrialOutcome run_trial(const TrialEnd (&ends)[2], const TrialOrder& order, Progress (&progress)[2],
                       const std::atomic<bool>& stop);

}  // namespace vtep::bench
