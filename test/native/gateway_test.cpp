// test/native/gateway_test.cpp — what a gateway answers: pings, router solicitations, and why not.
#include <gtest/gtest.h>

#include "action/echo_reply.h"
#include "action/router_advert.h"
#include "test/native/action_support.h"

namespace vtep::test {
namespace {

using Program = std::vector<uint32_t>;

const Bytes gateway_mac = {2, 0, 0, 0, 0, 2};

FrameSpec echo(bool ipv6) {
  FrameSpec spec;
  spec.ipv6 = ipv6;
  spec.proto = ipv6 ? 58 : 1;
  spec.sport = ipv6 ? 128 : 8;
  spec.dport = 0;
  spec.ttl = 3;
  return spec;
}

Program unreachable(UnreachableKind kind, uint32_t v4_source) {
  Program words(6);
  words[0] = action_word(Op::Unreachable, static_cast<uint16_t>(kind));
  store_be32(reinterpret_cast<uint8_t*>(&words[1]), be32(v4_source));
  if (v4_source != 0) reinterpret_cast<uint8_t*>(&words[2])[0] = 0xfd;
  return words;
}

Program router_advert(uint16_t lifetime = 9000, uint32_t mtu = 1450) {
  Program words = with_mac(Op::SetEthSrc, gateway_mac) + Program{mtu};
  words[0] = action_word(Op::RouterAdvert, lifetime);
  return words;
}

Program router_prefix(uint8_t length) {
  Bytes prefix(16, 0);
  prefix[0] = 0xfd;
  prefix[7] = 9;
  Program words = with_address(Op::SetIpv6Src, prefix);
  words[0] = action_word(Op::RouterPrefix, length);
  return words;
}

FrameSpec solicitation(bool nameless) {
  FrameSpec spec;
  spec.ipv6 = true;
  spec.proto = 58;
  spec.sport = 133;
  spec.dport = 0;
  spec.ttl = 255;
  spec.payload = 0;
  spec.dst_mac = {0x33, 0x33, 0, 0, 0, 2};
  if (nameless) spec.src_ip = Bytes(16, 0);
  spec.dst_ip = Bytes(16, 0);
  spec.dst_ip[0] = 0xff;
  spec.dst_ip[1] = 2;
  spec.dst_ip[15] = 2;
  return spec;
}

TEST(EchoReply, APingComesBackFromWhereItWentTo) {
  for (const bool ipv6 : {false, true}) {
    for (const uint16_t vid : {0, 12}) {
      World world;
      FrameSpec spec = echo(ipv6);
      spec.vid = vid;
      const Bytes given = build(spec);
      world.run(Program{action_word(Op::EchoReply)} + output(1), given);
      ASSERT_EQ(world.out(1).size(), 1u);
      const Bytes out = world.out(1)[0];
      EXPECT_EQ(judge(out), "");
      const View at = view(out);
      EXPECT_EQ(slice(out, 0, 6), slice(given, 6, 12));
      EXPECT_EQ(slice(out, 6, 12), slice(given, 0, 6));
      EXPECT_EQ(out[at.l4], ipv6 ? 129 : 0);
      EXPECT_EQ(out[at.l3 + (ipv6 ? 7 : 8)], 64) << "a TTL of its own";
      EXPECT_EQ(slice(out, at.l4 + 4, at.end), slice(given, at.l4 + 4, at.end));
      EXPECT_EQ(world.total_drops(), 0u);
      EXPECT_EQ(world.leaked(), 0u);
    }
  }
}

TEST(EchoReply, WhatIsNoEchoRequestIsBadL4AndStaysAsItIs) {
  for (const bool ipv6 : {false, true}) {
    World world;
    FrameSpec reply = echo(ipv6);
    reply.sport = ipv6 ? 129 : 0;
    FrameSpec tcp;
    tcp.ipv6 = ipv6;
    FrameSpec coded = echo(ipv6);
    coded.dport = 1;
    for (const FrameSpec& spec : {reply, tcp, coded})
      world.run(Program{action_word(Op::EchoReply)} + output(1), build(spec));
    EXPECT_EQ(world.drops(DropReason::BadL4), 3u);
    EXPECT_EQ(world.leaked(), 0u);
  }
  World world;
  world.run(Program{action_word(Op::EchoReply)} + output(1), build_arp(1));
  EXPECT_EQ(world.drops(DropReason::BadL4), 1u);
}

TEST(Unreachable, EachKindHasItsCodeItsReasonAndItsSource) {
  struct Case {
    UnreachableKind kind;
    DropReason reason;
    Bytes code4;
    Bytes code6;
  };
  const Case cases[] = {
      {UnreachableKind::NoRoute, DropReason::NoRoute, {3, 0}, {1, 0}},
      {UnreachableKind::Host, DropReason::HostUnreachable, {3, 1}, {1, 3}},
      {UnreachableKind::Port, DropReason::RouterItself, {3, 3}, {1, 4}},
  };
  for (const Case& one : cases) {
    for (const bool ipv6 : {false, true}) {
      World world;
      FrameSpec spec;
      spec.ipv6 = ipv6;
      spec.proto = 17;
      world.run(unreachable(one.kind, 0x0a0000fe), build(spec));
      ASSERT_EQ(world.out(1).size(), 1u);
      const Bytes out = world.out(1)[0];
      EXPECT_EQ(judge(out), "");
      const View at = view(out);
      EXPECT_EQ(slice(out, at.l4, at.l4 + 2), ipv6 ? one.code6 : one.code4);
      if (ipv6)
        EXPECT_EQ(out[at.l3 + 8], 0xfd);
      else
        EXPECT_EQ(slice(out, at.l3 + 12, at.l3 + 16), (Bytes{10, 0, 0, 254}));
      EXPECT_EQ(world.drops(one.reason), 1u);
      EXPECT_EQ(world.leaked(), 0u);
    }
  }
}

TEST(Unreachable, ASynToTheRouterItselfIsReset) {
  World world;
  FrameSpec spec;
  spec.tcp_flags = 0x02;
  world.run(unreachable(UnreachableKind::Port, 0), build(spec));
  ASSERT_EQ(world.out(1).size(), 1u);
  const Bytes out = world.out(1)[0];
  EXPECT_EQ(judge(out), "");
  EXPECT_EQ(out[34 + 13], 0x14) << "RST and ACK";
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(Unreachable, AKindThatIsNoneIsRefused) {
  Program words = unreachable(UnreachableKind::Port, 0);
  EXPECT_TRUE(validate(words.data(), 6));
  words[0] = action_word(Op::Unreachable, 3);
  EXPECT_FALSE(validate(words.data(), 6));
  Program prefix = router_prefix(129);
  EXPECT_FALSE(validate(prefix.data(), 5));
}

TEST(RouterAdvert, ASolicitationComesBackWithPrefixMtuAndLifetime) {
  for (const bool nameless : {false, true}) {
    World world;
    world.run(router_advert() + router_prefix(64) + router_prefix(56) + output(1),
              build(solicitation(nameless)));
    ASSERT_EQ(world.out(1).size(), 1u);
    const Bytes out = world.out(1)[0];
    EXPECT_EQ(judge(out), "");
    EXPECT_EQ(out.size(), 54u + 32 + 32 + 32);
    const Bytes all_nodes = {0x33, 0x33, 0, 0, 0, 1};
    EXPECT_EQ(slice(out, 0, 6), nameless ? all_nodes : (Bytes{2, 0, 0, 0, 0, 1}));
    EXPECT_EQ(out[14 + 7], 255);
    EXPECT_EQ(number(out, 14 + 8, 2), 0xfe80u);
    EXPECT_EQ(slice(out, 14 + 16, 14 + 24), (Bytes{0, 0, 0, 0xff, 0xfe, 0, 0, 2}));
    EXPECT_EQ(number(out, 14 + 24, 2), nameless ? 0xff02u : 0xfd00u);
    EXPECT_EQ(number(out, 54, 2), 0x8600u);
    EXPECT_EQ(number(out, 58, 4), 0x40000000u + 9000);
    EXPECT_EQ(slice(out, 70, 78), (Bytes{1, 1, 2, 0, 0, 0, 0, 2}));
    EXPECT_EQ(slice(out, 78, 86), (Bytes{5, 1, 0, 0, 0, 0, 5, 0xaa}));
    EXPECT_EQ(slice(out, 86, 90), (Bytes{3, 4, 64, 0xc0})) << "on link, autonomous";
    EXPECT_EQ(slice(out, 118, 122), (Bytes{3, 4, 56, 0x80})) << "on link only";
    EXPECT_EQ(world.leaked(), 0u);
  }
}

TEST(RouterAdvert, AFurtherPacketOfANeighbourAdvertisementGoesToTheSameAsker) {
  World world;
  world.run(with_mac(Op::NdReply, gateway_mac, 1) + output(1) + router_advert() +
                router_prefix(64) + output(1),
            build_solicitation(false, true));
  const std::vector<Bytes> out = world.out(1);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(judge(out[0]), "");
  EXPECT_EQ(judge(out[1]), "");
  EXPECT_EQ(number(out[0], 54, 1), 136u);
  EXPECT_EQ(number(out[1], 54, 1), 134u);
  EXPECT_EQ(slice(out[1], 0, 12), slice(out[0], 0, 12));
  EXPECT_EQ(slice(out[1], 38, 54), slice(out[0], 38, 54)) << "to the same address";
  EXPECT_EQ(number(out[1], 22, 2), 0xfe80u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(RouterAdvert, WhatIsNoValidSolicitationIsBadL4) {
  World world;
  FrameSpec far = solicitation(false);
  far.ttl = 254;
  FrameSpec coded = solicitation(false);
  coded.dport = 1;
  FrameSpec other = solicitation(false);
  other.sport = 134;
  // Some of them parse() lets nobody see.
  uint64_t unseen = 0;
  for (const FrameSpec& spec : {far, coded, other, FrameSpec{}})
    unseen += world.run(router_advert() + output(1), build(spec)) != DropReason::None;
  world.run(router_prefix(64) + output(1), build(solicitation(false)));
  EXPECT_EQ(world.drops(DropReason::BadL4) + unseen, 5u);
  EXPECT_TRUE(world.out(1).empty());
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(RouterAdvert, ThereAreNoMorePrefixesThanTheFrameHasRoomFor) {
  World world;
  Program program = router_advert();
  for (int i = 0; i < 11; i++) program = program + router_prefix(64);
  world.run(program + output(1), build(solicitation(true)));
  ASSERT_EQ(world.out(1).size(), 1u);
  EXPECT_EQ(judge(world.out(1)[0]), "");
  EXPECT_EQ(world.leaked(), 0u);
}

}  // namespace
}  // namespace vtep::test
