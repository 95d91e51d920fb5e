// datapath/connections.h — the connection table of a datapath, and the exact caches that it tells.
//
// Why:    a connection that goes must take its exact entries with it, and these are in the caches
//         of whichever workers its directions come in by.
// Thread: add_cache() by the control thread before workers start; the rest by any worker.
// Owner:  its memory. Caches belong to their workers and outlive every other worker's last breath.
#pragma once

#include "datapath/datapath_types.h"
#include "datapath/end_marks.h"
#include "datapath/lazy_array.h"
#include "flow/connection_table.h"
#include "flow/exact_cache.h"

namespace vtep {

class Connections final : private ConnectionSink {
 public:
  // `started_ns`: CLOCK_MONOTONIC at the datapath's start. Throws Error{ERR_LIMIT}.
  Connections(const DatapathConfig& config, const HashSecret& secret, uint64_t started_ns)
      : Connections({config.connection_max, pick_up_until(config.tcp_pick_up, started_ns / 1000000),
                     config.worker_count},
                    secret) {}

  ConnectionTable& table() noexcept { return table_; }
  void add_cache(uint32_t worker, ExactCache& cache, EndMarks& ends) noexcept {
    caches_[worker] = &cache;
    ends_[worker] = &ends;
  }

 private:
  Connections(const ConnectionConfig& config, const HashSecret& secret)
      : memory_(ConnectionTable::bytes_needed(config), "connections"),
        table_({memory_.data(), memory_.size()}, config, secret, this) {}

  static uint64_t pick_up_until(TcpPickUp when, uint64_t started_ms) noexcept {
    if (when == TcpPickUp::Always) return ~0ull;
    return when == TcpPickUp::AfterStart ? started_ms + tcp_pick_up_ms : 0;
  }

  void forget_entries(const Connection& connection) noexcept override {
    for (const uint32_t place : connection.exact)
      if (place != 0) caches_[exact_place_worker(place)]->kill(exact_place_number(place));
  }

  void over(const Connection& connection) noexcept override {
    for (const uint32_t place : connection.exact)
      if (place != 0) ends_[exact_place_worker(place)]->mark(exact_place_number(place));
  }

  LazyArray<std::byte> memory_;
  ConnectionTable table_;
  ExactCache* caches_[worker_max] = {};  // by worker
  EndMarks* ends_[worker_max] = {};      // likewise
};

}  // namespace vtep
