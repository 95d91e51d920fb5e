// test/native/rewrite_test.cpp — a rewritten packet is as if it had been built that way.
#include "action/rewrite.h"

#include <gtest/gtest.h>

#include "test/native/action_support.h"

namespace vtep::test {
namespace {

// Runs the actions, then outputs to port 2, and gives the frame that left.
Bytes rewritten(const std::vector<uint32_t>& actions, const FrameSpec& spec, bool left = false) {
  World world;
  Packet packet = packet_of(*world.frames, build(spec));
  if (left) leave_to_device(packet, 0);
  EXPECT_EQ(world.run_packet(actions + output(2), packet), DropReason::None);
  const std::vector<Bytes> out = world.out(2);
  EXPECT_EQ(out.size(), 1u);
  EXPECT_EQ(world.leaked(), 0u);
  return out.empty() ? Bytes{} : out[0];
}

const Bytes new_v4 = {192, 168, 250, 3};
const Bytes new_v6 = {0x20, 1, 0xd, 0xb8, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

TEST(Rewrite, NewAddressesAndPortsGiveTheFrameThatWouldHaveBeenBuiltWithThem) {
  for (const uint8_t proto : {6, 17, 132}) {
    for (const bool ipv6 : {false, true}) {
      FrameSpec spec;
      spec.proto = proto;
      spec.ipv6 = ipv6;
      const Bytes& address = ipv6 ? new_v6 : new_v4;
      const auto actions =
          with_address(ipv6 ? Op::SetIpv6Src : Op::SetIpv4Src, address) +
          with_address(ipv6 ? Op::SetIpv6Dst : Op::SetIpv4Dst, address) +
          with_arg(Op::SetTpSrc, 0xfffe) + with_arg(Op::SetTpDst, 1) +
          with_mac(Op::SetEthSrc, {2, 9, 9, 9, 9, 9}) + with_mac(Op::SetEthDst, {2, 8, 8, 8, 8, 8});
      FrameSpec wanted = spec;
      wanted.src_ip = wanted.dst_ip = address;
      wanted.sport = 0xfffe;
      wanted.dport = 1;
      wanted.src_mac = {2, 9, 9, 9, 9, 9};
      wanted.dst_mac = {2, 8, 8, 8, 8, 8};
      EXPECT_EQ(rewritten(actions, spec), build(wanted)) << int{proto} << ipv6;
    }
  }
}

TEST(Rewrite, AChecksumLeftToTheDeviceStaysThePseudoHeaderSum) {
  for (const uint8_t proto : {6, 17}) {
    for (const bool ipv6 : {false, true}) {
      FrameSpec spec;
      spec.proto = proto;
      spec.ipv6 = ipv6;
      const auto actions = with_address(ipv6 ? Op::SetIpv6Src : Op::SetIpv4Src,
                                        ipv6 ? new_v6 : new_v4) +
                           with_arg(Op::SetTpDst, 4444);
      EXPECT_EQ(judge(rewritten(actions, spec, true), true), "") << int{proto} << ipv6;
    }
  }
}

TEST(Rewrite, AUdpChecksumOfZeroStaysZeroAndIcmpv6FollowsItsAddresses) {
  FrameSpec udp;
  udp.proto = 17;
  udp.udp_zero = true;
  const Bytes out =
      rewritten(with_address(Op::SetIpv4Src, new_v4) + with_arg(Op::SetTpSrc, 5), udp);
  EXPECT_EQ(number(out, 34 + 6, 2), 0u);
  EXPECT_EQ(judge(out), "");
  FrameSpec echo;
  echo.ipv6 = true;
  echo.proto = 58;
  echo.sport = 128;
  echo.dport = 0;
  EXPECT_EQ(judge(rewritten(with_address(Op::SetIpv6Dst, new_v6), echo)), "");
}

TEST(Rewrite, FieldsThatThePacketDoesNotHaveAreLeftAlone) {
  FrameSpec spec;
  const auto actions = with_address(Op::SetIpv6Src, new_v6) + with_address(Op::SetIpv6Dst, new_v6);
  EXPECT_EQ(rewritten(actions, spec), build(spec));
  FrameSpec echo;
  echo.proto = 1;
  echo.sport = 8;
  echo.dport = 0;
  EXPECT_EQ(rewritten(with_arg(Op::SetTpSrc, 3) + with_arg(Op::PopVlan), echo), build(echo));
}

TEST(Rewrite, DscpKeepsEcnAndTtlGoesDownByOne) {
  for (const bool ipv6 : {false, true}) {
    FrameSpec spec;
    spec.ipv6 = ipv6;
    spec.tos = 0xb9;
    FrameSpec wanted = spec;
    wanted.tos = 0x0d;  // DSCP 3, ECT(1)
    wanted.ttl = 63;
    EXPECT_EQ(rewritten(with_arg(Op::SetDscp, 3) + dec_ttl(0), spec), build(wanted));
  }
}

TEST(Rewrite, TagsArePushedOutermostAndPoppedOutermost) {
  FrameSpec spec;
  FrameSpec tagged = spec;
  tagged.vid = 77;
  EXPECT_EQ(rewritten(with_arg(Op::PushVlan, 77), spec), build(tagged));
  EXPECT_EQ(rewritten(with_arg(Op::PopVlan), tagged), build(spec));
  const auto after_moves = with_arg(Op::PushVlan, 5) + with_arg(Op::PopVlan) +
                           with_arg(Op::PushVlan, 77) + with_arg(Op::SetTpDst, 443);
  tagged.dport = 443;
  EXPECT_EQ(rewritten(after_moves, spec), build(tagged));
  EXPECT_EQ(judge(rewritten(with_arg(Op::PushVlan, 9), spec, true), true), "");
}

TEST(Rewrite, TagsWithoutRoomBeforeThePacketAreNoHeadroom) {
  World world;
  std::vector<uint32_t> actions;
  for (int i = 0; i < 60; i++) actions = actions + with_arg(Op::PushVlan, 7);
  FrameSpec spec;
  spec.payload = 1200;  // begins right behind its headroom, which short packets need not
  EXPECT_EQ(world.run(actions + output(2), build(spec)), DropReason::None);
  EXPECT_EQ(world.drops(DropReason::NoHeadroom), 1u);
  EXPECT_EQ(world.leaked(), 0u);
}

}  // namespace
}  // namespace vtep::test
