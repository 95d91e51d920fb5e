// datapath/region.cpp — see region.h.

#include "datapath/region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/error.h"

namespace vtep {

namespace {

constexpr uint64_t page_bytes = 4096;

constexpr uint64_t whole_pages(uint64_t bytes) noexcept {
  return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

uint64_t monotonic_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

RegionHeader plan(const DatapathConfig& config) noexcept {
  RegionHeader header{};
  const uint64_t workers = config.worker_count;
  header.magic = layout_magic;
  header.version = layout_version;
  header.worker_count = config.worker_count;
  header.flow_max = config.flow_max;
  header.upcall_ring_bytes = config.upcall_ring_bytes;
  header.command_ring_bytes = command_ring_bytes;
  header.event_ring_bytes = event_ring_bytes;
  header.datapath_pid = static_cast<uint32_t>(getpid());
  header.started_ns = monotonic_ns();
  header.flows_offset = page_bytes;
  header.stats_offset = header.flows_offset + whole_pages(sizeof(FlowSlot) * config.flow_max);
  header.counters_offset =
      header.stats_offset + whole_pages(workers * config.flow_max * sizeof(FlowStats));
  header.ports_offset =
      header.counters_offset + whole_pages(workers * worker_counter_max * sizeof(uint64_t));
  header.drops_offset =
      header.ports_offset + whole_pages(workers * port_max * sizeof(PortCounterRow));
  header.rings_offset = header.drops_offset + whole_pages(workers * port_max * sizeof(DropRow));
  header.ring_stride = whole_pages(3 * sizeof(RingHeader) + uint64_t{config.upcall_ring_bytes} +
                                   command_ring_bytes + event_ring_bytes);
  header.bytes = header.rings_offset + workers * header.ring_stride;
  return header;
}

void check(const DatapathConfig& config) {
  if (config.worker_count < 1 || config.worker_count > worker_max)
    throw Error("ERR_LIMIT", "workers: " + std::to_string(config.worker_count) +
                                 " is not between 1 and " + std::to_string(worker_max));
  if (config.flow_max < 2 || config.flow_max > 1u << 24)
    throw Error("ERR_LIMIT", "flowMax: " + std::to_string(config.flow_max) +
                                 " is not between 2 and 16777216");
  if (!std::has_single_bit(config.upcall_ring_bytes) || config.upcall_ring_bytes < 64 * 1024 ||
      config.upcall_ring_bytes > 1u << 30)
    throw Error("ERR_LIMIT", "upcallRingBytes: " + std::to_string(config.upcall_ring_bytes) +
                                 " is not a power of two between 65536 and 1073741824");
}

}  // namespace

FlowSlot* RegionView::flows() const noexcept {
  return reinterpret_cast<FlowSlot*>(memory_ + header().flows_offset);
}

FlowStats* RegionView::stats(uint32_t worker) const noexcept {
  return reinterpret_cast<FlowStats*>(memory_ + header().stats_offset) +
         uint64_t{worker} * header().flow_max;
}

uint64_t* RegionView::worker_counters(uint32_t worker) const noexcept {
  return reinterpret_cast<uint64_t*>(memory_ + header().counters_offset) +
         uint64_t{worker} * worker_counter_max;
}

PortCounterRow* RegionView::port_counters(uint32_t worker) const noexcept {
  return reinterpret_cast<PortCounterRow*>(memory_ + header().ports_offset) +
         uint64_t{worker} * port_max;
}

DropRow* RegionView::port_drops(uint32_t worker) const noexcept {
  return reinterpret_cast<DropRow*>(memory_ + header().drops_offset) + uint64_t{worker} * port_max;
}

uint8_t* RegionView::ring_memory(uint32_t worker) const noexcept {
  return memory_ + header().rings_offset + worker * header().ring_stride;
}

RingView RegionView::upcalls(uint32_t worker) const noexcept {
  uint8_t* start = ring_memory(worker);
  return {reinterpret_cast<RingHeader*>(start), start + sizeof(RingHeader),
          header().upcall_ring_bytes};
}

RingView RegionView::commands(uint32_t worker) const noexcept {
  uint8_t* start = ring_memory(worker) + sizeof(RingHeader) + header().upcall_ring_bytes;
  return {reinterpret_cast<RingHeader*>(start), start + sizeof(RingHeader),
          header().command_ring_bytes};
}

RingView RegionView::events(uint32_t worker) const noexcept {
  uint8_t* start = ring_memory(worker) + 2 * sizeof(RingHeader) + header().upcall_ring_bytes +
                   header().command_ring_bytes;
  return {reinterpret_cast<RingHeader*>(start), start + sizeof(RingHeader),
          header().event_ring_bytes};
}

Region::Region(const DatapathConfig& config) {
  check(config);
  header_ = plan(config);
  fd_ = Fd(memfd_create("vtep-datapath", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd_.open()) throw Error("ERR_LIMIT", "cannot make the shared region (memfd_create)", errno);
  if (ftruncate(fd_.get(), static_cast<off_t>(header_.bytes)) != 0)
    throw Error("ERR_LIMIT", "cannot reserve " + std::to_string(header_.bytes) + " shared bytes",
                errno);
  // Whoever maps it holds the descriptor: shrinking it would kill the workers by SIGBUS.
  if (fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    throw Error("ERR_LIMIT", "cannot seal the shared region", errno);
  void* memory =
      mmap(nullptr, header_.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (memory == MAP_FAILED)
    throw Error("ERR_LIMIT", "cannot map " + std::to_string(header_.bytes) + " shared bytes",
                errno);
  memory_ = static_cast<uint8_t*>(memory);
  bytes_ = header_.bytes;
  memcpy(memory_, &header_, sizeof header_);
}

Region::~Region() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

}  // namespace vtep
