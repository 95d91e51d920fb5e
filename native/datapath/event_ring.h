// datapath/event_ring.h — captured packets, and reports for the operator, on their way to vtepd.
//
// Why:    besides captures, what operators ask of exact entries and drops goes this way.
//         A capture must show what the datapath did with a packet, so the record is reserved when
//         the packet comes in and completed when its fate is known. A full ring loses the event,
//         never the packet.
// Thread: one worker; the other end is datapath/slow_path_ends.h.
// Limits: event_ring_bytes; capture_bytes_max of each packet.
#pragma once

#include <cstdint>

#include "datapath/layout.h"
#include "datapath/region.h"
#include "packet/packet.h"

namespace vtep {

class EventRing {
 public:
  explicit EventRing(const RingView& ring) noexcept : ring_(ring) {}

  // A record with the packet's bytes, shown by the next publish(); null: the ring is full.
  EventRecord* add(EventKind kind, uint32_t port, const Packet& packet) noexcept;
  // A record with `bytes` bytes behind it, for the caller to fill, likewise.
  EventRecord* add(EventKind kind, uint32_t port, uint32_t bytes) noexcept;
  // Bytes that records may take before the ring is full, a pad aside.
  uint32_t room() const noexcept;
  // True if the doorbell must be rung. Drops alone ring nobody: they are read when asked for, and
  // now and then.
  bool publish() noexcept;

 private:
  RingView ring_;
  uint32_t produced_ = 0;   // private: what publish() will store
  uint32_t published_ = 0;  // what was stored last
  uint32_t rung_ = 0;       // what was stored when publish() told to ring
  bool urgent_ = false;     // something that is no drop waits for publish()
};

}  // namespace vtep
