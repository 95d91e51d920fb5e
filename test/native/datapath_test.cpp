// test/native/datapath_test.cpp — the datapath whole: ports and tables that change under traffic,
// tunnels in and out, threads, sleep.

#include "datapath/datapath.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "action/action.h"
#include "base/error.h"
#include "test/native/datapath_support.h"

namespace vtep::test {
namespace {

using std::chrono::milliseconds;

std::vector<uint32_t> output(uint32_t port) { return {action_word(Op::Output), port}; }

Ipv6Bytes mapped(uint8_t last) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 172, 31, 1, last};
}

std::string code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return "";
}

// Waits for a condition with a limit.
bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return false;
}

// A network 100 with a tunnel 7 to 172.31.1.2 that leaves by port 2, an uplink.
void make_tunnel(Bench& bench, Encap encap, uint32_t mtu = 1500) {
  bench.datapath.set_endpoints({{mapped(1), be16(4789), be16(6081)}});
  bench.datapath.set_networks({{100, static_cast<uint32_t>(encap)}});
  TunnelConfig tunnel;
  tunnel.number = 7;
  tunnel.encap = encap;
  tunnel.udp_port = encap == Encap::Vxlan ? 4789 : 6081;
  tunnel.local = mapped(1);
  tunnel.remote = mapped(2);
  bench.datapath.set_tunnel(tunnel);
  NextHop hop;
  hop.source_mac = {2, 0, 0, 0, 0, 0x11};
  hop.target_mac = {2, 0, 0, 0, 0, 0x22};
  hop.uplink_port = 2;
  hop.mtu = mtu;
  bench.datapath.set_next_hop(7, &hop, "");
}

TEST(Datapath, PacketThatIsEncapsulatedHereIsOpenedThereWithBothEncapsulations) {
  for (const Encap encap : {Encap::Vxlan, Encap::Geneve}) {
    Bench here;
    here.add_memory_port(1);
    here.add_memory_port(2, port_flag_uplink);
    make_tunnel(here, encap);
    const std::vector<uint32_t> tunnel = {action_word(Op::OutputTunnel), 7, 100, 55};
    for (int i = 0; i < 3; i++) {
      here.inject(1, udp_frame({}));
      here.run();
      here.slow_path.answer(
          [&](const UpcallRecord&) { return Decision{VerdictKind::Flow, tunnel}; });
      here.run();
    }
    const auto outer = here.collect(2);
    ASSERT_EQ(outer.size(), 3u);
    EXPECT_EQ(outer[0].bytes.size(), udp_frame({}).size() + tunnel_overhead(encap, false, false));

    // The other host: its tunnel 7 leads back to us, and the packet's outer addresses are its own.
    Bench there;
    there.add_memory_port(1);
    there.add_memory_port(2, port_flag_uplink);
    make_tunnel(there, encap);
    there.datapath.set_endpoints({{mapped(2), be16(4789), be16(6081)}});
    TunnelConfig back;
    back.number = 9;
    back.encap = encap;
    back.local = mapped(2);
    back.remote = mapped(1);
    there.datapath.set_tunnel(back);
    for (const auto& packet : outer) there.inject(2, packet.bytes, packet.offload);
    there.run();
    const uint32_t answered = there.slow_path.answer([&](const UpcallRecord& record) {
      EXPECT_EQ(record.key.tunnel_id, 100u);
      EXPECT_EQ(record.key.tunnel_src, 9);
      EXPECT_EQ(record.key.tunnel_port, encap == Encap::Geneve ? 55u : 0u);
      return Decision{VerdictKind::Flow, output(1)};
    });
    EXPECT_EQ(answered, 3u);
    there.run();
    const auto inner = there.collect(1);
    ASSERT_EQ(inner.size(), 3u);
    for (const auto& packet : inner) EXPECT_EQ(packet.bytes, udp_frame({}));
  }
}

TEST(Datapath, UnknownVniAndUnknownVtepAreDroppedByName) {
  Bench bench;
  bench.add_memory_port(1);
  bench.add_memory_port(2, port_flag_uplink);
  make_tunnel(bench, Encap::Vxlan);
  const std::vector<uint32_t> tunnel = {action_word(Op::OutputTunnel), 7, 100, 0};
  bench.inject(1, udp_frame({}));
  bench.run();
  bench.slow_path.answer([&](const UpcallRecord&) { return Decision{VerdictKind::Flow, tunnel}; });
  bench.run();
  auto outer = bench.collect(2).at(0).bytes;
  // To ourselves: addresses swapped, from a VTEP that we have, or not.
  std::swap_ranges(outer.begin() + 26, outer.begin() + 30, outer.begin() + 30);
  bench.inject(2, outer);
  bench.run();
  EXPECT_NE(bench.slow_path.ends(0).take_upcalls(), 0u);
  bench.datapath.set_networks({});
  bench.inject(2, outer);
  bench.run();
  EXPECT_EQ(bench.drops(2, DropReason::UnknownVni), 1u);
  bench.datapath.remove_tunnel(7);
  bench.inject(2, outer);
  bench.run();
  EXPECT_EQ(bench.drops(2, DropReason::UnknownVtep), 1u);
}

TEST(Datapath, ChangedNextHopAndRemovedPortTakeEffectInInstalledFlows) {
  Bench bench;
  bench.add_memory_port(1);
  bench.add_memory_port(2, port_flag_uplink);
  make_tunnel(bench, Encap::Vxlan);
  const std::vector<uint32_t> tunnel = {action_word(Op::OutputTunnel), 7, 100, 0};
  const auto send = [&] {
    bench.inject(1, udp_frame({}));
    bench.run();
    bench.slow_path.answer(
        [&](const UpcallRecord&) { return Decision{VerdictKind::Flow, tunnel}; });
    bench.run();
    return bench.collect(2).size();
  };
  EXPECT_EQ(send(), 1u);
  bench.datapath.set_next_hop(7, nullptr, "no neighbour entry");
  EXPECT_EQ(send(), 0u);
  EXPECT_EQ(bench.drops(1, DropReason::TunnelUnresolved), 1u);
  EXPECT_STREQ(bench.datapath.list_tunnels().at(0).why, "no neighbour entry");
  make_tunnel(bench, Encap::Vxlan);
  EXPECT_EQ(send(), 1u);
  bench.datapath.remove_port(2);
  bench.inject(1, udp_frame({}));
  bench.run();
  EXPECT_EQ(bench.drops(1, DropReason::PortGone), 1u);
  bench.add_memory_port(2, port_flag_uplink);
  EXPECT_EQ(send(), 1u);
}

TEST(Datapath, RareCallsRefuseByCodeAndChangeNothing) {
  Bench bench;
  bench.add_memory_port(1);
  EXPECT_EQ(code_of([&] { bench.add_memory_port(1); }), "ERR_PORT_EXISTS");
  EXPECT_EQ(code_of([&] { bench.datapath.remove_port(5); }), "ERR_PORT_NOT_FOUND");
  EXPECT_EQ(code_of([&] { bench.datapath.remove_tunnel(5); }), "ERR_NOT_FOUND");
  EXPECT_EQ(code_of([&] { bench.datapath.set_groups({{0, {}}}); }), "ERR_LIMIT");
  EXPECT_EQ(code_of([&] { bench.datapath.set_zone(1, 5, 1); }), "ERR_LIMIT");
  EXPECT_EQ(code_of([&] { bench.datapath.set_meter(1, {}); }), "ERR_LIMIT");
  EXPECT_EQ(code_of([&] {
    PortConfig config;
    config.number = 2;
    config.kind = PortKind::AfPacket;
    snprintf(config.device, sizeof config.device, "vtepnone0");
    bench.datapath.add_port(config);
  }), "ERR_DEVICE_NOT_FOUND");
  DatapathConfig wrong = Bench::manual_config();
  wrong.upcall_ring_bytes = 1000;
  EXPECT_EQ(code_of([&] { Datapath datapath(wrong); }), "ERR_LIMIT");
  EXPECT_EQ(bench.datapath.list_ports().size(), 1u);
}

TEST(Datapath, PortsAreReadByTheLeastLoadedWorkerAndWrittenByAll) {
  DatapathConfig config = Bench::manual_config();
  config.worker_count = 2;
  Bench bench(config);
  for (uint32_t port = 1; port <= 4; port++) bench.add_memory_port(port);
  for (uint32_t port = 1; port <= 4; port++)
    bench.inject(port, udp_frame({.from = static_cast<uint8_t>(port)}));
  bench.run();
  const RegionView region = bench.slow_path.region();
  uint64_t by_worker[2] = {};
  for (uint32_t worker = 0; worker < 2; worker++)
    for (uint32_t port = 1; port <= 4; port++)
      by_worker[worker] += region.port_counters(worker)[port][0];
  EXPECT_EQ(by_worker[0], 2u);
  EXPECT_EQ(by_worker[1], 2u);
  bench.slow_path.answer([](const UpcallRecord& record) {
    return Decision{VerdictKind::Flow, output(record.in_port % 4 + 1)};
  });
  bench.run();
  for (uint32_t port = 1; port <= 4; port++) EXPECT_EQ(bench.collect(port).size(), 1u);
}

DatapathConfig threaded(uint32_t workers) {
  DatapathConfig config = Bench::manual_config();
  config.manual = 0;
  config.worker_count = workers;
  return config;
}

TEST(Datapath, NoPacketIsLostWhilePortsAndTablesOfOthersComeAndGo) {
  Bench bench(threaded(2));
  bench.add_memory_port(1);
  bench.add_memory_port(2);
  bench.add_memory_port(3);
  std::atomic<bool> stop{false};
  std::thread brain([&] {
    while (!stop)
      if (bench.slow_path.answer([](const UpcallRecord& record) {
            return Decision{VerdictKind::Flow, output(record.in_port == 1 ? 2 : 1)};
          }) == 0)
        std::this_thread::yield();
  });
  constexpr uint32_t packets = 3000;
  std::thread traffic([&] {
    for (uint32_t i = 0; i < packets; i++) {
      bench.inject(1, udp_frame({.source_port = static_cast<uint16_t>(i % 50 + 1)}));
      if (i % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  });
  for (uint32_t round = 0; round < 60; round++) {
    bench.add_memory_port(10 + round % 3);
    bench.datapath.set_groups({{5, {{GroupMember::Kind::Port, 3, 0}}}});
    bench.datapath.set_networks({{round + 1, 1}});
    bench.datapath.set_zone(3, 0, static_cast<uint16_t>(round));
    bench.datapath.remove_port(10 + round % 3);
  }
  traffic.join();
  size_t received = 0;
  EXPECT_TRUE(eventually([&] { return (received += bench.collect(2).size()) >= packets; }))
      << received;
  EXPECT_EQ(received, packets);
  stop = true;
  brain.join();
  EXPECT_EQ(bench.port_count(1, PortCounter::Drops), 0u);
}

TEST(Datapath, SleepingWorkersWakeForPacketsVerdictsAndCommands) {
  Bench bench(threaded(1));
  bench.add_memory_port(1);
  bench.add_memory_port(2);
  const auto asleep = [&] {
    return bench.slow_path.ends(0).commands().header->sleeping.value.load() == 1;
  };
  ASSERT_TRUE(eventually(asleep));
  bench.inject(1, udp_frame({}));
  ASSERT_TRUE(eventually([&] { return bench.slow_path.ends(0).take_upcalls() != 0; }));
  ASSERT_TRUE(eventually(asleep));
  bench.slow_path.answer(
      [](const UpcallRecord&) { return Decision{VerdictKind::Flow, output(2)}; });
  EXPECT_TRUE(eventually([&] { return !bench.collect(2).empty(); }));
  ASSERT_TRUE(eventually(asleep));
  bench.slow_path.packet_out(0, 0, output(2), udp_frame({}));
  EXPECT_TRUE(eventually([&] { return !bench.collect(2).empty(); }));
  ASSERT_TRUE(eventually(asleep));
  const uint64_t breaths = bench.worker_count(WorkerCounter::Breaths);
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_LE(bench.worker_count(WorkerCounter::Breaths) - breaths, 8u);
}

TEST(Datapath, EveryFrameIsBackInThePoolWhenTrafficHasPassed) {
  for (int round = 0; round < 3; round++) {
    DatapathConfig config = Bench::manual_config();
    config.small_frames = 512;
    Bench bench(config);
    bench.add_memory_port(1);
    bench.add_memory_port(2);
    for (uint32_t i = 0; i < 4000; i++) {
      bench.inject(1, udp_frame({.source_port = static_cast<uint16_t>(i % 7 + 1)}));
      bench.run();
      bench.slow_path.answer([](const UpcallRecord& record) {
        return Decision{record.key.tp_src.host() % 2 ? VerdictKind::Once : VerdictKind::Drop,
                        output(2)};
      });
    }
    bench.run();
    EXPECT_EQ(bench.drops(1, DropReason::NoFrames), 0u);
    EXPECT_GT(bench.collect(2).size(), 1000u);
  }
}

}  // namespace
}  // namespace vtep::test
