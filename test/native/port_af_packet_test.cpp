// test/native/port_af_packet_test.cpp — AF_PACKET ports between real veths with untouched offloads.
//
// Needs root for namespaces; skips with the reason otherwise.
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/be.h"
#include "base/error.h"
#include "port/af_packet.h"
#include "port/ingress_guard.h"
#include "test/native/port_support.h"

namespace vtep::test {
namespace {

constexpr uint16_t local_type = 0x88b5;  // IEEE local experimental

class AfPacketTest : public NamespaceTest {
 protected:
  FramePool pool_{{.small_count = 4096, .large_count = 256, .huge_pages = false}};
};

std::string error_of(const PortConfig& config, FramePool& pool, const char* code) {
  try {
    auto port = make_port(config, pool);
    port->open_queue(0, true);
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST_F(AfPacketTest, CarriesTcpBetweenTwoUntouchedVethsInSuperpackets) {
  const FreeFrames before(pool_);
  const Fd a = make_namespace(), b = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24 2001:db8::1/64");
  make_veth("p2", b.get(), "eth0", "10.0.0.2/24 2001:db8::2/64");
  {
    auto port_a = make_port(port_config(1, PortKind::AfPacket, "p1"), pool_);
    auto port_b = make_port(port_config(2, PortKind::AfPacket, "p2"), pool_);
    Forwarder forwarder(pool_, *port_a, *port_b);
    EXPECT_TRUE(tcp_transfer(a.get(), b.get(), "10.0.0.2", 30 << 20));
    EXPECT_TRUE(tcp_transfer(a.get(), b.get(), "2001:db8::2", 30 << 20));
    const Seen* seen = forwarder.stop();
    EXPECT_GT(seen[0].gso_types[1], 100u) << "superpackets of TCP over IPv4";
    EXPECT_GT(seen[0].gso_types[4], 100u) << "superpackets of TCP over IPv6";
    EXPECT_GT(seen[0].needs_checksum, 200u);
    EXPECT_GT(seen[0].longest, 30000u);
    EXPECT_EQ(seen[0].drops + seen[1].drops, 0u);
  }
  EXPECT_EQ(FreeFrames(pool_), before);
}

TEST_F(AfPacketTest, PutsBackTheVlanTagThatTheKernelTookOut) {
  const Fd a = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24");
  auto port = make_port(port_config(1, PortKind::AfPacket, "p1"), pool_);
  auto queue = port->open_queue(0, true);
  FrameCache frames(pool_);
  for (const uint16_t tpid : {0x8100, 0x88a8}) {
    std::vector<uint8_t> sent = ethernet_frame(local_type, 100);
    const uint8_t tag[] = {static_cast<uint8_t>(tpid >> 8), static_cast<uint8_t>(tpid), 0x60, 0x64};
    sent.insert(sent.begin() + 12, tag, tag + 4);
    Probe probe(a.get(), "eth0");
    probe.send(sent);
    const auto packets = receive_packets(*queue, frames, 1);
    ASSERT_EQ(packets.size(), 1u);
    EXPECT_EQ(std::vector<uint8_t>(packets[0].data, packets[0].data + packets[0].length), sent);
    EXPECT_EQ(packets[0].in_port, 1u);
    EXPECT_GE(headroom(pool_, packets[0]), frame_headroom);
    frames.free(packets[0]);
  }
}

TEST_F(AfPacketTest, CarriesSuperpacketsOfVlanDevicesWithTheirTag) {
  const Fd a = make_namespace(), b = make_namespace();
  std::string output;
  if (run_status(-1, "ip link add link lo name v5 type vlan id 5", output) != 0)
    GTEST_SKIP() << "this kernel has no VLAN devices (CONFIG_VLAN_8021Q)";
  make_veth("p1", a.get(), "eth0", "10.9.0.1/24");
  make_veth("p2", b.get(), "eth0", "10.9.0.2/24");
  for (const auto& [netns, address] : {std::pair{a.get(), "10.0.0.1/24"}, {b.get(), "10.0.0.2/24"}})
    run(netns, std::string("ip link add link eth0 name v5 type vlan id 5; ip addr add ") + address +
                   " dev v5; ip link set v5 up");
  auto port_a = make_port(port_config(1, PortKind::AfPacket, "p1"), pool_);
  auto port_b = make_port(port_config(2, PortKind::AfPacket, "p2"), pool_);
  Forwarder forwarder(pool_, *port_a, *port_b);
  EXPECT_TRUE(tcp_transfer(a.get(), b.get(), "10.0.0.2", 20 << 20));
  const Seen* seen = forwarder.stop();
  EXPECT_GT(seen[0].superpackets, 100u);
  EXPECT_EQ(seen[0].drops + seen[1].drops, 0u);
}

TEST_F(AfPacketTest, KeepsTheHostsStackFromAnsweringAndRemovesTheGuard) {
  const Fd a = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24");
  run(-1, "ip addr add 10.0.0.9/24 dev p1");
  std::string output;
  EXPECT_EQ(run_status(a.get(), "ping -c1 -W1 10.0.0.9", output), 0)
      << "without a port: " << output;
  for (const auto method : {IngressGuardMethod::Tcx, IngressGuardMethod::Clsact}) {
    {
      IngressGuard guard("p1", if_nametoindex("p1"), method);
      EXPECT_STREQ(guard.method(), method == IngressGuardMethod::Tcx ? "tcx" : "clsact");
      EXPECT_NE(run_status(a.get(), "ping -c1 -W1 10.0.0.9", output), 0) << "the host answered";
    }
    EXPECT_EQ(run_status(a.get(), "ping -c1 -W1 10.0.0.9", output), 0)
        << "the guard is still there";
    EXPECT_EQ(run(-1, "tc qdisc show dev p1").find("clsact"), std::string::npos);
  }
  auto port = make_port(port_config(1, PortKind::Auto, "p1"), pool_);
  auto queue = port->open_queue(0, true);
  EXPECT_NE(run_status(a.get(), "ping -c1 -W1 10.0.0.9", output), 0) << "the host answered";
  // It begins with clsact and goes over to TCX; the host hears nothing before, meanwhile or after.
  for (int tries = 0; tries < 100; ++tries) {
    if (std::string(port->status().mode) == "af_packet, tcx guard") break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_STREQ(port->status().mode, "af_packet, tcx guard");
  EXPECT_NE(run_status(a.get(), "ping -c1 -W1 10.0.0.9", output), 0) << "the host answered";
  EXPECT_EQ(run(-1, "tc filter show dev p1 ingress").find("vtep-guard"), std::string::npos);
  EXPECT_NE(std::string(port->status().why).find("access port"), std::string::npos);
  queue.reset();
  port.reset();
  EXPECT_EQ(run(-1, "tc qdisc show dev p1").find("clsact"), std::string::npos);
}

// Frames that have left by a device.
uint32_t sent_by(const std::string& device) {
  ifaddrs* list = nullptr;
  EXPECT_EQ(getifaddrs(&list), 0);
  uint32_t count = 0;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_name != device || one->ifa_data == nullptr) continue;
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_PACKET) continue;
    count = static_cast<const rtnl_link_stats*>(one->ifa_data)->tx_packets;
  }
  freeifaddrs(list);
  return count;
}

TEST_F(AfPacketTest, LosesNothingThatIsSentWhileTheGuardGoesOverToTcx) {
  const Fd a = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24");
  auto port = make_port(port_config(1, PortKind::AfPacket, "p1"), pool_);
  auto queue = port->open_queue(0, true);
  FrameCache frames(pool_);
  const std::vector<uint8_t> frame = ethernet_frame(local_type, 100);
  const uint32_t before = sent_by("p1");
  uint32_t sent = 0;
  const auto send_burst = [&] {
    Packet packets[8];
    for (Packet& packet : packets) {
      packet = frames.make(static_cast<uint32_t>(frame.size()));
      memcpy(packet.data, frame.data(), frame.size());
    }
    queue->tx_burst(frames, packets, 8);
    queue->flush(frames);
    sent += 8;
    std::this_thread::sleep_for(std::chrono::microseconds(20));  // eth0 keeps up
  };
  // status() would wait for the guard, and nothing be sent meanwhile: asked now and then only.
  for (int rounds = 0; std::string(port->status().mode) != "af_packet, tcx guard"; ++rounds) {
    ASSERT_LT(rounds, 20);
    const auto begun = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(500)) send_burst();
  }
  EXPECT_EQ(std::count_if(std::begin(queue->stats.drops), std::end(queue->stats.drops),
                          [](uint64_t drops) { return drops != 0; }),
            0);
  EXPECT_EQ(sent_by("p1") - before, sent);
}

TEST_F(AfPacketTest, AnUplinkTakesTunnelPacketsOnlyAndTheHostStaysSilentAboutThem) {
  const Fd a = make_namespace();
  make_veth("up0", a.get(), "eth0", "10.0.0.1/24 2001:db8::1/64");
  run(-1,
      "sysctl -qw net.ipv6.conf.up0.disable_ipv6=0; ip addr add 10.0.0.9/24 dev up0; "
      "ip addr add 2001:db8::9/64 dev up0 nodad");
  PortConfig config = port_config(1, PortKind::AfPacket, "up0");
  config.flags = port_flag_uplink;
  auto port = make_port(config, pool_);
  auto queue = port->open_queue(0, true);
  FrameCache frames(pool_);
  run(a.get(), "ping -c1 -W1 10.0.0.9; ping -6 -c1 -W1 2001:db8::9");
  const std::string send =
      "/usr/bin/python3 -c \"import socket as s\n"
      "for f, h in ((s.AF_INET, '10.0.0.9'), (s.AF_INET6, '2001:db8::9')):\n"
      " for p in (4789, 6081, 4790):\n"
      "  u = s.socket(f, s.SOCK_DGRAM); u.connect((h, p)); u.settimeout(0.2); u.send(b'x' * 50)\n"
      "  try:\n   u.recv(1)\n"
      "  except ConnectionRefusedError: print(p, 'refused')\n"
      "  except TimeoutError: print(p, 'silent')\n\"";
  const std::string answers = run(a.get(), send);
  EXPECT_EQ(answers,
            "4789 silent\n6081 silent\n4790 refused\n4789 silent\n6081 silent\n4790 refused\n");
  const auto packets = receive_packets(*queue, frames, 5);
  ASSERT_EQ(packets.size(), 4u);
  for (const Packet& packet : packets) frames.free(packet);
}

TEST_F(AfPacketTest, ATunnelPortThatAKernelVxlanDeviceHoldsIsAnErrorThatSaysSo) {
  const Fd a = make_namespace();
  make_veth("up0", a.get(), "eth0", "10.0.0.1/24");
  run(-1, "ip link add vx type vxlan id 5 dstport 4789 local 10.0.0.9 dev up0; ip link set vx up");
  PortConfig config = port_config(1, PortKind::AfPacket, "up0");
  config.flags = port_flag_uplink;
  const std::string sentence = error_of(config, pool_, "ERR_DEVICE_BUSY");
  EXPECT_NE(sentence.find("4789"), std::string::npos);
  EXPECT_NE(sentence.find("kernel vxlan"), std::string::npos);
}

TEST_F(AfPacketTest, TwoUplinksShareTheTunnelPorts) {
  const Fd a = make_namespace();
  make_veth("up1", a.get(), "eth0", "10.0.0.1/24");
  make_veth("up2", a.get(), "eth1", "10.0.1.1/24");
  PortConfig config = port_config(1, PortKind::AfPacket, "up1");
  config.flags = port_flag_uplink;
  auto first = make_port(config, pool_);
  config = port_config(2, PortKind::AfPacket, "up2");
  config.flags = port_flag_uplink;
  EXPECT_NO_THROW(make_port(config, pool_));
}

TEST_F(AfPacketTest, AMissingDeviceIsAnErrorThatNamesIt) {
  const std::string sentence =
      error_of(port_config(1, PortKind::AfPacket, "nosuch0"), pool_, "ERR_DEVICE_NOT_FOUND");
  EXPECT_NE(sentence.find("'nosuch0'"), std::string::npos);
}

TEST_F(AfPacketTest, ReceivingGoesOnAfterTheLinkWasDownAndEndsQuietlyWithTheDevice) {
  const Fd a = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24");
  auto port = make_port(port_config(1, PortKind::AfPacket, "p1"), pool_);
  auto queue = port->open_queue(0, true);
  FrameCache frames(pool_);
  Packet packets[8];
  // The kernel says a moment later that the link runs.
  for (int i = 0; i < 400 && port->status().link_up == 0; ++i) usleep(5000);
  EXPECT_EQ(port->status().link_up, 1u);
  run(-1, "ip link set p1 down");
  for (const Packet& packet : receive_packets(*queue, frames, 4)) frames.free(packet);
  EXPECT_EQ(queue->rx_burst(frames, packets, 8), 0u);
  EXPECT_EQ(port->status().link_up, 0u);
  Packet packet = frames.make(60);
  memset(packet.data, 0, 60);
  queue->tx_burst(frames, &packet, 1);
  queue->flush(frames);
  EXPECT_EQ(queue->stats.drops[static_cast<uint32_t>(DropReason::TxError)], 1u);
  run(-1, "ip link set p1 up");
  Probe probe(a.get(), "eth0");
  probe.send(ethernet_frame(local_type, 100));
  const auto got = receive_packets(*queue, frames, 1);
  ASSERT_EQ(got.size(), 1u);
  for (const Packet& one : got) frames.free(one);
  run(-1, "ip link del p1");
  for (const Packet& packet : receive_packets(*queue, frames, 4)) frames.free(packet);
  EXPECT_EQ(queue->rx_burst(frames, packets, 8), 0u);
  EXPECT_EQ(port->status().link_up, 0u);
  EXPECT_EQ(port->status().ifindex, 0u);
}

TEST_F(AfPacketTest, AFrameLongerThanTheMtuIsCountedAsTooLongAndTheOthersGoOut) {
  const Fd a = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24");
  auto port = make_port(port_config(1, PortKind::AfPacket, "p1"), pool_);
  auto queue = port->open_queue(0, false);
  EXPECT_FALSE(queue->receives());
  FrameCache frames(pool_);
  Probe probe(a.get(), "eth0");
  for (const uint32_t length : {1600u, 100u}) {
    Packet packet = frames.make(length);
    const auto frame = ethernet_frame(local_type, length - 14);
    memcpy(packet.data, frame.data(), length);
    queue->tx_burst(frames, &packet, 1);
  }
  queue->flush(frames);
  EXPECT_EQ(queue->stats.drops[static_cast<uint32_t>(DropReason::TxTooLong)], 1u);
  EXPECT_EQ(probe.receive(local_type), ethernet_frame(local_type, 86));
}

TEST_F(AfPacketTest, PacketsThatOverranTheSocketAreCountedAsKernelDrops) {
  const Fd a = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24");
  auto port = make_port(port_config(1, PortKind::AfPacket, "p1"), pool_);
  auto queue = port->open_queue(0, true);
  FrameCache frames(pool_);
  Probe probe(a.get(), "eth0");
  const auto frame = ethernet_frame(local_type, 1400);
  for (uint32_t i = 0; i < 20000; ++i) probe.send(frame);
  uint64_t received = 0;
  for (;;) {
    const auto packets = receive_packets(*queue, frames, batch_max);
    if (packets.empty()) break;
    received += packets.size();
    for (const Packet& packet : packets) frames.free(packet);
  }
  EXPECT_GT(queue->stats.kernel_drops, 0u);
  EXPECT_GE(received + queue->stats.kernel_drops, 20000u);
}

TEST_F(AfPacketTest, APoolWithoutLargeFramesDelaysPacketsAndLosesNone) {
  FramePool small_pool({.small_count = 256, .large_count = 1, .huge_pages = false});
  const Fd a = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24");
  auto port = make_port(port_config(1, PortKind::AfPacket, "p1"), small_pool);
  auto queue = port->open_queue(0, true);
  FrameCache frames(small_pool);
  Probe probe(a.get(), "eth0");
  const FrameId held = frames.alloc_large();
  probe.send(ethernet_frame(local_type, 100));
  Packet packets[8];
  usleep(20000);
  EXPECT_EQ(queue->rx_burst(frames, packets, 8), 0u);
  frames.free(held);
  const auto got = receive_packets(*queue, frames, 1);
  ASSERT_EQ(got.size(), 1u);
  frames.free(got[0]);
}

}  // namespace
}  // namespace vtep::test
