// bench/native/datapath_bench.cpp — cycles per packet of whole workers, from memory port to memory
// port: one JSON line per round.
//
//   datapath_bench --case CASE [--flows N] [--burst B] [--workers W] [--rounds R] [--seconds S]
//                  [--order sequential|random] [--pcap FILE] [--write-pcap FILE]
//                  [--stages no|yes] [--sources plain|colliding]
//
// CASE is encap, encap-stateful, decap or decap-stateful. "cycles" is the median over the round's
// samples of TSC cycles per packet, each of at least 256 packets in bursts of B; "mpps" is what
// that makes of all workers together. Without --pcap the packets are those of input.h;
// --write-pcap writes them for other programs and ends. --stages (one worker only) lets as much
// time again pass under a sampling timer, and shares the round's cycles out by it
// (stage_profile.h). With colliding sources all flows have one CRC32C (colliding.h). A round in
// which a packet was dropped, asked about or not sent is an error, not a figure.
//
// What a good answer would be, on a core at about 2.6 GHz TSC: floor_bench does the bare work of
// an encap in about 30 cycles up to 10,000 flows and 54 to 89 at 1,000,000.

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bench/native/cycles.h"
#include "bench/native/input.h"
#include "bench/native/lab.h"
#include "bench/native/options.h"
#include "bench/native/stage_profile.h"

namespace {

using namespace vtep;         // NOLINT: a bench is a file of its own
using namespace vtep::bench;  // NOLINT

constexpr uint32_t sample_packets = 256;  // fewer than that drown in what reading the clock costs
constexpr uint32_t warm_turns = 3;        // of all flows: asked and committed, remembered, hit
constexpr uint32_t warm_packets_min = 65536;

struct Wanted {
  std::string name;  // of the case
  LabConfig lab;
  uint32_t rounds = 1;
  double seconds = 1;
  bool stages = false;
  bool colliding = false;
  InputOrder order = InputOrder::Sequential;
  std::string pcap;
  std::string write_pcap;
};

struct Round {
  double cycles = 0;  // median
  double low = 0;     // first decile
  double high = 0;    // ninth decile
  uint64_t packets = 0;
  uint64_t exact_hits = 0;
  std::array<double, stage_names.size()> shares{};  // of the time, by stage; all 0: not asked for
};

Wanted wanted_of(Options options) {
  constexpr uint32_t flows_most = 4u << 20;
  const std::vector<std::string> cases = {"encap", "encap-stateful", "decap", "decap-stateful"};
  Wanted wanted;
  const size_t which = options.choice("--case", cases);
  wanted.name = cases[which];
  wanted.lab.decap = which >= 2;
  wanted.lab.stateful = which % 2 == 1;
  wanted.lab.flows = options.number("--flows", 1, flows_most);
  wanted.lab.burst = options.number("--burst", batch_max, batch_max);
  wanted.lab.workers = options.number("--workers", 1, worker_max);
  wanted.rounds = options.number("--rounds", 5, 1000);
  wanted.seconds = options.seconds(1);
  if (options.choice("--order", {"sequential", "random"}) == 1) wanted.order = InputOrder::Random;
  wanted.colliding = options.choice("--sources", {"plain", "colliding"}) == 1;
  wanted.stages = options.choice("--stages", {"no", "yes"}) == 1;
  wanted.pcap = options.text("--pcap", "");
  wanted.write_pcap = options.text("--write-pcap", "");
  options.finish();
  return wanted;
}

void warm_up(Lab& lab, uint32_t worker, uint64_t flows) {
  const uint64_t enough = warm_turns * flows + warm_packets_min;
  while (lab.received(worker) < enough) lab.breathe(worker);
}

// Fails if any packet of the round went another way than the one that is measured.
void check_equal_work(const Lab& lab, uint32_t worker, uint64_t asked, uint64_t lost) {
  if (lab.asked(worker) != asked)
    throw std::runtime_error(std::to_string(lab.asked(worker) - asked) +
                             " packets were asked about in steady state");
  if (lab.received(worker) - lab.sent(worker) != lost)
    throw std::runtime_error("not every packet was sent: " + std::to_string(lab.dropped(worker)) +
                             " drops since the start");
}

std::array<double, stage_names.size()> profile(Lab& lab, double seconds) {
  StageProfile profile;
  const uint64_t until = now_ns() + static_cast<uint64_t>(seconds * 1e9);
  profile.start();
  while (now_ns() < until)
    for (uint32_t breath = 0; breath < sample_packets; breath++) lab.breathe(0);
  return profile.stop();
}

Round measure(Lab& lab, uint32_t worker, const Wanted& wanted) {
  const uint32_t breaths = (sample_packets + wanted.lab.burst - 1) / wanted.lab.burst;
  const uint64_t asked = lab.asked(worker);
  const uint64_t lost = lab.received(worker) - lab.sent(worker);  // while flows were set up
  const uint64_t first = lab.received(worker);
  const uint64_t hits = lab.counter(worker, WorkerCounter::ExactHits);
  const uint64_t until = now_ns() + static_cast<uint64_t>(wanted.seconds * 1e9);
  std::vector<float> samples;
  do {
    const uint64_t before = lab.received(worker);
    const uint64_t from = cycles_now();
    for (uint32_t breath = 0; breath < breaths; breath++) lab.breathe(worker);
    const uint64_t cycles = cycles_now() - from;
    const uint64_t packets = lab.received(worker) - before;
    if (packets != uint64_t{breaths} * wanted.lab.burst)
      throw std::runtime_error("a breath took in " + std::to_string(packets) + " packets");
    samples.push_back(static_cast<float>(cycles) / static_cast<float>(packets));
  } while (now_ns() < until);
  check_equal_work(lab, worker, asked, lost);
  Round round;
  round.cycles = quantile(samples, 0.5);
  round.low = quantile(samples, 0.1);
  round.high = quantile(samples, 0.9);
  round.packets = lab.received(worker) - first;
  round.exact_hits = lab.counter(worker, WorkerCounter::ExactHits) - hits;
  if (wanted.stages) round.shares = profile(lab, wanted.seconds);
  return round;
}

// One thread per worker, each on its own CPU; they measure at the same time.
std::vector<Round> run_round(Lab& lab, const Wanted& wanted) {
  const uint32_t workers = wanted.lab.workers;
  const cpu_set_t allowed = allowed_cpus();
  std::vector<Round> rounds(workers);
  std::vector<std::exception_ptr> failures(workers);
  std::vector<std::thread> threads;
  for (uint32_t w = 0; w < workers; w++) {
    threads.emplace_back([&, w] {
      try {
        pin_thread(w, allowed);
        warm_up(lab, w, wanted.lab.flows / workers);
        rounds[w] = measure(lab, w, wanted);
      } catch (...) {
        failures[w] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
  return rounds;
}

void print_stages(const Round& round) {
  printf(",\"stages\":{");
  for (size_t stage = 0; stage < stage_names.size(); stage++)
    printf("%s\"%s\":%.1f", stage == 0 ? "" : ",", stage_names[stage],
           round.cycles * round.shares[stage]);
  printf("}");
}

void print_round(const Wanted& wanted, uint32_t number, const std::vector<Round>& workers,
                 double hertz) {
  Round sum;
  double mpps = 0;
  for (const Round& one : workers) {
    const auto share = 1.0 / static_cast<double>(workers.size());
    sum.cycles += one.cycles * share;
    sum.low += one.low * share;
    sum.high += one.high * share;
    sum.packets += one.packets;
    sum.exact_hits += one.exact_hits;
    mpps += hertz / one.cycles / 1e6;
  }
  printf(
      "{\"bench\":\"datapath\",\"case\":\"%s\",\"flows\":%u,\"burst\":%u,\"workers\":%u,"
      "\"round\":%u,\"cycles\":%.1f,\"p10\":%.1f,\"p90\":%.1f,\"mpps\":%.2f,\"packets\":%llu,"
      "\"exact_hit_percent\":%.2f",
      wanted.name.c_str(), wanted.lab.flows, wanted.lab.burst, wanted.lab.workers, number,
      sum.cycles, sum.low, sum.high, mpps, static_cast<unsigned long long>(sum.packets),
      100.0 * static_cast<double>(sum.exact_hits) / static_cast<double>(sum.packets));
  if (wanted.stages) print_stages(workers[0]);
  printf("}\n");
  fflush(stdout);
}

void run(Wanted wanted) {
  const InputKind kind = wanted.lab.decap ? InputKind::Vxlan : InputKind::Inner;
  const std::vector<Frame> frames =
      wanted.pcap.empty() ? input_frames({kind, wanted.lab.flows, wanted.order, wanted.colliding})
                          : read_capture(wanted.pcap);
  if (!wanted.write_pcap.empty()) return write_capture(wanted.write_pcap, frames);
  wanted.lab.flows = static_cast<uint32_t>(frames.size());
  if (wanted.stages && wanted.lab.workers != 1)
    throw std::runtime_error("--stages: samples one worker, not several");
  if (frames.size() < wanted.lab.workers)
    throw std::runtime_error("fewer flows than workers: the rest would have nothing to do");
  Lab lab(wanted.lab);
  lab.replay(frames);
  const CycleRate rate;
  for (uint32_t number = 0; number < wanted.rounds; number++) {
    const std::vector<Round> workers = run_round(lab, wanted);
    print_round(wanted, number, workers, rate.hertz());
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(wanted_of(Options(argc, argv)));
    return 0;
  } catch (const std::exception& error) {
    fprintf(stderr, "datapath_bench: %s\n", error.what());
    return 1;
  }
}
