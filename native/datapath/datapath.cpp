// datapath/datapath.cpp — birth, death and the shared memory; ports and tables are in files of
// their own.

#include "datapath/datapath.h"

#include <sys/eventfd.h>

#include <bit>
#include <cerrno>

#include "base/assert.h"
#include "datapath/datapath_state.h"

namespace vtep {

namespace {

void check_range(const char* field, uint32_t value, uint32_t least, uint32_t most) {
  if (value >= least && value <= most) return;
  throw Error("ERR_LIMIT", std::string(field) + ": " + std::to_string(value) +
                               " is not between " + std::to_string(least) + " and " +
                               std::to_string(most));
}

void check_power_of_two(const char* field, uint32_t value, uint32_t least, uint32_t most) {
  if (std::has_single_bit(value) && value >= least && value <= most) return;
  throw Error("ERR_LIMIT", std::string(field) + ": " + std::to_string(value) +
                               " is not a power of two between " + std::to_string(least) + " and " +
                               std::to_string(most));
}

const DatapathConfig& checked(const DatapathConfig& config) {
  check_power_of_two("exactMax", config.exact_max, 64, 1u << 24);
  check_range("connectionMax", config.connection_max, 64, 1u << 24);
  if (config.small_frames < 512)
    throw Error("ERR_LIMIT", "smallFrames: " + std::to_string(config.small_frames) +
                                 " is too few; at least 512 are needed");
  if (config.large_frames < 8)
    throw Error("ERR_LIMIT", "largeFrames: " + std::to_string(config.large_frames) +
                                 " is too few; at least 8 are needed");
  return config;
}

}  // namespace

Datapath::State::State(const DatapathConfig& wanted)
    : config(checked(wanted)),
      region(config),
      pool({config.small_frames, config.large_frames, false}),
      tables(std::make_unique<Tables>()),
      zones(std::make_unique<Zones>()),
      grace(config.worker_count),
      connections(config, secret, region.view().header().started_ns),
      slow_path_doorbell(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!slow_path_doorbell.open())
    throw Error("ERR_LIMIT", "cannot make the doorbell of the slow path", errno);
  publish_endpoints();
  const WorkerShared shared{config, pool,   *tables,     *zones, capture,
                            grace,  secret, connections, slow_path_doorbell.get()};
  for (uint32_t number = 0; number < config.worker_count; number++)
    workers.push_back(std::make_unique<Worker>(number, shared, region.view()));
  port_sets.resize(config.worker_count);
  publish_port_sets();
  if (config.manual != 0) return;
  for (auto& worker : workers) worker->start();
}

Datapath::State::~State() {
  for (auto& worker : workers) worker->stop();
  // Queues give their frames back before ports go, and ports before the pool.
  for (auto& [number, entry] : ports) entry.ends.clear();
  ports.clear();
  workers.clear();
  for (auto& place : tables->tunnels) delete place.load();
  for (auto& place : tables->groups) delete place.load();
  for (auto& place : tables->meters) delete place.load();
  delete tables->endpoints.load();
}

Datapath::Datapath(const DatapathConfig& config) : state_(std::make_unique<State>(config)) {}
Datapath::~Datapath() = default;

uint8_t* Datapath::memory() const noexcept { return state_->region.memory(); }
uint64_t Datapath::memory_bytes() const noexcept { return state_->region.bytes(); }
int Datapath::memory_fd() const noexcept { return state_->region.fd(); }
uint32_t Datapath::worker_count() const noexcept { return state_->config.worker_count; }
bool Datapath::manual() const noexcept { return state_->config.manual != 0; }
int Datapath::slow_path_doorbell() const noexcept { return state_->slow_path_doorbell.get(); }
int Datapath::worker_doorbell(uint32_t worker) const noexcept {
  DP_ASSERT(worker < worker_count());
  return state_->workers[worker]->doorbell();
}

bool Datapath::run_once(uint32_t worker) {
  DP_ASSERT(state_->config.manual != 0 && worker < worker_count());
  return state_->workers[worker]->run_once();
}

}  // namespace vtep
