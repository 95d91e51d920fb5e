// bench/native/flow_bench.cpp — TSC cycles per packet of parse, hash, exact cache, megaflows,
// connections.
//
// What a good answer would be, on a core at about 2.6 GHz TSC (3.5 GHz core clock), packets in L2:
//   parse, plain IPv4/UDP     15-25   about 60 instructions, one line of the packet
//   hash                        4-8   three independent multiplications and a fold
//   exact lookup, 1-1k flows  15-25   hash, one bucket line and one entry line, all in L1 or L2
//   exact lookup, 100k flows  25-40   16 MB of tables: L3
//   exact lookup, 1M flows    50-80   two lines from memory, sixteen in flight; ~90 ns each if
//   serial megaflow lookup           20-30   per subtable searched connection track          50-90
//   one head and one record, not prefetched
// "cycles" is the median over the rounds of TSC cycles per packet; the second argument of
// exact_lookup is the batch.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "flow/connection_table.h"
#include "flow/exact_cache.h"
#include "flow/megaflow_table.h"
#include "flow/parse.h"
#include "test/native/packet_bytes.h"
#include "test/native/table_memory.h"

namespace {

using namespace vtep;  // NOLINT: a bench is a file of its own

uint64_t cycles_now() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  return 0;
#endif
}

// Median over the rounds of the cycles per packet: a round in which the thread lost its CPU does
// not count more than any other. Only what is between begin() and end() is timed.
class Cycles {
 public:
  explicit Cycles(benchmark::State& state) : state_(state) { rounds_.reserve(round_max); }
  ~Cycles() {
    if (rounds_.empty()) return;
    const auto middle = rounds_.begin() + static_cast<long>(rounds_.size() / 2);
    std::nth_element(rounds_.begin(), middle, rounds_.end());
    state_.counters["cycles"] = *middle;
    state_.SetItemsProcessed(static_cast<int64_t>(packets_));
  }
  void begin() { from_ = cycles_now(); }
  void end(uint64_t packets) {
    const uint64_t cycles = cycles_now() - from_;
    packets_ += packets;
    if (rounds_.size() == round_max) return;
    rounds_.push_back(static_cast<float>(cycles) / static_cast<float>(packets));
  }

 private:
  static constexpr size_t round_max = 1 << 20;
  benchmark::State& state_;
  std::vector<float> rounds_;
  uint64_t from_ = 0, packets_ = 0;
};

// Zero pages, huge if the kernel likes: as the data path asks for.
class Pages {
 public:
  explicit Pages(size_t bytes) : bytes_(bytes) {
    memory_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) abort();
    madvise(memory_, bytes, MADV_HUGEPAGE);
  }
  ~Pages() { munmap(memory_, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::span<std::byte> span() { return {static_cast<std::byte*>(memory_), bytes_}; }

 private:
  void* memory_;
  size_t bytes_;
};

struct NoSink final : ExactSink {
  void flush(const ExactEntry&, const ExactSide&) noexcept override {}
  ExactVerdict keep(const ExactEntry&, const ExactSide&) noexcept override {
    return {ExactFate::Stays};
  }
  void foresee(const ExactEntry&, const ExactSide&) noexcept override {}
};

// Entries of connections that live, idle for long: what most are in a large cache.
struct IdleSink final : ExactSink {
  explicit IdleSink(ConnectionTable& table) : connections(table) {}
  void flush(const ExactEntry&, const ExactSide&) noexcept override {}
  ExactVerdict keep(const ExactEntry&, const ExactSide& side) noexcept override {
    if (connections.at(side.connection, side.connection_generation) == nullptr) abort();
    return {ExactFate::Rests, FlowEnd::Idle};
  }
  void foresee(const ExactEntry&, const ExactSide& side) noexcept override {
    connections.prefetch(side.connection);
  }
  ConnectionTable& connections;
};

uint32_t power_of_two(uint32_t at_least) {
  uint32_t count = 64;
  while (count < at_least) count *= 2;
  return count;
}

// A sequence of flows in random order, long enough that its own order is no pattern.
std::vector<uint32_t> random_order(uint32_t flows) {
  std::mt19937 random(1);
  std::vector<uint32_t> order(1 << 20);
  for (uint32_t& flow : order) flow = static_cast<uint32_t>(random()) % flows;
  return order;
}

void parse_burst(benchmark::State& state, const bytes::Bytes& frame) {
  const uint32_t batch = static_cast<uint32_t>(state.range(0));
  std::vector<uint8_t> memory(batch * 2048);
  std::vector<Packet> packets(batch);
  std::vector<FlowKey> keys(batch);
  std::vector<PacketInfo> infos(batch);
  for (uint32_t i = 0; i < batch; ++i) {
    packets[i].data = &memory[i * 2048];
    packets[i].length = static_cast<uint32_t>(frame.size());
    std::copy(frame.begin(), frame.end(), packets[i].data);
  }
  const RxContext context{1, false, true, nullptr};
  Cycles cycles(state);
  for (auto _ : state) {
    cycles.begin();
    parse(packets.data(), batch, context, keys.data(), infos.data());
    cycles.end(batch);
    benchmark::DoNotOptimize(keys.data());
  }
}

void parse_ipv4_udp(benchmark::State& state) {
  using namespace bytes;  // NOLINT
  parse_burst(state, eth(0x0800, ipv4({}, udp(1, 2, Bytes(18, 0)))));
}
void parse_ipv6_tcp(benchmark::State& state) {
  using namespace bytes;  // NOLINT
  parse_burst(state, eth(0x86dd, ipv6({.next = 6}, tcp(1, 2, 0x10))));
}

void parse_vxlan(benchmark::State& state) {
  using namespace bytes;  // NOLINT
  const uint32_t batch = static_cast<uint32_t>(state.range(0));
  const auto endpoints = std::make_unique<TunnelEndpoints>();
  const TunnelEndpoints::Endpoint ours{address4(ip_b), be16(4789), be16(6081)};
  endpoints->set_endpoints(&ours, 1);
  endpoints->set_tunnel(1, address4(ip_a));
  endpoints->set_network(100, Encap::Vxlan);
  const Bytes inner = eth(0x0800, ipv4({}, udp(1, 2, Bytes(18, 0))));
  const Bytes frame = eth(0x0800, ipv4({}, udp(50000, 4789, vxlan(100, inner))));
  std::vector<uint8_t> memory(batch * 2048);
  std::vector<Packet> fresh(batch), packets(batch);
  std::vector<FlowKey> keys(batch);
  std::vector<PacketInfo> infos(batch);
  for (uint32_t i = 0; i < batch; ++i) {
    fresh[i].data = &memory[i * 2048];
    fresh[i].length = static_cast<uint32_t>(frame.size());
    std::copy(frame.begin(), frame.end(), fresh[i].data);
  }
  const RxContext context{1, true, true, endpoints.get()};
  Cycles cycles(state);
  for (auto _ : state) {
    packets = fresh;
    cycles.begin();
    parse(packets.data(), batch, context, keys.data(), infos.data());
    cycles.end(batch);
    benchmark::DoNotOptimize(keys.data());
  }
}

void hash_keys(benchmark::State& state) {
  const HashSecret secret = HashSecret::random();
  std::vector<FlowKey> keys;
  for (uint32_t i = 0; i < batch_max; ++i) keys.push_back(numbered_key(i, state.range(0) == 6));
  Cycles cycles(state);
  for (auto _ : state) {
    cycles.begin();
    uint64_t sum = 0;
    for (const FlowKey& key : keys) sum += hash_exact_key(key, secret);
    benchmark::DoNotOptimize(sum);
    cycles.end(batch_max);
  }
}

// Hits only, in random order; each counts, as in the data path. Making the keys is not timed.
void exact_lookup(benchmark::State& state) {
  const uint32_t flows = static_cast<uint32_t>(state.range(0));
  const uint32_t batch = static_cast<uint32_t>(state.range(1));
  const uint32_t entries = power_of_two(flows + flows / 4);
  NoSink sink;
  Pages pages(ExactCache::bytes_needed(entries));
  ExactCache cache(pages.span(), entries, HashSecret::random(), sink);
  for (uint32_t i = 0; i < flows; ++i) {
    const FlowKey key = numbered_key(i);
    cache.insert(key, hash_exact_key(key, cache.secret()), {1 + i % 1000, 1}, 0);
  }
  const std::vector<uint32_t> order = random_order(flows);
  std::vector<FlowKey> keys(batch);
  ExactEntry* found[batch_max];
  uint64_t hashes[batch_max];
  size_t at = 0;
  uint64_t hits = 0, packets = 0;
  Cycles cycles(state);
  for (auto _ : state) {
    for (FlowKey& key : keys) key = numbered_key(order[at++ & (order.size() - 1)]);
    cycles.begin();
    hits += cache.lookup(keys.data(), batch, found, hashes);
    for (uint32_t i = 0; i < batch; ++i)
      if (found[i] != nullptr) cache.count(*found[i], 1, 64);
    cycles.end(batch);
    packets += batch;
  }
  state.counters["hit_percent"] = 100.0 * static_cast<double>(hits) / static_cast<double>(packets);
}

// The sweep over `flows` idle entries, in the slices of a busy worker, with or without somebody
// who is told of them; "of_a_core" is its share when a round takes as long as the worker's does:
// 8 s, or 3.75 s for a flow log with an idle time of 15 s.
void exact_sweep(benchmark::State& state) {
  const uint32_t flows = static_cast<uint32_t>(state.range(0));
  const bool tells = state.range(1) != 0;
  const uint32_t entries = power_of_two(flows + flows / 4);
  const HashSecret secret = HashSecret::random();
  Pages connection_pages(ConnectionTable::bytes_needed({2 * flows}));
  ConnectionTable connections(connection_pages.span(), {2 * flows}, secret, nullptr);
  IdleSink sink(connections);
  Pages pages(ExactCache::bytes_needed(entries));
  ExactCache cache(pages.span(), entries, secret, sink);
  cache.tell_ends(tells, tells ? 3750 : 8000);
  PacketInfo info;
  for (uint32_t i = 0; i < flows; ++i) {
    const FlowKey key = numbered_key(i);
    const Committed made = connections.commit({&key, &info, nullptr, 0, 1}, 0);
    cache.insert(key, hash_exact_key(key, secret), {0, 1, 0, made.number, made.generation}, 0);
  }
  Cycles cycles(state);
  const auto begun = std::chrono::steady_clock::now();
  uint64_t looked = 0;
  for (auto _ : state) {
    cycles.begin();
    cache.sweep(512, 60'000);
    cycles.end(512);
    looked += 512;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  const double round = took.count() / static_cast<double>(looked) * flows;
  state.counters["of_a_core"] = round / (tells ? 3.75 : 8.0);
}

// Every hit is in the last of `subtables` subtables: the worst order.
void megaflow_lookup(benchmark::State& state) {
  const uint32_t subtables = static_cast<uint32_t>(state.range(0));
  const uint32_t flow_max = 65536;
  Pages pages(MegaflowTable::bytes_needed(flow_max));
  const auto table = std::make_unique<MegaflowTable>(pages.span(), flow_max, HashSecret::random());
  for (uint32_t i = 0; i < subtables; ++i) {
    FlowMask mask = {};
    mask.in_port = ~0u;
    mask.tunnel_id = ~0u;
    mask.ip_dst = be32(i + 1 == subtables ? ~0u : 1u << i);
    FlowKey key = numbered_key(i);
    if (i + 1 < subtables) key.in_port = 1000;
    table->insert({i + 1, 1}, key, mask);
  }
  std::vector<FlowKey> keys(batch_max, numbered_key(subtables - 1));
  std::vector<const FlowKey*> pointers;
  for (const FlowKey& key : keys) pointers.push_back(&key);
  FlowRef found[batch_max];
  uint32_t hits = 0;
  Cycles cycles(state);
  for (auto _ : state) {
    cycles.begin();
    hits = table->lookup(pointers.data(), batch_max, found);
    cycles.end(batch_max);
  }
  state.counters["hits"] = hits;
}

// The tables' part of a connection's first packet (exact miss, track, megaflow, commit), or of its
// second (exact miss, track, megaflow, exact insert), 256 connections at a time, round and round
// through `flows` of them. The tables hold them all.
class SetUp {
 public:
  explicit SetUp(uint32_t flows)
      : entries_(power_of_two(2 * flows)),
        pages_(ExactCache::bytes_needed(entries_)),
        cache_(pages_.span(), entries_, HashSecret::from_seed(1), sink_),
        connection_pages_(ConnectionTable::bytes_needed({2 * flows})),
        connections_(connection_pages_.span(), {2 * flows}, HashSecret::from_seed(1), nullptr),
        megaflow_pages_(MegaflowTable::bytes_needed(1024)),
        megaflows_(megaflow_pages_.span(), 1024, HashSecret::from_seed(1)) {
    FlowMask mask = {};
    mask.in_port = ~0u;
    mask.tunnel_id = ~0u;
    mask.ct_state = 0xff;
    uint32_t slot = 1;
    for (uint32_t port = 1; port < 8; ++port) {
      FlowKey key = {};
      key.in_port = port;
      for (const int state : {ct_new, ct_est}) {
        key.ct_state = static_cast<uint8_t>(ct_tracked | state);
        megaflows_.insert({slot++, 1}, key, mask);
      }
    }
  }
  void run(uint32_t first, uint64_t now_ms, Cycles* cycles) {
    for (uint32_t i = 0; i < batch_max; ++i) keys_[i] = numbered_key(first + i);
    if (cycles != nullptr) cycles->begin();
    cache_.lookup(keys_, batch_max, found_, hashes_);
    for (uint32_t i = 0; i < batch_max; ++i) asked_[i] = {&keys_[i], &info_, nullptr, 0, 1};
    connections_.track(asked_, batch_max, now_ms, tracked_);
    for (uint32_t i = 0; i < batch_max; ++i) {
      keys_[i].ct_state = tracked_[i].ct_state;
      pointers_[i] = &keys_[i];
    }
    hits_ += megaflows_.lookup(pointers_, batch_max, flows_);
    for (uint32_t i = 0; i < batch_max; ++i) {
      if (tracked_[i].ct_state & ct_new) {
        connections_.commit(asked_[i], now_ms);
      } else {
        cache_.insert(keys_[i], hashes_[i], {flows_[i].slot, 1, 0, tracked_[i].connection,
                      tracked_[i].generation}, now_ms);
      }
    }
    if (cycles != nullptr) cycles->end(batch_max);
  }
  uint64_t hits() const { return hits_; }

 private:
  uint32_t entries_;
  NoSink sink_;
  Pages pages_;
  ExactCache cache_;
  Pages connection_pages_;
  ConnectionTable connections_;
  Pages megaflow_pages_;
  MegaflowTable megaflows_;
  PacketInfo info_;
  FlowKey keys_[batch_max];
  const FlowKey* pointers_[batch_max];
  ExactEntry* found_[batch_max];
  uint64_t hashes_[batch_max];
  ConnectionPacket asked_[batch_max];
  Tracked tracked_[batch_max];
  FlowRef flows_[batch_max];
  uint64_t hits_ = 0;
};

void connection_first(benchmark::State& state) {
  const uint32_t flows = static_cast<uint32_t>(state.range(0));
  Cycles cycles(state);
  std::unique_ptr<SetUp> tables;
  uint32_t at = flows;
  for (auto _ : state) {
    if (at >= flows) {
      state.PauseTiming();
      tables = std::make_unique<SetUp>(flows);
      at = 0;
      state.ResumeTiming();
    }
    tables->run(at, 1000, &cycles);
    at += batch_max;
  }
}

void connection_second(benchmark::State& state) {
  const uint32_t flows = static_cast<uint32_t>(state.range(0));
  Cycles cycles(state);
  std::unique_ptr<SetUp> tables;
  uint32_t at = flows;
  for (auto _ : state) {
    if (at >= flows) {
      state.PauseTiming();
      tables = std::make_unique<SetUp>(flows);
      for (at = 0; at < flows; at += batch_max) tables->run(at, 1000, nullptr);
      at = 0;
      state.ResumeTiming();
    }
    tables->run(at, 1001, &cycles);
    at += batch_max;
  }
}

BENCHMARK(connection_first)->Arg(65536)->Arg(1048576);
BENCHMARK(connection_second)->Arg(65536)->Arg(1048576);
BENCHMARK(parse_ipv4_udp)->Arg(8)->Arg(32)->Arg(256);
BENCHMARK(parse_ipv6_tcp)->Arg(256);
BENCHMARK(parse_vxlan)->Arg(8)->Arg(32)->Arg(256);
BENCHMARK(hash_keys)->Arg(4)->Arg(6);
BENCHMARK(exact_lookup)
    ->ArgsProduct({{1, 1000, 10000, 100000, 1000000}, {8, 32, 256}})
    ->MinWarmUpTime(0.1);
BENCHMARK(exact_sweep)->Args({1000000, 0})->Args({1000000, 1});
BENCHMARK(megaflow_lookup)->Arg(1)->Arg(4)->Arg(20);

}  // namespace
