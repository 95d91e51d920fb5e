// test/native/netlink_test.cpp — what the kernel's routing tells us, asked in a namespace of our
// own.
#include "host/netlink.h"

#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <thread>

namespace vtep {
namespace {

Ipv6Bytes v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d};
}

bool run(const char* command) { return system(command) == 0; }

// Runs `body` on a thread with a network namespace of its own, which dies with the thread.
template <typename Body>
void in_namespace(Body body) {
  bool made = false;
  std::thread([&] {
    made = unshare(CLONE_NEWNET) == 0;
    if (made) body();
  }).join();
  if (!made) GTEST_SKIP() << "needs CAP_SYS_ADMIN to make a network namespace";
}

void make_underlay() {
  ASSERT_TRUE(run("ip link add u1 type veth peer name u2"));
  ASSERT_TRUE(run("ip link set u1 address 02:00:00:00:aa:01 mtu 1600 up"));
  ASSERT_TRUE(run("ip link set u2 address 02:00:00:00:aa:02 up"));
  ASSERT_TRUE(run("ip addr add 172.31.1.1/24 dev u1"));
}

TEST(Netlink, ARouteOnLinkNamesItsDeviceAndTheDestinationItself) {
  in_namespace([] {
    make_underlay();
    Netlink netlink;
    const RouteAnswer route = netlink.route_to(v4(172, 31, 1, 2), v4(172, 31, 1, 1));
    EXPECT_EQ(route.ifindex, if_nametoindex("u1")) << route.why;
    EXPECT_FALSE(route.has_gateway);
    EXPECT_EQ(route.gateway, v4(172, 31, 1, 2));
    EXPECT_FALSE(route.local);
  });
}

TEST(Netlink, ARouteByAGatewayNamesTheGatewayAndItsMtu) {
  in_namespace([] {
    make_underlay();
    ASSERT_TRUE(run("ip route add 172.31.9.0/24 via 172.31.1.254 mtu 1400"));
    Netlink netlink;
    const RouteAnswer route = netlink.route_to(v4(172, 31, 9, 2), v4(172, 31, 1, 1));
    EXPECT_TRUE(route.has_gateway);
    EXPECT_EQ(route.gateway, v4(172, 31, 1, 254));
    EXPECT_EQ(route.mtu, 1400u);
  });
}

TEST(Netlink, NoRouteSaysSo) {
  in_namespace([] {
    make_underlay();
    Netlink netlink;
    const RouteAnswer route = netlink.route_to(v4(10, 9, 9, 9), v4(172, 31, 1, 1));
    EXPECT_EQ(route.ifindex, 0u);
    EXPECT_NE(route.why.find("no route to 10.9.9.9"), std::string::npos) << route.why;
  });
}

TEST(Netlink, AnOwnAddressIsLocal) {
  in_namespace([] {
    make_underlay();
    ASSERT_TRUE(run("ip link set lo up"));
    Netlink netlink;
    EXPECT_TRUE(netlink.route_to(v4(172, 31, 1, 1), v4(172, 31, 1, 1)).local);
  });
}

TEST(Netlink, ANeighbourIsKnownOnceTheKernelHasItsAddress) {
  in_namespace([] {
    make_underlay();
    Netlink netlink;
    const uint32_t device = if_nametoindex("u1");
    EXPECT_FALSE(netlink.neighbour(device, v4(172, 31, 1, 2)).known);
    ASSERT_TRUE(run("ip neigh add 172.31.1.2 lladdr 02:00:00:00:aa:02 dev u1 nud stale"));
    const NeighbourAnswer neighbour = netlink.neighbour(device, v4(172, 31, 1, 2));
    EXPECT_TRUE(neighbour.known);
    EXPECT_TRUE(neighbour.stale);
    EXPECT_EQ(neighbour.mac, (MacBytes{2, 0, 0, 0, 0xaa, 2}));
  });
}

TEST(Netlink, ALinkTellsNameMacMtuAndTheVlanOfASubInterface) {
  in_namespace([] {
    make_underlay();
    Netlink netlink;
    const LinkAnswer link = netlink.link(if_nametoindex("u1"));
    EXPECT_TRUE(link.exists);
    EXPECT_TRUE(link.up);
    EXPECT_EQ(link.name, "u1");
    EXPECT_EQ(link.mtu, 1600u);
    EXPECT_EQ(link.mac, (MacBytes{2, 0, 0, 0, 0xaa, 1}));
    EXPECT_FALSE(netlink.link(4242).exists);
    if (!run("ip link add link u1 name u1.7 type vlan id 7 2>/dev/null")) {
      GTEST_SKIP() << "this kernel has no VLAN devices";
    }
    const LinkAnswer sub = netlink.link(if_nametoindex("u1.7"));
    EXPECT_EQ(sub.vlan_vid, 7);
    EXPECT_EQ(sub.lower_ifindex, if_nametoindex("u1"));
  });
}

TEST(Netlink, NewsOfRoutesNeighboursAndLinksArrive) {
  in_namespace([] {
    make_underlay();
    Netlink netlink;
    netlink.read_news();
    ASSERT_TRUE(run("ip route add 172.31.9.0/24 via 172.31.1.2"));
    EXPECT_TRUE(netlink.read_news().routes);
    ASSERT_TRUE(run("ip neigh add 172.31.1.2 lladdr 02:00:00:00:aa:02 dev u1 nud permanent"));
    EXPECT_TRUE(netlink.read_news().neighbours);
    ASSERT_TRUE(run("ip link set u1 mtu 1500"));
    EXPECT_TRUE(netlink.read_news().links);
  });
}

}  // namespace
}  // namespace vtep
