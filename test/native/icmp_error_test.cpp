// test/native/icmp_error_test.cpp — who is told what, and who must not be told.
#include "action/icmp_error.h"

#include <gtest/gtest.h>

#include "test/native/action_support.h"

namespace vtep::test {
namespace {

FrameSpec large(bool ipv6) {
  FrameSpec spec;
  spec.ipv6 = ipv6;
  spec.payload = 1500;
  return spec;
}

TEST(IcmpError, APacketTooBigIsAnsweredWithFragmentationNeededQuotingIt) {
  World world;
  const Bytes given = build(large(false));
  world.run(enforce_mtu(1450, 0, 0x0a0000fe) + output(2), given);
  ASSERT_EQ(world.out(1).size(), 1u);
  const Bytes out = world.out(1)[0];
  EXPECT_EQ(judge(out), "");
  EXPECT_EQ(out.size(), 14u + 576);
  EXPECT_EQ(slice(out, 0, 12), (Bytes{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}));
  EXPECT_EQ(slice(out, 26, 34), (Bytes{10, 0, 0, 254, 10, 0, 0, 1}));
  EXPECT_EQ(slice(out, 34, 36), (Bytes{3, 4}));
  EXPECT_EQ(number(out, 40, 2), 1450u);
  EXPECT_EQ(slice(out, 42, 590), slice(given, 14, 14 + 548));
  EXPECT_EQ(world.drops(DropReason::MtuExceeded), 1u);
  EXPECT_EQ(world.counted(WorkerCounter::IcmpErrors), 1u);
  EXPECT_TRUE(world.out(2).empty());
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(IcmpError, AnIpv6PacketTooBigIsAnsweredByItsDestinationWhenNoRouterIsNamed) {
  World world;
  FrameSpec spec = large(true);
  spec.vid = 31;
  const Bytes given = build(spec);
  world.run(enforce_mtu(1450) + output(2), given);
  ASSERT_EQ(world.out(1).size(), 1u);
  const Bytes out = world.out(1)[0];
  EXPECT_EQ(judge(out), "");
  EXPECT_EQ(out.size(), 18u + 1280);
  EXPECT_EQ(number(out, 14, 2), 31u);
  EXPECT_EQ(slice(out, 18 + 8, 18 + 24), slice(given, 18 + 24, 18 + 40));
  EXPECT_EQ(slice(out, 58, 60), (Bytes{2, 0}));
  EXPECT_EQ(number(out, 62, 4), 1450u);
  EXPECT_EQ(slice(out, 66, 1298), slice(given, 18, 18 + 1232));
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(IcmpError, ThePacketIsQuotedAsItCameInEvenAfterItsAddressesWereChanged) {
  World world;
  const Bytes given = build(large(false));
  world.run(with_address(Op::SetIpv4Dst, {1, 2, 3, 4}) + with_arg(Op::SetTpDst, 9) +
                with_mac(Op::SetEthDst, {2, 5, 5, 5, 5, 5}) + enforce_mtu(1450) + output(2),
            given);
  ASSERT_EQ(world.out(1).size(), 1u);
  EXPECT_EQ(slice(world.out(1)[0], 42, 590), slice(given, 14, 14 + 548));
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(IcmpError, ATtlThatRunsOutIsAnsweredByTheRouter) {
  World world;
  FrameSpec spec;
  spec.ttl = 1;
  world.run(dec_ttl(0x0a0000fe) + output(2), build(spec));
  ASSERT_EQ(world.out(1).size(), 1u);
  const Bytes out = world.out(1)[0];
  EXPECT_EQ(judge(out), "");
  EXPECT_EQ(slice(out, 26, 30), (Bytes{10, 0, 0, 254}));
  EXPECT_EQ(slice(out, 34, 36), (Bytes{11, 0}));
  EXPECT_EQ(world.drops(DropReason::TtlExceeded), 1u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(IcmpError, ATtlThatRunsOutWithNobodyToAnswerGoesToTheSlowPath) {
  World world;
  FrameSpec spec;
  spec.ttl = 0;
  world.run(dec_ttl(0) + output(2), build(spec));
  spec.ipv6 = true;
  world.run(dec_ttl(0x0a0000fe) + output(2), build(spec));
  EXPECT_EQ(world.host.upcalls, (std::vector<UpcallReason>(2, UpcallReason::TtlExceeded)));
  EXPECT_EQ(world.total_drops(), 0u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(IcmpError, APacketFromATunnelIsAnsweredThroughThatTunnel) {
  World world;
  world.run_packet(enforce_mtu(1450) + output(2),
                   packet_of(*world.frames, build(large(false)), uplink), tunnel_geneve);
  ASSERT_EQ(world.out(uplink).size(), 1u);
  const Bytes outer = world.out(uplink)[0];
  EXPECT_EQ(judge(outer), "");
  EXPECT_EQ(number(outer, 34 + 8 + 4, 4) >> 8, 100u) << "VNI";
  EXPECT_EQ(slice(inner_frame(outer), 34, 36), (Bytes{3, 4}));
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(IcmpError, NobodyIsToldAboutErrorsGroupsStrangeSourcesAndLaterFragments) {
  std::vector<Bytes> silent;
  FrameSpec spec = large(false);
  spec.proto = 1;
  spec.sport = 3;  // destination unreachable
  spec.dport = 0;
  silent.push_back(build(spec));
  spec = large(true);
  spec.proto = 58;
  spec.sport = 1;
  spec.dport = 0;
  silent.push_back(build(spec));
  spec = large(false);
  spec.proto = 17;
  spec.dst_ip = {224, 0, 0, 9};
  silent.push_back(build(spec));
  spec.dst_ip = {255, 255, 255, 255};
  silent.push_back(build(spec));
  spec = large(false);
  spec.dst_mac = Bytes(6, 0xff);
  silent.push_back(build(spec));
  spec = large(false);
  spec.proto = 17;
  spec.src_ip = {0, 0, 0, 0};
  silent.push_back(build(spec));
  spec = large(true);
  spec.src_ip = Bytes(16, 0);
  silent.push_back(build(spec));
  spec = large(false);
  Bytes fragment = build(spec);
  fragment[20] = 0x40;
  fragment[21] = 1;  // offset 8, with DF
  const uint32_t sum = ((fragment[24] << 8 | fragment[25]) + 0xffff - 1) % 0xffff;
  fragment[24] = static_cast<uint8_t>(sum >> 8);
  fragment[25] = static_cast<uint8_t>(sum);
  silent.push_back(fragment);
  for (const Bytes& given : silent) {
    World world;
    EXPECT_EQ(world.run(enforce_mtu(1450) + output(2), given), DropReason::None);
    EXPECT_TRUE(world.out(1).empty());
    EXPECT_EQ(world.drops(DropReason::MtuExceeded), 1u);
    EXPECT_EQ(world.leaked(), 0u);
  }
}

TEST(IcmpError, ARejectedSegmentIsAnsweredWithAResetInItsWindow) {
  for (const bool ipv6 : {false, true}) {
    World world;
    FrameSpec spec;
    spec.ipv6 = ipv6;
    spec.vid = 31;
    spec.tcp_flags = 0x03;  // SYN, FIN: a number each
    world.run({action_word(Op::Reject)}, build(spec));
    ASSERT_EQ(world.out(1).size(), 1u);
    const Bytes out = world.out(1)[0];
    EXPECT_EQ(judge(out), "");
    const uint32_t tcp = 18 + (ipv6 ? 40 : 20);
    EXPECT_EQ(out.size(), tcp + 20);
    EXPECT_EQ(slice(out, 0, 12), (Bytes{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}));
    EXPECT_EQ(number(out, 14, 2), 31u);
    EXPECT_EQ(number(out, tcp, 2), 80u);
    EXPECT_EQ(number(out, tcp + 2, 2), 40000u);
    EXPECT_EQ(number(out, tcp + 4, 4), 0u);
    EXPECT_EQ(number(out, tcp + 8, 4), 1000u + 100 + 2);
    EXPECT_EQ(out[tcp + 13], 0x14);  // RST, ACK
    EXPECT_EQ(world.drops(DropReason::AclReject), 1u);
    EXPECT_EQ(world.leaked(), 0u);
  }
}

TEST(IcmpError, AResetIsNotAnsweredAndWhatIsNotTcpIsUnreachable) {
  World world;
  FrameSpec spec;
  spec.tcp_flags = 0x04;
  world.run({action_word(Op::Reject)}, build(spec));
  EXPECT_TRUE(world.out(1).empty());
  spec.proto = 17;
  const Bytes given = build(spec);
  world.run({action_word(Op::Reject)}, given);
  ASSERT_EQ(world.out(1).size(), 1u);
  EXPECT_EQ(judge(world.out(1)[0]), "");
  EXPECT_EQ(slice(world.out(1)[0], 34, 36), (Bytes{3, 3}));
  EXPECT_EQ(slice(world.out(1)[0], 42, 42 + 128), slice(given, 14, 14 + 128));
  EXPECT_EQ(world.drops(DropReason::AclReject), 2u);
  EXPECT_EQ(world.counted(WorkerCounter::IcmpErrors), 1u);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(IcmpError, ErrorsAreLimitedInRateAndTheirPacketsAreStillCounted) {
  World world;
  for (uint32_t i = 0; i < icmp_error_port_burst + 50; i++)
    world.run(enforce_mtu(1450) + output(2), build(large(false)));
  EXPECT_EQ(world.out(1).size(), icmp_error_port_burst);
  EXPECT_EQ(world.drops(DropReason::MtuExceeded), icmp_error_port_burst + 50);
  world.context.now_ns += 10 * 1000000000ull / icmp_error_port_rate;
  for (uint32_t i = 0; i < 50; i++)
    world.run(enforce_mtu(1450) + output(2), build(large(false)));
  EXPECT_EQ(world.out(1).size(), icmp_error_port_burst + 10);
  EXPECT_EQ(world.leaked(), 0u);
}

}  // namespace
}  // namespace vtep::test
