// datapath/worker_report.cpp — what operators ask: which connections are there, what was dropped.
//
// All of it happens between two bursts, or on a packet that ends anyway. Lists come in slices, so
// that a large cache holds up no packet for long; what does not fit the event ring is asked again.

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "datapath/worker.h"

namespace vtep {

namespace {

// Places of the exact cache that one command looks at: some 50 us.
constexpr uint32_t places_per_list = 4096;
constexpr uint32_t entry_event_bytes = 256;
static_assert(sizeof(EventRecord) + sizeof(EntryReport) <= entry_event_bytes);

uint8_t* behind(EventRecord* record) noexcept {
  return reinterpret_cast<uint8_t*>(record) + sizeof *record;
}

// Whether the key agrees with `wanted` where `mask` has ones.
bool matches(const FlowKey& key, const FlowKey& wanted, const FlowMask& mask) noexcept {
  uint64_t words[3][flow_key_words];
  memcpy(words[0], &key, sizeof key);
  memcpy(words[1], &wanted, sizeof wanted);
  memcpy(words[2], &mask, sizeof mask);
  uint64_t difference = 0;
  for (uint32_t i = 0; i < flow_key_words; i++)
    difference |= (words[0][i] ^ words[1][i]) & words[2][i];
  return difference == 0;
}

}  // namespace

void Worker::list_entries(const Command& command) noexcept {
  FlowKey wanted;
  FlowMask mask;
  memcpy(static_cast<void*>(&wanted), command.packet, sizeof wanted);
  memcpy(static_cast<void*>(&mask), command.packet + sizeof wanted, sizeof mask);
  const uint32_t token = command.record.token;
  uint32_t place = std::min(command.record.slot, exact_.places());
  const uint32_t count = std::min(command.record.generation, places_per_list);
  const uint32_t end = place + std::min(count, exact_.places() - place);
  // Room for this entry, for what says how far we came, and for a pad.
  constexpr uint32_t room_min = 2 * entry_event_bytes + sizeof(EventRecord);
  for (; place < end && events_.room() >= room_min; place++) {
    const ExactEntry* entry = exact_.entry_at(place);
    if (entry == nullptr || !matches(exact_.key_of(*entry), wanted, mask)) continue;
    if (!report(EventKind::Entry, *entry, exact_.side_of(*entry), token, FlowEnd::None)) break;
  }
  EventRecord* listed = events_.add(EventKind::Listed, 0, 0u);
  if (listed == nullptr) {
    counter(WorkerCounter::EventsLost)++;
    return;
  }
  listed->token = token;
  listed->flow = place < exact_.places() ? place : 0;
}

void Worker::mark_connection(const CommandRecord& command) noexcept {
  // 0 means for ever, so an end at 0 is put off by a millisecond.
  const uint32_t end = static_cast<uint32_t>(now_ns_ / 1000000) + command.mark_ms;
  connections_.mark(command.slot, command.generation, static_cast<uint8_t>(command.mark),
                    command.mark_ms == 0 ? 0 : std::max(end, 1u));
}

// An event about an exact entry; false: the ring is full. `why`: None for a list.
bool Worker::report(EventKind kind, const ExactEntry& entry, const ExactSide& side, uint32_t token,
                    FlowEnd why) noexcept {
  EventRecord* event = events_.add(kind, 0, uint32_t{sizeof(EntryReport)});
  if (event == nullptr) return false;
  const bool all = why == FlowEnd::None;
  const ExactTold told = all ? ExactTold{} : exact_.told_of(entry);
  event->token = token;
  EntryReport facts{};
  facts.key = exact_.key_of(entry);
  facts.packets = side.packets + entry.packets - told.packets;
  facts.bytes = side.bytes + entry.bytes - told.bytes;
  facts.flow = all ? entry.slot() : side.flow;
  facts.why = static_cast<uint32_t>(why);
  facts.generation = entry.generation();
  facts.decision = side.decision;
  const uint32_t where = exact_place(number_, exact_.number_of(entry));
  const ConnectionTable::Facts connection =
      connections_.facts(side.connection, side.connection_generation, where);
  facts.key.ct_state = connection.ct_state != 0 || all ? connection.ct_state : told.ct_state;
  facts.connection = connection.state == ConnectionState::None ? 0 : side.connection;
  facts.connection_generation = side.connection_generation;
  facts.connection_state = static_cast<uint32_t>(connection.state);
  const auto now_ms = static_cast<uint32_t>(now_ns_ / 1000000);
  facts.age_ms = now_ms - (all ? side.created_ms : told.since_ms);
  facts.idle_ms = entry.packets != 0 ? 0 : now_ms - side.used_ms;
  memcpy(behind(event), &facts, sizeof facts);
  return true;
}

void Worker::show_drop(const Packet& packet, DropReason reason) noexcept {
  const uint32_t kept = std::min(packet.length, drop_sample_bytes_max);
  EventRecord* event =
      events_.add(EventKind::Drop, packet.in_port, uint32_t{sizeof(FlowKey)} + kept);
  if (event == nullptr) {
    counter(WorkerCounter::EventsLost)++;
    return;
  }
  event->original_bytes = packet.length;
  event->verdict = 2;
  event->drop_reason = static_cast<uint32_t>(reason);
  memset(behind(event), 0, sizeof(FlowKey));
  if (context_.key != nullptr) memcpy(behind(event), context_.key, sizeof(FlowKey));
  memcpy(behind(event) + sizeof(FlowKey), packet.data, kept);
  // The program in hand is that of a flow, or one for a single packet.
  const auto at = reinterpret_cast<uintptr_t>(context_.program);
  const auto first = reinterpret_cast<uintptr_t>(flows_.data());
  if (at < first || at >= first + flows_.size() * sizeof(InstalledFlow)) return;
  event->flow = static_cast<uint32_t>((at - first) / sizeof(InstalledFlow));
  event->generation = flows_[event->flow].generation;
}

// Of a packet that meets no action program.
void Worker::drop_known(const Packet& packet, const FlowKey& key, DropReason reason) noexcept {
  context_.key = &key;
  drop(context_, packet, reason);
  context_.key = nullptr;
}

}  // namespace vtep
