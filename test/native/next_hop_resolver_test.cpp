// test/native/next_hop_resolver_test.cpp — tunnels follow the kernel's routes, neighbours and
// links, seen from the status of each tunnel.
#include "host/next_hop_resolver.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <functional>

#include "datapath/datapath.h"
#include "test/native/datapath_support.h"
#include "test/native/port_support.h"

namespace vtep::test {
namespace {

using Clock = std::chrono::steady_clock;

Ipv6Bytes v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d};
}

Ipv6Bytes v6(uint8_t last) { return {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}; }

// One host: uplink u1 to a peer that has MAC 02:00:00:00:aa:02.
class ResolverTest : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    peer_ = make_namespace();
    make_veth("u1", peer_.get(), "eth0", "172.31.1.2/24 172.31.1.254/24");
    run(-1,
        "sysctl -qw net.ipv6.conf.u1.disable_ipv6=0; ip link set u1 address 02:00:00:00:aa:01 mtu "
        "1600; ip addr add 172.31.1.1/24 dev u1; ip addr add 2001:db8::1/64 dev u1 nodad");
    run(peer_.get(),
        "ip link set eth0 address 02:00:00:00:aa:02; ip addr add 2001:db8::2/64 dev eth0 nodad");
    datapath_ = std::make_unique<Datapath>(Bench::manual_config());
    resolver_ = std::make_unique<NextHopResolver>(*datapath_);
    add_uplink();
  }
  void TearDown() override {
    resolver_.reset();
    datapath_.reset();
    NamespaceTest::TearDown();
  }

  void add_uplink() {
    PortConfig config = port_config(1, PortKind::AfPacket, "u1");
    config.flags = port_flag_uplink;
    datapath_->add_port(config);
    resolver_->on_ports_changed();
  }
  void set_tunnel(uint32_t number, const Ipv6Bytes& remote, const Ipv6Bytes& local) {
    TunnelConfig config;
    config.number = number;
    config.local = local;
    config.remote = remote;
    datapath_->set_tunnel(config);
    resolver_->on_tunnel_set(config);
  }
  void set_tunnel() { set_tunnel(7, v4(172, 31, 1, 2), v4(172, 31, 1, 1)); }

  TunnelStatus status(uint32_t number = 7) const {
    for (const TunnelStatus& tunnel : datapath_->list_tunnels())
      if (tunnel.config.number == number) return tunnel;
    ADD_FAILURE() << "no tunnel " << number;
    return {};
  }
  // Does what the control thread does, until the tunnel is as wanted.
  bool becomes(const std::function<bool(const TunnelStatus&)>& wanted) {
    const auto end = Clock::now() + std::chrono::seconds(8);
    while (Clock::now() < end) {
      if (wanted(status())) return true;
      pollfd news{resolver_->fd(), POLLIN, 0};
      const int wait = resolver_->next_wake_ms();
      if (poll(&news, 1, wait < 0 ? 100 : std::min(wait, 100)) > 0) resolver_->on_readable();
      resolver_->on_time();
    }
    return wanted(status());
  }
  bool resolves() {
    return becomes([](const TunnelStatus& tunnel) { return tunnel.resolved != 0; });
  }
  bool fails_with(const std::string& words) {
    return becomes([&](const TunnelStatus& tunnel) {
      return tunnel.resolved == 0 && std::string(tunnel.why).find(words) != std::string::npos;
    });
  }

  Fd peer_;
  std::unique_ptr<Datapath> datapath_;
  std::unique_ptr<NextHopResolver> resolver_;
};

TEST_F(ResolverTest, ANeighbourThatAnswersResolvesTheTunnel) {
  set_tunnel();
  ASSERT_TRUE(resolves()) << status().why;
  EXPECT_EQ(status().hop.target_mac, (MacBytes{2, 0, 0, 0, 0xaa, 2}));
  EXPECT_EQ(status().hop.source_mac, (MacBytes{2, 0, 0, 0, 0xaa, 1}));
  EXPECT_EQ(status().hop.mtu, 1600u);
  EXPECT_EQ(status().hop.uplink_port, 1u);
}

// The link-local address of a new device is tentative for a second or more: the kernel does not
// solicit from it, but does from the tunnel's own.
TEST_F(ResolverTest, AnIpv6NeighbourOfANewDeviceResolvesAtOnce) {
  run(-1, "sysctl -qw net.ipv6.conf.u1.dad_transmits=20; ip link set u1 down; ip link set u1 up");
  run(-1, "ip addr replace 2001:db8::1/64 dev u1 nodad");
  run(-1, "until ip link show u1 | grep -q 'state UP'; do sleep 0.01; done");
  set_tunnel(7, v6(2), v6(1));
  const auto start = Clock::now();
  ASSERT_TRUE(resolves()) << status().why;
  EXPECT_LT(Clock::now() - start, std::chrono::milliseconds(900));
  EXPECT_NE(run(-1, "ip -6 addr show dev u1 scope link tentative").find("fe80::"),
            std::string::npos);
}

TEST_F(ResolverTest, ANeighbourThatChangesItsMacIsFollowed) {
  set_tunnel();
  ASSERT_TRUE(resolves()) << status().why;
  run(-1, "ip neigh replace 172.31.1.2 lladdr 02:00:00:00:aa:33 dev u1 nud reachable");
  EXPECT_TRUE(becomes([](const TunnelStatus& tunnel) {
    return tunnel.resolved != 0 && tunnel.hop.target_mac == MacBytes{2, 0, 0, 0, 0xaa, 0x33};
  }));
}

TEST_F(ResolverTest, ANeighbourThatDoesNotAnswerIsNamedAndTheTunnelComesUpWhenItDoes) {
  set_tunnel(7, v4(172, 31, 1, 77), v4(172, 31, 1, 1));
  EXPECT_TRUE(fails_with("no neighbour entry for 172.31.1.77 on u1")) << status().why;
  run(peer_.get(), "ip addr add 172.31.1.77/24 dev eth0");
  EXPECT_TRUE(resolves()) << status().why;
}

TEST_F(ResolverTest, ARouteThatVanishesAndComesBackTakesTheTunnelWithIt) {
  run(-1, "ip route add 172.31.9.0/24 via 172.31.1.254 mtu 1400");
  run(peer_.get(), "ip addr add 172.31.9.2/24 dev lo");
  set_tunnel(7, v4(172, 31, 9, 2), v4(172, 31, 1, 1));
  ASSERT_TRUE(resolves()) << status().why;
  EXPECT_EQ(status().hop.mtu, 1400u) << "the route's MTU";
  EXPECT_EQ(status().hop.target_mac, (MacBytes{2, 0, 0, 0, 0xaa, 2})) << "the gateway's MAC";
  run(-1, "ip route del 172.31.9.0/24");
  EXPECT_TRUE(fails_with("no route to 172.31.9.2")) << status().why;
  run(-1, "ip route add blackhole 172.31.9.0/24");
  EXPECT_TRUE(fails_with("172.31.9.2")) << status().why;
  run(-1, "ip route replace 172.31.9.0/24 via 172.31.1.2");
  EXPECT_TRUE(resolves()) << status().why;
  EXPECT_EQ(status().hop.mtu, 1600u);
}

TEST_F(ResolverTest, AChangedMtuReachesTheTunnel) {
  set_tunnel();
  ASSERT_TRUE(resolves()) << status().why;
  run(-1, "ip link set u1 mtu 1550");
  EXPECT_TRUE(becomes([](const TunnelStatus& tunnel) { return tunnel.hop.mtu == 1550; }));
}

TEST_F(ResolverTest, ALinkThatGoesDownAndUpTakesTheTunnelWithIt) {
  set_tunnel();
  ASSERT_TRUE(resolves()) << status().why;
  run(peer_.get(), "ip link set eth0 down");
  EXPECT_TRUE(becomes([](const TunnelStatus& tunnel) { return tunnel.resolved == 0; }));
  EXPECT_STRNE(status().why, "");
  run(peer_.get(), "ip link set eth0 up");
  EXPECT_TRUE(resolves()) << status().why;
}

TEST_F(ResolverTest, Ipv6TunnelsResolveByNeighbourDiscovery) {
  set_tunnel(7, v6(2), v6(1));
  ASSERT_TRUE(resolves()) << status().why;
  EXPECT_EQ(status().hop.target_mac, (MacBytes{2, 0, 0, 0, 0xaa, 2}));
  run(-1, "ip -6 route del 2001:db8::/64 dev u1");
  EXPECT_TRUE(becomes([](const TunnelStatus& tunnel) { return tunnel.resolved == 0; }));
}

TEST_F(ResolverTest, ATunnelToOurselvesOrPastTheUplinkSaysSo) {
  set_tunnel(7, v4(172, 31, 1, 1), v4(172, 31, 1, 1));
  EXPECT_TRUE(fails_with("an address of this host itself")) << status().why;
  make_veth("other", peer_.get(), "eth1", "172.31.2.2/24");
  run(-1, "ip addr add 172.31.2.1/24 dev other");
  set_tunnel(7, v4(172, 31, 2, 2), v4(172, 31, 2, 1));
  EXPECT_TRUE(fails_with("leaves by other, which is no uplink of ours")) << status().why;
}

TEST_F(ResolverTest, TheUplinkPortMayComeAfterTheTunnelAndGoBeforeIt) {
  datapath_->remove_port(1);
  resolver_->on_ports_changed();
  set_tunnel();
  EXPECT_TRUE(fails_with("no uplink of ours")) << status().why;
  add_uplink();
  EXPECT_TRUE(resolves()) << status().why;
  datapath_->remove_port(1);
  resolver_->on_ports_changed();
  EXPECT_TRUE(fails_with("no uplink of ours")) << status().why;
}

TEST_F(ResolverTest, AStormOfNewsEndsWithTheTunnelAsTheKernelHasIt) {
  set_tunnel();
  ASSERT_TRUE(resolves()) << status().why;
  run(-1,
      "for i in $(seq 250); do for j in 1 2 3 4 5 6 7 8; do echo \"route add 10.$i.$j.0/24 via "
      "172.31.1.2\"; done; done | ip -batch -; ip link set u1 mtu 1501");
  EXPECT_TRUE(becomes([](const TunnelStatus& tunnel) { return tunnel.hop.mtu == 1501; }));
  EXPECT_EQ(status().resolved, 1u);
}

TEST_F(ResolverTest, WithoutTunnelsOrWithSettledOnesTheThreadMaySleep) {
  EXPECT_EQ(resolver_->next_wake_ms(), -1);
  set_tunnel();
  ASSERT_TRUE(resolves()) << status().why;
  EXPECT_TRUE(becomes([this](const TunnelStatus&) { return resolver_->next_wake_ms() > 1000; }))
      << "wakes again in " << resolver_->next_wake_ms() << " ms";
  resolver_->on_tunnel_removed(7);
  EXPECT_EQ(resolver_->next_wake_ms(), -1);
}

}  // namespace
}  // namespace vtep::test
