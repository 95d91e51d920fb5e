// test/native/meter_test.cpp — token buckets, with the time given.
#include "action/meter.h"

#include <gtest/gtest.h>

#include "test/native/action_support.h"

namespace vtep::test {
namespace {

constexpr uint64_t second = 1000000000;

TEST(Meter, OverALongTimeTheRateIsWhatWasConfiguredWhateverTheSteps) {
  for (const uint64_t step : {uint64_t{1000}, uint64_t{333333}, uint64_t{7777777}}) {
    const MeterConfig config{12345678, 100000, false};
    MeterState state;
    uint64_t passed = 0;
    uint64_t now = second;
    for (; now < 3 * second; now += step)
      for (int i = 0; i < 200 && meter_pass(config, state, 1000, now); i++) passed += 1000;
    const double allowed = 2.0 * 12345678 + 100000;
    EXPECT_LE(static_cast<double>(passed), allowed + 1000);
    EXPECT_GE(static_cast<double>(passed), allowed * 0.98) << step;
  }
}

TEST(Meter, TheBurstPassesAtOnceAndThenNothing) {
  const MeterConfig config{10, 5, true};
  MeterState state;
  for (int i = 0; i < 5; i++) EXPECT_TRUE(meter_pass(config, state, 1, second));
  EXPECT_FALSE(meter_pass(config, state, 1, second));
  EXPECT_FALSE(meter_pass(config, state, 1, second + second / 10 - 1));
  EXPECT_TRUE(meter_pass(config, state, 1, second + second / 10));
}

TEST(Meter, ASuperpacketAboveTheBurstPassesAFullBucketAndLeavesItsDebt) {
  const MeterConfig config{1000, 1000, false};
  MeterState state;
  EXPECT_TRUE(meter_pass(config, state, 5000, second));
  EXPECT_FALSE(meter_pass(config, state, 1, 5 * second));
  EXPECT_TRUE(meter_pass(config, state, 900, 6 * second));
}

TEST(Meter, AChangedConfigurationRefillsTheBucketAndZeroBurstPassesNothing) {
  MeterState state;
  EXPECT_TRUE(meter_pass({0, 1, true}, state, 1, second));
  EXPECT_FALSE(meter_pass({0, 1, true}, state, 1, 100 * second));
  EXPECT_TRUE(meter_pass({0, 2, true}, state, 1, 100 * second));
  EXPECT_FALSE(meter_pass({100, 0, true}, state, 1, 200 * second));
}

TEST(Meter, AboveTheRateIsMeterExceededAndAMeterThatIsGoneLimitsNothing) {
  World world;
  const MeterConfig config{0, 3, true};
  world.tables->meters[1] = &config;
  for (int i = 0; i < 5; i++) world.run(with_word(Op::Meter, 1) + output(2), build({}));
  EXPECT_EQ(world.out(2).size(), 3u);
  EXPECT_EQ(world.drops(DropReason::MeterExceeded), 2u);
  for (int i = 0; i < 5; i++) world.run(with_word(Op::Meter, 2) + output(3), build({}));
  EXPECT_EQ(world.out(3).size(), 5u);
}

TEST(Meter, ASuperpacketCostsItsSegments) {
  World world;
  const MeterConfig config{0, 10, true};
  world.tables->meters[1] = &config;
  FrameSpec spec;
  spec.payload = 8000;
  Packet packet = packet_of(*world.frames, build(spec));
  leave_to_device(packet, 1000);
  world.run_packet(with_word(Op::Meter, 1) + output(2), packet);
  for (int i = 0; i < 5; i++) world.run(with_word(Op::Meter, 1) + output(2), build({}));
  EXPECT_EQ(world.out(2).size(), 3u);
}

}  // namespace
}  // namespace vtep::test
