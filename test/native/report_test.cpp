// test/native/report_test.cpp — what a worker tells of its exact entries and of what it drops.
#include <gtest/gtest.h>

#include <algorithm>

#include "datapath/worker.h"
#include "test/native/datapath_support.h"

namespace vtep::test {
namespace {

struct Told {
  EventRecord record;
  std::vector<uint8_t> content;
  EntryReport report() const {
    EntryReport report;
    memcpy(static_cast<void*>(&report), content.data(), sizeof report);
    return report;
  }
};

class ReportTest : public testing::Test {
 protected:
  ReportTest() : bench(large_cache()) {
    bench.add_memory_port(1);
    bench.add_memory_port(2);
    bench.slow_path.mask = five_tuple_mask();
  }
  static DatapathConfig large_cache() {
    DatapathConfig config = Bench::manual_config();
    config.exact_max = 8192;
    return config;
  }
  // Twice: the first packet asks, the second one makes the exact entry.
  void connect(uint16_t source_port) {
    for (int i = 0; i < 2; i++) {
      bench.inject(1, udp_frame({.source_port = source_port}));
      bench.run();
      bench.slow_path.answer([](const UpcallRecord&) {
        return Decision{VerdictKind::Flow, {action_word(Op::Output), 2}};
      });
      bench.run();
    }
  }
  void list(uint32_t place, uint32_t count, const FlowKey& key, const FlowMask& mask) {
    CommandRecord record{};
    record.record_bytes = sizeof record + 256;
    record.kind = static_cast<uint32_t>(CommandKind::ListEntries);
    record.slot = place;
    record.generation = count;
    record.token = 42;
    SlowPathEnds& ends = bench.slow_path.ends(0);
    uint8_t* at = ends.commands().bytes + ends.command_offset();
    memcpy(at, &record, sizeof record);
    memcpy(at + sizeof record, &key, sizeof key);
    memcpy(at + sizeof record + sizeof key, &mask, sizeof mask);
    ends.give_commands(record.record_bytes);
    bench.run();
  }
  std::vector<Told> events() {
    const RingView ring = bench.slow_path.region().events(0);
    uint32_t at = ring.header->consumed.value.load();
    const uint32_t end = ring.header->produced.value.load();
    std::vector<Told> found;
    while (at != end) {
      Told told;
      const uint8_t* place = ring.at(at);
      memcpy(&told.record, place, sizeof told.record);
      const uint8_t* content = place + sizeof told.record;
      if (told.record.kind != 0) {
        told.content.assign(content, content + told.record.packet_bytes);
        found.push_back(told);
      }
      at += told.record.record_bytes;
    }
    ring.header->consumed.value.store(at);
    return found;
  }
  static bool is(const Told& told, EventKind kind) {
    return told.record.kind == static_cast<uint32_t>(kind);
  }
  Bench bench;
};

TEST_F(ReportTest, ListsTheEntriesThatMatchAndSaysWhereItStopped) {
  for (uint16_t port = 10; port < 14; port++) connect(port);
  list(0, 4096, {}, {});
  std::vector<Told> told = events();
  ASSERT_EQ(told.size(), 5u);
  EXPECT_TRUE(is(told[4], EventKind::Listed));
  EXPECT_EQ(told[4].record.flow, 0u);
  EXPECT_EQ(told[4].record.token, 42u);
  const EntryReport first = told[0].report();
  EXPECT_EQ(first.key.tp_src.host(), 10);
  EXPECT_EQ(first.packets, 1u);
  EXPECT_EQ(first.bytes, udp_frame({}).size());
  EXPECT_NE(first.flow, 0u);

  FlowKey key{};
  FlowMask mask{};
  key.tp_src = be16(12);
  mask.tp_src = be16(0xffff);
  list(0, 4096, key, mask);
  told = events();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].report().key.tp_src.host(), 12);

  list(1, 2, {}, {});
  told = events();
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[2].record.flow, 3u);  // the place to go on at
  list(1u << 30, 1u << 30, {}, {});
  told = events();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].record.flow, 0u);
}

TEST_F(ReportTest, AListThatFillsTheRingGoesOnWhereItStopped) {
  constexpr uint32_t entries = 4500;
  bench.slow_path.mask = layer2_mask();
  for (uint32_t i = 0; i < entries; i++) connect(static_cast<uint16_t>(1000 + i));
  events();
  std::vector<uint16_t> ports;
  uint32_t place = 0;
  uint32_t rounds = 0;
  do {
    list(place, 4096, {}, {});
    const std::vector<Told> told = events();
    ASSERT_FALSE(told.empty());
    for (const Told& one : told)
      if (is(one, EventKind::Entry)) ports.push_back(one.report().key.tp_src.host());
    ASSERT_TRUE(is(told.back(), EventKind::Listed));
    place = told.back().record.flow;
    rounds++;
  } while (place != 0 && rounds < 100);
  std::sort(ports.begin(), ports.end());
  ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
  EXPECT_EQ(ports.size(), entries);
  EXPECT_GT(rounds, 1u);
}

TEST_F(ReportTest, TellsOfEntriesThatEndOnlyWhenAsked) {
  connect(10);
  bench.slow_path.command(0, CommandKind::FlushExact, 0);
  bench.run();
  EXPECT_TRUE(events().empty());
  bench.slow_path.command(0, CommandKind::ReportEnds, 1);
  bench.run();
  bench.inject(1, udp_frame({.source_port = 10}));
  bench.run();
  bench.slow_path.command(0, CommandKind::FlushExact, 0);
  bench.run();
  const std::vector<Told> told = events();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(is(told[0], EventKind::EntryEnd));
  EXPECT_EQ(told[0].report().packets, 1u);
}

TEST_F(ReportTest, ShowsADroppedPacketOfEachReasonOnceASecondWithItsFlow) {
  for (int i = 0; i < 5; i++) {
    bench.inject(1, udp_frame({}));
    bench.run();
    bench.slow_path.answer([](const UpcallRecord&) {
      const auto reason = static_cast<uint16_t>(DropReason::AclDeny);
      return Decision{VerdictKind::Flow, {action_word(Op::Drop, reason)}};
    });
    bench.run();
  }
  std::vector<uint8_t> bad = udp_frame({});
  bad.resize(30);
  bench.inject(1, bad);
  bench.run();
  const std::vector<Told> told = events();
  ASSERT_GE(told.size(), 2u);
  ASSERT_LE(told.size(), 4u);  // a second may have passed
  const EventRecord& denied = told[0].record;
  EXPECT_TRUE(is(told[0], EventKind::Drop));
  EXPECT_EQ(denied.drop_reason, static_cast<uint32_t>(DropReason::AclDeny));
  EXPECT_EQ(denied.port, 1u);
  EXPECT_EQ(denied.flow, 1u);
  FlowKey key;
  memcpy(static_cast<void*>(&key), told[0].content.data(), sizeof key);
  EXPECT_EQ(key.tp_dst.host(), 2000);
  EXPECT_EQ(std::vector<uint8_t>(told[0].content.begin() + sizeof key, told[0].content.end()),
            udp_frame({}));
  const EventRecord& broken = told.back().record;
  EXPECT_EQ(broken.drop_reason, static_cast<uint32_t>(DropReason::BadIpv4));
  EXPECT_EQ(broken.flow, 0u);
  EXPECT_EQ(broken.original_bytes, 30u);
}

TEST_F(ReportTest, CommandsThatMakeNoSenseDoNothing) {
  connect(10);
  CommandRecord record{};
  record.record_bytes = sizeof record;  // a list without key and mask
  record.kind = static_cast<uint32_t>(CommandKind::ListEntries);
  SlowPathEnds& ends = bench.slow_path.ends(0);
  memcpy(ends.commands().bytes + ends.command_offset(), &record, sizeof record);
  ends.give_commands(sizeof record);
  bench.run();
  EXPECT_EQ(bench.drops(0, DropReason::BadVerdict), 1u);
  bench.slow_path.command(0, CommandKind::MarkConnection, ~0u, ~0u);
  bench.run();
  EXPECT_TRUE(events().empty());
}

}  // namespace
}  // namespace vtep::test
