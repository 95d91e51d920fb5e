// bench/native/datapath_bench.cpp — cycles per packet of whole workers, from memory port to memory
// port: one JSON line per round.
//
//   datapath_bench --case CASE [--flows N] [--burst B] [--workers W] [--rounds R] [--seconds S]
//                  [--order sequential|random] [--pcap FILE] [--write-pcap FILE]
//
// CASE is encap, encap-stateful, decap or decap-stateful. "cycles" is the median over the round's
// samples of TSC cycles per packet, each of at least 256 packets in bursts of B; "mpps" is what
// that makes of all workers together. Without --pcap the packets are those of input.h;
// --write-pcap writes them for other programs and ends. A round in which a packet was dropped,
// asked about or not sent is an error, not a figure.
//
// What a good answer would be, on a core at about 2.6 GHz TSC: floor_bench does the bare work of
// an encap in about 30 cycles up to 10,000 flows and 54 to 89 at 1,000,000.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bench/native/cycles.h"
#include "bench/native/input.h"
#include "bench/native/lab.h"

namespace {

using namespace vtep;         // NOLINT: a bench is a file of its own
using namespace vtep::bench;  // NOLINT

constexpr uint32_t sample_packets = 256;  // fewer than that drown in what reading the clock costs
constexpr uint32_t warm_turns = 3;        // of all flows: asked and committed, remembered, hit
constexpr uint32_t warm_packets_min = 65536;

struct Options {
  std::string name = "encap";
  LabConfig lab;
  uint32_t rounds = 5;
  double seconds = 1;
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
};

uint32_t number_of(const std::string& option, const std::string& text, uint32_t most) {
  char* end = nullptr;
  const unsigned long long value = strtoull(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value == 0 || value > most)
    throw std::runtime_error(option + " " + text + ": wants a number from 1 to " +
                             std::to_string(most));
  return static_cast<uint32_t>(value);
}

double seconds_of(const std::string& text) {
  char* end = nullptr;
  const double value = strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value > 0))
    throw std::runtime_error("--seconds " + text + ": wants a time above 0");
  return value;
}

void set_case(Options& options, const std::string& name) {
  const std::map<std::string, std::pair<bool, bool>> cases = {{"encap", {false, false}},
                                                              {"encap-stateful", {false, true}},
                                                              {"decap", {true, false}},
                                                              {"decap-stateful", {true, true}}};
  const auto found = cases.find(name);
  if (found == cases.end())
    throw std::runtime_error("--case " + name +
                             ": there are encap, encap-stateful, decap, decap-stateful");
  options.name = name;
  options.lab.decap = found->second.first;
  options.lab.stateful = found->second.second;
}

void set_option(Options& options, const std::string& name, const std::string& value) {
  constexpr uint32_t flows_most = 4u << 20;
  if (name == "--case") return set_case(options, value);
  if (name == "--flows")
    options.lab.flows = number_of(name, value, flows_most);
  else if (name == "--burst")
    options.lab.burst = number_of(name, value, batch_max);
  else if (name == "--workers")
    options.lab.workers = number_of(name, value, worker_max);
  else if (name == "--rounds")
    options.rounds = number_of(name, value, 1000);
  else if (name == "--seconds")
    options.seconds = seconds_of(value);
  else if (name == "--pcap")
    options.pcap = value;
  else if (name == "--write-pcap")
    options.write_pcap = value;
  else if (name == "--order" && value == "random")
    options.order = InputOrder::Random;
  else if (name == "--order" && value == "sequential")
    options.order = InputOrder::Sequential;
  else
    throw std::runtime_error("unknown option " + name + " " + value);
}

Options options_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) throw std::runtime_error(std::string(argv[i]) + " wants a value");
    set_option(options, argv[i], argv[i + 1]);
  }
  return options;
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

Round measure(Lab& lab, uint32_t worker, const Options& options) {
  const uint32_t breaths = (sample_packets + options.lab.burst - 1) / options.lab.burst;
  const uint64_t asked = lab.asked(worker);
  const uint64_t lost = lab.received(worker) - lab.sent(worker);  // while flows were set up
  const uint64_t first = lab.received(worker);
  const uint64_t hits = lab.counter(worker, WorkerCounter::ExactHits);
  const uint64_t until = now_ns() + static_cast<uint64_t>(options.seconds * 1e9);
  std::vector<float> samples;
  do {
    const uint64_t before = lab.received(worker);
    const uint64_t from = cycles_now();
    for (uint32_t breath = 0; breath < breaths; breath++) lab.breathe(worker);
    const uint64_t cycles = cycles_now() - from;
    const uint64_t packets = lab.received(worker) - before;
    if (packets != uint64_t{breaths} * options.lab.burst)
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
  return round;
}

// One thread per worker, each on its own CPU; they measure at the same time.
std::vector<Round> run_round(Lab& lab, const Options& options) {
  const uint32_t workers = options.lab.workers;
  const cpu_set_t allowed = allowed_cpus();
  std::vector<Round> rounds(workers);
  std::vector<std::exception_ptr> failures(workers);
  std::vector<std::thread> threads;
  for (uint32_t w = 0; w < workers; w++) {
    threads.emplace_back([&, w] {
      try {
        pin_thread(w, allowed);
        warm_up(lab, w, options.lab.flows / workers);
        rounds[w] = measure(lab, w, options);
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

void print_round(const Options& options, uint32_t number, const std::vector<Round>& workers,
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
      "\"exact_hit_percent\":%.2f}\n",
      options.name.c_str(), options.lab.flows, options.lab.burst, options.lab.workers, number,
      sum.cycles, sum.low, sum.high, mpps, static_cast<unsigned long long>(sum.packets),
      100.0 * static_cast<double>(sum.exact_hits) / static_cast<double>(sum.packets));
  fflush(stdout);
}

void run(Options options) {
  const InputKind kind = options.lab.decap ? InputKind::Vxlan : InputKind::Inner;
  const std::vector<Frame> frames = options.pcap.empty()
                                        ? input_frames(kind, options.lab.flows, options.order)
                                        : read_capture(options.pcap);
  if (!options.write_pcap.empty()) return write_capture(options.write_pcap, frames);
  options.lab.flows = static_cast<uint32_t>(frames.size());
  if (frames.size() < options.lab.workers)
    throw std::runtime_error("fewer flows than workers: the rest would have nothing to do");
  Lab lab(options.lab, frames);
  const CycleRate rate;
  for (uint32_t number = 0; number < options.rounds; number++) {
    const std::vector<Round> workers = run_round(lab, options);
    print_round(options, number, workers, rate.hertz());
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(options_of(argc, argv));
    return 0;
  } catch (const std::exception& error) {
    fprintf(stderr, "datapath_bench: %s\n", error.what());
    return 1;
  }
}
