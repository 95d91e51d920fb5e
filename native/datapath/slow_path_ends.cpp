// datapath/slow_path_ends.cpp — see slow_path_ends.h.

#include "datapath/slow_path_ends.h"

#include <unistd.h>

#include <algorithm>

namespace vtep {

namespace {

uint32_t acquire(const RingCursor& cursor) noexcept {
  return cursor.value.load(std::memory_order_acquire);
}

// How far `front` is ahead of `back`; a distance that the ring cannot hold counts as none.
uint32_t distance(const RingView& ring, const RingCursor& front, const RingCursor& back) noexcept {
  const uint32_t bytes = acquire(front) - acquire(back);
  return bytes <= ring.capacity ? bytes : 0;
}

void advance(RingCursor& cursor, uint32_t bytes) noexcept {
  cursor.value.store(cursor.value.load(std::memory_order_relaxed) + bytes,
                     std::memory_order_release);
}

}  // namespace

SlowPathEnds::SlowPathEnds(const RegionView& region, uint32_t worker, int worker_doorbell) noexcept
    : upcalls_(region.upcalls(worker)),
      commands_(region.commands(worker)),
      events_(region.events(worker)),
      worker_doorbell_(worker_doorbell) {}

uint32_t SlowPathEnds::take_upcalls() const noexcept {
  // Pairs with the fence of UpcallRing::publish(): after moving `answered`, look once more.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return distance(upcalls_, upcalls_.header->produced, upcalls_.header->answered);
}

uint32_t SlowPathEnds::upcall_offset() const noexcept {
  return upcalls_.header->answered.value.load(std::memory_order_relaxed) & (upcalls_.capacity - 1);
}

void SlowPathEnds::give_verdicts(uint32_t bytes) noexcept {
  advance(upcalls_.header->answered, std::min(bytes, take_upcalls()));
  wake(upcalls_);
}

uint32_t SlowPathEnds::command_room() const noexcept {
  return commands_.capacity -
         distance(commands_, commands_.header->produced, commands_.header->consumed);
}

uint32_t SlowPathEnds::command_offset() const noexcept {
  return commands_.header->produced.value.load(std::memory_order_relaxed) &
         (commands_.capacity - 1);
}

void SlowPathEnds::give_commands(uint32_t bytes) noexcept {
  advance(commands_.header->produced, std::min(bytes, command_room()));
  wake(commands_);
}

bool SlowPathEnds::commands_done() const noexcept {
  return acquire(commands_.header->produced) == acquire(commands_.header->consumed);
}

uint32_t SlowPathEnds::take_events() const noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return distance(events_, events_.header->produced, events_.header->consumed);
}

uint32_t SlowPathEnds::event_offset() const noexcept {
  return events_.header->consumed.value.load(std::memory_order_relaxed) & (events_.capacity - 1);
}

void SlowPathEnds::free_events(uint32_t bytes) noexcept {
  advance(events_.header->consumed, std::min(bytes, take_events()));
}

void SlowPathEnds::wake(const RingView& ring) const noexcept {
  // Pairs with the fence of Worker::sleep(): it says that it sleeps, then looks at the cursors
  // again.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (ring.header->sleeping.value.load(std::memory_order_relaxed) != 0)
    ring_doorbell(worker_doorbell_);
}

void ring_doorbell(int doorbell) noexcept {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(doorbell, &one, sizeof one);
}

void silence_doorbell(int doorbell) noexcept {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(doorbell, &count, sizeof count);
}

}  // namespace vtep
