// test/native/worker_test.cpp — packet in, packet out: what one worker does, and the counters that
// tell.

#include "datapath/worker.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "packet/headers.h"
#include "test/native/datapath_support.h"

namespace vtep::test {
namespace {

std::vector<uint32_t> output(uint32_t port) { return {action_word(Op::Output), port}; }

auto always(VerdictKind kind, std::vector<uint32_t> actions = {}) {
  return [=](const UpcallRecord&) { return Decision{kind, actions}; };
}

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    bench.add_memory_port(1);
    bench.add_memory_port(2);
  }
  // Packets go in at port 1 and are answered until nothing waits.
  void pass(const std::vector<uint8_t>& frame, const std::vector<uint32_t>& actions) {
    bench.inject(1, frame);
    bench.run();
    while (bench.slow_path.answer(always(VerdictKind::Flow, actions)) != 0) bench.run();
  }
  Bench bench;
};

TEST_F(WorkerTest, FirstPacketOfAFlowIsAskedAboutAndLaterOnesPassWithoutAsking) {
  bench.inject(1, udp_frame({}));
  bench.run();
  EXPECT_TRUE(bench.collect(2).empty());
  const uint32_t answered = bench.slow_path.answer([](const UpcallRecord& record) {
    EXPECT_EQ(record.in_port, 1u);
    EXPECT_EQ(record.packet_bytes, udp_frame({}).size());
    EXPECT_EQ(record.key.tp_dst.host(), 2000);
    return Decision{VerdictKind::Flow, output(2)};
  });
  EXPECT_EQ(answered, 1u);
  bench.run();
  const auto first = bench.collect(2);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].bytes, udp_frame({}));

  for (int i = 0; i < 3; i++) bench.inject(1, udp_frame({}));
  bench.run();
  EXPECT_EQ(bench.collect(2).size(), 3u);
  EXPECT_EQ(bench.slow_path.ends(0).take_upcalls(), 0u);
  EXPECT_EQ(bench.port_count(1, PortCounter::RxPackets), 4u);
  EXPECT_EQ(bench.port_count(2, PortCounter::TxPackets), 4u);
  EXPECT_EQ(bench.port_count(1, PortCounter::Upcalls), 1u);
  EXPECT_EQ(bench.slow_path.region().stats(0)[1].packets, 4u);
  EXPECT_EQ(bench.slow_path.region().stats(0)[1].bytes, 4u * udp_frame({}).size());
}

TEST_F(WorkerTest, SecondPacketOfAConnectionUnderAKnownMegaflowBecomesAnExactHit) {
  pass(udp_frame({}), output(2));
  bench.inject(1, udp_frame({.source_port = 7}));
  bench.run();
  EXPECT_EQ(bench.worker_count(WorkerCounter::MegaflowHits), 1u);
  bench.inject(1, udp_frame({.source_port = 7}));
  bench.run();
  EXPECT_EQ(bench.worker_count(WorkerCounter::ExactHits), 1u);
  EXPECT_EQ(bench.worker_count(WorkerCounter::MegaflowHits), 1u);
}

TEST_F(WorkerTest, PacketsBehindTheFirstOfAFlowWaitAsFollowersAndLeaveInOrder) {
  for (uint16_t i = 0; i < 5; i++) bench.inject(1, udp_frame({.payload_bytes = 20u + i}));
  bench.run();
  EXPECT_EQ(bench.worker_count(WorkerCounter::Followers), 4u);
  pass(udp_frame({.payload_bytes = 30}), output(2));
  const auto sent = bench.collect(2);
  ASSERT_EQ(sent.size(), 6u);
  for (size_t i = 0; i < 5; i++) EXPECT_EQ(sent[i].bytes.size(), 42u + 20u + i);
}

TEST_F(WorkerTest, MoreFollowersThanAllowedAreDroppedAsUpcallPending) {
  for (uint32_t i = 0; i < followers_per_key_max + 3; i++) bench.inject(1, udp_frame({}));
  bench.run();
  EXPECT_EQ(bench.drops(1, DropReason::UpcallPending), 2u);
  EXPECT_EQ(bench.worker_count(WorkerCounter::Followers), followers_per_key_max);
  bench.slow_path.answer(always(VerdictKind::Flow, output(2)));
  bench.run();
  EXPECT_EQ(bench.collect(2).size(), followers_per_key_max + 1);
}

TEST_F(WorkerTest, VerdictWithInlineActionsRunsOnceAndInstallsNothing) {
  bench.inject(1, udp_frame({}));
  bench.run();
  bench.slow_path.answer(always(VerdictKind::Once, output(2)));
  bench.run();
  EXPECT_EQ(bench.collect(2).size(), 1u);
  bench.inject(1, udp_frame({}));
  bench.run();
  EXPECT_EQ(bench.slow_path.answer(always(VerdictKind::Drop)), 1u);
  bench.run();
  EXPECT_TRUE(bench.collect(2).empty());
  EXPECT_EQ(bench.drops(1, DropReason::AclDeny), 1u);
}

TEST_F(WorkerTest, VerdictsThatMakeNoSenseDropThePacketAsBadVerdictAndNothingElse) {
  const std::vector<std::function<void(UpcallRecord&)>> spoilers = {
      [](UpcallRecord& r) { r.verdict_kind = 99; },
      [](UpcallRecord& r) { r.verdict_kind = 1, r.verdict_flow = 0xffffffff; },
      [](UpcallRecord& r) { r.verdict_kind = 1, r.verdict_flow = 0; },
      [](UpcallRecord& r) { r.verdict_kind = 1, r.verdict_flow = 5, r.verdict_generation = 77; },
      [](UpcallRecord& r) { r.verdict_kind = 2, r.inline_count = 0xffffffff; },
      [](UpcallRecord& r) {
        r.verdict_kind = 2, r.inline_count = 2;
        r.inline_actions[0] = action_word(Op::Output), r.inline_actions[1] = port_max;
      },
      [](UpcallRecord& r) { r.verdict_kind = 4, r.verdict_reason = 0xffff; },
      // Sizes, offsets and the packet itself scribbled over: the worker kept its own.
      [](UpcallRecord& r) {
        r.verdict_kind = 3;
        r.record_bytes = 0x7fffffff, r.packet_bytes = 0x7fffffff, r.l4 = 0xffff;
        memset(reinterpret_cast<uint8_t*>(&r) + sizeof r, 0xff, 42);
        reinterpret_cast<uint8_t*>(&r)[sizeof r + 12] = 0x08;
        reinterpret_cast<uint8_t*>(&r)[sizeof r + 13] = 0x00;
      },
  };
  for (size_t i = 0; i < spoilers.size(); i++) {
    bench.inject(1, udp_frame({.source_port = static_cast<uint16_t>(100 + i)}));
    bench.run();
    SlowPathEnds& ends = bench.slow_path.ends(0);
    const uint32_t waiting = ends.take_upcalls();
    ASSERT_GT(waiting, 0u) << i;
    spoilers[i](*reinterpret_cast<UpcallRecord*>(ends.upcalls().bytes + ends.upcall_offset()));
    ends.give_verdicts(waiting);
    bench.run();
    EXPECT_EQ(bench.drops(1, DropReason::BadVerdict), i + 1) << i;
  }
  EXPECT_TRUE(bench.collect(2).empty());
  pass(udp_frame({}), output(2));  // and it goes on
  EXPECT_EQ(bench.collect(2).size(), 1u);
}

TEST_F(WorkerTest, UnansweredVerdictIsANamedDrop) {
  bench.inject(1, udp_frame({}));
  bench.run();
  bench.slow_path.answer(always(VerdictKind::None));
  bench.run();
  EXPECT_EQ(bench.drops(1, DropReason::NoVerdict), 1u);
}

TEST_F(WorkerTest, RetryThatNeverFindsAFlowEndsAsNoVerdict) {
  bench.inject(1, udp_frame({}));
  bench.run();
  uint32_t rounds = 0;
  while (bench.slow_path.answer(always(VerdictKind::Retry)) != 0) {
    rounds++;
    bench.run();
  }
  EXPECT_EQ(rounds, 4u);
  EXPECT_EQ(bench.drops(1, DropReason::NoVerdict), 1u);
}

TEST_F(WorkerTest, RemovedFlowIsAskedAboutAgainThoughItsExactEntryIsStillThere) {
  pass(udp_frame({}), output(2));
  pass(udp_frame({}), output(2));
  bench.collect(2);
  bench.slow_path.command(0, CommandKind::RemoveFlow, 1);
  bench.run();
  bench.inject(1, udp_frame({}));
  bench.run();
  EXPECT_TRUE(bench.collect(2).empty());
  EXPECT_EQ(bench.worker_count(WorkerCounter::ExactStale), 1u);
  EXPECT_NE(bench.slow_path.ends(0).take_upcalls(), 0u);
}

TEST_F(WorkerTest, ReplacingAFlowLosesNoPacketInBetween) {
  bench.add_memory_port(3);
  pass(udp_frame({}), output(2));
  bench.collect(2);
  const FlowSlot before = bench.slow_path.region().flows()[1];
  const uint32_t slot = bench.slow_path.write_flow(before.key, before.mask, output(3));
  bench.slow_path.command(0, CommandKind::InstallFlow, slot);
  bench.slow_path.command(0, CommandKind::RemoveFlow, 1);
  bench.inject(1, udp_frame({}));
  bench.run();
  bench.inject(1, udp_frame({}));
  bench.run();
  EXPECT_EQ(bench.collect(3).size() + bench.collect(2).size(), 2u);
  EXPECT_EQ(bench.slow_path.ends(0).take_upcalls(), 0u);
  bench.inject(1, udp_frame({}));
  bench.run();
  EXPECT_EQ(bench.collect(3).size(), 1u);
}

TEST_F(WorkerTest, PacketOutRunsItsActionsAndBrokenCommandsAreCounted) {
  bench.slow_path.packet_out(0, 0, output(2), udp_frame({}));
  bench.run();
  EXPECT_EQ(bench.collect(2).size(), 1u);
  SlowPathEnds& ends = bench.slow_path.ends(0);
  memset(ends.commands().bytes + ends.command_offset(), 0xff, 64);
  ends.give_commands(64);
  bench.run();
  EXPECT_EQ(bench.drops(0, DropReason::BadVerdict), 1u);
  EXPECT_TRUE(ends.commands_done());
  bench.slow_path.packet_out(0, 0, output(2), udp_frame({}));
  bench.run();
  EXPECT_EQ(bench.collect(2).size(), 1u);
}

TEST_F(WorkerTest, BrokenFramesAreCountedByTheirReason) {
  bench.inject(1, std::vector<uint8_t>(14, 0));
  auto frame = udp_frame({});
  frame[14] = 0x41;
  bench.inject(1, frame);
  bench.run();
  EXPECT_EQ(bench.drops(1, DropReason::BadIpv4), 1u);
}

TEST_F(WorkerTest, ChecksumLeftToTheDeviceIsFinishedForAPortThatCannot) {
  auto frame = tcp_frame({}, tcp_ack);
  const auto right = frame;
  frame[50] = frame[51] = 0;
  const uint64_t pseudo = pseudo_sum_for(frame);
  const Be16 partial = be16(static_cast<uint16_t>(pseudo));
  store_be16(&frame[50], partial);
  pass(frame, output(2));
  bench.collect(2);
  Offload offload;
  offload.flags = offload_needs_checksum;
  offload.checksum_start = 34;
  offload.checksum_offset = 16;
  bench.inject(1, frame, offload);
  bench.run();
  const auto sent = bench.collect(2);
  ASSERT_EQ(sent.size(), 1u);
  if (!sent[0].offload.any()) {
    EXPECT_EQ(sent[0].bytes, right);
  }
}

TEST_F(WorkerTest, ManyFlowsInOneBurstKeepTheirOrderWithinEachFlow) {
  bench.slow_path.mask = five_tuple_mask();
  for (uint16_t flow = 0; flow < 4; flow++)
    pass(udp_frame({.source_port = static_cast<uint16_t>(flow + 1)}), output(2));
  bench.collect(2);
  for (uint32_t round = 0; round < 40; round++)
    for (uint16_t flow = 0; flow < 4; flow++)
      bench.inject(1, udp_frame({.source_port = static_cast<uint16_t>(flow + 1),
                                 .payload_bytes = 10 + round}));
  bench.run();
  const auto sent = bench.collect(2);
  ASSERT_EQ(sent.size(), 160u);
  size_t next[5] = {};
  for (const auto& packet : sent) {
    const uint16_t flow = load_be16(&packet.bytes[34]).host();
    EXPECT_EQ(packet.bytes.size(), 42 + 10 + next[flow]++);
  }
}

TEST_F(WorkerTest, TrackedZoneTellsNewFromEstablishedAndCommitsBothDirections) {
  bench.slow_path.mask = five_tuple_mask();
  memset(&bench.slow_path.mask.ct_state, 0xff, 1);
  bench.datapath.set_zone(1, 0, 9);
  bench.datapath.set_zone(2, 0, 9);
  std::vector<uint8_t> states;
  const auto decide = [&](const UpcallRecord& record) {
    states.push_back(record.key.ct_state);
    Decision decision{VerdictKind::Flow, {}};
    if (record.key.ct_state & ct_new)
      decision.actions = {action_word(Op::CtCommit), 9, action_word(Op::Output), 2};
    else
      decision.actions = output(record.in_port == 1 ? 2 : 1);
    return decision;
  };
  const auto exchange = [&](uint32_t port, const std::vector<uint8_t>& frame) {
    bench.inject(port, frame);
    bench.run();
    while (bench.slow_path.answer(decide) != 0) bench.run();
  };
  exchange(1, tcp_frame({}, tcp_syn));
  exchange(2, tcp_frame({2, 1, 2000, 1000}, tcp_syn | tcp_ack));
  exchange(1, tcp_frame({}, tcp_ack));
  exchange(1, tcp_frame({}, tcp_ack));
  exchange(1, tcp_frame({}, tcp_ack));
  ASSERT_EQ(states.size(), 3u);
  EXPECT_EQ(states[0], ct_tracked | ct_new);
  EXPECT_EQ(states[1], ct_tracked | ct_est | ct_rpl);
  EXPECT_EQ(states[2], ct_tracked | ct_est);
  EXPECT_EQ(bench.worker_count(WorkerCounter::Connections), 1u);
  EXPECT_GE(bench.worker_count(WorkerCounter::ExactHits), 1u);
  EXPECT_EQ(bench.collect(2).size(), 4u);
  EXPECT_EQ(bench.collect(1).size(), 1u);
}

TEST_F(WorkerTest, PacketThatFitsNoConnectionSaysSoAndCanBeDroppedByThatName) {
  memset(&bench.slow_path.mask.ct_state, 0xff, 1);
  bench.datapath.set_zone(1, 0, 9);
  bench.inject(1, tcp_frame({}, tcp_rst));
  bench.run();
  bench.slow_path.answer([](const UpcallRecord& record) {
    EXPECT_EQ(record.key.ct_state, ct_tracked | ct_inv);
    return Decision{VerdictKind::Drop, {}, DropReason::ConnectionInvalid};
  });
  bench.run();
  EXPECT_EQ(bench.drops(1, DropReason::ConnectionInvalid), 1u);
}

TEST_F(WorkerTest, ZoneChangeForgetsExactEntriesMadeUnderTheOldOne) {
  pass(udp_frame({}), output(2));
  pass(udp_frame({}), output(2));
  bench.datapath.set_zone(1, 0, 3);
  const uint64_t hits = bench.worker_count(WorkerCounter::ExactHits);
  bench.inject(1, udp_frame({}));
  bench.run();
  EXPECT_EQ(bench.worker_count(WorkerCounter::ExactHits), hits);
}

TEST_F(WorkerTest, ZoneChangeOfOnePortLeavesTheExactEntriesOfOthers) {
  pass(udp_frame({}), output(2));
  pass(udp_frame({}), output(2));
  bench.datapath.set_zone(2, 0, 3);
  bench.datapath.set_zone(0, 77, 3);
  const uint64_t hits = bench.worker_count(WorkerCounter::ExactHits);
  bench.inject(1, udp_frame({}));
  bench.run();
  EXPECT_EQ(bench.worker_count(WorkerCounter::ExactHits), hits + 1);
}

// The first zones come before the first packets, into a cache that has nothing to sweep.
TEST(WorkerZones, AChangeTakesNoEntryThatIsMadeAfterIt) {
  DatapathConfig config = Bench::manual_config();
  config.exact_max = 1u << 16;
  Bench bench(config);
  bench.add_memory_port(1);
  bench.add_memory_port(2);
  bench.datapath.set_zone(1, 0, 3);
  bench.run();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  for (uint32_t i = 0; i < 3; i++) {
    bench.inject(1, udp_frame({}));
    bench.run();
    while (bench.slow_path.answer(always(VerdictKind::Flow, output(2))) != 0) bench.run();
  }
  for (uint32_t i = 0; i < 5; i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const uint64_t hits = bench.worker_count(WorkerCounter::ExactHits);
    bench.inject(1, udp_frame({}));
    bench.run();
    EXPECT_EQ(bench.worker_count(WorkerCounter::ExactHits), hits + 1) << i;
  }
}

TEST_F(WorkerTest, MoreZoneChangesThanAreRememberedForgetAllExactEntries) {
  pass(udp_frame({}), output(2));
  pass(udp_frame({}), output(2));
  for (uint32_t vni = 1; vni <= zone_changes_max; vni++) bench.datapath.set_zone(0, vni, 3);
  const uint64_t hits = bench.worker_count(WorkerCounter::ExactHits);
  bench.inject(1, udp_frame({}));
  bench.run();
  EXPECT_EQ(bench.worker_count(WorkerCounter::ExactHits), hits);
}

TEST_F(WorkerTest, CaptureShowsThePacketItsVerdictAndItsCopyOnTheWayOut) {
  pass(udp_frame({}), output(2));
  bench.datapath.set_capture(1, true);
  bench.datapath.set_capture(2, true);
  bench.inject(1, udp_frame({}));
  bench.inject(1, udp_frame({.from = 9}));
  bench.run();
  SlowPathEnds& ends = bench.slow_path.ends(0);
  const uint32_t waiting = ends.take_events();
  std::vector<EventRecord> events;
  for (uint32_t at = 0; at < waiting;) {
    EventRecord event;
    memcpy(&event, ends.events().bytes + ends.event_offset() + at, sizeof event);
    events.push_back(event);
    at += event.record_bytes;
  }
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].kind, static_cast<uint32_t>(EventKind::CaptureRx));
  EXPECT_EQ(events[0].verdict, 0u);
  EXPECT_EQ(events[0].other_port, 2u);
  EXPECT_EQ(events[0].flow, 1u);
  EXPECT_EQ(events[1].verdict, 1u);  // from another MAC: asked
  EXPECT_EQ(events[2].kind, static_cast<uint32_t>(EventKind::CaptureTx));
  EXPECT_EQ(events[2].other_port, 1u);
  ends.free_events(waiting);
  bench.datapath.set_capture(1, false);
  bench.datapath.set_capture(2, false);
  bench.inject(1, udp_frame({}));
  bench.run();
  EXPECT_EQ(ends.take_events(), 0u);
}

}  // namespace
}  // namespace vtep::test
