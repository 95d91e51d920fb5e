// test/native/tx_runs_test.cpp — what is joined into superpackets, judged by what comes apart again
// and by the kernel's own UDP.
#include "port/tx_runs.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "action/tunnel.h"
#include "packet/gso.h"
#include "port/port.h"
#include "test/native/action_support.h"
#include "test/native/port_support.h"

namespace vtep::test {
namespace {

Packet tunnel_packet(World& world, uint32_t tunnel, uint32_t entropy, const FrameSpec& spec) {
  Packet packet = packet_of(*world.frames, build(spec));
  EXPECT_EQ(push_tunnel(world.pool, world.entries[tunnel], {100, 0, entropy, 0, 0}, packet),
            DropReason::None);
  return packet;
}

FrameSpec udp(uint32_t payload, uint16_t sport = 40000) {
  FrameSpec spec;
  spec.proto = 17;
  spec.payload = payload;
  spec.sport = sport;
  return spec;
}

// The bytes that a message of one run gathers, as a packet of their own.
Packet gathered(World& world, TxRuns& runs, uint32_t at) {
  const TxRun run = runs.run(at);
  const Packet whole = runs.whole(at);
  Packet made = world.frames->make(whole.length);
  made.offload = whole.offload;
  uint8_t* to = made.data;
  uint32_t index = run.first;
  for (uint32_t number = 0; number < run.count; number++, index = runs.next(index)) {
    const Packet& packet = runs.packet(index);
    const uint32_t skip = number == 0 ? 0 : run.outer;
    memcpy(to, packet.data + skip, packet.length - skip);
    to += packet.length - skip;
  }
  EXPECT_EQ(static_cast<uint32_t>(to - made.data), whole.length);
  return made;
}

// Everything that would be on the wire, in order.
std::vector<Bytes> on_the_wire(World& world, TxRuns& runs) {
  std::vector<Bytes> wire;
  std::vector<Packet> pieces(segments_max);
  for (uint32_t at = 0; at < runs.count(); at++) {
    Finished finished;
    const uint32_t count = finish_tx(*world.frames, 0, gathered(world, runs, at),
                                     {pieces.data(), segments_max}, finished);
    EXPECT_EQ(count, runs.run(at).count);
    for (uint32_t i = 0; i < count; i++) {
      wire.push_back(bytes_of(pieces[i]));
      EXPECT_EQ(judge(wire.back()), "");
      world.frames->free(pieces[i]);
    }
  }
  for (uint32_t i = 0; i < runs.packet_count(); i++) world.frames->free(runs.packet(i));
  runs.clear();
  return wire;
}

uint16_t source_port(const Bytes& frame) {
  return static_cast<uint16_t>(number(frame, view(frame).l4, 2));
}

TEST(TxRuns, PacketsOfOneFlowAndSizeBecomeOneMessage) {
  World world;
  for (const uint32_t tunnel : {tunnel_v4, tunnel_v6, tunnel_geneve}) {
    TxRuns runs(true);
    std::vector<Bytes> inner;
    for (uint32_t i = 0; i < 70; i++) {
      runs.add(tunnel_packet(world, tunnel, 7, udp(18, static_cast<uint16_t>(i + 1))));
      inner.push_back(build(udp(18, static_cast<uint16_t>(i + 1))));
    }
    ASSERT_EQ(runs.count(), 2u);
    EXPECT_EQ(runs.run(0).count, TxRuns::run_packets_max);
    EXPECT_EQ(runs.whole(0).offload.gso_type, GsoType::UdpL4);
    const std::vector<Bytes> wire = on_the_wire(world, runs);
    ASSERT_EQ(wire.size(), inner.size());
    for (size_t i = 0; i < wire.size(); i++) EXPECT_EQ(inner_frame(wire[i]), inner[i]);
  }
  EXPECT_EQ(world.leaked(), 0u);
}

TEST(TxRuns, AShorterPacketEndsARunAndALongerOneBeginsAnother) {
  World world;
  TxRuns runs(true);
  for (const uint32_t payload : {100u, 100u, 60u, 60u, 100u})
    runs.add(tunnel_packet(world, tunnel_v4, 7, udp(payload)));
  ASSERT_EQ(runs.count(), 3u);
  EXPECT_EQ(runs.run(0).count, 3);
  EXPECT_EQ(runs.run(1).count, 1) << "60, which 100 may not follow";
  EXPECT_EQ(runs.run(2).count, 1);
  on_the_wire(world, runs);
}

TEST(TxRuns, WhatDiffersInAnOuterFieldThatIsSaidOnceStaysApart) {
  World world;
  TxRuns runs(true);
  FrameSpec spec = udp(100);
  const auto alone = [&](const Packet& packet, const char* why) {
    const uint32_t before = runs.count();
    runs.add(packet);
    EXPECT_EQ(runs.count(), before + 1) << why;
  };
  alone(tunnel_packet(world, tunnel_v4, 7, spec), "the first");
  alone(tunnel_packet(world, tunnel_v4, 8, spec), "another source port");
  alone(tunnel_packet(world, tunnel_v4, 7 + 32, spec), "another one in the same slot");
  alone(tunnel_packet(world, tunnel_geneve, 7, spec), "another port");
  alone(tunnel_packet(world, tunnel_v6, 7, spec), "IPv6");
  alone(packet_of(*world.frames, build(spec)), "UDP without DF or with a checksum");
  Packet marked = tunnel_packet(world, tunnel_v4, 7, spec);
  marked.data[15] ^= 3;  // ECN
  alone(marked, "another ECN");
  Packet fragile = tunnel_packet(world, tunnel_v4, 9, spec);
  fragile.data[20] = 0;  // no DF
  alone(fragile, "without DF");
  Packet again = tunnel_packet(world, tunnel_v4, 9, spec);
  again.data[20] = 0;
  alone(again, "without DF, a second one");
  for (uint32_t i = 0; i < runs.packet_count(); i++) world.frames->free(runs.packet(i));
}

TEST(TxRuns, ARunStaysBelowTheLengthThatAnIpHeaderCanSay) {
  World world;
  TxRuns runs(true);
  for (uint32_t i = 0; i < 60; i++) runs.add(tunnel_packet(world, tunnel_v4, 7, udp(1400)));
  ASSERT_EQ(runs.count(), 2u);
  EXPECT_LE(runs.whole(0).length, 65535u + 14);
  EXPECT_GT(runs.whole(0).length, 60000u);
  for (uint32_t i = 0; i < runs.packet_count(); i++) world.frames->free(runs.packet(i));
}

TEST(TxRuns, WithoutLeaveToJoinEveryPacketIsItsOwnAndUnchanged) {
  World world;
  TxRuns runs(false);
  for (uint32_t i = 0; i < 3; i++) runs.add(tunnel_packet(world, tunnel_v4, 7, udp(18)));
  ASSERT_EQ(runs.count(), 3u);
  EXPECT_FALSE(runs.whole(0).offload.any());
  on_the_wire(world, runs);
}

TEST(TxRuns, RandomFlowsKeepTheirBytesAndTheirOrder) {
  const char* given = getenv("VTEP_SEED");
  const uint32_t seed =
      given != nullptr ? static_cast<uint32_t>(atol(given)) : std::random_device{}();
  SCOPED_TRACE("VTEP_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  World world(4096, 64);
  for (int round = 0; round < 200; round++) {
    TxRuns runs(true);
    std::map<uint16_t, std::vector<Bytes>> wanted;
    while (!runs.full()) {
      FrameSpec spec = udp(random() % 4 != 0 ? 100 : random() % 1400, 1);
      spec.ip_id = static_cast<uint16_t>(random());
      const uint32_t entropy = random() % 40;
      const bool v6 = entropy % 3 == 0;
      const Packet packet = tunnel_packet(world, v6 ? tunnel_v6 : tunnel_v4, entropy, spec);
      wanted[source_port(bytes_of(packet))].push_back(build(spec));
      runs.add(packet);
    }
    std::map<uint16_t, std::vector<Bytes>> found;
    for (const Bytes& frame : on_the_wire(world, runs))
      found[source_port(frame)].push_back(inner_frame(frame));
    ASSERT_EQ(found, wanted);
  }
  EXPECT_EQ(world.leaked(), 0u);
}

class TxRunsTest : public NamespaceTest {};

// The kernel takes the superpackets apart: a socket that knows nothing of them reads datagrams.
TEST_F(TxRunsTest, TheKernelDeliversTheDatagramsOfARunOneByOne) {
  const Fd a = make_namespace();
  make_veth("up0", a.get(), "eth0", "172.31.1.2/24 fd01::2/64");
  run(-1, "ip link set dev up0 address 02:01:01:01:01:01");
  run(a.get(), "ip link set dev eth0 address 02:01:01:01:01:02");
  World world(8192, 64);
  PortConfig config = port_config(1, PortKind::AfPacket, "up0");
  config.flags = port_flag_uplink;
  auto port = make_port(config, world.pool);
  auto queue = port->open_queue(0, true);
  if (!port->capabilities().tx_uso) GTEST_SKIP() << "this kernel has no UDP segmentation (6.2)";
  UdpReader reader(a.get(), 4789);
  for (const uint32_t tunnel : {tunnel_v4, tunnel_v6}) {
    std::vector<Packet> packets;
    std::multiset<Bytes> wanted;
    for (uint32_t i = 0; i < 100; i++) {
      const FrameSpec spec = udp(i % 10 == 9 ? 20 : 200, static_cast<uint16_t>(i + 1));
      packets.push_back(tunnel_packet(world, tunnel, i % 3, spec));
      wanted.insert(build(spec));
    }
    queue->tx_burst(*world.frames, packets.data(), static_cast<uint32_t>(packets.size()));
    queue->flush(*world.frames);
    std::multiset<Bytes> found;
    for (const Bytes& datagram : reader.read(100))
      found.insert(slice(datagram, 8, static_cast<uint32_t>(datagram.size())));
    EXPECT_EQ(found, wanted);
  }
  for (const uint64_t drops : queue->stats.drops) EXPECT_EQ(drops, 0u);
  queue.reset();
  EXPECT_EQ(world.leaked(), 0u);
}

}  // namespace
}  // namespace vtep::test
