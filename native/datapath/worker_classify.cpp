// datapath/worker_classify.cpp — from keys to flows: exact cache, connections, megaflows, in this
// order.
//
// An exact hit is the end of the search: its entry was made from a megaflow and a connection
// state, and is thrown away when either changes. The rest asks the connection table first, since
// ct_state is a field that megaflows match on.

#include <algorithm>

#include "datapath/worker.h"
#include "packet/headers.h"

namespace vtep {

namespace {

constexpr uint64_t connections_round_ms = 8000;  // the connections are looked through this often
// Places of a table that one breath looks at: some 5 us, or 50 when no packets came.
constexpr uint64_t sweep_busy_max = 512;
constexpr uint64_t sweep_idle_max = 4096;
constexpr uint8_t tcp_state_flags = tcp_syn | tcp_fin | tcp_rst;

}  // namespace

// Whether a flow is known for every packet.
bool Worker::look_up(Batch& batch) noexcept {
  constexpr uint32_t ahead = 8;  // entries; their flows are cold where megaflows are many
  exact_.lookup(batch.keys, batch.count, exact_hits_, batch.hashes);
  uint32_t misses = 0;
  for (uint32_t i = 0; i < batch.count; i++) {
    if (i + ahead < batch.count && exact_hits_[i + ahead] != nullptr)
      __builtin_prefetch(&flows_[exact_hits_[i + ahead]->slot()]);
    ExactEntry* entry = exact_hits_[i];
    batch.flows[i] = entry == nullptr ? 0 : usable_flow(*entry, batch.infos[i]);
    if (batch.flows[i] != 0) [[likely]]
      exact_.count(*entry, 1, batch.packets[i].length);
    else
      missed_[misses++] = static_cast<uint16_t>(i);
  }
  counter(WorkerCounter::ExactHits) += batch.count - misses;
  return misses == 0 || look_up_missed(batch, misses) == misses;
}

// Slot of the entry's flow. 0: the flow or the connection is gone, or the packet is one of those
// that change a TCP connection's state.
uint32_t Worker::usable_flow(const ExactEntry& entry, const PacketInfo& info) noexcept {
  const uint32_t slot = entry.slot();
  const InstalledFlow& flow = flows_[slot];
  if (flow.installed == 0 || !entry.current(flow.generation)) [[unlikely]] {
    counter(WorkerCounter::ExactStale)++;
    return 0;
  }
  const bool watched = (entry.flags() & exact_watch_tcp) != 0;
  return watched && (info.tcp_flags & tcp_state_flags) != 0 ? 0 : slot;
}

// The packets missed_[0..count) ask connections, then megaflows; what is found becomes an exact
// entry. Returns for how many there was a flow.
uint32_t Worker::look_up_missed(Batch& batch, uint32_t count) noexcept {
  for (uint32_t n = 0; n < count; n++) {
    const uint32_t i = missed_[n];
    asked_[n] = asked(batch.packets[i], batch.keys[i], batch.infos[i]);
  }
  connections_.track(asked_, count, now_ns_ / 1000000, tracked_);
  for (uint32_t n = 0; n < count; n++) {
    FlowKey& key = batch.keys[missed_[n]];
    key.ct_state = tracked_[n].ct_state;
    missed_keys_[n] = &key;
  }
  const uint32_t hits = megaflows_.lookup(missed_keys_, count, found_);
  counter(WorkerCounter::MegaflowHits) += hits;
  counter(WorkerCounter::Misses) += count - hits;
  const uint64_t evictions = exact_.evictions();
  for (uint32_t n = 0; n < count; n++) {
    if (found_[n].slot == 0) continue;
    const uint32_t i = missed_[n];
    batch.flows[i] = found_[n].slot;
    const bool same_next_time = tracked_[n].cacheable || !flows_[found_[n].slot].stateful;
    if (!fits_exact(batch.keys[i])) continue;
    if (same_next_time)
      remember(batch, i, found_[n], tracked_[n]);
    else if (reports_ends_)
      note(batch.packets[i], batch.keys[i], batch.hashes[i], found_[n].slot, tracked_[n]);
  }
  counter(WorkerCounter::ExactEvictions) += exact_.evictions() - evictions;
  return hits;
}

ConnectionPacket Worker::asked(const Packet& packet, const FlowKey& key,
                               const PacketInfo& info) const noexcept {
  return {&key, &info, packet.data, packet.length, shared_.zones.of(key)};
}

// Makes the exact entry of a packet's key, and ties it to its connection.
void Worker::remember(const Batch& batch, uint32_t i, FlowRef flow,
                      const Tracked& tracked) noexcept {
  const FlowKey& key = batch.keys[i];
  ExactTarget target{flow.slot, flow.generation};
  target.connection = tracked.connection;
  target.connection_generation = tracked.generation;
  target.decision = flows_[flow.slot].decision;
  target.ct_state = tracked.ct_state;
  if (tracked.connection != 0 && key.ip_proto == ip_proto_tcp) target.flags = exact_watch_tcp;
  ExactEntry& entry = exact_.insert(key, batch.hashes[i], target, now_ns_ / 1000000);
  exact_.count(entry, 1, batch.packets[i].length);
  if (tracked.connection == 0) return;
  // Another worker may have ended the connection since: nobody would tell the entry any more.
  if (!connections_.bind(tracked, exact_place(number_, exact_.number_of(entry))))
    exact_.remove(entry);
}

// One packet outside a burst: connection and megaflow only. Slot of its flow, or 0.
uint32_t Worker::classify(const Packet& packet, FlowKey& key, const PacketInfo& info,
                          Tracked& tracked) noexcept {
  const ConnectionPacket question = asked(packet, key, info);
  connections_.track(&question, 1, now_ns_ / 1000000, &tracked);
  key.ct_state = tracked.ct_state;
  const FlowKey* keys[1] = {&key};
  FlowRef found[1];
  megaflows_.lookup(keys, 1, found);
  return found[0].slot;
}

void Worker::commit_connection(const Packet& packet, const FlowKey& key, const PacketInfo& info,
                               uint16_t zone) noexcept {
  const Committed committed =
      connections_.commit({&key, &info, packet.data, packet.length, zone}, now_ns_ / 1000000);
  counter(WorkerCounter::Connections) += committed.made;
  counter(WorkerCounter::ConnectionEvictions) += committed.evicted;
  if (reports_ends_ && committed.made) tie_noted(key, committed);
}

// An exact entry that goes, or is swept, tells its connection that it was used.
void Worker::flush(const ExactEntry&, const ExactSide& side) noexcept {
  if (side.connection != 0)
    connections_.refresh(side.connection, side.connection_generation, side.used_ms);
}

// Entries go with their flow, and when they are idle, but for those of a connection: they are what
// operators see of it, and rest as long as it lives. The flow log counts what they carry, so with
// it they stay until they are idle, whatever becomes of their flow.
ExactVerdict Worker::keep(const ExactEntry& entry, const ExactSide& side) noexcept {
  // What was made since the zones changed is right: its number of ms is not before theirs.
  const bool older = static_cast<int32_t>(side.created_ms - purge_ms_) <= 0;
  if (purge_left_ != 0 && older && changed_zones_.has(place_of(exact_.key_of(entry))))
    return {ExactFate::Goes, FlowEnd::Forced};
  const auto now_ms = static_cast<uint32_t>(now_ns_ / 1000000);
  const uint32_t unused_ms = now_ms - side.used_ms;
  const bool tracked = side.connection != 0;
  if (tracked && connections_.at(side.connection, side.connection_generation) == nullptr)
    return {ExactFate::Goes, unused_ms < sweep_round_ms_ ? FlowEnd::Forced : FlowEnd::Idle};
  const InstalledFlow& flow = flows_[entry.slot()];
  const bool usable = flow.installed != 0 && entry.current(flow.generation);
  const bool idle = unused_ms >= idle_ms_;
  if (!idle && (usable || reports_ends_)) {
    const bool due = reports_ends_ && now_ms - exact_.told_of(entry).since_ms >= active_ms_;
    return {ExactFate::Stays, due ? FlowEnd::Active : FlowEnd::None};
  }
  const uint32_t place = exact_place(number_, exact_.number_of(entry));
  const bool bound =
      tracked && connections_.is_bound(side.connection, side.connection_generation, place);
  return {bound ? ExactFate::Rests : ExactFate::Goes, FlowEnd::Idle};
}

void Worker::foresee(const ExactEntry&, const ExactSide& side) noexcept {
  if (side.connection != 0) connections_.prefetch(side.connection);
}

// Looks through a part of each table that is in proportion to the time gone by, but within bounds
// however large the tables are and however long the worker slept. What is owed then is paid in the
// next breaths, before it sleeps again.
void Worker::sweep_tables(bool busy) noexcept {
  const uint64_t now_ms = now_ns_ / 1000000;
  const uint64_t elapsed = std::min(now_ms - swept_ms_, connections_round_ms);
  swept_ms_ = now_ms;
  const uint32_t entries = exact_.entry_count();
  const uint32_t places = shared_.config.connection_max / shared_.config.worker_count;
  // In thousandths of a place, so that small tables are looked through as well; a round at most.
  const auto pay = [&](uint64_t& owed, uint64_t all, uint64_t round_ms) {
    owed = std::min(owed + elapsed * all * 1000 / round_ms, all * 1000);
    const uint64_t part = std::min(owed / 1000, busy ? sweep_busy_max : sweep_idle_max);
    owed -= part * 1000;
    return static_cast<uint32_t>(part);
  };
  if (const uint32_t part = pay(exact_owed_, exact_.size() == 0 ? 0 : entries, sweep_round_ms_);
      part != 0)
    sweep_exact(part);
  if (const uint32_t part = pay(connections_owed_, places, connections_round_ms); part != 0)
    counter(WorkerCounter::ConnectionsExpired) += connections_.sweep(number_, part, now_ms);
}

// Whether the sweep is behind: then there is no time to sleep.
bool Worker::sweep_behind() const noexcept {
  if (ends_.looking() && !ends_wait_) return true;
  return exact_owed_ >= sweep_idle_max * 1000 || connections_owed_ >= sweep_idle_max * 1000;
}

// Exact entries were made under the zones of their time: those of a place whose zone has changed
// must go. The sweep takes them, in a round that is due at once; a small cache has it now.
void Worker::follow_zones() noexcept {
  if (!changed_zones_.follow(shared_.zones)) return;
  purge_ms_ = static_cast<uint32_t>(now_ns_ / 1000000);
  purge_left_ = exact_.size() == 0 ? 0 : exact_.entry_count();
  if (purge_left_ == 0) return changed_zones_.clear();
  exact_owed_ = uint64_t{purge_left_} * 1000;
  sweep_exact(static_cast<uint32_t>(std::min<uint64_t>(purge_left_, sweep_idle_max)));
}

void Worker::sweep_exact(uint32_t part) noexcept {
  exact_.sweep(part, now_ns_ / 1000000);
  if (purge_left_ == 0) return;
  purge_left_ -= std::min(part, purge_left_);
  if (purge_left_ == 0) changed_zones_.clear();
}

}  // namespace vtep
