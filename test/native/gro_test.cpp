// test/native/gro_test.cpp — a superpacket comes out of a tunnel as the superpacket it was.
#include "packet/gro.h"

#include <gtest/gtest.h>

#include "packet/gso.h"
#include "test/native/action_support.h"

namespace vtep::test {
namespace {

// The outer superpacket that a tunnel makes of an inner TCP superpacket.
struct GroTest : testing::Test {
  World world;

  Packet sent(FrameSpec spec, uint32_t tunnel, uint16_t gso_size = 1400) {
    world.uplink_takes(tx_can_checksum | tx_can_uso);
    Packet packet = packet_of(*world.frames, build(spec));
    leave_to_device(packet, gso_size);
    inner = bytes_of(packet);
    EXPECT_EQ(world.run_packet(output_tunnel(tunnel), packet), DropReason::None);
    EXPECT_EQ(world.stage.sent[uplink].size(), 1u);
    const Packet made = world.stage.sent[uplink][0];
    world.stage.sent.clear();
    EXPECT_EQ(made.offload.gso_type, GsoType::UdpL4);
    return made;
  }
  // Splits instead, and returns how many tunnel packets there were.
  uint32_t split(const Packet& packet) {
    std::vector<Packet> out(segments_max);
    DropReason reason = DropReason::None;
    const uint32_t count =
        open_tunnel_superpacket(*world.frames, packet, {out.data(), segments_max}, reason);
    for (uint32_t i = 0; i < count; i++) {
      EXPECT_EQ(out[i].offload.gso_type, GsoType::None);
      if (judged) {
        EXPECT_EQ(judge(bytes_of(out[i])), "");
      }
      world.frames->free(out[i]);
    }
    return count;
  }
  Bytes inner;
  bool judged = true;
};

FrameSpec bulk(bool ipv6) {
  FrameSpec spec;
  spec.ipv6 = ipv6;
  spec.payload = 20003;
  spec.tcp_flags = 0x18;
  return spec;
}

TEST_F(GroTest, ConsecutiveSegmentsBecomeTheInnerSuperpacketAgainByteForByte) {
  for (const uint32_t tunnel : {tunnel_v4, tunnel_v6, tunnel_geneve}) {
    for (const bool ipv6 : {false, true}) {
      Packet packet = sent(bulk(ipv6), tunnel);
      ASSERT_TRUE(join_tunnel_segments(packet));
      EXPECT_EQ(packet.offload.gso_type, ipv6 ? GsoType::TcpV6 : GsoType::TcpV4);
      EXPECT_EQ(packet.offload.gso_size, 1400);
      EXPECT_EQ(inner_frame(bytes_of(packet)), inner);
      world.frames->free(packet);
    }
  }
  EXPECT_EQ(world.leaked(), 0u);
}

TEST_F(GroTest, SplitSegmentsAreTunnelPacketsWithRightChecksumsInside) {
  Packet packet = sent(bulk(false), tunnel_v6);
  std::vector<Packet> out(segments_max);
  DropReason reason = DropReason::None;
  const uint32_t count =
      split_tunnel_superpacket(*world.frames, packet, {out.data(), segments_max}, reason);
  ASSERT_EQ(count, 15u);
  for (uint32_t i = 0; i < count; i++) {
    EXPECT_EQ(judge(bytes_of(out[i])), "");
    world.frames->free(out[i]);
  }
  world.frames->free(packet);
}

TEST_F(GroTest, AWrongInnerChecksumIsNotLostWhenTheOuterOneVouchesForNothing) {
  Packet packet = sent(bulk(false), tunnel_v4);
  packet.offload.flags = 0;  // came over a wire, no device verified anything
  packet.data[packet.length - 1] ^= 1;
  judged = false;
  EXPECT_EQ(split(packet), 15u);
  packet = sent(bulk(false), tunnel_v4);
  packet.offload.flags = 0;
  EXPECT_TRUE(join_tunnel_segments(packet)) << "right checksums may be joined after verifying them";
  world.frames->free(packet);
  EXPECT_EQ(world.leaked(), 0u);
}

TEST_F(GroTest, SegmentsThatAreNotAlikeAreSplitNotJoined) {
  constexpr uint32_t encap_at = 14 + 20 + 8;
  constexpr uint32_t chunk = 8 + 14 + 20 + 20 + 1400;
  constexpr uint32_t second = encap_at + chunk + 8;  // inner frame of the second segment
  struct Case {
    const char* what;
    uint32_t at;
    uint8_t value;
  };
  const Case cases[] = {
      {"another VNI", encap_at + chunk + 6, 0xee},
      {"another destination MAC", second + 5, 0xee},
      {"another source address", second + 14 + 15, 0xee},
      {"another TTL", second + 14 + 8, 3},
      {"another port", second + 34 + 1, 0xee},
      {"a gap in the sequence", second + 34 + 4, 0xee},
      {"another acknowledgement", second + 34 + 8, 0xee},
      {"another window", second + 34 + 14, 0xee},
      {"PSH in the middle", second + 34 + 13, 0x18},
      {"SYN", second + 34 + 13, 0x12},
      {"no ACK", second + 34 + 13, 0x00},
      {"a length that is not the segment's", second + 14 + 3, 0xee},
      {"CWR behind the first", second + 34 + 13, 0x90},
  };
  judged = false;
  for (const Case& given : cases) {
    Packet packet = sent(bulk(false), tunnel_v4);
    packet.data[given.at] = given.value;
    const Bytes before = bytes_of(packet);
    EXPECT_FALSE(join_tunnel_segments(packet)) << given.what;
    EXPECT_EQ(bytes_of(packet), before) << given.what;
    EXPECT_EQ(split(packet), 15u) << given.what;
  }
  EXPECT_EQ(world.leaked(), 0u);
}

TEST_F(GroTest, ATunnelPacketWhoseInnerPacketIsTheSuperpacketIsLeftAsItIs) {
  for (const uint32_t tunnel : {tunnel_v4, tunnel_v6, tunnel_geneve}) {
    for (const GsoType type : {GsoType::TcpV4, GsoType::UdpL4}) {
      Packet packet = sent(bulk(false), tunnel);
      ASSERT_TRUE(join_tunnel_segments(packet));
      packet.offload.gso_type = type;
      const Bytes before = bytes_of(packet);
      std::vector<Packet> out(segments_max);
      DropReason reason = DropReason::None;
      ASSERT_EQ(
          open_tunnel_superpacket(*world.frames, packet, {out.data(), segments_max}, reason), 1u);
      EXPECT_EQ(bytes_of(out[0]), before);
      EXPECT_EQ(out[0].offload, packet.offload);
      world.frames->free(out[0]);
    }
  }
}

TEST_F(GroTest, AJoinedPacketIsOpenedByParseAsAnInnerSuperpacket) {
  auto endpoints = std::make_unique<TunnelEndpoints>();
  const Ipv6Bytes us = tunnel_config(1, Encap::Vxlan, true).remote;
  const Ipv6Bytes them = tunnel_config(1, Encap::Vxlan, true).local;
  const TunnelEndpoints::Endpoint endpoint{us, be16(4789), be16(6081)};
  endpoints->set_endpoints(&endpoint, 1);
  endpoints->set_tunnel(7, them);
  endpoints->set_network(100, Encap::Vxlan);
  Packet packet = sent(bulk(false), tunnel_v6);
  ASSERT_TRUE(join_tunnel_segments(packet));
  FlowKey key;
  PacketInfo info;
  parse(&packet, 1, RxContext{uplink, true, true, endpoints.get()}, &key, &info);
  EXPECT_EQ(info.drop, DropReason::None);
  EXPECT_EQ(key.tunnel_src, 7);
  EXPECT_EQ(key.tunnel_id, 100u);
  EXPECT_EQ(bytes_of(packet), inner);
  EXPECT_EQ(packet.offload.checksum_start, info.l4);
  world.frames->free(packet);
}

}  // namespace
}  // namespace vtep::test
