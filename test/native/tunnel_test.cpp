// test/native/tunnel_test.cpp — outer headers, read back by a plain reader.
#include "action/tunnel.h"

#include <gtest/gtest.h>

#include <set>

#include "packet/gso.h"
#include "test/native/action_support.h"

namespace vtep::test {
namespace {

Bytes pushed(World& world, uint32_t tunnel, const Bytes& inner,
             TunnelPush push = {100, 0, 5, 0, 0}) {
  Packet packet = packet_of(*world.frames, inner);
  EXPECT_EQ(push_tunnel(world.pool, world.entries[tunnel], push, packet), DropReason::None);
  EXPECT_EQ(packet.offload.any(), world.entries[tunnel].udp_checksum);
  Packet out[1];
  Finished finished;
  EXPECT_EQ(finish_tx(*world.frames, 0, packet, {out, 1}, finished), 1u);
  const Bytes bytes = bytes_of(out[0]);
  world.frames->free(out[0]);
  return bytes;
}

TEST(Tunnel, TheInnerFrameIsUntouchedBehindARightOuterHeader) {
  World world;
  FrameSpec spec;
  spec.vid = 3;
  const Bytes inner = build(spec);
  const uint32_t overheads[] = {0, 50, 70, 62};
  for (const uint32_t tunnel : {tunnel_v4, tunnel_v6, tunnel_geneve}) {
    const Bytes outer = pushed(world, tunnel, inner);
    EXPECT_EQ(judge(outer), "");
    EXPECT_EQ(inner_frame(outer), inner);
    EXPECT_EQ(outer.size(), inner.size() + overheads[tunnel]);
    EXPECT_EQ(slice(outer, 0, 12), (Bytes{2, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1, 1}));
    const View at = view(outer);
    EXPECT_EQ(number(outer, at.l4 + 2, 2), tunnel == tunnel_geneve ? 6081u : 4789u);
    EXPECT_EQ(outer[at.l3 + (at.ipv6 ? 7 : 8)], 64);
    if (!at.ipv6) {
      EXPECT_EQ(number(outer, at.l3 + 6, 2), 0x4000u) << "DF";
    }
  }
}

TEST(Tunnel, TheVniAndTheLogicalPortAreWhereTheyBelong) {
  World world;
  const Bytes inner = build({});
  const Bytes vxlan = pushed(world, tunnel_v4, inner, {0xabcdef, 9, 0, 0, 0});
  EXPECT_EQ(slice(vxlan, 42, 50), (Bytes{8, 0, 0, 0, 0xab, 0xcd, 0xef, 0}));
  const Bytes geneve = pushed(world, tunnel_geneve, inner, {0xabcdef, 0x01020304, 0, 0, 0});
  const Bytes wanted = {0x03, 0, 0x65, 0x58, 0xab, 0xcd, 0xef, 0,     // header, 3 option words
                        0xff, 0x56, 1, 2, 1, 2, 3, 4, 0, 0xab, 0xcd, 0xef};
  EXPECT_EQ(slice(geneve, 42, 62), wanted);
}

TEST(Tunnel, TheSourcePortIsDynamicAndFollowsTheEntropy) {
  World world;
  std::set<uint32_t> ports;
  for (uint32_t entropy = 0; entropy < 100; entropy++) {
    const Bytes outer = pushed(world, tunnel_v4, build({}), {1, 0, entropy * 2654435761u, 0, 0});
    ports.insert(number(outer, 34, 2));
    EXPECT_GE(number(outer, 34, 2), 49152u);
  }
  EXPECT_GT(ports.size(), 90u);
}

TEST(Tunnel, EcnIsAlwaysCopiedAndDscpWhenTheTunnelInheritsIt) {
  World world;
  TunnelConfig config = tunnel_config(tunnel_v4, Encap::Vxlan, false);
  for (const bool inherit : {true, false}) {
    for (const bool ipv6 : {true, false}) {
      config = tunnel_config(tunnel_v4, Encap::Vxlan, ipv6);
      config.dscp_inherit = inherit;
      const NextHop hop = next_hop();
      world.entries[tunnel_v4] = build_tunnel(config, &hop);
      for (const uint8_t ecn : {0, 1, 2, 3}) {
        const uint8_t tos = static_cast<uint8_t>(0xb8 | ecn);
        const Bytes outer = pushed(world, tunnel_v4, build({}), {1, 0, 0, tos, 0});
        EXPECT_EQ(judge(outer), "");
        const uint32_t found = ipv6 ? number(outer, 14, 2) >> 4 & 0xff : outer[15];
        EXPECT_EQ(found, inherit ? tos : ecn);
      }
    }
  }
}

TEST(Tunnel, AnUnderlayVlanAnIpv4ChecksumAndFragmentationAreThereWhenAskedFor) {
  World world;
  TunnelConfig config = tunnel_config(tunnel_v4, Encap::Vxlan, false);
  config.udp_checksum = 1;
  config.dont_fragment = 0;
  NextHop hop = next_hop();
  hop.vlan_vid = 12;
  world.entries[tunnel_v4] = build_tunnel(config, &hop);
  const Bytes outer = pushed(world, tunnel_v4, build({}), {1, 0, 0, 0, 0x1234});
  EXPECT_EQ(judge(outer), "");
  EXPECT_EQ(view(outer).tags, 1);
  EXPECT_EQ(number(outer, 14, 2), 12u);
  EXPECT_EQ(number(outer, 18 + 4, 2), 0x1234u);
  EXPECT_EQ(number(outer, 18 + 6, 2), 0u);
  EXPECT_NE(number(outer, 18 + 20 + 6, 2), 0u);
}

TEST(Tunnel, TheInnerMtuIsTheUnderlaysLessTheOverhead) {
  World world;
  EXPECT_EQ(world.entries[tunnel_v4].inner_mtu, 1450u);
  EXPECT_EQ(world.entries[tunnel_v6].inner_mtu, 1430u);
  EXPECT_EQ(world.entries[tunnel_geneve].inner_mtu, 1438u);
  EXPECT_EQ(world.entries[tunnel_unresolved].inner_mtu, 0u);
}

TEST(Tunnel, WhatCannotBePushedKeepsItsBytes) {
  World world;
  FrameSpec spec;
  spec.payload = 1200;  // begins right behind its headroom, which short packets need not
  Packet packet = packet_of(*world.frames, build(spec));
  const Bytes before = bytes_of(packet);
  EXPECT_EQ(push_tunnel(world.pool, world.entries[tunnel_unresolved], {}, packet),
            DropReason::TunnelUnresolved);
  EXPECT_EQ(bytes_of(packet), before);
  packet.data -= 150;
  packet.length += 150;
  const Bytes grown = bytes_of(packet);
  EXPECT_EQ(push_tunnel(world.pool, world.entries[tunnel_v4], {}, packet), DropReason::NoHeadroom);
  EXPECT_EQ(bytes_of(packet), grown);
  world.frames->free(packet);
  spec.payload = 65400;
  packet = packet_of(*world.frames, build(spec));
  EXPECT_EQ(push_tunnel(world.pool, world.entries[tunnel_geneve], {}, packet), DropReason::None);
  world.frames->free(packet);
  spec.payload = 65495;
  packet = packet_of(*world.frames, build(spec));
  EXPECT_EQ(push_tunnel(world.pool, world.entries[tunnel_v4], {}, packet), DropReason::MtuExceeded);
  world.frames->free(packet);
}

TEST(Tunnel, HeadroomOfExactlyTheHeaderIsEnough) {
  World world;
  Packet packet = packet_of(*world.frames, build({}));
  memmove(packet.data - frame_headroom + 50, packet.data, packet.length);
  packet.data += 50 - static_cast<int>(frame_headroom);
  const Bytes inner = bytes_of(packet);
  ASSERT_EQ(push_tunnel(world.pool, world.entries[tunnel_v4], {1, 0, 0, 0, 0}, packet),
            DropReason::None);
  EXPECT_EQ(judge(bytes_of(packet)), "");
  EXPECT_EQ(inner_frame(bytes_of(packet)), inner);
  world.frames->free(packet);
}

TEST(Tunnel, ASuperpacketForAnUplinkThatSegmentsIsOneOuterSuperpacketPer64Segments) {
  for (const uint32_t tunnel : {tunnel_v4, tunnel_v6, tunnel_geneve}) {
    World world;
    world.uplink_takes(tx_can_checksum | tx_can_uso);
    FrameSpec spec;
    spec.payload = 65 * 500 + 1;  // 66 segments: 64 and 2
    Packet packet = packet_of(*world.frames, build(spec));
    leave_to_device(packet, 500);
    world.run_packet(output_tunnel(tunnel), packet);
    const std::vector<Packet>& made = world.stage.sent[uplink];
    ASSERT_EQ(made.size(), 2u);
    const uint32_t encap = tunnel == tunnel_geneve ? 20 : 8;
    for (const Packet& super : made) {
      EXPECT_EQ(super.offload.gso_type, GsoType::UdpL4);
      EXPECT_EQ(super.offload.gso_size, encap + 54 + 500);
      EXPECT_EQ(judge(bytes_of(super), true), "") << "outer header and first inner frame";
    }
    // What a device would make of them: 66 packets, all right.
    uint32_t segments = 0;
    for (const Packet& super : made) {
      std::vector<Packet> out(segments_max);
      DropReason reason = DropReason::None;
      const uint32_t count =
          split_tunnel_superpacket(*world.frames, super, {out.data(), segments_max}, reason);
      for (uint32_t i = 0; i < count; i++) {
        EXPECT_EQ(judge(bytes_of(out[i])), "");
        const Bytes inner = inner_frame(bytes_of(out[i]));
        EXPECT_EQ(number(inner, 34 + 4, 4), spec.seq + 500 * segments);
        segments++;
        world.frames->free(out[i]);
      }
    }
    EXPECT_EQ(segments, 66u);
    EXPECT_EQ(world.leaked(), 0u);
  }
}

}  // namespace
}  // namespace vtep::test
