// bench/native/trial.cpp — the threads of a trial, and the judgement of how they fared.

#include "bench/native/trial.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <thread>

#include "bench/native/cycles.h"
#include "bench/native/pacer.h"

namespace vtep::bench {

namespace {

constexpr uint64_t head_start_ns = 2'000'000;  // for all threads to be there
constexpr uint64_t nap_ns = 50'000;            // between two bursts at high rates
constexpr uint64_t look_ns = 1'000'000;  // a receiver with an empty ring: it has room for much more
constexpr uint64_t spin_ns = 3'000;      // shorter waits are not worth a sleep
constexpr uint64_t clock_step_ns = 100'000;  // between two clocks: one of them was set
constexpr int urgent = -15;                  // nice value: before what it measures
constexpr size_t cpus_to_pin = 8;

uint64_t real_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// Wall clock minus steady clock: the least of several looks, since a look can be interrupted.
int64_t clock_distance() noexcept {
  int64_t least = INT64_MAX;
  for (int look = 0; look < 8; look++) {
    const auto steady = static_cast<int64_t>(now_ns());
    least = std::min(least, static_cast<int64_t>(real_ns()) - steady);
  }
  return least;
}

void sleep_until(uint64_t when_ns) noexcept {
  const timespec when{static_cast<time_t>(when_ns / 1'000'000'000),
                      static_cast<long>(when_ns % 1'000'000'000)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr);
}

// Exact timers, before other programs; a CPU of its own where there are enough for the device under
// test too.
void prepare_thread(uint32_t number) noexcept {
  prctl(PR_SET_TIMERSLACK, 1);
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), urgent);  // or as it is
  const cpu_set_t allowed = allowed_cpus();
  if (static_cast<size_t>(CPU_COUNT(&allowed)) >= cpus_to_pin) pin_thread(number, allowed);
}

// A sender is on time whatever else wants its CPU, as a tester beside the device would be: then
// what is too much is lost by the device, and not held back here. It rests whenever it is not
// behind, and gives up when it is for too long.
void keep_time() noexcept {
  sched_param first{};
  first.sched_priority = 1;
  sched_setscheduler(0, SCHED_FIFO, &first);  // or as it is
}

// What the threads of a direction share.
struct Direction {
  Direction(const TrialEnd& from, const TrialEnd& to, const TrialOrder& order, uint32_t run_id)
      : maker(from.station, to.station, order.sizes, order.flows),
        sender(*from.wire->sender),
        receiver(*to.wire->receiver),
        run(run_id),
        result(order) {}

  const FrameMaker maker;
  Sender& sender;
  Receiver& receiver;
  const uint32_t run;
  std::atomic<bool> sending{true};
  DirectionResult result;
};

void send_all(Direction& direction, const Pacer& pacer, const std::atomic<bool>& stop,
              std::atomic<uint64_t>& sent_so_far) noexcept {
  uint64_t sent = 0;
  uint64_t woken = 0;
  const uint64_t count = pacer.due(UINT64_MAX);
  uint64_t now = now_ns();
  for (; sent < count && !stop.load(std::memory_order_relaxed); now = now_ns()) {
    const uint64_t due = pacer.due(now);
    if (due <= sent) {
      const uint64_t next = std::max(pacer.due_at(sent), woken + nap_ns);
      if (next > now + spin_ns) sleep_until(next);
      woken = next;
      continue;
    }
    if (pacer.hopeless(sent, now) || direction.sender.error() != 0) break;
    direction.result.late_ns_max = std::max(direction.result.late_ns_max, now - pacer.due_at(sent));
    const auto burst = static_cast<uint32_t>(std::min<uint64_t>(due - sent, Sender::burst_max));
    sent += direction.sender.send(direction.maker, {direction.run, sent, real_ns()}, burst);
    sent_so_far.store(sent, std::memory_order_relaxed);
  }
  direction.result.sent = sent;
  direction.result.sending_ns = std::max(now, pacer.due_at(sent)) - pacer.due_at(0);
  direction.result.send_error = direction.sender.error();
  direction.sending.store(false, std::memory_order_release);
}

// Counts one frame; false when it is none of this trial.
bool count_frame(Direction& direction, const RingFrame& frame) noexcept {
  ReadFrame read;
  DirectionResult& result = direction.result;
  if (!read_frame(frame.bytes, frame.captured, read) || read.stamp.run != direction.run)
    return false;
  if (frame.length != direction.maker.bytes(read.stamp.number)) {
    result.wrong++;
    return true;
  }
  const uint64_t before = result.arrivals.duplicated();
  if (!result.arrivals.arrive(read.stamp.number)) {
    result.wrong++;
    return true;
  }
  result.ttl_min = std::min(result.ttl_min, read.ttl);
  result.ttl_max = std::max(result.ttl_max, read.ttl);
  if (result.arrivals.duplicated() != before) return true;
  if (frame.received_ns >= read.stamp.sent_ns)
    result.latencies.add(frame.received_ns - read.stamp.sent_ns);
  else
    result.timed = false;
  return true;
}

void receive_all(Direction& direction, std::atomic<uint64_t>& received_so_far) noexcept {
  DirectionResult& result = direction.result;
  uint64_t give_up = UINT64_MAX;
  uint64_t last = 0;
  for (;;) {
    RingFrame frame;
    uint32_t taken = 0;
    for (; taken < 1024 && direction.receiver.next(frame); taken++) {
      if (!count_frame(direction, frame)) continue;
      if (last != 0 && frame.received_ns > last)
        result.silence_ns = std::max(result.silence_ns, frame.received_ns - last);
      last = frame.received_ns;
    }
    received_so_far.store(result.arrivals.received(), std::memory_order_relaxed);
    const uint64_t now = now_ns();
    if (give_up == UINT64_MAX && !direction.sending.load(std::memory_order_acquire))
      give_up = now + straggle_ns;
    if (now > give_up) break;
    if (taken != 0) continue;
    if (give_up != UINT64_MAX && result.arrivals.received() >= result.sent) break;
    sleep_until(now + look_ns);
  }
  result.arrivals.finish(result.sent);
  result.ring_drops = direction.receiver.take_drops();
}

std::string rounded(double value) { return std::to_string(static_cast<uint64_t>(value + 0.5)); }

// What of this direction was the generator's own doing; empty: nothing.
std::string fault_of(const DirectionResult& result, const TrialOrder& order,
                     const std::string& from, const std::string& to) {
  if (result.send_error != 0)
    return "sending by " + from + " failed after " + std::to_string(result.sent) +
           " frames: " + strerror(result.send_error);
  if (result.sent < order.count) {
    const double reached =
        static_cast<double>(result.sent) * 1e9 / static_cast<double>(result.sending_ns);
    return "the generator could send only " + rounded(reached) + " of " + rounded(order.rate) +
           " frames/s by " + from +
           ": give it more CPU time, or do not ask for more than the bare loop carries";
  }
  if (result.ring_drops != 0)
    return "the generator itself lost " + std::to_string(result.ring_drops) +
           " frames that came in by " + to + ": its receiving thread got too little CPU time";
  if (result.wrong != 0)
    return std::to_string(result.wrong) + " frames came in by " + to +
           " with another length or number than they were sent with: something joins, cuts or " +
           "makes frames (`ethtool -K DEVICE gro off`)";
  if (result.arrivals.untold() != 0)
    return std::to_string(result.arrivals.untold()) + " frames came in by " + to +
           " too late to be told from copies";
  return "";
}

}  // namespace

TrialOutcome run_trial(const TrialEnd (&ends)[2], const TrialOrder& order, Progress (&progress)[2],
                       const std::atomic<bool>& stop) {
  std::optional<Direction> directions[2];
  const size_t count = order.both ? 2 : 1;
  for (size_t at = 0; at < count; at++) {
    directions[at].emplace(ends[at], ends[1 - at], order, order.run + static_cast<uint32_t>(at));
    directions[at]->sender.clear_error();
    directions[at]->receiver.expect(directions[at]->run);
    progress[at].sent = 0;
    progress[at].received = 0;
  }
  const int64_t distance = clock_distance();
  const Pacer pacer(now_ns() + head_start_ns, order.rate, order.count);
  std::vector<std::thread> threads;
  for (size_t at = 0; at < count; at++) {
    threads.emplace_back([&, at] {
      prepare_thread(static_cast<uint32_t>(2 * at));
      keep_time();
      send_all(*directions[at], pacer, stop, progress[at].sent);
    });
    threads.emplace_back([&, at] {
      prepare_thread(static_cast<uint32_t>(2 * at + 1));
      receive_all(*directions[at], progress[at].received);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const bool same_clock = std::abs(clock_distance() - distance) < clock_step_ns;
  TrialOutcome outcome;
  if (stop.load()) outcome.fault = "the trial was stopped";
  for (size_t at = 0; at < count; at++) {
    DirectionResult& result = directions[at]->result;
    result.timed = result.timed && same_clock;
    if (outcome.fault.empty())
      outcome.fault = fault_of(result, order, ends[at].name, ends[1 - at].name);
    outcome.directions.push_back(std::move(result));
  }
  return outcome;
}

}  // namespace vtep::bench
