// test/native/port_old_kernel_test.cpp — what a port does on kernels that lack something: forced
// here, since the kernel at hand has it.
#include <gtest/gtest.h>

#include "packet/gso.h"
#include "packet/headers.h"
#include "port/af_packet.h"
#include "port/vnet_frame.h"
#include "test/native/port_support.h"

namespace vtep::test {
namespace {

class OldKernelTest : public NamespaceTest {
 protected:
  PortConfig uplink() const {
    PortConfig config = port_config(1, PortKind::AfPacket, "up0");
    config.flags = port_flag_uplink;
    return config;
  }

  FramePool pool_{FramePoolConfig{8192, 128, false}};
};

TEST(OldKernel, UdpSegmentationIsSaidFromLinux62On) {
  for (const char* release : {"6.2.0", "6.2", "6.12.8-amd64", "7.0.0"})
    EXPECT_TRUE(release_has_uso(release)) << release;
  for (const char* release : {"6.1.0-18-amd64", "5.10.0", "4.19", "6", "next", ""})
    EXPECT_FALSE(release_has_uso(release)) << release;
}

TEST_F(OldKernelTest, WithoutUdpSegmentationAnUplinkSendsASuperpacketOneByOne) {
  const Fd a = make_namespace();
  make_veth("up0", a.get(), "eth0", "10.0.0.1/24");
  AfPacketPort port(uplink(), pool_, false);
  EXPECT_FALSE(port.capabilities().tx_uso);
  EXPECT_NE(std::string(port.status().why).find("6.2"), std::string::npos) << port.status().why;
  auto queue = port.open_queue(0, true);
  FrameCache frames(pool_);
  Probe probe(a.get(), "eth0");

  constexpr uint32_t payload = 4 * 1000 - 100;
  Packet super = frames.make(14 + 20 + 8 + payload);
  memset(super.data, 0, super.length);
  store_be16(super.data + 12, be16(eth_type_ipv4));
  uint8_t* ip = super.data + 14;
  ip[0] = 0x45;
  ip[8] = 64;
  ip[9] = ip_proto_udp;
  store_be16(ip + 2, be16(static_cast<uint16_t>(super.length - 14)));
  super.offload = {offload_needs_checksum, GsoType::UdpL4, 1000, 34, 6};
  Packet made[segments_max];
  Finished counts;
  const uint32_t count =
      finish_tx(frames, tx_can_checksum | tx_can_tso, super, {made, segments_max}, counts);
  ASSERT_EQ(count, 4u);
  queue->tx_burst(frames, made, count);
  queue->flush(frames);
  for (uint32_t i = 0; i < 4; i++) {
    const auto frame = probe.receive(eth_type_ipv4);
    EXPECT_EQ(frame.size(), 14u + 20 + 8 + (i < 3 ? 1000 : 900));
  }
}

TEST_F(OldKernelTest, WithoutUdpSegmentationTheKernelJoinsNoTunnelPackets) {
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
  AfPacketPort port(uplink(), pool_, false);
  auto access = make_port(port_config(2, PortKind::AfPacket, "p2"), pool_);
  Forwarder forwarder(pool_, port, *access, &vtep);
  EXPECT_TRUE(tcp_transfer(a.get(), b.get(), "10.7.0.2", 4 << 20));
  EXPECT_TRUE(tcp_transfer(b.get(), a.get(), "10.7.0.1", 4 << 20));
  const Seen* seen = forwarder.stop();
  EXPECT_EQ(seen[0].gso_types[5], 0u);
  EXPECT_EQ(seen[0].drops + seen[1].drops, 0u);
}

}  // namespace
}  // namespace vtep::test
