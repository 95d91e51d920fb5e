// test/native/port_tap_test.cpp — TAP ports whose other end is the kernel's own stack.
//
// Needs root for namespaces; skips with the reason otherwise.
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>

#include <cstring>

#include "base/error.h"
#include "port/tap.h"
#include "test/native/port_support.h"

namespace vtep::test {
namespace {

class TapTest : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (!IsSkipped() && ::access("/dev/net/tun", R_OK | W_OK) != 0)
      GTEST_SKIP() << "/dev/net/tun: " << strerror(errno);
  }

  // Hands a TAP device over to a guest's namespace.
  void move(const std::string& device, int netns, const std::string& addresses) {
    const std::string path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(netns);
    run(-1, "ip link set dev " + device + " netns " + path);
    run(netns, "ip link set dev " + device + " up; for a in " + addresses +
                   "; do ip addr add $a dev " + device +
                   " nodad 2>/dev/null || ip addr add $a dev " + device + "; done");
  }

  FramePool pool_{{.small_count = 4096, .large_count = 256, .huge_pages = false}};
};

TEST_F(TapTest, CarriesTcpBetweenTwoGuestsInSuperpackets) {
  const FreeFrames before(pool_);
  const Fd a = make_namespace(), b = make_namespace();
  {
    auto port_a = make_port(port_config(1, PortKind::Tap, "t1"), pool_);
    auto port_b = make_port(port_config(2, PortKind::Tap, "t2"), pool_);
    move("t1", a.get(), "10.0.0.1/24 2001:db8::1/64");
    move("t2", b.get(), "10.0.0.2/24 2001:db8::2/64");
    Forwarder forwarder(pool_, *port_a, *port_b);
    EXPECT_TRUE(tcp_transfer(a.get(), b.get(), "10.0.0.2", 20 << 20));
    EXPECT_TRUE(tcp_transfer(a.get(), b.get(), "2001:db8::2", 20 << 20));
    const Seen* seen = forwarder.stop();
    EXPECT_GT(seen[0].gso_types[1], 50u);
    EXPECT_GT(seen[0].gso_types[4], 50u);
    EXPECT_GT(seen[0].longest, 20000u);
    EXPECT_EQ(seen[0].drops + seen[1].drops, 0u);
    EXPECT_EQ(port_a->status().link_up, 1u) << "asked in the guest's namespace";
    EXPECT_EQ(port_a->status().mtu, 1500u);
  }
  EXPECT_EQ(FreeFrames(pool_), before);
  std::string output;
  EXPECT_NE(run_status(a.get(), "ip link show dev t1", output), 0)
      << "the device stayed: " << output;
}

TEST_F(TapTest, CarriesTcpBetweenATapAndAVeth) {
  const Fd a = make_namespace(), b = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24");
  auto port_a = make_port(port_config(1, PortKind::AfPacket, "p1"), pool_);
  auto port_b = make_port(port_config(2, PortKind::Tap, "t2"), pool_);
  move("t2", b.get(), "10.0.0.2/24");
  Forwarder forwarder(pool_, *port_a, *port_b);
  EXPECT_TRUE(tcp_transfer(a.get(), b.get(), "10.0.0.2", 20 << 20));
  EXPECT_TRUE(tcp_transfer(b.get(), a.get(), "10.0.0.1", 20 << 20));
  const Seen* seen = forwarder.stop();
  EXPECT_GT(seen[0].superpackets, 50u);
  EXPECT_GT(seen[1].superpackets, 50u);
}

TEST_F(TapTest, ADeviceThatAnotherProgramHoldsIsBusy) {
  auto first = make_port(port_config(1, PortKind::Tap, "t1"), pool_);
  try {
    make_port(port_config(2, PortKind::Tap, "t1"), pool_);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), "ERR_DEVICE_BUSY");
    EXPECT_NE(std::string(error.what()).find("'t1'"), std::string::npos) << error.what();
  }
}

TEST_F(TapTest, ADeviceOfAnotherKindIsRefusedByName) {
  const Fd a = make_namespace();
  make_veth("p1", a.get(), "eth0", "10.0.0.1/24");
  try {
    make_port(port_config(2, PortKind::Tap, "p1"), pool_);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), "ERR_CONFIG_INVALID");
    EXPECT_NE(std::string(error.what()).find("'p1'"), std::string::npos) << error.what();
  }
}

TEST_F(TapTest, APersistentDeviceStaysAndAutoChoosesTap) {
  run(-1, "ip tuntap add dev t1 mode tap vnet_hdr");
  {
    PortConfig config = port_config(1, PortKind::Auto, "t1");
    config.mtu = 1400;
    auto port = make_port(config, pool_);
    const PortStatus status = port->status();
    EXPECT_EQ(status.kind, PortKind::Tap);
    EXPECT_EQ(status.ifindex, if_nametoindex("t1"));
    EXPECT_EQ(status.mtu, 1400u);
    EXPECT_NE(std::string(status.why).find("TAP"), std::string::npos);
    EXPECT_NE(run(-1, "ip link show dev t1").find("mtu 1400"), std::string::npos);
  }
  EXPECT_NE(if_nametoindex("t1"), 0u);
}

TEST_F(TapTest, ADeviceThatIsDeletedFallsSilent) {
  auto port = make_port(port_config(1, PortKind::Tap, "t1"), pool_);
  auto queue = port->open_queue(0, true);
  FrameCache frames(pool_);
  run(-1, "ip link del t1");
  for (const Packet& packet : receive_packets(*queue, frames, 4)) frames.free(packet);
  Packet packets[4];
  EXPECT_EQ(queue->rx_burst(frames, packets, 4), 0u);
  pollfd ready = {queue->rx_fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&ready, 1, 0), 0) << "a worker would never sleep again";
  EXPECT_EQ(port->status().link_up, 0u);
  Packet packet = frames.make(60);
  memset(packet.data, 0, 60);
  queue->tx_burst(frames, &packet, 1);
  EXPECT_EQ(queue->stats.drops[static_cast<uint32_t>(DropReason::TxError)], 1u);
  EXPECT_EQ(::poll(&ready, 1, 0), 0);
}

}  // namespace
}  // namespace vtep::test
