// test/native/datapath_uplink_test.cpp — an XDP uplink takes our tunnel addresses from the host,
// and no others, whichever comes first: the address or the port.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "test/native/datapath_support.h"
#include "test/native/port_support.h"

namespace vtep::test {
namespace {

constexpr uint32_t uplink = 1;

TunnelEndpoints::Endpoint endpoint(uint8_t last) {
  return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last}, be16(4789), be16(6081)};
}

class UplinkTest : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    peer_ = make_namespace();
    make_veth("up0", peer_.get(), "eth0", "10.0.0.1/24");
    run(-1, "ip addr add 10.0.0.9/24 dev up0; ip addr add 10.0.0.10/24 dev up0");
    run(peer_.get(), "ping -c1 -W1 10.0.0.9; ping -c1 -W1 10.0.0.10");
  }
  // Packets that the uplink took of one tunnel packet to each of the two addresses.
  uint64_t taken(Bench& bench) {
    const uint64_t before = bench.port_count(uplink, PortCounter::RxPackets);
    run(peer_.get(),
        "/usr/bin/python3 -c \"import socket as s\n"
        "u = s.socket(s.AF_INET, s.SOCK_DGRAM)\n"
        "for h in (9, 10): u.sendto(b'x' * 50, ('10.0.0.%d' % h, 4789))\"");
    for (int i = 0; i < 20; i++) {
      bench.run();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return bench.port_count(uplink, PortCounter::RxPackets) - before;
  }
  static void add_uplink(Bench& bench) {
    PortConfig config = port_config(uplink, PortKind::AfXdpGeneric, "up0");
    config.flags = port_flag_uplink;
    bench.datapath.add_port(config);
  }

  Fd peer_;
};

TEST_F(UplinkTest, AnUplinkThatComesAfterTheEndpointsTakesOnlyTheirs) {
  Bench bench;
  bench.datapath.set_endpoints({endpoint(9)});
  add_uplink(bench);
  EXPECT_EQ(taken(bench), 1u);
}

TEST_F(UplinkTest, EndpointsThatChangeReachTheUplinkThatIsThere) {
  Bench bench;
  add_uplink(bench);
  EXPECT_EQ(taken(bench), 2u) << "without endpoints, any address";
  bench.datapath.set_endpoints({endpoint(10)});
  EXPECT_EQ(taken(bench), 1u);
  bench.datapath.set_endpoints({endpoint(9), endpoint(10)});
  EXPECT_EQ(taken(bench), 2u);
}

}  // namespace
}  // namespace vtep::test
