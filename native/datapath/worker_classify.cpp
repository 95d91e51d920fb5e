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

constexpr uint32_t exact_idle_ms = 120000;      // an entry unused for longer goes
constexpr uint64_t sweep_round_ms = 8000;       // the exact cache is looked through this often
constexpr uint32_t sweep_burst = 512;           // entries at once while packets wait
constexpr uint8_t tcp_state_flags = tcp_syn | tcp_fin | tcp_rst;

// ARP and ND keys are longer than exact entries; one packet of them is rarely followed by its like.
bool fits_exact(const FlowKey& key) noexcept {
  if (key.eth_type == be16(eth_type_arp)) return false;
  if (key.ip_proto != ip_proto_icmpv6) return true;
  const uint16_t type = key.tp_src.host();
  return type < nd_router_solicit || type > nd_redirect;
}

}  // namespace

// Whether a flow is known for every packet.
bool Worker::look_up(Batch& batch) noexcept {
  constexpr uint32_t ahead = 8;  // entries; their flows are cold where megaflows are many
  exact_.lookup(batch.keys, batch.count, exact_hits_, batch.hashes);
  uint32_t misses = 0;
  for (uint32_t i = 0; i < batch.count; i++) {
    if (i + ahead < batch.count && exact_hits_[i + ahead] != nullptr)
      __builtin_prefetch(&flows_[exact_hits_[i + ahead]->flow]);
    ExactEntry* entry = exact_hits_[i];
    if (entry != nullptr && exact_usable(*entry, batch.infos[i])) [[likely]] {
      exact_.count(*entry, 1, batch.packets[i].length);
      batch.flows[i] = entry->flow;
    } else {
      batch.flows[i] = 0;
      missed_[misses++] = static_cast<uint16_t>(i);
    }
  }
  counter(WorkerCounter::ExactHits) += batch.count - misses;
  return misses == 0 || look_up_missed(batch, misses) == misses;
}

// Not if its flow is gone, and not for the packets that change a TCP connection's state.
bool Worker::exact_usable(const ExactEntry& entry, const PacketInfo& info) noexcept {
  const InstalledFlow& flow = flows_[entry.flow];
  if (flow.installed == 0 || !entry.belongs_to(entry.flow, flow.generation)) [[unlikely]] {
    counter(WorkerCounter::ExactStale)++;
    return false;
  }
  return (info.tcp_flags & tcp_state_flags) == 0 || (entry.flags() & exact_watch_tcp) == 0;
}

// The packets missed_[0..count) ask connections, then megaflows; what is found becomes an exact
// entry. Returns for how many there was a flow.
uint32_t Worker::look_up_missed(Batch& batch, uint32_t count) noexcept {
  const FlowKey* keys[batch_max] = {};
  FlowRef found[batch_max];
  for (uint32_t n = 0; n < count; n++) {
    const uint32_t i = missed_[n];
    tracked_[n] = track(batch.packets[i], batch.keys[i], batch.infos[i]);
    keys[n] = &batch.keys[i];
  }
  const uint32_t hits = megaflows_.lookup(keys, count, found);
  counter(WorkerCounter::MegaflowHits) += hits;
  counter(WorkerCounter::Misses) += count - hits;
  const uint64_t evictions = exact_.evictions();
  for (uint32_t n = 0; n < count; n++) {
    if (found[n].slot == 0) continue;
    const uint32_t i = missed_[n];
    batch.flows[i] = found[n].slot;
    const bool same_next_time = tracked_[n].cacheable || !flows_[found[n].slot].stateful;
    if (!same_next_time || !fits_exact(batch.keys[i])) continue;
    ExactEntry& entry = remember(batch.keys[i], batch.hashes[i], found[n], tracked_[n]);
    exact_.count(entry, 1, batch.packets[i].length);
  }
  counter(WorkerCounter::ExactEvictions) += exact_.evictions() - evictions;
  return hits;
}

// Asks the connection table if the packet's zone is tracked, and writes the answer into the key.
Tracked Worker::track(const Packet& packet, FlowKey& key, const PacketInfo& info) noexcept {
  const uint16_t zone = shared_.zones.of(key);
  if (zone == 0) {
    Tracked untracked;
    untracked.cacheable = true;
    return untracked;
  }
  const Tracked tracked =
      connections_.track({key, info, packet.data, packet.length, zone}, now_ns_ / 1000000);
  key.ct_state = tracked.ct_state;
  return tracked;
}

// Makes the exact entry of a key, and ties it to its connection.
ExactEntry& Worker::remember(const FlowKey& key, uint64_t hash, FlowRef flow,
                             const Tracked& tracked) noexcept {
  ExactTarget target{flow.slot, flow.generation};
  target.connection = tracked.connection;
  target.connection_generation = tracked.generation;
  if (tracked.connection != 0 && key.ip_proto == ip_proto_tcp) target.flags = exact_watch_tcp;
  ExactEntry& entry = exact_.insert(key, hash, target, now_ns_ / 1000000);
  if (tracked.connection == 0) return entry;
  Connection* connection = connections_.at(tracked.connection, tracked.generation);
  if (connection != nullptr) connection->exact[tracked.reply ? 1 : 0] = exact_.number_of(entry);
  return entry;
}

// One packet outside a burst: connection and megaflow only. Slot of its flow, or 0.
uint32_t Worker::classify(const Packet& packet, FlowKey& key, const PacketInfo& info) noexcept {
  track(packet, key, info);
  const FlowKey* keys[1] = {&key};
  FlowRef found[1];
  megaflows_.lookup(keys, 1, found);
  return found[0].slot;
}

void Worker::commit_connection(const Packet& packet, const FlowKey& key, const PacketInfo& info,
                               uint16_t zone) noexcept {
  if (zone == 0) return;
  connections_.commit({key, info, packet.data, packet.length, zone}, now_ns_ / 1000000);
  counter(WorkerCounter::Connections) = connections_.committed();
}

// An exact entry that goes, or is swept, tells its connection that it was used.
void Worker::flush(const ExactEntry&, const ExactSide& side) noexcept {
  if (side.connection != 0)
    connections_.refresh(side.connection, side.connection_generation, side.used_ms);
}

bool Worker::keep(const ExactEntry& entry, const ExactSide& side) noexcept {
  const InstalledFlow& flow = flows_[entry.flow];
  if (flow.installed == 0 || !entry.belongs_to(entry.flow, flow.generation)) return false;
  if (side.connection != 0 &&
      connections_.at(side.connection, side.connection_generation) == nullptr)
    return false;
  return static_cast<uint32_t>(now_ns_ / 1000000) - side.used_ms < exact_idle_ms;
}

void Worker::foresee(const ExactEntry&, const ExactSide& side) noexcept {
  if (side.connection != 0) connections_.prefetch(side.connection);
}

// A connection that goes takes its exact entries with it.
void Worker::removed(uint32_t number, const Connection& connection) noexcept {
  for (const uint32_t entry_number : connection.exact) {
    ExactEntry* entry = entry_number == 0 ? nullptr : exact_.at(entry_number);
    if (entry == nullptr) continue;
    const ExactSide& side = exact_.side_of(*entry);
    if (side.connection == number && side.connection_generation == connection.generation)
      exact_.remove(*entry);
  }
}

// Looks through a part of each table that is in proportion to the time gone by.
void Worker::sweep_tables(bool busy) noexcept {
  const uint64_t now_ms = now_ns_ / 1000000;
  const uint64_t elapsed = std::min(now_ms - swept_ms_, sweep_round_ms);
  if (elapsed == 0) return;
  swept_ms_ = now_ms;
  const auto due = [&](uint64_t entries) {
    const uint64_t part = elapsed * entries / sweep_round_ms + 1;
    return static_cast<uint32_t>(busy ? std::min<uint64_t>(part, sweep_burst) : part);
  };
  if (exact_.size() != 0) exact_.sweep(due(exact_.entry_count()), now_ms);
  if (connections_.size() != 0) connections_.sweep(due(shared_.config.connection_max), now_ms);
}

// Exact entries were made under the zones of their time.
void Worker::follow_zones() noexcept {
  const uint32_t version = shared_.zones.version();
  if (version == zones_version_) return;
  zones_version_ = version;
  exact_.clear();
}

}  // namespace vtep
