// datapath/worker_flow_log.cpp — what the flow log is told of exact entries: each packet once.
//
// A record is due when TCP has ended the connection, when no packet came for idle_ms, and each
// active_ms while it goes on (RFC 5470 section 5.1.1); it has what was counted since the last one.
// Idle and active time are looked at by the sweep, which comes by each entry anyway, a little more
// often with a log than without; ends of TCP by marks (end_marks.h).
// Packets that change a connection's state, and those that were asked about, hit no entry. While
// there is a log they are noted at the entry that the others will have, made of no flow if need be.
// What finds no room in the event ring waits in its entry.

#include <algorithm>

#include "datapath/worker.h"
#include "packet/headers.h"

namespace vtep {

namespace {

constexpr uint32_t idle_default_ms = 120'000;
// So old a mark is at least when its connection is told of: its last packets have come.
constexpr uint64_t linger_ms = 500;
constexpr uint32_t words_per_look = 1024;  // of marks, for one breath
constexpr uint32_t ends_per_look = 64;

bool is_icmp(const FlowKey& key) noexcept {
  return key.ip_proto == ip_proto_icmp || key.ip_proto == ip_proto_icmpv6;
}

}  // namespace

// Without a log, entries are kept for two minutes; with one, until it has been told that they are
// idle.
void Worker::report_ends(const CommandRecord& command) noexcept {
  reports_ends_ = command.slot != 0;
  idle_ms_ = reports_ends_ ? std::max(command.idle_ms, 1u) : idle_default_ms;
  active_ms_ = std::max(command.active_ms, 1u);
  pace_sweep();
  ends_.want(reports_ends_);
}

// Counts a packet that goes by another way than its exact entry. ICMP is tracked by ids that keys
// do not have: one entry is that of many connections, and of none.
void Worker::note(const Packet& packet, const FlowKey& key, uint64_t hash, uint32_t slot,
                  const Tracked& tracked) noexcept {
  if (flows_[slot].denies != 0) return;  // drops are counted by their flow
  ExactTarget target{0, 0};
  target.decision = flows_[slot].decision;
  target.ct_state = tracked.ct_state;
  const bool of_one = tracked.connection != 0 && !is_icmp(key);
  if (of_one) {
    target.connection = tracked.connection;
    target.connection_generation = tracked.generation;
  }
  ExactEntry& entry = exact_.note(key, hash, target, now_ns_ / 1000000);
  exact_.count(entry, 1, packet.length);
  // Should the connection have gone, the sweep finds out.
  if (of_one) connections_.bind(tracked, exact_place(number_, exact_.number_of(entry)));
}

// Likewise, of a packet that is in no batch.
void Worker::note_alone(const Packet& packet, const FlowKey& key, uint32_t slot,
                        const Tracked& tracked) noexcept {
  if (!fits_exact(key)) return;
  FlowKey asked = key;
  asked.ct_state = 0;
  note(packet, key, hash_exact_key(asked, exact_.secret()), slot, tracked);
}

// Likewise, of one whose question was answered: it was tracked when it was asked about.
void Worker::note_answered(const Packet& packet, const FlowKey& key, const PacketInfo& info,
                           uint32_t slot) noexcept {
  Tracked tracked;
  if ((key.ct_state & ct_est) != 0)
    tracked = connections_.find_for(asked(packet, key, info), now_ns_ / 1000000);
  tracked.ct_state = key.ct_state;
  note_alone(packet, key, slot, tracked);
}

// The first packet of a connection was noted before there was one.
void Worker::tie_noted(const FlowKey& key, const Committed& committed) noexcept {
  if (is_icmp(key)) return;
  ExactEntry* entry = exact_.entry_of(key);
  if (entry == nullptr || exact_.side_of(*entry).connection != 0) return;
  exact_.tie(*entry, committed.number, committed.generation);
  Tracked tracked;
  tracked.connection = committed.number;
  tracked.generation = committed.generation;
  connections_.bind(tracked, exact_place(number_, exact_.number_of(*entry)));
}

bool Worker::tell(const ExactEntry& entry, const ExactSide& side, const ExactTold&,
                  Telling telling) noexcept {
  if (report(EventKind::EntryEnd, entry, side, 0, telling.why)) return true;
  if (telling.last_chance) counter(WorkerCounter::EventsLost)++;
  return false;
}

// Tells of connections that TCP has ended a moment ago, a few in a breath.
void Worker::follow_ends() noexcept {
  const uint64_t now_ms = now_ns_ / 1000000;
  if (!ends_.looking()) {
    if (now_ms - ends_ms_ < linger_ms) return;
    ends_.begin();
  }
  uint32_t left = ends_per_look;
  const bool looked = ends_.look(words_per_look, [&](uint32_t number) {
    ends_wait_ = left != 0 && !end_entry(number);
    return left-- != 0 && !ends_wait_;
  });
  if (looked) ends_wait_ = false;
  if (!ends_.looking()) ends_ms_ = now_ms;
}

// False: not now.
bool Worker::end_entry(uint32_t number) noexcept {
  const ExactEntry* entry = exact_.entry_at(number - 1);
  if (entry == nullptr) return true;
  const ExactSide& side = exact_.side_of(*entry);
  const ConnectionTable::Facts facts = connections_.facts(
      side.connection, side.connection_generation, exact_place(number_, number));
  return !is_over(facts.state) || exact_.end(number);
}

}  // namespace vtep
