// test/native/trial_parts_test.cpp — pacing, counting and timing of the generator's trials, judged
// by plain models.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "bench/native/arrivals.h"
#include "bench/native/latencies.h"
#include "bench/native/pacer.h"
#include "bench/native/trial_frames.h"

namespace vtep::test {
namespace {

using bench::Arrivals;
using bench::FrameMaker;
using bench::Latencies;
using bench::Pacer;
using bench::Station;

TEST(Pacer, OwesAFrameFromTheMomentThatItIsDue) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; round++) {
    const double rate = std::exp(std::uniform_real_distribution(0.0, 17.0)(random));
    const uint64_t begin = random() >> 20;
    const uint64_t count = 1 + random() % 1'000'000;
    const Pacer pacer(begin, rate, count);
    EXPECT_EQ(pacer.due_at(0), begin);
    for (int look = 0; look < 20; look++) {
      const uint64_t number = random() % count;
      const uint64_t at = pacer.due_at(number);
      ASSERT_GE(pacer.due(at), number + 1) << rate;
      if (number != 0 && pacer.due_at(number - 1) < at)
        ASSERT_LE(pacer.due(at - 1), number) << rate;
    }
  }
}

TEST(Pacer, HasAnEndThatNothingMoves) {
  const Pacer pacer(1000, 1000, 500);
  EXPECT_EQ(pacer.due(0), 0u);
  EXPECT_EQ(pacer.due(999), 0u);
  EXPECT_EQ(pacer.due(1000), 1u);
  EXPECT_EQ(pacer.due(UINT64_MAX), 500u);
  EXPECT_EQ(pacer.length_ns(), 500'000'000u);
  EXPECT_FALSE(pacer.hopeless(499, 1000u + 506'000'000u));
  EXPECT_TRUE(pacer.hopeless(499, 1001u + 506'000'000u));
  EXPECT_FALSE(pacer.hopeless(100, pacer.due_at(100) + 200'000'000u));
  EXPECT_TRUE(pacer.hopeless(100, pacer.due_at(100) + 200'000'001u));
}

// What arrivals mean, in sets and maps.
struct Model {
  Model(uint64_t count, uint32_t flows) : count(count), flows(flows) {}
  void arrive(uint64_t number) {
    const bool late = largest.count(number % flows) != 0 && number < largest[number % flows];
    if (!seen.insert(number).second)
      duplicated++;
    else if (late)
      reordered++;
    if (!late) largest[number % flows] = number;
  }
  std::pair<uint64_t, uint64_t> longest_gap() const {
    uint64_t best = 0, at = 0, run = 0;
    for (uint64_t number = 0; number < count; number++) {
      run = seen.count(number) != 0 ? 0 : run + 1;
      if (run > best) {
        best = run;
        at = number + 1 - run;
      }
    }
    return {best, at};
  }
  std::vector<uint64_t> lost_by(uint64_t block) const {
    std::vector<uint64_t> lost((count + block - 1) / block);
    for (uint64_t number = 0; number < count; number++) lost[number / block] += !seen.count(number);
    return lost;
  }
  uint64_t count;
  uint32_t flows;
  std::set<uint64_t> seen;
  std::map<uint64_t, uint64_t> largest;  // by flow
  uint64_t reordered = 0, duplicated = 0;
};

TEST(Arrivals, AgreesWithSetsOfNumbersWhateverADeviceDoes) {
  for (uint32_t seed = 0; seed < 300; seed++) {
    std::mt19937 random(seed);
    constexpr uint64_t window = 1024;
    const uint64_t count = 1 + random() % 5000;
    std::multimap<uint64_t, uint64_t> line;  // by place in the line that arrives
    const uint32_t loss = random() % 40;
    bool away = false;  // losses also come in runs
    for (uint64_t number = 0; number < count; number++) {
      if (random() % 200 == 0) away = !away && loss != 0;
      if (away || random() % 100 < loss) continue;
      const uint64_t delay = random() % 10 == 0 ? random() % (window / 2) : 0;
      line.emplace(number + delay, number);
      if (random() % 20 == 0) line.emplace(number + random() % (window / 2), number);
    }
    const uint32_t flows = 1 + random() % 20;
    Arrivals arrivals(count, flows, 100, window);
    Model model(count, flows);
    for (const auto& [place, number] : line) {
      ASSERT_TRUE(arrivals.arrive(number));
      model.arrive(number);
    }
    arrivals.finish(count);
    EXPECT_EQ(arrivals.received(), model.seen.size()) << seed;
    EXPECT_EQ(arrivals.reordered(), model.reordered) << seed;
    EXPECT_EQ(arrivals.duplicated(), model.duplicated) << seed;
    EXPECT_EQ(arrivals.untold(), 0u) << seed;
    EXPECT_EQ(std::pair(arrivals.longest_gap(), arrivals.longest_gap_at()),
              (model.longest_gap().first == 0 ? std::pair<uint64_t, uint64_t>{0, 0}
                                              : model.longest_gap()))
        << seed;
    EXPECT_EQ(arrivals.lost_by_block(), model.lost_by(100)) << seed;
  }
}

TEST(Arrivals, SaysWhatItCannotTell) {
  Arrivals arrivals(10'000, 1, 0, 64);
  EXPECT_TRUE(arrivals.arrive(0));
  EXPECT_TRUE(arrivals.arrive(5000));
  EXPECT_TRUE(arrivals.arrive(4999));  // late, within the window
  EXPECT_TRUE(arrivals.arrive(10));    // late, or a copy: nobody knows
  EXPECT_FALSE(arrivals.arrive(10'000));
  EXPECT_EQ(arrivals.reordered(), 1u);
  EXPECT_EQ(arrivals.untold(), 1u);
}

TEST(Arrivals, CountsOnlyWhatWasSentAsLost) {
  Arrivals arrivals(1000, 1, 10);
  for (uint64_t number = 0; number < 100; number++) arrivals.arrive(number);
  arrivals.finish(105);
  EXPECT_EQ(arrivals.longest_gap(), 5u);
  EXPECT_EQ(arrivals.longest_gap_at(), 100u);
}

TEST(Latencies, PutsEveryValueIntoABucketThatIsCloseToIt) {
  std::mt19937_64 random(2);
  for (int look = 0; look < 100'000; look++) {
    const uint64_t value = random() >> (24 + random() % 40);
    const uint32_t bucket = Latencies::bucket_of(value);
    ASSERT_GE(Latencies::upper(bucket), value);
    ASSERT_LE(static_cast<double>(Latencies::upper(bucket) - value),
              static_cast<double>(value) / 128);
    if (bucket != 0) ASSERT_LT(Latencies::upper(bucket - 1), value);
  }
  Latencies times;
  EXPECT_EQ(Latencies::bucket_of(UINT64_MAX), times.buckets().size() - 1);
}

TEST(Latencies, KnowsTheExtremesTheMeanAndTheJitter) {
  Latencies times;
  EXPECT_EQ(times.min(), 0u);
  EXPECT_EQ(times.jitter(), 0);
  for (const uint64_t value : {100u, 300u, 200u, 200u}) times.add(value);
  EXPECT_EQ(times.min(), 100u);
  EXPECT_EQ(times.max(), 300u);
  EXPECT_EQ(times.average(), 200);
  EXPECT_EQ(times.jitter(), 100);  // 200, 100 and 0
  EXPECT_EQ(times.buckets()[Latencies::bucket_of(200)], 2u);
}

Station station(const char* mac, const char* ip, const char* next_hop) {
  return {bench::mac_of(mac), bench::mac_of(next_hop), bench::ip_of(ip)};
}

// Sums of a frame by the plain rules; both are all ones when right.
void expect_checksums(const uint8_t* frame, uint32_t bytes, bool v6) {
  const uint8_t* ip = frame + eth_header_bytes;
  const uint32_t ip_bytes = v6 ? ipv6_header_bytes : ipv4_header_bytes;
  const uint8_t* udp = ip + ip_bytes;
  const uint32_t length = bytes - eth_header_bytes - ip_bytes;
  EXPECT_EQ(load_be16(udp + udp_length_offset).host(), length);
  if (!v6) EXPECT_TRUE(checksum_valid(checksum_add(ip, ipv4_header_bytes)));
  const uint64_t pseudo =
      v6 ? pseudo_sum_v6(ip + ipv6_src_offset, ip + ipv6_dst_offset, ip_proto_udp, length)
         : pseudo_sum_v4(ip + ipv4_src_offset, ip + ipv4_dst_offset, ip_proto_udp, length);
  EXPECT_TRUE(checksum_valid(checksum_add(udp, length, pseudo)));
}

TEST(TrialFrames, AreRightAndReadBackAsTheyWereMade) {
  for (const bool v6 : {false, true}) {
    const Station one =
        station("02:00:00:00:00:01", v6 ? "fd00::1" : "10.0.0.1", "02:00:00:00:00:02");
    const Station two =
        station("02:00:00:00:00:02", v6 ? "fd00::2" : "10.0.0.2", "02:00:00:00:00:01");
    const std::vector<uint32_t> sizes = {v6 ? 84u : 64u, 570, 1518};
    const FrameMaker maker(one, two, sizes, bench::flow_max);
    std::mt19937_64 random(3);
    std::set<std::pair<uint16_t, uint16_t>> flows;
    for (int look = 0; look < 2000; look++) {
      const uint64_t number = look < 3 ? static_cast<uint64_t>(look) : random() >> 16;
      std::vector<uint8_t> frame(maker.bytes(number));
      ASSERT_EQ(frame.size(), sizes[number % 3] - 4);
      const bench::Stamp stamp{static_cast<uint32_t>(random()), number, random()};
      maker.write(frame.data(), stamp);
      expect_checksums(frame.data(), static_cast<uint32_t>(frame.size()), v6);
      bench::ReadFrame read;
      ASSERT_TRUE(bench::read_frame(frame.data(), maker.header_bytes(), read));
      EXPECT_EQ(read.stamp.run, stamp.run);
      EXPECT_EQ(read.stamp.number, stamp.number);
      EXPECT_EQ(read.stamp.sent_ns, stamp.sent_ns);
      EXPECT_EQ(read.ttl, bench::trial_ttl);
      for (uint32_t cut = 0; cut < maker.header_bytes(); cut++)
        ASSERT_FALSE(
            bench::read_frame(std::vector(frame.begin(), frame.begin() + cut).data(), cut, read));
    }
  }
}

TEST(TrialFrames, OfAMillionFlowsHaveAMillionPairsOfPorts) {
  const Station end = station("02:00:00:00:00:01", "10.0.0.1", "02:00:00:00:00:02");
  const FrameMaker maker(end, end, {64}, bench::flow_max);
  std::set<uint32_t> flows;
  uint8_t frame[60];
  for (uint64_t number = 0; number < bench::flow_max; number++) {
    maker.write(frame, {1, number, 0});
    flows.insert(load_be32(frame + eth_header_bytes + ipv4_header_bytes).raw);
  }
  EXPECT_EQ(flows.size(), bench::flow_max);
}

TEST(TrialFrames, WithoutRoomOrOfTwoFamiliesAreRefusedInASentence) {
  const Station four = station("02:00:00:00:00:01", "10.0.0.1", "02:00:00:00:00:02");
  const Station six = station("02:00:00:00:00:02", "fd00::2", "02:00:00:00:00:01");
  const auto refusal = [](auto&& make) {
    try {
      make();
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(refusal([&] { FrameMaker(six, six, {64}, 1); }).find("smallest has 84"),
            std::string::npos);
  EXPECT_NE(refusal([&] { FrameMaker(four, four, {63}, 1); }).find("smallest has 64"),
            std::string::npos);
  EXPECT_NE(refusal([&] { FrameMaker(four, six, {128}, 1); }).find("IPv6"), std::string::npos);
  EXPECT_NE(refusal([] { bench::mac_of("02:00:00"); }).find("02:00:00"), std::string::npos);
  EXPECT_NE(refusal([] { bench::ip_of("10.0.0"); }).find("10.0.0"), std::string::npos);
}

}  // namespace
}  // namespace vtep::test
