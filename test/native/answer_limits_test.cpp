// test/native/answer_limits_test.cpp — who floods us with questions harms nobody else's answers.
#include "action/answer_limits.h"

#include <gtest/gtest.h>

#include "test/native/action_support.h"

namespace vtep::test {
namespace {

using Program = std::vector<uint32_t>;

const Bytes our_mac = {2, 0, 0, 0, 0, 2};
constexpr uint32_t flooder = 1;
constexpr uint32_t neighbour = 2;
constexpr uint64_t second_ns = 1000000000;

FrameSpec echo() {
  FrameSpec spec;
  spec.proto = 1;
  spec.sport = 8;
  spec.dport = 0;
  return spec;
}

FrameSpec dying() {
  FrameSpec spec;
  spec.proto = 17;
  spec.ttl = 1;
  return spec;
}

// A question that is answered out of the port it came in by, and how often a second it may be.
struct Question {
  const char* name;
  Program program;
  Bytes frame;
  bool reply;  // the packet becomes the answer; else it is dropped for a reason of its own
};

Program to(Program program, uint32_t port) { return program + output(port); }

std::vector<Question> questions(uint32_t port) {
  return {
      {"ARP", to(with_mac(Op::ArpReply, our_mac), port), build_arp(1), true},
      {"ND", to(with_mac(Op::NdReply, our_mac, 1), port), build_solicitation(false, true), true},
      {"echo", to({action_word(Op::EchoReply)}, port), build(echo()), true},
      {"time exceeded", to(dec_ttl(0x0a0000fe), 3), build(dying()), false},
      {"reject", {action_word(Op::Reject)}, build(FrameSpec{}), false},
  };
}

TEST(AnswerLimits, AFloodOfOnePortIsCutToItsPartAndNamedAndLeavesOthersTheirs) {
  for (size_t kind = 0; kind < questions(flooder).size(); kind++) {
    World world;
    const Question flood = questions(flooder)[kind];
    const uint32_t burst = flood.reply ? reply_port_burst : icmp_error_port_burst;
    const uint32_t rate = flood.reply ? reply_port_rate : icmp_error_port_rate;
    for (uint32_t i = 0; i < burst + 70; i++) world.run(flood.program, flood.frame, flooder);
    EXPECT_EQ(world.stage.sent[flooder].size(), burst) << flood.name;
    EXPECT_EQ(world.drops(DropReason::AnswerLimit, flooder), 70u) << flood.name;
    // What is dropped for a reason of its own keeps that reason as well.
    EXPECT_EQ(world.total_drops(), flood.reply ? 70 : burst + 2 * 70) << flood.name;
    for (const Question& asked : questions(neighbour))
      world.run(asked.program, asked.frame, neighbour);
    EXPECT_EQ(world.stage.sent[neighbour].size(), 5u) << "beside a flood of " << flood.name;
    EXPECT_EQ(world.drops(DropReason::AnswerLimit, neighbour), 0u);
    // And the flooder is answered again as time goes by.
    world.context.now_ns += 10 * second_ns / rate;
    for (uint32_t i = 0; i < 50; i++) world.run(flood.program, flood.frame, flooder);
    EXPECT_EQ(world.stage.sent[flooder].size(), burst + 10) << flood.name;
    EXPECT_EQ(world.leaked(), 0u);
  }
}

TEST(AnswerLimits, AFloodOfQuestionsDoesNotTakeTheErrorsOfItsOwnPort) {
  World world;
  const std::vector<Question> all = questions(flooder);
  for (uint32_t i = 0; i < reply_port_burst + 5; i++)
    world.run(all[0].program, all[0].frame, flooder);
  world.run(all[3].program, all[3].frame, flooder);
  EXPECT_EQ(world.counted(WorkerCounter::IcmpErrors), 1u);
  EXPECT_EQ(world.drops(DropReason::AnswerLimit, flooder), 5u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(AnswerLimits, AnAnswerWithMoreInItCountsOnce) {
  World world;
  Program advert = with_mac(Op::SetEthSrc, our_mac) + Program{1450};
  advert[0] = action_word(Op::RouterAdvert, 1800);
  const Program both = with_mac(Op::NdReply, our_mac, 1) + output(flooder) + advert;
  for (uint32_t i = 0; i < reply_port_burst; i++)
    world.run(both + output(flooder), build_solicitation(false, true), flooder);
  EXPECT_EQ(world.stage.sent[flooder].size(), 2 * reply_port_burst);
  EXPECT_EQ(world.total_drops(), 0u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(AnswerLimits, NetworksOfARemoteHostHaveTheirPartsBehindOneUplink) {
  World world;
  const Program program = dec_ttl(0x0a0000fe) + output(3);
  const auto send = [&](uint16_t tunnel) {
    world.run_packet(program, packet_of(*world.frames, build(dying()), uplink), tunnel);
  };
  // A secret under which the two do not share a place.
  world.context.entropy_secret = HashSecret::from_seed(2);
  for (uint32_t i = 0; i < icmp_error_port_burst + 5; i++) send(tunnel_v4);
  EXPECT_EQ(world.drops(DropReason::AnswerLimit, uplink), 5u);
  send(tunnel_geneve);
  EXPECT_EQ(world.drops(DropReason::AnswerLimit, uplink), 5u);
  EXPECT_EQ(world.counted(WorkerCounter::IcmpErrors), icmp_error_port_burst + 1);
  EXPECT_EQ(world.leaked(), 0u);
}

}  // namespace
}  // namespace vtep::test
