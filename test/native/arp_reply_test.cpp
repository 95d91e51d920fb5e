// test/native/arp_reply_test.cpp — answers to ARP and ND questions, in place.
#include "action/arp_reply.h"

#include <gtest/gtest.h>

#include "test/native/action_support.h"

namespace vtep::test {
namespace {

const Bytes answer_mac = {2, 0, 0, 0, 0, 2};

TEST(ArpReply, ARequestComesBackAsTheReplyWithItsTag) {
  for (const uint16_t vid : {0, 12}) {
    World world;
    world.run(with_mac(Op::ArpReply, answer_mac) + output(1), build_arp(1, vid));
    ASSERT_EQ(world.out(1).size(), 1u);
    Bytes wanted = build_arp(2, vid);
    const uint32_t arp = vid != 0 ? 18 : 14;
    std::copy(wanted.begin() + 6, wanted.begin() + 12, wanted.begin());
    std::copy(answer_mac.begin(), answer_mac.end(), wanted.begin() + 6);
    const Bytes tail = {2, 0, 0, 0, 0, 2, 10, 0, 0, 2, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1};
    std::copy(tail.begin(), tail.end(), wanted.begin() + arp + 8);
    EXPECT_EQ(world.out(1)[0], wanted);
    EXPECT_EQ(world.counted(WorkerCounter::ArpReplies), 1u);
    EXPECT_EQ(world.leaked(), 0u);
  }
}

TEST(ArpReply, ARequestFromATunnelIsAnsweredThroughThatTunnel) {
  World world;
  world.run_packet(with_mac(Op::ArpReply, answer_mac) + output(uplink),
                   packet_of(*world.frames, build_arp(1), uplink), tunnel_v4);
  ASSERT_EQ(world.out(uplink).size(), 1u);
  EXPECT_EQ(number(inner_frame(world.out(uplink)[0]), 20, 2), 2u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(ArpReply, WhatIsNoRequestIsBadArp) {
  World world;
  world.run(with_mac(Op::ArpReply, answer_mac) + output(1), build_arp(2));
  world.run(with_mac(Op::ArpReply, answer_mac) + output(1), build({}));
  EXPECT_EQ(world.drops(DropReason::BadArp), 2u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(NdReply, ASolicitationComesBackAsASolicitedAdvertisementWithTheTargetsAddress) {
  for (const bool option : {false, true}) {
    World world;
    world.run(with_mac(Op::NdReply, answer_mac, 1) + output(1), build_solicitation(false, option));
    ASSERT_EQ(world.out(1).size(), 1u);
    const Bytes out = world.out(1)[0];
    EXPECT_EQ(judge(out), "");
    EXPECT_EQ(out.size(), 14u + 40 + 32);
    EXPECT_EQ(slice(out, 0, 12), (Bytes{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}));
    EXPECT_EQ(out[14 + 7], 255);
    EXPECT_EQ(out[14 + 8 + 15], 2) << "from the target";
    EXPECT_EQ(out[14 + 24 + 15], 1) << "to the asker";
    EXPECT_EQ(number(out, 54, 2), 0x8800u);
    EXPECT_EQ(out[58], 0xe0) << "router, solicited, override";
    EXPECT_EQ(slice(out, 78, 86), (Bytes{2, 1, 2, 0, 0, 0, 0, 2}));
    EXPECT_EQ(world.leaked(), 0u);
  }
}

TEST(NdReply, ADadProbeIsAnsweredToAllNodesUnsolicited) {
  World world;
  world.run(with_mac(Op::NdReply, answer_mac) + output(1), build_solicitation(true, false));
  ASSERT_EQ(world.out(1).size(), 1u);
  const Bytes out = world.out(1)[0];
  EXPECT_EQ(judge(out), "");
  EXPECT_EQ(slice(out, 0, 6), (Bytes{0x33, 0x33, 0, 0, 0, 1}));
  EXPECT_EQ(number(out, 38, 2), 0xff02u);
  EXPECT_EQ(out[58], 0x20);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(NdReply, WhatIsNoValidSolicitationIsBadL4) {
  World world;
  Bytes routed = build_solicitation(false, true);
  routed[14 + 7] = 254;  // came through a router
  Bytes advert = build_solicitation(false, true);
  advert[54] = 136;
  Bytes multicast = build_solicitation(false, true);
  multicast[54 + 8] = 0xff;
  for (const Bytes& bytes : {routed, advert, multicast, build({})}) {
    Packet packet = packet_of(*world.frames, bytes);
    const View at = view(bytes);
    PacketInfo info;
    info.l3 = static_cast<uint16_t>(at.l3);
    info.l4 = static_cast<uint16_t>(at.l4);
    EXPECT_EQ(turn_nd_solicitation(world.pool, packet, info, {{2, 0, 0, 0, 0, 2}, false}),
              DropReason::BadL4);
    EXPECT_EQ(bytes_of(packet), bytes);
    world.frames->free(packet);
  }
  world.run(with_mac(Op::NdReply, answer_mac) + output(1), build({}));
  EXPECT_EQ(world.drops(DropReason::BadL4), 1u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(NdReply, AFrameWithoutRoomForTheOptionIsNoFrames) {
  World world;
  const Bytes bytes = build_solicitation(false, false);
  Packet packet = packet_of(*world.frames, bytes);
  uint8_t* end = world.pool.base(packet.frame) + small_frame_bytes;
  memmove(end - bytes.size(), packet.data, bytes.size());
  packet.data = end - bytes.size();
  world.run_packet(with_mac(Op::NdReply, answer_mac) + output(1), packet);
  EXPECT_EQ(world.drops(DropReason::NoFrames), 1u);
  EXPECT_EQ(world.leaked(), 0u);
}

}  // namespace
}  // namespace vtep::test
