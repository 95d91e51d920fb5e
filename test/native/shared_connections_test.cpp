// test/native/shared_connections_test.cpp — one connection table, several workers: both directions
// of a connection meet, and many threads at once leave it whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "action/action.h"
#include "datapath/lazy_array.h"
#include "datapath_support.h"
#include "flow/connection_table.h"
#include "packet/headers.h"
#include "table_memory.h"

namespace vtep {
namespace {

using namespace test;  // NOLINT: the test speaks in frames and decisions

DatapathConfig two_workers() {
  DatapathConfig config = Bench::manual_config();
  config.worker_count = 2;
  return config;
}

// Ports 1 and 2 are in one zone, and each is read by a worker of its own.
class SharedConnections : public ::testing::Test {
 protected:
  SharedConnections() : bench(two_workers()) {
    bench.slow_path.mask = five_tuple_mask();
    memset(&bench.slow_path.mask.ct_state, 0xff, 1);
    for (const uint32_t port : {1u, 2u}) {
      bench.add_memory_port(port);
      bench.datapath.set_zone(port, 0, 9);
    }
  }
  // The state that the slow path was asked with, 0 if it was not.
  uint8_t exchange(uint32_t port, uint8_t flags) {
    const UdpFrame to_server{}, to_client{2, 1, 2000, 1000};
    bench.inject(port, tcp_frame(port == 1 ? to_server : to_client, flags));
    bench.run();
    uint8_t state = 0;
    const auto decide = [&](const UpcallRecord& record) {
      state = record.key.ct_state;
      Decision decision{VerdictKind::Flow, {}};
      if (state & ct_new) decision.actions = {action_word(Op::CtCommit), 9};
      decision.actions.insert(decision.actions.end(), {action_word(Op::Output), 3 - port});
      return decision;
    };
    while (bench.slow_path.answer(decide) != 0) bench.run();
    return state;
  }
  uint64_t rx_of(uint32_t worker, uint32_t port) {
    return bench.slow_path.region().port_counters(worker)[port][0];
  }
  Bench bench;
};

TEST_F(SharedConnections, an_answer_that_another_worker_reads_is_an_answer) {
  EXPECT_EQ(exchange(1, tcp_syn), ct_tracked | ct_new);
  EXPECT_EQ(exchange(2, tcp_syn | tcp_ack), ct_tracked | ct_est | ct_rpl);
  EXPECT_EQ(exchange(1, tcp_ack), ct_tracked | ct_est);
  // Not one worker read both.
  EXPECT_EQ(rx_of(0, 1) * rx_of(0, 2) + rx_of(1, 1) * rx_of(1, 2), 0u);
  EXPECT_EQ(bench.worker_count(WorkerCounter::Connections), 1u);
}

TEST_F(SharedConnections, the_end_of_a_connection_reaches_the_exact_caches_of_all_workers) {
  exchange(1, tcp_syn);
  exchange(2, tcp_syn | tcp_ack);
  for (uint32_t i = 0; i < 3; ++i) {
    exchange(1, tcp_ack);
    exchange(2, tcp_ack);
  }
  const uint64_t hits = bench.worker_count(WorkerCounter::ExactHits);
  exchange(1, tcp_ack);
  exchange(2, tcp_ack);
  EXPECT_EQ(bench.worker_count(WorkerCounter::ExactHits), hits + 2);
  // Reset, and begun anew on the same ports: what was cached of the old one is of no flow now.
  exchange(1, tcp_rst);
  exchange(1, tcp_syn);
  EXPECT_EQ(bench.worker_count(WorkerCounter::Connections), 2u);
  exchange(2, tcp_syn | tcp_ack);
  exchange(1, tcp_ack);
  exchange(2, tcp_ack);
  EXPECT_EQ(bench.worker_count(WorkerCounter::ExactHits), hits + 2);
  EXPECT_EQ(bench.worker_count(WorkerCounter::ExactStale), 3u);
  exchange(1, tcp_ack);
  exchange(2, tcp_ack);
  EXPECT_EQ(bench.worker_count(WorkerCounter::ExactHits), hits + 4);
}

struct CountingSink final : ConnectionSink {
  void forget_entries(const Connection&) noexcept override { count++; }
  std::atomic<uint64_t> count = 0;
};

// One of a few thousand connections, in either direction.
FlowKey random_key(std::mt19937& random, bool& reply) {
  FlowKey key = numbered_key(static_cast<uint32_t>(random() % 8000), random() % 4 == 0);
  key.ip_proto = random() % 2 == 0 ? ip_proto_udp : ip_proto_tcp;
  reply = random() % 2 == 0;
  if (!reply) return key;
  std::swap(key.ip_src, key.ip_dst);
  std::swap(key.ipv6_src, key.ipv6_dst);
  std::swap(key.tp_src, key.tp_dst);
  return key;
}

// What one worker does, at random; returns how many connections it made.
uint64_t work(ConnectionTable& table, uint32_t worker) {
  std::mt19937 random(worker);
  constexpr uint8_t flags[] = {tcp_syn, tcp_syn | tcp_ack, tcp_ack, tcp_ack, tcp_fin, tcp_rst};
  uint64_t made = 0;
  uint64_t now_ms = 1000;
  for (uint32_t round = 0; round < 400; ++round) {
    FlowKey keys[32];
    PacketInfo infos[32];
    ConnectionPacket packets[32];
    Tracked tracked[32];
    for (uint32_t i = 0; i < 32; ++i) {
      bool reply = false;
      keys[i] = random_key(random, reply);
      infos[i].tcp_flags = flags[random() % 6];
      packets[i] = {&keys[i], &infos[i], nullptr, 0, static_cast<uint16_t>(1 + random() % 2)};
    }
    table.track(packets, 32, now_ms, tracked);
    for (uint32_t i = 0; i < 32; ++i) {
      const Tracked& seen = tracked[i];
      if (seen.ct_state & ct_new) made += table.commit(packets[i], now_ms).made;
      if (seen.connection == 0) continue;
      table.bind(seen, exact_place(worker, i + 1));
      table.refresh(seen.connection, seen.generation, static_cast<uint32_t>(now_ms));
      if (random() % 50 == 0) table.remove(seen.connection, seen.generation);
    }
    now_ms += random() % 200;
    table.sweep(worker, 100, now_ms);
  }
  return made;
}

TEST(SharedConnectionTable, many_threads_leave_it_whole) {
  constexpr uint32_t threads = 4;
  const ConnectionConfig config{4096, ~0ull, threads};
  TableMemory memory(ConnectionTable::bytes_needed(config));
  CountingSink sink;
  ConnectionTable table(memory.span(), config, HashSecret::from_seed(5), &sink);
  std::atomic<uint64_t> made = 0;
  std::vector<std::thread> workers;
  for (uint32_t worker = 0; worker < threads; ++worker)
    workers.emplace_back([&, worker] { made += work(table, worker); });
  for (std::thread& worker : workers) worker.join();
  EXPECT_GT(made, 4096u);
  EXPECT_EQ(made, table.size() + sink.count);
  EXPECT_LE(table.size(), 4096u);
  // A sweep ends at its shard's end, wherever it began: the second call sees the rest.
  for (uint32_t worker = 0; worker < 2 * threads; ++worker)
    table.sweep(worker % threads, 1u << 20, 1000 + uint64_t{tcp_established_ms} + 400 * 200);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(made, sink.count);
}

// Four million, but for sanitizers, which take minutes over them.
constexpr uint32_t many =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    1u << 18;
#elif defined(__has_feature)
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ? 1u << 18 : 1u << 22;
#else
    1u << 22;
#endif

TEST(ConnectionSweep, of_four_million_that_expire_at_once_stays_within_its_budget) {
  const ConnectionConfig config{many};
  LazyArray<std::byte> memory(ConnectionTable::bytes_needed(config), "connections");
  ConnectionTable table({memory.data(), memory.size()}, config, HashSecret::from_seed(5), nullptr);
  PacketInfo info;
  for (uint32_t number = 0; number < many; ++number) {
    const FlowKey key = numbered_key(number);
    ASSERT_TRUE(table.commit({&key, &info, nullptr, 0, 1}, 1000).made);
  }
  constexpr uint32_t budget = 512;
  std::vector<double> microseconds;
  while (table.size() != 0) {
    const auto from = std::chrono::steady_clock::now();
    ASSERT_EQ(table.sweep(0, budget, 1001 + udp_single_ms), budget);
    const auto time = std::chrono::steady_clock::now() - from;
    microseconds.push_back(std::chrono::duration<double, std::micro>(time).count());
  }
  EXPECT_EQ(microseconds.size(), many / budget);
  EXPECT_EQ(table.expired(), many);
  // Half of the parts, because the machine may have taken the CPU from any one of them.
  const auto middle = microseconds.begin() + static_cast<long>(microseconds.size() / 2);
  std::nth_element(microseconds.begin(), middle, microseconds.end());
  EXPECT_LT(*middle, 500.0);
}

}  // namespace
}  // namespace vtep
