// test/native/execute_test.cpp — programs on packets: where they go, how they look, why they end.
#include "action/execute.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <utility>

#include "packet/gso.h"
#include "test/native/action_support.h"

namespace vtep::test {
namespace {

TEST(Execute, OneOutputMovesThePacketAndSeveralCopyIt) {
  World world;
  world.run(output(2), build({}));
  world.run(output(2) + with_arg(Op::PushVlan, 8) + output(3), build({}));
  FrameSpec tagged;
  tagged.vid = 8;
  EXPECT_EQ(world.out(2), (std::vector<Bytes>{build({}), build({})}));
  EXPECT_EQ(world.out(3), (std::vector<Bytes>{build(tagged)}));
  EXPECT_EQ(world.total_drops(), 0u);
  EXPECT_EQ(world.leaked(), 0u);
}

std::vector<FrameSpec> all_sorts() {
  std::vector<FrameSpec> specs;
  for (const uint8_t proto : {6, 17, 1, 132})
    for (const uint32_t payload : {0u, 1u, 100u, 1300u, 3000u})
      for (const bool ipv6 : {false, true})
        for (const bool df : {false, true}) {
          FrameSpec spec;
          spec.ipv6 = ipv6;
          spec.proto = ipv6 && proto == 1 ? uint8_t{58} : proto;
          spec.payload = payload;
          spec.df = df;
          spec.tos = static_cast<uint8_t>(payload % 251);
          spec.tcp_flags = payload == 0 ? 0x02 : 0x10;
          spec.mss = proto == 6 && payload == 0 ? 1460 : 0;
          specs.push_back(spec);
        }
  return specs;
}

// What a router does to all that it forwards.
std::vector<uint32_t> router() {
  return dec_ttl(0x0a000001) + with_mac(Op::SetEthSrc, {2, 0, 0, 0, 1, 1}) + enforce_mtu(1500) +
         with_mac(Op::SetEthDst, {2, 0, 0, 0, 1, 2});
}

TEST(Straight, WhatGoesStraightLeavesAsExecuteSendsIt) {
  World straight;
  World stepwise;
  stepwise.may_go_straight = false;
  stepwise.context.entropy_secret = straight.context.entropy_secret;
  for (const FrameSpec& spec : all_sorts()) {
    for (const uint32_t tunnel : {tunnel_v4, tunnel_v6, tunnel_geneve}) {
      straight.run(enforce_mtu(1400, tunnel) + output_tunnel(tunnel, 0x123456, 9), build(spec));
      stepwise.run(enforce_mtu(1400, tunnel) + output_tunnel(tunnel, 0x123456, 9), build(spec));
    }
    for (const uint8_t ttl : {0, 1, 2, 64}) {
      FrameSpec routed = spec;
      routed.ttl = ttl;
      for (const auto& way : {enforce_mtu(1400, tunnel_v4) + output_tunnel(tunnel_v4, 7, 9),
                              output_tunnel(tunnel_geneve, 7, 9), enforce_mtu(1300) + output(2),
                              output(1)}) {
        straight.run(router() + way, build(routed));
        stepwise.run(router() + way, build(routed));
      }
    }
    straight.run(enforce_mtu(1500) + output(2), build(spec));
    stepwise.run(enforce_mtu(1500) + output(2), build(spec));
    straight.run(output(1), build(spec));
    stepwise.run(output(1), build(spec));
  }
  for (const uint32_t port : {1u, 2u, uplink}) EXPECT_EQ(straight.out(port), stepwise.out(port));
  EXPECT_GT(straight.out(uplink).size(), 100u);
  EXPECT_EQ(straight.port_drops, stepwise.port_drops);
  EXPECT_EQ(straight.leaked() + stepwise.leaked(), 0u);
}

TEST(Execute, ProgramsThatSendNowhereAreNoOutput) {
  World world;
  world.run({}, build({}));
  world.run(with_arg(Op::SetDscp, 1), build({}));
  EXPECT_EQ(world.drops(DropReason::NoOutput), 2u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, PortsAndTunnelsThatAreGoneAreNamed) {
  World world;
  world.run(output(55), build({}));
  world.stage.remove_port(uplink);
  world.run(output_tunnel(tunnel_v4), build({}));
  EXPECT_EQ(world.drops(DropReason::PortGone), 2u);
  world.run(output_tunnel(77), build({}));
  EXPECT_EQ(world.drops(DropReason::TunnelGone), 1u);
  world.run(output_tunnel(tunnel_unresolved), build({}));
  EXPECT_EQ(world.drops(DropReason::TunnelUnresolved), 1u);
  EXPECT_EQ(world.total_drops(), 4u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, BackOutOfTheSamePortGoesOnlyWhatWasChanged) {
  World world;
  world.run(output(1), build({}));
  EXPECT_EQ(world.drops(DropReason::SamePort), 1u);
  FrameSpec trunk;
  trunk.vid = 10;
  world.run(with_arg(Op::PopVlan) + with_arg(Op::PushVlan, 20) + output(1), build(trunk));
  trunk.vid = 20;
  EXPECT_EQ(world.out(1), (std::vector<Bytes>{build(trunk)}));
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, AGroupServesEveryMemberButTheSender) {
  World world;
  Group group;
  using Kind = GroupMember::Kind;
  group.members = {{Kind::Port, 1, 0}, {Kind::Port, 2, 0}, {Kind::Port, 3, 30},
                   {Kind::Tunnel, tunnel_v4, 0}, {Kind::Tunnel, tunnel_geneve, 0}};
  world.tables->groups[1] = &group;
  world.run(output_group(1), build({}));
  FrameSpec tagged;
  tagged.vid = 30;
  EXPECT_TRUE(world.out(1).empty());
  EXPECT_EQ(world.out(2), (std::vector<Bytes>{build({})}));
  EXPECT_EQ(world.out(3), (std::vector<Bytes>{build(tagged)}));
  ASSERT_EQ(world.out(uplink).size(), 2u);
  for (const Bytes& outer : world.out(uplink)) EXPECT_EQ(inner_frame(outer), build({}));
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, AGroupServesAMemberAsFarAsItsMeterGoes) {
  World world;
  world.context.now_ns = 1;
  Group group;
  using Kind = GroupMember::Kind;
  group.members = {{Kind::Port, 2, 0, 7}, {Kind::Port, 3, 0}};
  world.tables->groups[1] = &group;
  const uint64_t bytes = build({}).size();
  const MeterConfig two_frames{1, 2 * bytes, false};
  world.tables->meters[7] = &two_frames;
  for (int i = 0; i < 3; i++) world.run(output_group(1), build({}));
  EXPECT_EQ(world.out(2).size(), 2u);
  EXPECT_EQ(world.out(3).size(), 3u);
  EXPECT_EQ(world.drops(DropReason::MeterExceeded), 1u);
  // Members for whom there is no room are members: the group is not empty.
  group.members.pop_back();
  world.run(output_group(1), build({}));
  EXPECT_EQ(world.drops(DropReason::MeterExceeded), 2u);
  EXPECT_EQ(world.drops(DropReason::GroupEmpty), 0u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, AGroupSplitsTheHorizonForPacketsFromATunnel) {
  World world;
  Group group;
  using Kind = GroupMember::Kind;
  group.members = {{Kind::Port, 2, 0}, {Kind::Tunnel, tunnel_v4, 0}};
  world.tables->groups[1] = &group;
  world.run_packet(output_group(1), packet_of(*world.frames, build({}), uplink), tunnel_v6);
  EXPECT_EQ(world.out(2).size(), 1u);
  EXPECT_TRUE(world.out(uplink).empty());
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, TwoNetworksPortsBehindOneTrunkHearEachOther) {
  World world;
  Group group;
  using Kind = GroupMember::Kind;
  group.members = {{Kind::Port, 1, 10}, {Kind::Port, 1, 20}};
  world.tables->groups[1] = &group;
  FrameSpec spec;
  spec.vid = 10;
  world.run(with_arg(Op::PopVlan) + output_group(1), build(spec));
  spec.vid = 20;
  EXPECT_EQ(world.out(1), (std::vector<Bytes>{build(spec)}));
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, AGroupThatIsGoneEmptyOrOnlyTheSenderIsGroupEmpty) {
  World world;
  Group group;
  group.members = {{GroupMember::Kind::Port, 1, 0}};
  world.tables->groups[1] = &group;
  const Group empty;
  world.tables->groups[2] = &empty;
  for (const uint32_t number : {1u, 2u, 3u}) world.run(output_group(number), build({}));
  EXPECT_EQ(world.drops(DropReason::GroupEmpty), 3u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, CopiesThatFindNoFrameAreNoFramesAndThePacketGoesOn) {
  World world(1, 1);
  Packet packet = packet_of(*world.frames, build({}));
  world.run_packet(output(2) + output(3), packet);
  EXPECT_EQ(world.drops(DropReason::NoFrames), 1u);
  EXPECT_TRUE(world.out(2).empty() != world.out(3).empty());
}

TEST(Execute, AnUnfinishedInnerChecksumIsFinishedBeforeTheTunnel) {
  for (const uint32_t tunnel : {tunnel_v4, tunnel_v6, tunnel_geneve}) {
    World world;
    world.uplink_takes(tx_can_checksum);
    Packet packet = packet_of(*world.frames, build({}));
    leave_to_device(packet, 0);
    world.run_packet(enforce_mtu(1450, tunnel) + output_tunnel(tunnel), packet);
    ASSERT_EQ(world.out(uplink).size(), 1u);
    EXPECT_EQ(inner_frame(world.out(uplink)[0]), build({}));
    EXPECT_EQ(world.leaked(), 0u);
  }
}

TEST(Execute, ASuperpacketIsSegmentedBeforeATunnelWhoseUplinkCannot) {
  World world;
  FrameSpec spec;
  spec.payload = 10000;
  Packet packet = packet_of(*world.frames, build(spec));
  leave_to_device(packet, 1400);
  world.run_packet(enforce_mtu(1450) + output_tunnel(tunnel_v4), packet);
  ASSERT_EQ(world.out(uplink).size(), 8u);
  for (const Bytes& outer : world.out(uplink)) EXPECT_EQ(judge(outer), "");
  const uint32_t column = static_cast<uint32_t>(PortCounter::TxSegments);
  EXPECT_EQ(world.context.port_counters[uplink][column], 8u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, ASuperpacketThatCannotBeSegmentedIsBadSegmentation) {
  World world;
  FrameSpec spec;
  spec.payload = 60000;
  Packet packet = packet_of(*world.frames, build(spec));
  leave_to_device(packet, 10);  // 6000 segments
  world.run_packet(output_tunnel(tunnel_v4), packet);
  EXPECT_EQ(world.drops(DropReason::BadSegmentation), 1u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, SynsHaveTheirMssLoweredToTheMtu) {
  for (const bool ipv6 : {false, true}) {
    for (const bool odd : {false, true}) {
      for (const bool left : {false, true}) {
        World world;
        FrameSpec spec;
        spec.ipv6 = ipv6;
        spec.tcp_flags = 0x02;
        spec.payload = 0;
        spec.mss = 1460;
        spec.mss_odd = odd;
        Packet packet = packet_of(*world.frames, build(spec));
        if (left) leave_to_device(packet, 0);
        world.run_packet(enforce_mtu(1400) + output(2), packet);
        ASSERT_EQ(world.out(2).size(), 1u);
        const Bytes out = world.out(2)[0];
        EXPECT_EQ(number(out, view(out).l4 + 22 + (odd ? 1 : 0), 2), ipv6 ? 1340u : 1360u);
        EXPECT_EQ(judge(out, left), "") << ipv6 << odd << left;
        EXPECT_EQ(world.counted(WorkerCounter::MssClamps), 1u);
        world.run(enforce_mtu(9000) + output(3), build(spec));
        EXPECT_EQ(world.out(3), (std::vector<Bytes>{build(spec)}));
        EXPECT_EQ(world.counted(WorkerCounter::MssClamps), 1u);
      }
    }
  }
}

TEST(Execute, AnIpv4PacketWithoutDfIsFragmentedAndTheRestOfTheProgramRunsOnThePieces) {
  World world;
  FrameSpec spec;
  spec.proto = 17;
  spec.payload = 3000;
  spec.df = false;
  Packet packet = packet_of(*world.frames, build(spec));
  leave_to_device(packet, 0);
  world.run_packet(enforce_mtu(1450) + with_arg(Op::PushVlan, 4) + output(2), packet);
  const std::vector<Bytes> out = world.out(2);
  ASSERT_EQ(out.size(), 3u);
  Bytes payload;
  for (const Bytes& piece : out) {
    EXPECT_EQ(judge(piece), "");
    EXPECT_EQ(view(piece).tags, 1);
    payload.insert(payload.end(), piece.begin() + 18 + 20, piece.end());
  }
  const Bytes whole = build(spec);
  EXPECT_EQ(payload, slice(whole, 34, static_cast<uint32_t>(whole.size())));
  EXPECT_EQ(world.total_drops(), 0u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, SuperpacketsAreJudgedBySegmentNotByLength) {
  World world;
  FrameSpec spec;
  spec.payload = 20000;
  Packet packet = packet_of(*world.frames, build(spec));
  leave_to_device(packet, 1410);  // 1450 with its headers
  world.run_packet(enforce_mtu(1450) + output(2), packet);
  EXPECT_EQ(world.out(2).size(), 1u);
  packet = packet_of(*world.frames, build(spec));
  leave_to_device(packet, 1411);
  world.run_packet(enforce_mtu(1450) + output(2), packet);
  EXPECT_EQ(world.drops(DropReason::MtuExceeded), 1u);
  EXPECT_EQ(world.counted(WorkerCounter::IcmpErrors), 1u);
  spec.df = false;
  spec.payload = 3000;
  packet = packet_of(*world.frames, build(spec));
  leave_to_device(packet, 1500);
  world.run_packet(enforce_mtu(1450) + output(3), packet);
  EXPECT_EQ(world.out(3).size(), 4u) << "two segments, two fragments each";
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, TheTunnelsOwnMtuCountsToo) {
  World world;
  FrameSpec spec;
  spec.payload = 1431 - 40;
  world.run(enforce_mtu(9000, tunnel_v6) + output_tunnel(tunnel_v6), build(spec));
  EXPECT_EQ(world.drops(DropReason::MtuExceeded), 1u);
  spec.payload--;
  world.run(enforce_mtu(9000, tunnel_v6) + output_tunnel(tunnel_v6), build(spec));
  EXPECT_EQ(world.out(uplink).size(), 1u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, MirrorsUpcallsCommitsAndDropsDoTheirPartEach) {
  World world;
  world.run(with_word(Op::Mirror, 3) + with_arg(Op::Upcall, 2) + with_word(Op::CtCommit, 12) +
                with_arg(Op::Drop, static_cast<uint16_t>(DropReason::AclDeny)),
            build({}));
  EXPECT_EQ(world.out(3).size(), 1u);
  EXPECT_EQ(world.host.upcalls, (std::vector<UpcallReason>{UpcallReason::Learn}));
  EXPECT_EQ(world.host.zones, (std::vector<uint16_t>{12}));
  EXPECT_EQ(world.drops(DropReason::AclDeny), 1u);
  world.run(with_arg(Op::Upcall, 1), build({}));
  EXPECT_EQ(world.total_drops(), 1u) << "an upcall is a way to go";
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Execute, ASampleTakesItsShare) {
  World world;
  const std::vector<uint32_t> quarter = {action_word(Op::Sample), 1u << 30, 3};
  for (int i = 0; i < 1000; i++) world.run(quarter + output(2), build({}));
  EXPECT_EQ(world.out(2).size(), 1000u);
  EXPECT_GT(world.out(3).size(), 180u);
  EXPECT_LT(world.out(3).size(), 320u);
}

TEST(Execute, ProgramsThatAreNotWellFormedAreNotValid) {
  const auto valid = [](std::vector<uint32_t> words) {
    return validate(words.data(), static_cast<uint32_t>(words.size()));
  };
  EXPECT_TRUE(valid({}));
  EXPECT_TRUE(valid(enforce_mtu(1450, 3) + output_tunnel(3)));
  EXPECT_FALSE(valid({0}));
  EXPECT_FALSE(valid({static_cast<uint32_t>(Op::Count) | 1 << 8}));
  EXPECT_FALSE(valid({action_word(Op::Output)}));
  EXPECT_FALSE(valid({static_cast<uint32_t>(Op::Output) | 1 << 8, 2}));
  EXPECT_FALSE(valid(output(0)));
  EXPECT_FALSE(valid(output(port_max)));
  EXPECT_FALSE(valid(output_tunnel(0)));
  EXPECT_FALSE(valid(output_tunnel(tunnel_max)));
  EXPECT_FALSE(valid(output_tunnel(1, 1 << 24)));
  EXPECT_FALSE(valid(output_group(group_max)));
  EXPECT_FALSE(valid(with_arg(Op::PushVlan, 0)));
  EXPECT_FALSE(valid(with_arg(Op::PushVlan, 4095)));
  EXPECT_FALSE(valid(with_arg(Op::SetDscp, 64)));
  EXPECT_FALSE(valid(with_word(Op::Meter, meter_max)));
  EXPECT_FALSE(valid(with_arg(Op::Drop, 0)));
  EXPECT_FALSE(valid(with_arg(Op::Drop, drop_reason_count)));
  EXPECT_FALSE(valid(with_word(Op::CtCommit, 0x10000)));
  EXPECT_FALSE(valid(std::vector<uint32_t>(action_words_max + 1, action_word(Op::PopVlan))));
}

// Random packets through random programs: nothing leaks, and every frame that leaves was right when
// it came.
class RandomPrograms {
 public:
  explicit RandomPrograms(uint32_t seed) : random_(seed) {}

  uint32_t pick(uint32_t count) { return static_cast<uint32_t>(random_() % count); }

  std::vector<uint32_t> program() {
    std::vector<uint32_t> words;
    const uint32_t actions = pick(7);
    for (uint32_t i = 0; i < actions; i++) {
      std::vector<uint32_t> next = action();
      if (words.size() + next.size() <= action_words_max) words = words + next;
    }
    return words;
  }

  FrameSpec frame() {
    static constexpr uint8_t protos[] = {6, 17, 1, 58, 132};
    FrameSpec spec;
    spec.proto = protos[pick(5)];
    spec.ipv6 = spec.proto == 58 || (spec.proto != 1 && pick(2) != 0);
    spec.payload = pick(4) == 0 ? pick(60000) : pick(1600);
    spec.vid = pick(3) == 0 ? 1 + pick(4000) : 0;
    spec.vid2 = spec.vid != 0 && pick(3) == 0 ? 5 : 0;
    spec.tcp_flags = static_cast<uint8_t>(pick(4) == 0 ? 2 : 16);
    spec.mss = pick(2) != 0 ? 1460 : 0;
    spec.df = pick(2) != 0;
    spec.ttl = static_cast<uint8_t>(pick(4));
    spec.tos = static_cast<uint8_t>(pick(256));
    if (spec.proto == 1) spec.sport = 8, spec.dport = 0;
    if (spec.proto == 58) spec.sport = 128, spec.dport = 0;
    return spec;
  }

 private:
  std::vector<uint32_t> action() {
    const Bytes v4 = {10, 1, static_cast<uint8_t>(pick(256)), static_cast<uint8_t>(pick(256))};
    const Bytes v6(16, static_cast<uint8_t>(pick(256)));
    const uint16_t number = static_cast<uint16_t>(pick(65536));
    switch (pick(23)) {
      case 0: return output(1 + pick(4));
      case 1: return output_tunnel(1 + pick(5), pick(1 << 24), number);
      case 2: return output_group(1 + pick(2));
      case 3: return with_mac(Op::SetEthSrc, {2, 3, 4, 5, 6, 7});
      case 4: return with_mac(Op::SetEthDst, {2, 3, 4, 5, 6, 8});
      case 5: return with_arg(Op::PushVlan, 1 + number % 4000);
      case 6: return with_arg(Op::PopVlan);
      case 7: return with_address(Op::SetIpv4Src, v4);
      case 8: return with_address(Op::SetIpv4Dst, v4);
      case 9: return with_address(Op::SetIpv6Src, v6);
      case 10: return with_address(Op::SetIpv6Dst, v6);
      case 11: return with_arg(Op::SetTpSrc, number);
      case 12: return with_arg(Op::SetTpDst, number);
      case 13: return with_arg(Op::SetDscp, number % 64);
      case 14: return dec_ttl(pick(2) * 0x0a000009);
      case 15: return with_mac(Op::ArpReply, {2, 3, 4, 5, 6, 7});
      case 16: return with_mac(Op::NdReply, {2, 3, 4, 5, 6, 7}, 1);
      case 17: return enforce_mtu(pick(2) * (600 + pick(1500)), pick(6));
      case 18: return with_word(Op::Meter, 1);
      case 19: return with_word(Op::Mirror, 1 + pick(4));
      case 20: return with_arg(Op::Upcall, 1);
      case 21: return {action_word(Op::Reject)};
      default: return {action_word(Op::Sample), 1u << 31, 1 + pick(3)};
    }
  }

  std::mt19937 random_;
};

// Whether a packet that leaves is right, once everything left to the device is done.
void judge_sent(World& world) {
  std::vector<Packet> out(segments_max);
  // Taken out first: should the judge throw, the world must not free these packets once more.
  const auto sent = std::exchange(world.stage.sent, {});
  for (auto& [port, packets] : sent) {
    for (const Packet& packet : packets) {
      Finished finished;
      const uint32_t count =
          finish_tx(*world.frames, 0, packet, {out.data(), segments_max}, finished);
      for (uint32_t i = 0; i < count; i++) {
        EXPECT_EQ(judge(bytes_of(out[i])), "") << "port " << port;
        world.frames->free(out[i]);
      }
    }
  }
}

TEST(Execute, RandomProgramsOnRandomPacketsLeakNothingAndBreakNoChecksum) {
  const char* given = getenv("VTEP_SEED");
  const uint32_t seed =
      given != nullptr ? static_cast<uint32_t>(atol(given)) : std::random_device{}();
  SCOPED_TRACE("VTEP_SEED=" + std::to_string(seed));
  RandomPrograms random(seed);
  World world;
  world.context.now_ns = 1;
  Group group;
  using Kind = GroupMember::Kind;
  group.members = {{Kind::Port, 1, 0, 1}, {Kind::Port, 2, 9}, {Kind::Tunnel, tunnel_v6, 0}};
  world.tables->groups[1] = &group;
  const MeterConfig meter{1000000, 100000, false};
  world.tables->meters[1] = &meter;
  for (int round = 0; round < 4000 && !testing::Test::HasFailure(); round++) {
    world.context.now_ns += 1000000;
    world.uplink_takes(static_cast<uint8_t>(random.pick(8)));
    const FrameSpec spec = random.frame();
    Packet packet = packet_of(*world.frames, build(spec), 1 + random.pick(3));
    const bool whole = spec.proto == 6 || spec.proto == 17;
    const uint32_t gso_size = spec.payload > 1600 ? 600 + random.pick(900) : 0;
    if (whole && random.pick(2) != 0) leave_to_device(packet, static_cast<uint16_t>(gso_size));
    const uint16_t tunnel = random.pick(3) == 0 ? tunnel_geneve : 0;
    world.run_packet(random.program(), packet, tunnel);
    judge_sent(world);
    if (round % 100 == 0) {
      ASSERT_EQ(world.leaked(), 0u);
    }
  }
  EXPECT_EQ(world.leaked(), 0u);
}

}  // namespace
}  // namespace vtep::test
