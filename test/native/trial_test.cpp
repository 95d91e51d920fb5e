// test/native/trial_test.cpp — whole trials over a veth pair, and over a device that is made to
// lose, copy and delay frames.
#include "bench/native/trial.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>

#include <thread>

#include "test/native/port_support.h"

namespace vtep::test {
namespace {

using bench::Progress;
using bench::TrialEnd;
using bench::TrialOrder;
using bench::TrialOutcome;
using bench::Wire;

constexpr const char* mac_one = "02:00:00:00:00:01";
constexpr const char* mac_two = "02:00:00:00:00:02";

class TrialTest : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    other_ = make_namespace();
    make_veth("one", other_.get(), "two", "10.0.0.2/24");
    run(-1,
        std::string("ip link set one address ") + mac_one + "; ip addr add 10.0.0.1/24 dev one");
    run(other_.get(), std::string("ip link set two address ") + mac_two);
  }

  // The other end by its descriptor's path, as any namespace can be named.
  void open() {
    one_ = std::make_unique<Wire>(bench::Place{"", "one"});
    const std::string path = "/proc/self/fd/" + std::to_string(other_.get());
    two_ = std::make_unique<Wire>(bench::Place{path, "two"});
    ends_[0] = {{bench::mac_of(mac_one), bench::mac_of(mac_two), bench::ip_of("10.0.0.1")},
                one_.get(),
                "one"};
    ends_[1] = {{bench::mac_of(mac_two), bench::mac_of(mac_one), bench::ip_of("10.0.0.2")},
                two_.get(),
                "two"};
  }

  TrialOutcome trial(const TrialOrder& order) {
    Progress progress[2];
    const std::atomic<bool> stop{false};
    return bench::run_trial(ends_, order, progress, stop);
  }

  Fd other_;
  std::unique_ptr<Wire> one_, two_;
  TrialEnd ends_[2];
};

TrialOrder order_of(double rate, uint64_t count) {
  TrialOrder order;
  order.rate = rate;
  order.count = count;
  order.sizes = {64, 570, 1518};
  order.flows = 100;
  order.run = 0x01020304;
  return order;
}

TEST_F(TrialTest, EveryFrameOfBothDirectionsIsCountedAndTimed) {
  open();
  TrialOrder order = order_of(20'000, 4000);
  order.both = true;
  const TrialOutcome outcome = trial(order);
  if (outcome.fault.find("could send only") != std::string::npos)
    GTEST_SKIP() << "this machine is too busy: " << outcome.fault;
  EXPECT_EQ(outcome.fault, "");
  ASSERT_EQ(outcome.directions.size(), 2u);
  for (const bench::DirectionResult& result : outcome.directions) {
    EXPECT_EQ(result.sent, 4000u);
    EXPECT_EQ(result.arrivals.received(), 4000u);
    EXPECT_EQ(result.arrivals.reordered(), 0u);
    EXPECT_EQ(result.arrivals.duplicated(), 0u);
    EXPECT_EQ(result.latencies.count(), 4000u);
    EXPECT_TRUE(result.timed);
    EXPECT_EQ(result.ttl_min, bench::trial_ttl);
    EXPECT_NEAR(static_cast<double>(result.sending_ns), 0.2e9, 0.005e9);
  }
}

TEST_F(TrialTest, FramesOfIpv6AreCountedToo) {
  open();
  ends_[0].station.ip = bench::ip_of("fd00::1");
  ends_[1].station.ip = bench::ip_of("fd00::2");
  TrialOrder order = order_of(10'000, 500);
  order.sizes = {84, 1518};
  order.both = true;
  for (const bench::DirectionResult& result : trial(order).directions) {
    EXPECT_EQ(result.arrivals.received(), result.sent);
    EXPECT_EQ(result.wrong, 0u);
    EXPECT_EQ(result.ttl_max, bench::trial_ttl);
  }
}

TEST_F(TrialTest, FramesOfOthersAndOfEarlierTrialsAreNotCounted) {
  open();
  TrialOrder order = order_of(10'000, 100);
  order.run = 0x0a0b0c00;
  EXPECT_EQ(trial(order).directions[0].arrivals.received(), 100u);
  // What the trial before left behind, sent once more, with pings between.
  const bench::FrameMaker maker(ends_[0].station, ends_[1].station, order.sizes, order.flows);
  Probe probe(-1, "one");
  std::vector<uint8_t> frame(maker.bytes(0));
  maker.write(frame.data(), {order.run, 0, 0});
  std::atomic<bool> ended{false};
  std::thread noise([&] {
    while (!ended) {
      probe.send(frame);
      probe.send(ethernet_frame(ETH_P_IP, 60));
      probe.send(ethernet_frame(ETH_P_ARP, 46));
      std::this_thread::yield();
    }
  });
  order.run = 0x0a0b0d00;
  const TrialOutcome outcome = trial(order);
  ended = true;
  noise.join();
  EXPECT_EQ(outcome.directions[0].arrivals.received(), outcome.directions[0].sent);
  EXPECT_EQ(outcome.directions[0].arrivals.duplicated(), 0u);
}

TEST_F(TrialTest, TheStackAnswersPingsAndArpButNoTrialFrame) {
  open();
  trial(order_of(10'000, 500));
  const std::string unreachable = run(
      other_.get(),
      "awk '/^Icmp:/ && !named {for (at = 1; at <= NF; at++) "
      "if ($at == \"OutDestUnreachs\") named = at; next} /^Icmp:/ {print $named}' /proc/net/snmp");
  EXPECT_EQ(unreachable, "0\n");
  run(-1, "ping -c 2 -i 0.05 -W 2 10.0.0.2");
}

TEST_F(TrialTest, ARateThatCannotBeSentIsAFaultAndNoLoss) {
  open();
  const TrialOutcome outcome = trial(order_of(1e9, 100'000'000));
  EXPECT_NE(outcome.fault.find("of 1000000000 frames/s by one"), std::string::npos)
      << outcome.fault;
}

TEST_F(TrialTest, ALinkThatGoesDownIsNamed) {
  open();
  std::thread cutter([&] {
    usleep(100'000);
    run(-1, "ip link set one down");
  });
  const TrialOutcome outcome = trial(order_of(1000, 1000));
  cutter.join();
  EXPECT_NE(outcome.fault.find("sending by one failed"), std::string::npos) << outcome.fault;
  EXPECT_NE(outcome.fault.find("Network is down"), std::string::npos) << outcome.fault;
}

TEST_F(TrialTest, AStoppedTrialSaysSo) {
  open();
  Progress progress[2];
  std::atomic<bool> stop{false};
  std::thread stopper([&] {
    while (progress[0].received < 10) usleep(1000);
    stop = true;
  });
  const TrialOutcome outcome = bench::run_trial(ends_, order_of(1000, 100'000), progress, stop);
  stopper.join();
  EXPECT_EQ(outcome.fault, "the trial was stopped");
  EXPECT_LT(outcome.directions[0].sent, 100'000u);
}

TEST_F(TrialTest, ADeviceWithoutALinkIsRefusedByName) {
  run(other_.get(), "ip link set two down");
  try {
    open();
    FAIL() << "opened";
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("' has no link"), std::string::npos) << error.what();
  }
}

// A device that takes every frame in and gives some of them, all or one twice, in another order.
TEST_F(TrialTest, WhatADeviceDoesToFramesIsCountedExactly) {
  const Fd far = make_namespace();
  // one - two | three - four: what comes in by two leaves by three, as the device pleases.
  run(-1, "ip link add three type veth peer name four");
  run(-1, "ip link set three netns /proc/" + std::to_string(getpid()) + "/fd/" +
              std::to_string(other_.get()));
  run(-1, "ip link set four up");
  run(other_.get(), "ip link set three up");
  one_ = std::make_unique<Wire>(bench::Place{"", "one"});
  two_ = std::make_unique<Wire>(bench::Place{"", "four"});
  ends_[0] = {{bench::mac_of(mac_one), bench::mac_of(mac_two), bench::ip_of("10.0.0.1")},
              one_.get(),
              "one"};
  ends_[1] = {{bench::mac_of(mac_two), bench::mac_of(mac_one), bench::ip_of("10.0.0.2")},
              two_.get(),
              "four"};
  Probe in(other_.get(), "two");
  Probe out(other_.get(), "three");
  uint64_t lost = 0, copies = 0, swapped = 0;
  std::thread device([&] {
    std::vector<uint8_t> held;
    for (uint64_t number = 0; number < 1000; number++) {
      const std::vector<uint8_t> frame = in.receive(ETH_P_IP);
      if (frame.empty()) return;
      if (number % 10 == 3) {
        lost++;
        continue;
      }
      if (number % 50 == 7) {
        held = frame;
        continue;
      }
      out.send(frame);
      if (number % 20 == 5) {
        out.send(frame);
        copies++;
      }
      if (!held.empty()) {
        out.send(held);
        held.clear();
        swapped++;
      }
    }
  });
  TrialOrder order = order_of(2000, 1000);
  order.flows = 1;
  const TrialOutcome outcome = trial(order);
  device.join();
  EXPECT_EQ(outcome.fault, "");
  const bench::Arrivals& arrivals = outcome.directions[0].arrivals;
  EXPECT_EQ(lost, 100u);
  EXPECT_EQ(outcome.directions[0].sent - arrivals.received(), lost);
  EXPECT_EQ(arrivals.duplicated(), copies);
  EXPECT_EQ(arrivals.reordered(), swapped);
  EXPECT_EQ(arrivals.longest_gap(), 1u);
}

}  // namespace
}  // namespace vtep::test
