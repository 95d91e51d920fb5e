// bench/native/wake_bench.cpp — the floor of a first packet's time: two threads that wake each
// other, and nothing else.
//
//   wake_bench [--count N] [--rest-us U]
//
// A worker that woke rings the slow path's doorbell and sleeps; the slow path, asleep until then,
// rings the worker's. Printed is one JSON array: microseconds from the worker's ringing to its
// waking, one for each of N times, U microseconds of idleness apart. Doorbells are eventfds in
// epoll, as those of a datapath are.

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <thread>

#include "base/fd.h"
#include "bench/native/cycles.h"
#include "bench/native/options.h"
#include "datapath/slow_path_ends.h"

namespace {

using namespace vtep;         // NOLINT: a bench is a file of its own
using namespace vtep::bench;  // NOLINT

// A thread's doorbell, and its sleep until it is rung.
class Bell {
 public:
  Bell() : doorbell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, doorbell_.get(), &event) != 0)
      throw std::runtime_error("cannot poll an eventfd");
  }
  void ring() const noexcept { ring_doorbell(doorbell_.get()); }
  void sleep() const noexcept {
    epoll_event event;
    while (epoll_wait(epoll_.get(), &event, 1, -1) < 1) {
    }
  }

 private:
  Fd doorbell_;
  Fd epoll_;
};

int measure(uint32_t count, uint32_t rest_us) {
  const Bell worker;
  const Bell slow_path;
  std::atomic<bool> over{false};
  std::atomic<uint64_t> took{0};
  std::thread answering([&] {
    for (slow_path.sleep(); !over; slow_path.sleep()) worker.ring();
  });
  std::thread asking([&] {
    for (worker.sleep(); !over; worker.sleep()) {
      const uint64_t asked = now_ns();
      slow_path.ring();
      worker.sleep();
      took = now_ns() - asked;
    }
  });
  for (uint32_t number = 0; number < count; number++) {
    usleep(rest_us);
    took = 0;
    worker.ring();
    while (took == 0) usleep(rest_us);
    printf("%c%.1f", number == 0 ? '[' : ',', static_cast<double>(took) / 1000);
  }
  printf("]\n");
  over = true;
  worker.ring();
  slow_path.ring();
  asking.join();
  answering.join();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Options options(argc, argv);
    const uint32_t count = options.number("--count", 1000, 1'000'000);
    const uint32_t rest_us = options.number("--rest-us", 5000, 1'000'000);
    options.finish();
    return measure(count, rest_us);
  } catch (const std::exception& error) {
    fprintf(stderr, "wake_bench: %s\n", error.what());
    return 1;
  }
}
