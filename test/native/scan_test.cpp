// test/native/scan_test.cpp — a port that scans: what it may hold, when it is dropped coarsely, and
// what is left for the others.
#include <gtest/gtest.h>

#include <set>

#include "action/action.h"
#include "datapath/coarse_drops.h"
#include "datapath/upcall_shares.h"
#include "datapath_support.h"

namespace vtep::test {
namespace {

constexpr uint64_t ms = 1'000'000;

class Shares : public testing::Test {
 protected:
  // Records that the asker is given until it is refused.
  uint32_t take_all(uint16_t asker) {
    uint32_t taken = 0;
    for (; shares.admit(asker, record, plenty, now_ns); taken++) shares.take(asker, record);
    return taken;
  }
  void give_back(uint16_t asker, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) shares.give_back(asker, record);
  }
  UpcallShares shares{HashSecret::from_seed(2)};
  const UpcallCost record{320, 1};
  const UpcallCost plenty{1u << 30, 1u << 30};
  uint64_t now_ns = 1000 * ms;
};

TEST_F(Shares, AnAskerAloneHoldsManyAndABurstBesides) {
  EXPECT_EQ(take_all(1), upcall_alone_max + upcall_port_burst);
  give_back(1, upcall_alone_max + upcall_port_burst);
  EXPECT_EQ(take_all(1), upcall_alone_max);
  give_back(1, upcall_alone_max);
  now_ns += 10 * ms;
  EXPECT_EQ(take_all(1), upcall_alone_max + upcall_port_rate / 100);
}

TEST_F(Shares, WhoCompetesHoldsFewOnceItsBurstIsSpent) {
  EXPECT_EQ(take_all(2), upcall_alone_max + upcall_port_burst);
  // What port 2 holds already is more than its share now.
  EXPECT_EQ(take_all(1), upcall_competing_max + upcall_port_burst);
  EXPECT_EQ(take_all(2), 0u);
  give_back(2, upcall_alone_max + upcall_port_burst);
  EXPECT_EQ(take_all(2), upcall_competing_max);
  give_back(1, upcall_competing_max + upcall_port_burst);
  EXPECT_EQ(take_all(1), upcall_competing_max);
  // Port 2 asks no more: nobody competes.
  now_ns += 101 * ms;
  EXPECT_EQ(take_all(1), upcall_alone_max - upcall_competing_max + 101 * upcall_port_rate / 1000);
}

TEST_F(Shares, NetworksBehindAnUplinkAndVlansOfATrunkAskForThemselves) {
  FlowKey key{};
  key.in_port = 7;
  EXPECT_EQ(shares.asker_of(key), 7);
  std::set<uint16_t> askers;
  for (uint32_t vni = 1; vni <= 3; vni++) {
    key.tunnel_id = vni;
    for (key.tunnel_src = 1; key.tunnel_src <= 3; key.tunnel_src++) {
      askers.insert(shares.asker_of(key));
      key.ip_src = be32(vni);
      EXPECT_TRUE(askers.contains(shares.asker_of(key)));
    }
  }
  key.tunnel_id = key.tunnel_src = 0;
  for (uint16_t vid = 1; vid <= 3; vid++) {
    key.vlan_tci = be16(vlan_present | vid);
    askers.insert(shares.asker_of(key));
  }
  EXPECT_EQ(askers.size(), 12u);
  for (const uint16_t asker : askers) EXPECT_TRUE(asker >= port_max && asker < asker_max);
}

class Coarse : public testing::Test {
 protected:
  static FlowKey from(uint32_t port, uint32_t source = 1) {
    FlowKey key{};
    key.in_port = port;
    key.eth_type = be16(0x0800);
    key.ip_src = be32(source);
    return key;
  }
  void answer(const FlowKey& key, bool denied, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) drops.answered(key, denied, now_ns);
  }
  CoarseDrops drops{HashSecret::from_seed(3)};
  uint64_t now_ns = 5000 * ms;
};

TEST_F(Coarse, AThousandDenialsInASecondStopThePortsQuestionsForAMoment) {
  answer(from(1), true, coarse_drop_after - 1);
  EXPECT_FALSE(drops.drops(from(1), now_ns));
  answer(from(1), true, 1);
  EXPECT_TRUE(drops.drops(from(1), now_ns));
  EXPECT_TRUE(drops.drops(from(1, 99), now_ns));  // all of the port
  EXPECT_FALSE(drops.drops(from(2), now_ns));
  EXPECT_FALSE(drops.drops(from(1), now_ns + coarse_drop_ns));
}

TEST_F(Coarse, DenialsThatTakeLongerAreNoScan) {
  for (uint32_t i = 0; i < 3 * coarse_drop_after; i++) {
    answer(from(1), true, 1);
    now_ns += 1 * ms;
    ASSERT_FALSE(drops.drops(from(1), now_ns));
  }
}

TEST_F(Coarse, OfAPortWithHonestNeighboursOnlyTheScannersAddressIsDropped) {
  for (uint32_t i = 0; i < coarse_drop_after; i++) {
    answer(from(1, 66), true, 1);
    answer(from(1, 77), false, i % 4 == 0 ? 1 : 0);
  }
  EXPECT_TRUE(drops.drops(from(1, 66), now_ns));
  EXPECT_FALSE(drops.drops(from(1, 77), now_ns));
  // The same address behind another network is somebody else.
  FlowKey other = from(1, 66);
  other.tunnel_id = 5;
  EXPECT_FALSE(drops.drops(other, now_ns));
}

// All that a trunk can have: each VLAN's entry is told from those that it shares a set with.
TEST_F(Coarse, NobodyIsDroppedForAnother) {
  constexpr uint16_t vlans = 4000;
  const auto in_vlan = [](uint16_t vid) {
    FlowKey key = from(9, vid);
    key.vlan_tci = be16(vlan_present | vid);
    return key;
  };
  answer(in_vlan(1), true, coarse_drop_after);
  ASSERT_TRUE(drops.drops(in_vlan(1), now_ns));
  for (uint16_t vid = 2; vid < vlans; vid++) {
    // Once unheard of, and once with an entry of its own.
    ASSERT_FALSE(drops.drops(in_vlan(vid), now_ns)) << vid;
    answer(in_vlan(vid), true, 1);
    ASSERT_FALSE(drops.drops(in_vlan(vid), now_ns)) << vid;
  }
  EXPECT_TRUE(drops.drops(in_vlan(1), now_ns));
}

TEST_F(Coarse, AScannerIsFoundAmongSourcesThatAreThereOnce) {
  for (uint32_t i = 0; i < coarse_drop_after; i++) {
    answer(from(1, 66), true, 1);
    for (uint32_t n = 0; n < 20; n++) answer(from(2, 1000 + 20 * i + n), false, 1);
  }
  EXPECT_TRUE(drops.drops(from(1, 66), now_ns));
  EXPECT_FALSE(drops.drops(from(2, 66), now_ns));
}

// Two ports with new flows all the time, and a slow path that answers so many in each round.
class Scan : public testing::Test {
 protected:
  static constexpr uint32_t rounds = 200;
  static constexpr uint32_t offered = 512;   // flows of each port and round
  static constexpr uint32_t capacity = 100;  // answers a round

  static DatapathConfig config() {
    DatapathConfig config = Bench::manual_config();
    config.flow_max = 1u << 18;
    return config;
  }
  Scan() : bench(config()) {
    bench.slow_path.mask = five_tuple_mask();
    for (const uint32_t port : {1u, 2u, 3u}) bench.add_memory_port(port);
  }
  // Flows of port 2 that were set up in a round, on average.
  double flows_of_port_2(uint32_t scanned, uint32_t of_port_2, bool denied) {
    uint32_t flows = 0;
    const auto decide = [&](const UpcallRecord& record) {
      if (record.in_port == 2) flows++;
      Decision decision{VerdictKind::Flow, {action_word(Op::Output), 3}};
      if (record.in_port == 1 && denied)
        decision.actions = {action_word(Op::Drop, static_cast<uint16_t>(DropReason::AclDeny))};
      return decision;
    };
    for (uint32_t round = 0; round < rounds; round++) {
      for (uint32_t i = 0; i < scanned; i++) inject(1);
      for (uint32_t i = 0; i < of_port_2; i++) inject(2);
      bench.run();
      bench.slow_path.answer(decide, capacity);
      if (round == rounds / 2) flows = 0;  // bursts are over by now
    }
    bench.run();
    return flows / (rounds / 2.0 - 1);
  }
  void inject(uint32_t port) {
    const uint32_t flow = next_flow++;
    bench.inject(port, udp_frame({.from = static_cast<uint8_t>(port),
                                  .source_port = static_cast<uint16_t>(flow),
                                  .target_port = static_cast<uint16_t>(1 + (flow >> 16))}));
  }
  Bench bench;
  uint32_t next_flow = 0;
};

TEST_F(Scan, LeavesAnotherPortHalfOfWhatItHasAlone) {
  const double alone = flows_of_port_2(0, offered, false);
  // Who competes is told by the clock: where other programs hold the test up for longer than that,
  // a port seems to have gone. So it has some tries.
  double beside_a_scan = 0;
  for (int tries = 0; tries < 5 && beside_a_scan < alone / 2 - 1; tries++)
    beside_a_scan = flows_of_port_2(offered, offered, false);
  EXPECT_NEAR(alone, capacity, 1);
  EXPECT_GE(beside_a_scan, alone / 2 - 1);
}

TEST_F(Scan, LeavesAPortThatAsksForLessThanHalfAll) {
  constexpr uint32_t few = capacity / 3;
  const double alone = flows_of_port_2(0, few, false);
  const double beside_a_scan = flows_of_port_2(offered, few, false);
  EXPECT_NEAR(alone, few, 0.5);
  EXPECT_GE(beside_a_scan, alone - 0.5);  // more is what waited when the count began
}

TEST_F(Scan, ThatIsDeniedIsDroppedCoarselyAndLeavesNearlyAll) {
  const double alone = flows_of_port_2(0, offered, false);
  const double beside_a_scan = flows_of_port_2(offered, offered, true);
  EXPECT_GT(bench.drops(1, DropReason::UpcallScan), 0u);
  EXPECT_EQ(bench.drops(2, DropReason::UpcallScan), 0u);
  EXPECT_GE(beside_a_scan, alone / 2 - 1);
}

}  // namespace
}  // namespace vtep::test
