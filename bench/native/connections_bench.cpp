// bench/native/connections_bench.cpp — what a new connection costs a worker under a known policy,
// in time and in memory. One JSON line per process.
//
//   connections_bench [--flows N] [--table COUNT]     N: a multiple of 256
//
// N packets, each of a connection that nobody has seen: the worker finds the megaflow that commits,
// commits and encapsulates. "cycles" is the median over bursts of TSC cycles per packet. Then every
// connection is answered and used once more, and "bytes" is by how much the process grew per
// connection while that went on: its tables, of all kinds, from the first packet on; little else
// grows. "grown_mib" is the same for all of them, beside what an idle datapath has. --table makes a
// table for fewer connections than come, so that each new one throws an old one out. A packet that
// is dropped, or asked about when the policy is known, is an error.

#include <malloc.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/native/cycles.h"
#include "bench/native/input.h"
#include "bench/native/lab.h"
#include "bench/native/options.h"

namespace {

using namespace vtep;         // NOLINT: a bench is a file of its own
using namespace vtep::bench;  // NOLINT

constexpr uint32_t flows_most = 4u << 20;
constexpr uint32_t policy_packets = 4096;  // until the policy is known and code is in the caches

constexpr uint64_t pass_ns_max = 60'000'000'000;

// Memory of this process that is in RAM, in bytes.
uint64_t resident_bytes() {
  malloc_trim(0);
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("VmRSS:", 0) == 0) return std::stoull(line.substr(6)) * 1024;
  throw std::runtime_error("/proc/self/status says nothing of VmRSS");
}

// One connection a packet, and what became of them.
class Connections {
 public:
  explicit Connections(const LabConfig& config) : flows_(config.flows), lab_(config) {}

  // Every connection's first packet. Returns the median cycles per packet.
  double commit() {
    lab_.replay(input_frames({InputKind::Inner, flows_}));
    const uint64_t before = resident_bytes();
    pass(policy_packets);
    const uint64_t asked = lab_.asked(0);
    std::vector<float> samples = pass(flows_ - policy_packets);
    grown_ += resident_bytes() - before;
    if (lab_.asked(0) != asked)
      throw std::runtime_error(std::to_string(lab_.asked(0) - asked) +
                               " packets were asked about though the policy is known");
    const uint64_t committed = lab_.counter(0, WorkerCounter::Connections);
    if (committed != flows_)
      throw std::runtime_error(std::to_string(committed) + " connections were committed, not " +
                               std::to_string(flows_));
    return quantile(samples, 0.5);
  }

  // An answer to each, and one more packet: both directions of all are in use.
  void use() {
    for (const InputKind kind : {InputKind::Replies, InputKind::Inner}) {
      const std::vector<Frame> frames = input_frames({kind, flows_});
      if (kind == InputKind::Replies)
        lab_.replay_back(frames);
      else
        lab_.replay(frames);
      const uint64_t before = resident_bytes();
      pass(flows_);
      grown_ += resident_bytes() - before;
    }
    if (lab_.dropped(0) != 0)
      throw std::runtime_error(std::to_string(lab_.dropped(0)) + " packets were dropped");
  }

  uint64_t grown() const { return grown_; }  // bytes

 private:
  // Lets so many packets arrive; cycles per packet of each burst.
  std::vector<float> pass(uint64_t packets) {
    std::vector<float> samples;
    const uint64_t until = lab_.received(0) + packets;
    const uint64_t deadline = now_ns() + pass_ns_max;
    while (lab_.received(0) < until) {
      const uint64_t before = lab_.received(0);
      const uint64_t from = cycles_now();
      lab_.breathe(0);
      const uint64_t cycles = cycles_now() - from;
      const uint64_t taken = lab_.received(0) - before;
      if (taken == 0) {  // the worker has not looked at the port yet
        if (now_ns() > deadline) throw std::runtime_error("packets do not arrive");
        continue;
      }
      samples.push_back(static_cast<float>(cycles) / static_cast<float>(taken));
    }
    return samples;
  }

  const uint32_t flows_;
  Lab lab_;
  uint64_t grown_ = 0;
};

void run(Options options) {
  LabConfig config;
  config.stateful = true;
  config.flows = options.number("--flows", 1u << 20, flows_most);
  config.connections = options.number("--table", config.flows, flows_most);
  options.finish();
  // With whole bursts no packet comes twice, or it would belong to a known connection.
  if (config.flows <= policy_packets || config.flows % batch_max != 0)
    throw std::runtime_error("--flows: wants a multiple of " + std::to_string(batch_max) +
                             " above " + std::to_string(policy_packets));
  pin_thread(0, allowed_cpus());
  const CycleRate rate;
  Connections connections(config);
  const double cycles = connections.commit();
  if (config.connections == config.flows) connections.use();
  const auto grown = static_cast<double>(connections.grown());
  printf(
      "{\"bench\":\"connections\",\"flows\":%u,\"table\":%u,\"cycles\":%.1f,"
      "\"per_second\":%.0f,\"bytes\":%.1f,\"grown_mib\":%.1f}\n",
      config.flows, config.connections, cycles, rate.hertz() / cycles, grown / config.flows,
      grown / (1 << 20));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(Options(argc, argv));
    return 0;
  } catch (const std::exception& error) {
    fprintf(stderr, "connections_bench: %s\n", error.what());
    return 1;
  }
}
