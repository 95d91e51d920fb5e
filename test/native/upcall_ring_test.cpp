// test/native/upcall_ring_test.cpp — shares, followers, wrap-around and restarts of the upcall
// ring.

#include "datapath/upcall_ring.h"

#include <gtest/gtest.h>

#include <random>

#include "datapath/slow_path_ends.h"

namespace vtep::test {
namespace {

class UpcallRingTest : public testing::Test {
 protected:
  UpcallRingTest()
      : region(config()),
        ring(region.view().upcalls(0), HashSecret::from_seed(1)),
        ends(region.view(), 0, -1) {}

  static DatapathConfig config() {
    DatapathConfig config;
    config.flow_max = 16;
    config.upcall_ring_bytes = 64 * 1024;
    return config;
  }

  UpcallResult fill(uint32_t port, uint32_t flow, uint32_t length = 60, uint16_t reason = 0) {
    bytes.assign(length, static_cast<uint8_t>(flow));
    Packet packet;
    packet.data = bytes.data();
    packet.length = length;
    FlowKey key{};
    key.in_port = port;
    key.tunnel_port = flow;
    const PacketInfo info;
    why = DropReason::None;
    return ring.fill({packet, key, info, reason, 0, now_ns}, why);
  }

  // The slow path answers everything, the worker takes it back; returns the packets' first bytes.
  std::vector<uint8_t> round_trip() {
    ring.publish(now_ns);
    ends.give_verdicts(ends.take_upcalls());
    std::vector<uint8_t> seen;
    const UpcallRecord* record = nullptr;
    while (const Outstanding* oldest = ring.answered(record)) {
      EXPECT_EQ(record->packet_bytes, oldest->packet_bytes);
      const auto* packet = reinterpret_cast<const uint8_t*>(record) + sizeof *record;
      EXPECT_EQ(packet[0], packet[oldest->packet_bytes - 1]);
      seen.push_back(packet[0]);
      ring.take_back();
    }
    ring.release();
    return seen;
  }

  Region region;
  UpcallRing ring;
  SlowPathEnds ends;
  std::vector<uint8_t> bytes;
  uint64_t now_ns = 1000000000;
  DropReason why = DropReason::None;
};

TEST_F(UpcallRingTest, RecordsComeBackInOrderAcrossManyWrapArounds) {
  std::mt19937 random(7);
  uint32_t flow = 0;
  for (int round = 0; round < 500; round++) {
    std::vector<uint8_t> sent;
    for (int i = 0; i < 20; i++) {
      const uint32_t length = 14 + random() % 1500;
      if (fill(1, ++flow, length) == UpcallResult::Asked)
        sent.push_back(static_cast<uint8_t>(flow));
    }
    ASSERT_GE(sent.size(), 5u);
    ASSERT_EQ(round_trip(), sent);
  }
  EXPECT_EQ(ring.held_bytes(1), 0u);
}

TEST_F(UpcallRingTest, OnePortAloneFillsAThirdAndASecondPortStillFindsRoom) {
  uint32_t flow = 0;
  while (fill(1, ++flow) == UpcallResult::Asked) {
  }
  EXPECT_EQ(why, DropReason::UpcallPortLimit);
  EXPECT_NEAR(ring.held_bytes(1), 65536 / 3.0, 400);
  EXPECT_EQ(fill(2, ++flow), UpcallResult::Asked);
  for (uint32_t port = 3; port < 20; port++) EXPECT_EQ(fill(port, ++flow), UpcallResult::Asked);
}

TEST_F(UpcallRingTest, SameKeyFollowsAndIsForgottenWithItsVerdict) {
  EXPECT_EQ(fill(1, 1), UpcallResult::Asked);
  EXPECT_EQ(fill(1, 1), UpcallResult::Follows);
  EXPECT_EQ(fill(1, 2), UpcallResult::Asked);
  EXPECT_EQ(fill(1, 1, 60, 2), UpcallResult::Asked);
  EXPECT_EQ(fill(1, 1, 60, 2), UpcallResult::AlreadyAsked);
  EXPECT_EQ(round_trip().size(), 4u);
  EXPECT_EQ(fill(1, 1), UpcallResult::Asked);
}

TEST_F(UpcallRingTest, PendingKeysAreBoundedAndSharedLikeBytes) {
  DatapathConfig large = config();
  large.upcall_ring_bytes = 64u << 20;
  Region other(large);
  UpcallRing wide(other.view().upcalls(0), HashSecret::from_seed(1));
  std::vector<uint8_t> frame(14);
  Packet packet;
  packet.data = frame.data();
  packet.length = 14;
  DropReason reason = DropReason::None;
  uint32_t flow = 0;
  const auto ask_until_refused = [&](uint32_t port) {
    const uint32_t first = flow;
    for (;; flow++) {
      FlowKey key{};
      key.in_port = port;
      key.tunnel_port = flow;
      // So slowly that tokens do not count here.
      now_ns += 1000000;
      if (wide.fill({packet, key, {}, 0, 0, now_ns}, reason) != UpcallResult::Asked) break;
    }
    return flow - first;
  };
  EXPECT_NEAR(ask_until_refused(1), pending_keys_max / 3, 2);
  EXPECT_EQ(reason, DropReason::UpcallPortLimit);
  EXPECT_NEAR(ask_until_refused(2), pending_keys_max * 2 / 9, 2);
  for (uint32_t port = 3; port < 900 && reason == DropReason::UpcallPortLimit; port++)
    EXPECT_GT(ask_until_refused(port), 0u);
  EXPECT_EQ(reason, DropReason::UpcallPending);
  EXPECT_EQ(flow, pending_keys_max);
}

TEST_F(UpcallRingTest, PacketTooLongForARecordIsRefusedByName) {
  EXPECT_EQ(fill(1, 1, 20000), UpcallResult::Refused);
  EXPECT_EQ(why, DropReason::UpcallTooLong);
}

TEST_F(UpcallRingTest, FullRingIsRefusedByName) {
  uint32_t flow = 0;
  for (uint32_t port = 1; port < 500; port++) fill(port, ++flow, 200);
  EXPECT_EQ(why, DropReason::UpcallRingFull);
}

TEST_F(UpcallRingTest, AnsweredCursorOutOfItsMindIsIgnored) {
  fill(1, 1);
  ring.publish(now_ns);
  const UpcallRecord* record = nullptr;
  for (const uint32_t cursor : {0x80000000u, 0xffffffffu, 64u * 1024, 321u}) {
    ends.upcalls().header->answered.value.store(cursor);
    EXPECT_EQ(ring.answered(record), nullptr) << cursor;
  }
  ends.upcalls().header->answered.value.store(320);
  EXPECT_NE(ring.answered(record), nullptr);
}

TEST_F(UpcallRingTest, NewSlowPathFindsWhatTheOldOneLeftUnanswered) {
  fill(1, 1);
  fill(1, 2);
  ring.publish(now_ns);
  const uint32_t both = ends.take_upcalls();
  ends.give_verdicts(both / 2);
  SlowPathEnds restarted(region.view(), 0, -1);
  EXPECT_EQ(restarted.take_upcalls(), both / 2);
  const auto* record = reinterpret_cast<const UpcallRecord*>(restarted.upcalls().bytes +
                                                             restarted.upcall_offset());
  EXPECT_EQ(record->key.tunnel_port, 2u);
}

TEST_F(UpcallRingTest, DoorbellRingsOncePerBatchThatFindsTheSlowPathIdle) {
  fill(1, 1);
  EXPECT_TRUE(ring.publish(now_ns));
  EXPECT_FALSE(ring.publish(now_ns));
  fill(1, 2);
  EXPECT_FALSE(ring.publish(now_ns + 1000));  // it has not caught up: it will look again by itself
  fill(1, 3);
  EXPECT_TRUE(ring.publish(now_ns + 2000000));  // unless it died; so ring again after a while
}

}  // namespace
}  // namespace vtep::test
