// datapath/worker_idle.cpp — around the breath: ports that come and go, sleep, and what is done
// once a second.
//
// Ports with a descriptor are looked at while they are hot: since they had packets, and for a few
// breaths more. The others wait in epoll (level-triggered, so nothing is lost by not looking).
// Sleep is the same epoll; a timer in it wakes a datapath without traffic once a second, to age its
// tables. The doorbell and the timer are edge-triggered: they have nothing to read. A timeout of
// epoll's own would be armed and cancelled at each sleep, and reprogramming a CPU's clock takes
// longer than all else that a wake takes.

#include <sys/epoll.h>
#include <time.h>

#include <algorithm>

#include "datapath/slow_path_ends.h"
#include "datapath/worker.h"

namespace vtep {

namespace {

constexpr uint64_t second_ns = 1000000000;
constexpr uint32_t hot_bursts = 64;      // empty bursts after which a port goes back to epoll
constexpr uint64_t glance_ns = 10000;    // a busy worker looks at its cold ports this often
constexpr int ready_max = 64;            // descriptors that one epoll call reports
constexpr uint32_t false_wakes_max = 256;  // empty bursts in a row of a port that epoll calls ready

uint64_t monotonic_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * second_ns + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

void Worker::begin_breath() noexcept {
  shared_.grace.enter(number_);
  now_ns_ = monotonic_ns();
  context_.now_ns = now_ns_;
  counter(WorkerCounter::Breaths)++;
  follow_ports();
  follow_zones();
  if (cold_count_ != 0 && now_ns_ - glanced_ns_ >= glance_ns) wake_ports();
}

void Worker::end_breath(bool worked) noexcept {
  const bool upcalls = upcalls_.publish(now_ns_);
  const bool events = events_.publish();
  rang_ = upcalls;
  if (upcalls || events) {
    counter(WorkerCounter::UpcallWakes)++;
    ring_doorbell(shared_.slow_path_doorbell);
  }
  std::erase_if(hot_, [this](WorkerPort* port) {
    if (port->fd < 0 || port->empty_bursts < hot_bursts) return false;
    cool(*port);
    return true;
  });
  sweep_tables(worked);
  if (reports_ends_) follow_ends();
  if (now_ns_ - second_ns_ >= second_ns) [[unlikely]]
    every_second();
}

void Worker::follow_ports() noexcept {
  const PortSet* published = published_ports_.load(std::memory_order_acquire);
  if (published->version == ports_version_) [[likely]]
    return;
  adopt_ports(published);
}

// Takes over the set that the control thread published. The old set and its ports may be gone by
// now, so nothing of them is read. Lanes are empty between two breaths. Ports with a descriptor
// start cold, since epoll tells of all that waits. Room for all of them is reserved, so that the
// packet path never allocates.
void Worker::adopt_ports(const PortSet* ports) noexcept {
  std::fill_n(lanes_, port_max, nullptr);
  std::fill_n(by_number_, port_max, nullptr);
  ports_ = ports;
  ports_version_ = ports->version;
  hot_.clear();
  cold_count_ = 0;
  hot_.reserve(ports->ports.size());
  touched_.reserve(ports->ports.size());
  for (WorkerPort* port : ports->ports) {
    lanes_[port->number] = &port->lane;
    by_number_[port->number] = port;
    if (!port->receives) continue;
    listen(*port);  // a port that was there before is in epoll already, which is as good
    port->empty_bursts = 0;
    port->hot = port->fd < 0;
    if (port->hot)
      hot_.push_back(port);
    else
      cold_count_++;
  }
}

// Events name the port by number and descriptor: when they are read, the port may have gone.
void Worker::listen(WorkerPort& port) noexcept {
  port.muted = false;
  if (port.fd < 0) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = uint64_t{port.number} << 32 | static_cast<uint32_t>(port.fd);
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, port.fd, &event);
}

void Worker::cool(WorkerPort& port) noexcept {
  port.hot = false;
  cold_count_++;
  // A descriptor that polls ready for ever without packets (a device that went away) would keep the
  // worker from sleeping: it is left out until the next second.
  if (port.empty_bursts < false_wakes_max) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, port.fd, nullptr);
  port.muted = true;
}

void Worker::wake_ports() noexcept {
  glanced_ns_ = now_ns_;
  epoll_event ready[ready_max];
  const int count = epoll_wait(epoll_.get(), ready, ready_max, 0);
  heat(ready, count);
}

// Moves ports whose descriptor is ready to the hot ones.
void Worker::heat(const epoll_event* ready, int count) noexcept {
  for (int i = 0; i < count; i++) {
    const auto number = static_cast<uint32_t>(ready[i].data.u64 >> 32);
    if (number == 0) continue;  // the doorbell or the timer: being awake is all they want
    WorkerPort* port = by_number_[number];
    if (port == nullptr || port->hot) continue;
    if (port->fd != static_cast<int>(ready[i].data.u64)) continue;
    port->hot = true;
    cold_count_--;
    hot_.push_back(port);
  }
}

// Says that it sleeps, looks once more, and waits for a packet, a doorbell or the next second.
void Worker::sleep() noexcept {
  settle_port_stats();
  upcalls_.set_sleeping(true);
  commands_.set_sleeping(true);
  // Pairs with the fence of SlowPathEnds::wake(): one of us sees what the other wrote.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  epoll_event ready[ready_max];
  int count = 0;
  if (!something_waits()) {
    counter(WorkerCounter::Sleeps)++;
    shared_.grace.leave(number_);
    count = epoll_wait(epoll_.get(), ready, ready_max, -1);
    shared_.grace.enter(number_);
  }
  upcalls_.set_sleeping(false);
  commands_.set_sleeping(false);
  follow_ports();
  heat(ready, count);
}

bool Worker::something_waits() const noexcept {
  if (stopping_.load(std::memory_order_acquire)) return true;
  if (upcalls_.has_answers() || commands_.has_commands()) return true;
  if (published_ports_.load(std::memory_order_acquire)->version != ports_version_) return true;
  return std::any_of(hot_.begin(), hot_.end(), [](const WorkerPort* port) {
    return port->fd < 0 && port->queue->pending();
  });
}

void Worker::every_second() noexcept {
  second_ns_ = now_ns_;
  settle_port_stats();
  megaflows_.rank();
  if (ports_ == nullptr) return;
  for (WorkerPort* port : ports_->ports) {
    if (!port->muted) continue;
    listen(*port);
    port->empty_bursts = 0;
  }
}

// Adds what the ports counted themselves to shared memory.
void Worker::settle_port_stats() noexcept {
  if (ports_ == nullptr) return;
  for (WorkerPort* port : ports_->ports) {
    const PortQueueStats& stats = port->queue->stats;
    PortQueueStats& seen = port->seen;
    for (uint32_t reason = 0; reason < drop_reason_count; reason++) {
      const uint64_t more = stats.drops[reason] - seen.drops[reason];
      if (more == 0) continue;
      port_drops_[port->number][reason] += more;
      port_counter(port->number, PortCounter::Drops) += more;
      seen.drops[reason] = stats.drops[reason];
    }
    port_counter(port->number, PortCounter::KernelDrops) += stats.kernel_drops - seen.kernel_drops;
    seen.kernel_drops = stats.kernel_drops;
  }
}

}  // namespace vtep
