// datapath/event_ring.cpp — see event_ring.h.

#include "datapath/event_ring.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace vtep {

namespace {

uint64_t realtime_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

EventRecord* EventRing::add(EventKind kind, uint32_t port, const Packet& packet) noexcept {
  const uint32_t kept = std::min(packet.length, capture_bytes_max);
  EventRecord* record = add(kind, port, kept);
  if (record == nullptr) return nullptr;
  record->original_bytes = packet.length;
  memcpy(reinterpret_cast<uint8_t*>(record) + sizeof *record, packet.data, kept);
  return record;
}

uint32_t EventRing::room() const noexcept {
  const uint32_t used = produced_ - ring_.header->consumed.value.load(std::memory_order_acquire);
  return used > ring_.capacity ? 0 : ring_.capacity - used;
}

EventRecord* EventRing::add(EventKind kind, uint32_t port, uint32_t kept) noexcept {
  const uint32_t bytes = (static_cast<uint32_t>(sizeof(EventRecord)) + kept + 63) & ~63u;
  const uint32_t to_end = ring_.capacity - (produced_ & (ring_.capacity - 1));
  const uint32_t pad = to_end < bytes ? to_end : 0;
  if (room() < pad + bytes) return nullptr;
  if (pad != 0) {
    const uint32_t words[2] = {pad, static_cast<uint32_t>(EventKind::Pad)};
    memcpy(ring_.at(produced_), words, sizeof words);
    produced_ += pad;
  }
  auto* record = reinterpret_cast<EventRecord*>(ring_.at(produced_));
  *record = EventRecord{};
  record->record_bytes = bytes;
  record->kind = static_cast<uint32_t>(kind);
  record->time_ns = realtime_ns();
  record->port = port;
  record->packet_bytes = kept;
  produced_ += bytes;
  urgent_ = urgent_ || kind != EventKind::Drop;
  return record;
}

bool EventRing::publish() noexcept {
  if (produced_ == published_) return false;
  published_ = produced_;
  ring_.header->produced.value.store(produced_, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!std::exchange(urgent_, false)) return false;
  // Whoever reads frees what it read and looks again; only a reader that has got as far as it was
  // called for may sleep.
  const uint32_t consumed = ring_.header->consumed.value.load(std::memory_order_relaxed);
  if (static_cast<int32_t>(consumed - rung_) < 0) return false;
  rung_ = published_;
  return true;
}

}  // namespace vtep
