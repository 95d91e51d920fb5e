// datapath/slow_path_ends.h — the slow path's ends of a worker's rings: take, give, wake.
//
// Why:    the keyhole of the language boundary. TypeScript reads and writes records in shared
//         memory; the cursors move only here, with the memory order that they need. The same code
//         serves a datapath in this process and one behind the control socket, and the native
//         tests. What waits in the upcall ring TypeScript sees by itself (src/datapath/memory.ts);
//         take_upcalls() is the same for whoever has no language boundary to cross.
// Thread: one slow path thread. Nothing here can fail; sizes are bounded by what the cursors say.
// Owner:  borrows the mapping and the worker's doorbell.
#pragma once

#include <cstdint>

#include "datapath/region.h"

namespace vtep {

class SlowPathEnds {
 public:
  SlowPathEnds() noexcept = default;
  SlowPathEnds(const RegionView& region, uint32_t worker, int worker_doorbell) noexcept;

  // Bytes of upcall records behind `answered`; they begin at upcall_offset() of the ring's bytes.
  uint32_t take_upcalls() const noexcept;
  uint32_t upcall_offset() const noexcept;
  // Moves `answered` on by `bytes`, which is cut to what was taken, and wakes the worker if it
  // sleeps. A full fence behind the move: who looks at `produced` then misses nothing that the
  // worker shows without ringing.
  void give_verdicts(uint32_t bytes) noexcept;

  // Bytes free in the command ring; the next command goes to command_offset() of the ring's bytes.
  uint32_t command_room() const noexcept;
  uint32_t command_offset() const noexcept;
  void give_commands(uint32_t bytes) noexcept;
  // Whether the worker has consumed every command given so far.
  bool commands_done() const noexcept;

  // Bytes of event records behind `consumed`; they begin at event_offset() of the ring's bytes.
  uint32_t take_events() const noexcept;
  uint32_t event_offset() const noexcept;
  void free_events(uint32_t bytes) noexcept;

  const RingView& upcalls() const noexcept { return upcalls_; }
  const RingView& commands() const noexcept { return commands_; }
  const RingView& events() const noexcept { return events_; }

 private:
  void wake(const RingView& ring) const noexcept;

  RingView upcalls_;
  RingView commands_;
  RingView events_;
  int worker_doorbell_ = -1;  // borrowed
};

// Adds one to an eventfd: wakes whoever polls it. A full counter means that it is awake anyway.
void ring_doorbell(int doorbell) noexcept;
// Takes what was added, so that the eventfd polls silent again.
void silence_doorbell(int doorbell) noexcept;

}  // namespace vtep
