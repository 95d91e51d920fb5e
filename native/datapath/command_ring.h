// datapath/command_ring.h — what the slow path tells a worker without having been asked.
//
// Why:    flows come and go while packets pass; a worker alone writes its tables, so it is told,
//         and does it between two bursts. A record's consumption is the answer: all before it is
//         done.
// Thread: one worker; the other end is datapath/slow_path_ends.h.
// Owner:  Command::bytes points into shared memory, whose bytes may change under the reader: copy,
//         then check.
// Limits: command_ring_bytes. A record that contradicts the ring throws away all that was given
//         with it.
#pragma once

#include <cstdint>

#include "base/limits.h"
#include "datapath/layout.h"
#include "datapath/region.h"

namespace vtep {

struct Command {
  CommandRecord record;      // a copy
  const uint8_t* actions;    // record.action_words words, inside the ring; PacketOut only
  const uint8_t* packet;     // record.packet_bytes bytes, inside the ring; PacketOut, and
                             // ListEntries: key and mask; SetTimeouts: the timeouts
};

class CommandRing {
 public:
  enum class Next : uint8_t { None, Command, Broken };

  explicit CommandRing(const RingView& ring) noexcept : ring_(ring) {}

  // The next command, checked against the ring's bounds; pads are skipped. Broken: a size was
  // wrong, and everything given so far has been thrown away.
  Next next(Command& command) noexcept;
  // Shows the slow path what has been done.
  void release() noexcept;
  bool has_commands() const noexcept;
  void set_sleeping(bool sleeping) noexcept;

 private:
  bool read(Command& command, uint32_t waiting) noexcept;

  RingView ring_;
  uint32_t consumed_ = 0;  // private: what release() will store
};

}  // namespace vtep
