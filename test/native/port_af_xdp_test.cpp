// test/native/port_af_xdp_test.cpp — AF_XDP ports on real veths with untouched offloads, both
// modes.
//
// Needs root, namespaces and XDP; skips with the reason otherwise.
#include <net/if.h>
#include <poll.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "port/af_xdp.h"
#include "test/native/port_support.h"

namespace vtep::test {
namespace {

constexpr uint16_t local_type = 0x88b5;  // IEEE local experimental

class AfXdpTest : public NamespaceTest {
 protected:
  // An AF_XDP port, or null and a skipped test when the kernel has none.
  std::unique_ptr<Port> xdp_port(uint32_t number, PortKind kind, const std::string& device,
                                 uint32_t flags = 0) {
    PortConfig config = port_config(number, kind, device);
    config.flags = flags;
    return make_port(config, pool_);
  }

  void carry_tcp(PortKind kind);

  FramePool pool_{{.small_count = 8192, .large_count = 256, .huge_pages = false}};
};

void AfXdpTest::carry_tcp(PortKind kind) {
  const FreeFrames before(pool_);
  const Fd a = make_namespace(), b = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24 2001:db8::1/64");
  make_veth("p2", b.get(), "eth0", "10.0.0.2/24 2001:db8::2/64");
  {
    auto port_a = xdp_port(1, kind, "p1");
    auto port_b = xdp_port(2, kind, "p2");
    EXPECT_EQ(port_a->status().kind, kind);
    EXPECT_TRUE(port_a->capabilities().rx_partial_unmarked);
    Forwarder forwarder(pool_, *port_a, *port_b);
    EXPECT_TRUE(tcp_transfer(a.get(), b.get(), "10.0.0.2", 10 << 20));
    EXPECT_TRUE(tcp_transfer(b.get(), a.get(), "2001:db8::1", 10 << 20));
    const Seen* seen = forwarder.stop();
    EXPECT_GT(seen[0].needs_checksum, 100u) << "unfinished checksums went unnoticed";
    const uint64_t superpackets_min = kind == PortKind::AfXdpGeneric ? 10 : 0;
    EXPECT_GE(seen[0].gso_types[1], superpackets_min) << "superpackets of TCP over IPv4";
    EXPECT_GE(seen[1].gso_types[4], superpackets_min) << "superpackets of TCP over IPv6";
    EXPECT_EQ(seen[0].superpackets != 0, kind == PortKind::AfXdpGeneric);
    EXPECT_EQ(seen[0].drops + seen[1].drops, 0u);
  }
  EXPECT_EQ(FreeFrames(pool_), before);
  EXPECT_EQ(run(-1, "ip link show dev p1").find("xdp"), std::string::npos) << "the program stayed";
}

TEST_F(AfXdpTest, GenericModeCarriesTcpOfUntouchedVethsAndRecomposesSuperpackets) {
  carry_tcp(PortKind::AfXdpGeneric);
}

TEST_F(AfXdpTest, NativeModeCarriesTcpOfUntouchedVeths) { carry_tcp(PortKind::AfXdpNative); }

TEST_F(AfXdpTest, PortsShareTheFramesAndOneGoesOnWhenTheOtherIsDestroyed) {
  const FreeFrames before(pool_);
  const Fd a = make_namespace(), b = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24");
  make_veth("p2", b.get(), "eth0", "10.0.0.2/24");
  auto first = xdp_port(1, PortKind::AfXdpGeneric, "p1");
  {
    auto second = xdp_port(2, PortKind::AfXdpGeneric, "p2");
    auto queue_of_first = first->open_queue(0, true);
    queue_of_first.reset();
    first.reset();
    auto queue = second->open_queue(0, true);
    FrameCache frames(pool_);
    Probe probe(b.get(), "eth0");
    std::vector<uint8_t> tagged = ethernet_frame(local_type, 1400);
    const uint8_t tag[] = {0x81, 0, 0x60, 0x64};
    tagged.insert(tagged.begin() + 12, tag, tag + 4);
    probe.send(tagged);
    auto packets = receive_packets(*queue, frames, 1);
    ASSERT_EQ(packets.size(), 1u);
    EXPECT_EQ(std::vector<uint8_t>(packets[0].data, packets[0].data + packets[0].length), tagged);
    EXPECT_GE(headroom(pool_, packets[0]), frame_headroom);
    EXPECT_EQ(packets[0].in_port, 2u);
    // By the socket itself, then by the queue of a worker that only sends.
    memcpy(packets[0].data + 14, "own", 3);
    packets[0].data[12] = local_type >> 8;
    packets[0].data[13] = local_type & 0xff;
    queue->tx_burst(frames, packets.data(), 1);
    queue->flush(frames);
    EXPECT_EQ(probe.receive(local_type).size(), 1418u);
    auto sender = second->open_queue(1, false);
    EXPECT_FALSE(sender->receives());
    Packet packet = frames.make(60);
    memcpy(packet.data, ethernet_frame(local_type, 46).data(), 60);
    sender->tx_burst(frames, &packet, 1);
    sender->flush(frames);
    EXPECT_EQ(probe.receive(local_type), ethernet_frame(local_type, 46));
  }
  EXPECT_EQ(FreeFrames(pool_), before);
}

TEST_F(AfXdpTest, JumboFramesComeAndGoInPieces) {
  const FreeFrames before(pool_);
  const Fd a = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24");
  run(-1, "ip link set dev p1 mtu 9000");
  run(a.get(), "ip link set dev eth0 mtu 9000");
  {
    auto port = xdp_port(1, PortKind::AfXdpGeneric, "p1");
    auto queue = port->open_queue(0, true);
    FrameCache frames(pool_);
    Probe probe(a.get(), "eth0");
    const auto jumbo = ethernet_frame(local_type, 8900);
    probe.send(jumbo);
    const auto packets = receive_packets(*queue, frames, 1);
    ASSERT_EQ(packets.size(), 1u);
    EXPECT_EQ(std::vector<uint8_t>(packets[0].data, packets[0].data + packets[0].length), jumbo);
    EXPECT_TRUE(packets[0].frame.large());
    queue->tx_burst(frames, packets.data(), 1);
    queue->flush(frames);
    EXPECT_EQ(probe.receive(local_type), jumbo);
  }
  EXPECT_EQ(FreeFrames(pool_), before);
}

TEST_F(AfXdpTest, AnUplinkTakesItsTunnelPacketsAndLeavesEverythingElseToTheHost) {
  const Fd a = make_namespace();
  make_veth("up0", a.get(), "eth0", "10.0.0.1/24");
  run(-1, "ip addr add 10.0.0.9/24 dev up0; ip addr add 10.0.0.10/24 dev up0");
  for (const PortKind kind : {PortKind::AfXdpGeneric, PortKind::AfXdpNative}) {
    auto port = xdp_port(1, kind, "up0", port_flag_uplink);
    port->set_endpoints({{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 9}});
    auto queue = port->open_queue(0, true);
    FrameCache frames(pool_);
    run(a.get(), "ping -c3 -i0.2 -W1 10.0.0.9");
    run(a.get(),
        "/usr/bin/python3 -c \"import socket as s\n"
        "u = s.socket(s.AF_INET, s.SOCK_DGRAM)\n"
        "for h in (9, 10):\n"
        " for p in (4789, 6081, 4790): u.sendto(b'x' * 50, ('10.0.0.%d' % h, p))\"");
    const auto packets = receive_packets(*queue, frames, 3);
    EXPECT_EQ(packets.size(), 2u);
    for (const Packet& packet : packets) frames.free(packet);
  }
}

TEST_F(AfXdpTest, WhatTheKernelsVxlanDeviceLeftUndoneIsFoundInsideTheTunnel) {
  const Fd a = make_namespace(), b = make_namespace();
  make_veth("up0", a.get(), "eth0", "10.0.0.1/24");
  make_veth("p2", b.get(), "eth0", "10.7.0.2/24");
  run(-1, "ip addr add 10.0.0.9/24 dev up0; ip link set dev up0 address 02:00:00:00:00:09");
  run(b.get(), "ip link set dev eth0 mtu 1450");
  run(a.get(),
      "ip link set dev eth0 address 02:00:00:00:00:01; ip link add vx type vxlan id 7 dstport "
      "4789 local 10.0.0.1 remote 10.0.0.9 dev eth0; ip link set vx up; "
      "ip addr add 10.7.0.1/24 dev vx");
  const TinyVtep vtep = {{2, 0, 0, 0, 0, 9}, {2, 0, 0, 0, 0, 1}, {10, 0, 0, 9}, {10, 0, 0, 1}, 7};
  for (const PortKind kind : {PortKind::AfPacket, PortKind::AfXdpNative, PortKind::AfXdpGeneric}) {
    PortConfig config = port_config(1, kind, "up0");
    config.flags = port_flag_uplink;
    auto uplink = make_port(config, pool_);
    auto access = make_port(port_config(2, PortKind::AfPacket, "p2"), pool_);
    Forwarder forwarder(pool_, *uplink, *access, &vtep);
    EXPECT_TRUE(tcp_transfer(a.get(), b.get(), "10.7.0.2", 4 << 20)) << uplink->status().mode;
    EXPECT_TRUE(tcp_transfer(b.get(), a.get(), "10.7.0.1", 4 << 20)) << uplink->status().mode;
    const Seen* seen = forwarder.stop();
    EXPECT_GT(seen[0].needs_checksum, 10u) << uplink->status().mode;
    EXPECT_EQ(seen[0].gso_types[1] != 0, kind != PortKind::AfXdpNative) << uplink->status().mode;
    EXPECT_EQ(seen[0].drops + seen[1].drops, 0u) << uplink->status().mode;
  }
}

TEST_F(AfXdpTest, ADriverWithoutXdpFallsBackToGenericAndSaysWhy) {
  run(-1, "ip link add br0 type bridge; ip link set dev br0 up");
  auto port = xdp_port(1, PortKind::AfXdp, "br0");
  EXPECT_STREQ(port->status().mode, "af_xdp generic");
  EXPECT_NE(std::string(port->status().why).find("'bridge' has no XDP"), std::string::npos)
      << port->status().why;
  port.reset();
  try {
    xdp_port(1, PortKind::AfXdpNative, "br0");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), "ERR_XDP_UNSUPPORTED");
  }
}

TEST_F(AfXdpTest, ADeviceThatHasAnotherXdpProgramIsBusy) {
  const Fd a = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24");
  auto first = xdp_port(1, PortKind::AfXdpGeneric, "p1");
  for (const PortKind kind : {PortKind::AfXdpGeneric, PortKind::AfXdpNative}) {
    try {
      xdp_port(2, kind, "p1");
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_STREQ(error.code(), "ERR_DEVICE_BUSY") << error.what();
      EXPECT_NE(std::string(error.what()).find("'p1'"), std::string::npos) << error.what();
    }
  }
}

TEST_F(AfXdpTest, ADeviceThatIsDeletedFallsSilentAndEveryFrameComesBack) {
  const FreeFrames before(pool_);
  const Fd a = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24");
  {
    auto port = xdp_port(1, PortKind::AfXdpNative, "p1");
    auto queue = port->open_queue(0, true);
    FrameCache frames(pool_);
    run(-1, "ip link del p1");
    for (const Packet& packet : receive_packets(*queue, frames, 4)) frames.free(packet);
    Packet packets[4];
    EXPECT_EQ(queue->rx_burst(frames, packets, 4), 0u);
    pollfd ready = {queue->rx_fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 0), 0) << "a worker would never sleep again";
    EXPECT_EQ(port->status().ifindex, 0u);
    for (uint32_t i = 0; i < 3000; ++i) {
      Packet packet = frames.make(60);
      memset(packet.data, 0, 60);
      queue->tx_burst(frames, &packet, 1);
    }
    queue->flush(frames);
    EXPECT_GT(queue->stats.drops[static_cast<uint32_t>(DropReason::TxFull)], 0u);
  }
  EXPECT_EQ(FreeFrames(pool_), before);
}

TEST(XdpBytecode, TheCommittedBytecodeIsWhatTheSourceCompilesTo) {
  const std::string folder = VTEP_ROOT "/native/port/";
  std::ifstream committed(folder + "xdp_redirect_bytecode.h");
  std::stringstream text;
  text << committed.rdbuf();
  std::string version;
  if (run_status(-1, "clang -dumpversion | cut -d. -f1 | tr -d '\\n'", version) != 0 ||
      version.size() > 3)
    GTEST_SKIP() << "clang is not installed";
  if (text.str().find("Compiler: clang " + version + "\n") == std::string::npos)
    GTEST_SKIP() << "the bytecode was made by another clang than " << version;
  char made[] = "/tmp/vtep-bytecode-XXXXXX";
  const Fd file(::mkstemp(made));
  run(-1, folder + std::string("make_bytecode.sh ") + made);
  const std::string difference =
      run(-1, std::string("diff ") + folder + "xdp_redirect_bytecode.h " + made +
                  " | head -5; rm " + made);
  EXPECT_EQ(difference, "");
}

}  // namespace
}  // namespace vtep::test
