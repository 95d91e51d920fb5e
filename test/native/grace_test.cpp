// test/native/grace_test.cpp — nothing is freed while a worker may still read it.

#include "datapath/grace.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace vtep::test {
namespace {

struct Told {
  explicit Told(int* told) : count(told) {}
  ~Told() { (*count)++; }
  int* count;
};

TEST(Grace, ThingIsFreedOnlyWhenEveryWorkerHasPassedABreath) {
  Grace grace(2);
  int freed = 0;
  grace.enter(0);
  grace.enter(1);
  grace.retire(std::make_unique<Told>(&freed));
  EXPECT_EQ(freed, 0);
  grace.enter(0);
  EXPECT_EQ(grace.collect(), 1u);
  grace.enter(1);
  EXPECT_EQ(grace.collect(), 0u);
  EXPECT_EQ(freed, 1);
}

TEST(Grace, SleepingWorkersHoldNothingBack) {
  Grace grace(2);
  int freed = 0;
  grace.enter(0);
  grace.leave(0);
  grace.retire(std::make_unique<Told>(&freed));
  EXPECT_EQ(freed, 1);
  grace.synchronize();
}

TEST(Grace, WorkersThatReadThroughThePointerNeverSeeAFreedThing) {
  constexpr uint32_t workers = 2;
  constexpr int rounds = 2000;
  struct Value {
    explicit Value(uint64_t value) : one(value), two(~value) {}
    ~Value() { one = two = 0; }
    uint64_t one;
    uint64_t two;
  };
  Grace grace(workers);
  std::atomic<const Value*> place{new Value(1)};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> bad{0};
  std::vector<std::thread> threads;
  for (uint32_t worker = 0; worker < workers; worker++) {
    threads.emplace_back([&, worker] {
      for (uint32_t breath = 0; !stop.load(std::memory_order_relaxed); breath++) {
        grace.enter(worker);
        const Value* value = place.load(std::memory_order_acquire);
        if (value->one != ~value->two) bad++;
        if (breath % 64 == 0) {
          grace.leave(worker);
          std::this_thread::yield();
        }
      }
      grace.leave(worker);
    });
  }
  for (int round = 2; round < rounds; round++) {
    std::unique_ptr<const Value> old(place.exchange(new Value(round), std::memory_order_acq_rel));
    grace.retire(std::move(old));
    if (round % 100 == 0) grace.synchronize();
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(grace.collect(), 0u);
  EXPECT_EQ(bad.load(), 0u);
  delete place.load();
}

}  // namespace
}  // namespace vtep::test
