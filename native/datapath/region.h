// datapath/region.h — the shared region: one memfd, mapped, with every part found by name.
//
// Why:    layout.h says what stands where; this file does the arithmetic once, for both ends.
// Thread: Region is made and destroyed by the control thread. RegionView is a plain value.
// Owner:  Region owns the memfd and the mapping; a view borrows a mapping from whoever has it.
// Limits: memory is touched on use only, so an empty flow store costs address space and nothing
//         else.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "base/limits.h"
#include "datapath/datapath_types.h"
#include "datapath/layout.h"
#include "flow/flow_stats.h"

namespace vtep {

// One ring of the region: its cursors, its bytes and how many there are (a power of two).
struct RingView {
  RingHeader* header = nullptr;
  uint8_t* bytes = nullptr;
  uint32_t capacity = 0;

  uint8_t* at(uint32_t cursor) const noexcept { return bytes + (cursor & (capacity - 1)); }
};

using DropRow = uint64_t[drop_reason_max];
using PortCounterRow = uint64_t[port_counter_max];

// The parts of a mapped region, found by the offsets of a header that was copied: the one in shared
// memory may be written by the other process. Worker numbers are not checked: the caller has.
class RegionView {
 public:
  RegionView() noexcept = default;
  // Believes the header that stands in the memory now.
  explicit RegionView(uint8_t* memory) noexcept
      : RegionView(memory, *reinterpret_cast<const RegionHeader*>(memory)) {}
  RegionView(uint8_t* memory, const RegionHeader& header) noexcept
      : memory_(memory), header_(header) {}

  const RegionHeader& header() const noexcept { return header_; }
  FlowSlot* flows() const noexcept;
  FlowStats* stats(uint32_t worker) const noexcept;           // [flow_max]
  uint64_t* worker_counters(uint32_t worker) const noexcept;  // [worker_counter_max]
  PortCounterRow* port_counters(uint32_t worker) const noexcept;  // [port_max]
  DropRow* port_drops(uint32_t worker) const noexcept;            // [port_max]
  RingView upcalls(uint32_t worker) const noexcept;
  RingView commands(uint32_t worker) const noexcept;
  RingView events(uint32_t worker) const noexcept;

 private:
  uint8_t* ring_memory(uint32_t worker) const noexcept;

  uint8_t* memory_ = nullptr;
  RegionHeader header_{};  // a copy
};

class Region {
 public:
  // Throws Error{ERR_LIMIT} when the memory cannot be reserved or a size is not a power of two.
  explicit Region(const DatapathConfig& config);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  uint8_t* memory() const noexcept { return memory_; }
  uint64_t bytes() const noexcept { return bytes_; }
  int fd() const noexcept { return fd_.get(); }
  RegionView view() const noexcept { return RegionView(memory_, header_); }

 private:
  Fd fd_;                      // the memfd
  uint8_t* memory_ = nullptr;  // its mapping
  uint64_t bytes_ = 0;         // of both
  RegionHeader header_{};      // as it was written at the start
};

}  // namespace vtep
