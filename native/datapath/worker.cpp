// datapath/worker.cpp — the loop. One breath: take what arrived, answer what we know, ask about
// the rest.
//
// Each stage is a file of its own: worker_rx, worker_classify, worker_slow, worker_run, worker_tx,
// worker_commands; worker_idle looks after ports and sleep.

#include "datapath/worker.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "base/error.h"
#include "datapath/slow_path_ends.h"

namespace vtep {

bool Worker::breathe() noexcept {
  begin_breath();
  uint32_t work = take_verdicts();
  work += take_commands();
  work += receive_hot();
  if (work == 0 && cold_count_ != 0) {
    wake_ports();
    work = receive_hot();
  }
  drain_all();
  flush_ports();
  end_breath(work != 0);
  return work != 0;
}

uint32_t Worker::receive_hot() noexcept {
  uint32_t work = 0;
  for (size_t i = 0; i < hot_.size(); i++) work += receive(*hot_[i]);
  return work;
}

void Worker::process(WorkerPort& port, Batch& batch) noexcept {
  const bool captured = shared_.capture.on(port.number);
  if (captured) [[unlikely]]
    capture_rx(port, batch);

  parse_batch(port, batch);  // bad packets leave here, each with a reason
  if (!look_up(batch))       // exact cache, connections, megaflows
    ask(batch);              // what nobody knows leaves here, with a question
  if (captured) [[unlikely]]
    return run_captured(batch);
  run(batch);                // in arrival order
}

// Where it has just asked the slow path, it sleeps at once, and so it does while an answer is under
// way: the kernel wakes the slow path's thread on the CPU of who rings, where it would wait for us.
// Packets that have come meanwhile end the sleep before it begins.
void Worker::loop() noexcept {
  const uint64_t spin_ns = uint64_t{shared_.config.spin_us} * 1000;
  while (!stopping_.load(std::memory_order_acquire)) {
    const bool worked = breathe();
    if (worked) busy_ns_ = now_ns_;
    const bool rests = now_ns_ - busy_ns_ > spin_ns || (!worked && upcalls_.waits());
    if ((rests || rang_) && !sweep_behind()) sleep();
  }
  shared_.grace.leave(number_);
}

bool Worker::run_once() noexcept {
  const bool worked = breathe();
  if (!worked) settle_port_stats();
  shared_.grace.leave(number_);
  return worked;
}

Worker::Worker(uint32_t number, const WorkerShared& shared, const RegionView& region)
    : number_(number),
      shared_(shared),
      slots_(region.flows()),
      stats_(region.stats(number)),
      worker_counters_(region.worker_counters(number)),
      port_counters_(region.port_counters(number)),
      port_drops_(region.port_drops(number)),
      frames_(shared.pool),
      exact_memory_(ExactCache::bytes_needed(shared.config.exact_max), "the exact cache",
                    PageSize::Huge),
      megaflow_memory_(MegaflowTable::bytes_needed(shared.config.flow_max), "megaflows"),
      exact_({exact_memory_.data(), exact_memory_.size()}, shared.config.exact_max, shared.secret,
             *this),
      ends_(shared.config.exact_max),
      megaflows_({megaflow_memory_.data(), megaflow_memory_.size()}, shared.config.flow_max,
                 shared.secret),
      connections_(shared.connections.table()),
      flows_(shared.config.flow_max, "installed flows"),
      meters_(meter_max, "meters"),
      answers_(asker_max, "answer limits"),
      upcalls_(region.upcalls(number), shared.secret),
      coarse_drops_(shared.secret),
      commands_(region.commands(number)),
      events_(region.events(number)),
      context_{frames_,        shared.tables,  *this,          *this, worker_counters_,
               port_drops_,    port_counters_, meters_.data(), answers_.data(), 0},
      doorbell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      second_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      batch_(std::make_unique<Batch>()) {
  context_.entropy_secret = shared.secret;  // the same on every worker
  shared.connections.add_cache(number, exact_, ends_);
  if (!doorbell_.open() || !second_.open() || !epoll_.open())
    throw Error("ERR_LIMIT", "cannot make the doorbell of worker " + std::to_string(number), errno);
  const itimerspec once_a_second{{1, 0}, {1, 0}};
  bool listens = timerfd_settime(second_.get(), 0, &once_a_second, nullptr) == 0;
  for (const int waker : {doorbell_.get(), second_.get()}) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;  // each wakes once, and nothing has to be read
    event.data.u64 = 0;                // port 0: none
    listens = listens && epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, waker, &event) == 0;
  }
  if (!listens)
    throw Error("ERR_LIMIT", "cannot poll the doorbell of worker " + std::to_string(number), errno);
}

Worker::~Worker() { stop(); }

void Worker::start() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  for (const int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) sigdelset(&all, fault);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are the main thread's
  try {
    thread_ = std::thread([this] { loop(); });
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw Error("ERR_LIMIT", "cannot start worker " + std::to_string(number_),
                error.code().value());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), ("vtep-worker" + std::to_string(number_)).c_str());
}

void Worker::stop() noexcept {
  stopping_.store(true, std::memory_order_release);
  ring_doorbell(doorbell_.get());
  if (thread_.joinable()) thread_.join();
}

void Worker::publish_ports(const PortSet* ports) noexcept {
  published_ports_.store(ports, std::memory_order_release);
  ring_doorbell(doorbell_.get());
}

}  // namespace vtep
