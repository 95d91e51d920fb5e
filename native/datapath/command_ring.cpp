// datapath/command_ring.cpp — see command_ring.h.

#include "datapath/command_ring.h"

#include <algorithm>
#include <cstring>

namespace vtep {

namespace {

constexpr uint32_t record_align = 64;
constexpr uint32_t whole_lines(uint32_t bytes) noexcept {
  return (bytes + record_align - 1) & ~(record_align - 1);
}

}  // namespace

CommandRing::Next CommandRing::next(Command& command) noexcept {
  const uint32_t produced = ring_.header->produced.value.load(std::memory_order_acquire);
  for (;;) {
    const uint32_t waiting = produced - consumed_;
    if (waiting == 0) return Next::None;
    if (waiting > ring_.capacity || !read(command, waiting)) {
      consumed_ = produced;
      return Next::Broken;
    }
    consumed_ += command.record.record_bytes;
    if (command.record.kind != static_cast<uint32_t>(CommandKind::Pad)) return Next::Command;
  }
}

void CommandRing::release() noexcept {
  ring_.header->consumed.value.store(consumed_, std::memory_order_release);
}

bool CommandRing::has_commands() const noexcept {
  return ring_.header->produced.value.load(std::memory_order_acquire) != consumed_;
}

void CommandRing::set_sleeping(bool sleeping) noexcept {
  ring_.header->sleeping.value.store(sleeping ? 1 : 0, std::memory_order_relaxed);
}

// Copies the record's head and checks its sizes; false if they do not fit the ring.
bool CommandRing::read(Command& command, uint32_t waiting) noexcept {
  const uint32_t to_end = ring_.capacity - (consumed_ & (ring_.capacity - 1));
  const uint8_t* place = ring_.at(consumed_);
  const uint32_t room = std::min(waiting, to_end);
  if (room < sizeof command.record) return false;
  memcpy(&command.record, place, sizeof command.record);
  const uint32_t bytes = command.record.record_bytes;
  if (bytes < sizeof command.record || bytes % record_align != 0 || bytes > room) return false;
  command.actions = nullptr;
  command.packet = nullptr;
  const auto kind = static_cast<CommandKind>(command.record.kind);
  if (kind == CommandKind::ListEntries || kind == CommandKind::SetTimeouts) {
    const size_t content =
        kind == CommandKind::ListEntries ? 2 * sizeof(FlowKey) : sizeof(ConnectionTimeouts);
    if (bytes < sizeof command.record + content) return false;
    command.packet = place + sizeof command.record;
    return true;
  }
  if (kind != CommandKind::PacketOut) return true;
  if (command.record.action_words > action_words_max) return false;
  if (command.record.packet_bytes > packet_bytes_max) return false;
  const uint32_t action_bytes = whole_lines(command.record.action_words * 4);
  if (sizeof command.record + action_bytes + command.record.packet_bytes > bytes) return false;
  command.actions = place + sizeof command.record;
  command.packet = command.actions + action_bytes;
  return true;
}

}  // namespace vtep
