// datapath/event_ring.h — captured packets on their way to vtepd.
//
// Why:    a capture must show what the datapath did with a packet, so the record is reserved when
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
  // True if the doorbell must be rung.
  bool publish() noexcept;

 private:
  RingView ring_;
  uint32_t produced_ = 0;   // private: what publish() will store
  uint32_t published_ = 0;  // what was stored last
};

}  // namespace vtep
