// flow/connection_places.cpp — where connections are kept, how they come and how they go.
#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "flow/connection_table.h"
#include "packet/headers.h"

namespace vtep {

using State = ConnectionState;

namespace {

constexpr auto relaxed = std::memory_order_relaxed;
constexpr uint32_t evict_window = 32;     // places that one eviction looks at
constexpr uint32_t sweep_part_max = 64;   // places that the sweep looks at while it holds a shard
constexpr uint32_t shard_places_min = 1024;  // fewer would fill too unevenly

uint32_t idle_ms(const Connection& connection, uint64_t now_ms) noexcept {
  return static_cast<uint32_t>(now_ms) - connection.used_ms.load(relaxed);
}

// Only its owner writes these, so there is nothing to lose between load and store.
template <typename T>
void add(std::atomic<T>& counter, T more) noexcept {
  counter.store(counter.load(relaxed) + more, relaxed);
}

bool mark_ended(const Connection& connection, uint64_t now_ms) noexcept {
  return connection.state != State::None && connection.mark_until_ms != 0 &&
         static_cast<int32_t>(static_cast<uint32_t>(now_ms) - connection.mark_until_ms) >= 0;
}

}  // namespace

// TCP's states have a time each; those of the others depend on the protocol.
uint32_t ConnectionTable::timeout_ms(const Connection& connection) const noexcept {
  auto which = static_cast<uint32_t>(connection.state);
  if (connection.state >= State::Single) {
    const uint8_t ip_proto = connection.tuple.ip_proto();
    const bool icmp = ip_proto == ip_proto_icmp || ip_proto == ip_proto_icmpv6;
    if (ip_proto != ip_proto_udp) which = icmp ? timeout_icmp : timeout_other;
  }
  return timeouts_[which].load(relaxed);
}

void ConnectionTable::set_timeouts(const ConnectionTimeouts& timeouts) noexcept {
  const auto set = [this](State state, uint32_t ms) {
    const uint32_t held = std::clamp(ms, timeout_min_ms, timeout_max_ms);
    timeouts_[static_cast<uint32_t>(state)].store(held, relaxed);
  };
  set(State::None, timeouts.close);
  set(State::SynSent, timeouts.syn_sent);
  set(State::SynSent2, timeouts.syn_sent);
  set(State::SynReceived, timeouts.syn_received);
  set(State::Established, timeouts.established);
  set(State::FinWait, timeouts.fin_wait);
  set(State::CloseWait, timeouts.close_wait);
  set(State::LastAck, timeouts.last_ack);
  set(State::TimeWait, timeouts.time_wait);
  set(State::Close, timeouts.close);
  set(State::Single, timeouts.udp_unreplied);
  set(State::Answered, timeouts.udp_stream);
  set(static_cast<State>(timeout_icmp), timeouts.icmp);
  set(static_cast<State>(timeout_other), timeouts.other);
}

bool ConnectionTable::has_expired(const Connection& connection, uint64_t now_ms) const noexcept {
  const uint32_t idle = idle_ms(connection, now_ms);
  // A clock that another thread read a little later must not make it "four billion ms old".
  return idle > timeout_ms(connection) && static_cast<int32_t>(idle) > 0;
}

bool ConnectionTable::is_due(const Connection& connection, uint64_t now_ms) const noexcept {
  return connection.state != State::None && has_expired(connection, now_ms);
}

uint32_t ConnectionTable::shard_count_of(const ConnectionConfig& config) noexcept {
  if (config.worker_count <= 1) return 1;
  return std::bit_floor(std::clamp(config.connection_max / shard_places_min, 1u, shard_max));
}

size_t ConnectionTable::bytes_needed(const ConnectionConfig& config) noexcept {
  const uint32_t shard_count = shard_count_of(config);
  const uint32_t place_max = (config.connection_max + shard_count - 1) / shard_count;
  return size_t{shard_count} *
         (TagIndex::bytes_needed(place_max) + size_t{place_max} * sizeof(Connection));
}

ConnectionTable::ConnectionTable(std::span<std::byte> memory, const ConnectionConfig& config,
                                 const HashSecret& secret, ConnectionSink* sink) noexcept
    : shard_count_(shard_count_of(config)),
      place_max_((config.connection_max + shard_count_ - 1) / shard_count_),
      worker_count_(config.worker_count),
      pick_up_until_ms_(config.pick_up_until_ms),
      secret_(secret),
      sink_(sink) {
  DP_ASSERT(place_max_ > 0 && worker_count_ <= worker_max);
  DP_ASSERT(memory.size() >= bytes_needed(config));
  set_timeouts({});
  std::byte* at = memory.data();
  for (uint32_t i = 0; i < shard_count_; ++i) {
    shards_[i].index = TagIndex(at, place_max_);
    shards_[i].first = i * place_max_ + 1;
    at += TagIndex::bytes_needed(place_max_);
  }
  places_ = reinterpret_cast<Connection*>(at);
  for (uint32_t worker = 0; worker < worker_max; ++worker)
    sweepers_[worker].shard = worker % shard_count_;
}

Committed ConnectionTable::make(Shard& shard, const ConnectionPacket& packet,
                                const ConnectionQuestion& question, uint64_t now_ms) noexcept {
  Committed committed;
  committed.made = true;
  committed.evicted = shard.free_head == 0 && shard.fresh == place_max_;
  if (committed.evicted) evict(shard, now_ms);
  committed.number = take_place(shard);
  while (!shard.index.insert(question.hash, committed.number).found()) [[unlikely]] {
    // Its two buckets, and the others of all that stand there, are full: one of them goes.
    const TagIndex::Place where = shard.index.place_of(question.hash);
    remove(shard, shard.index.number({where.first, 0}));
    committed.evicted = true;
  }
  Connection& connection = place(committed.number);
  committed.generation = connection.generation.load(relaxed) + 1;
  connection.generation.store(committed.generation, relaxed);
  connection.used_ms.store(static_cast<uint32_t>(now_ms), relaxed);
  connection.tuple = question.tuple;
  connection.exact[0] = connection.exact[1] = 0;
  connection.state = State::Single;
  if (question.tuple.ip_proto() == ip_proto_tcp) {
    const bool syn = (packet.info->tcp_flags & tcp_syn) != 0;
    connection.state = syn ? State::SynSent : State::Established;
  }
  connection.assured = 0;
  connection.mark = 0;
  connection.mark_until_ms = 0;
  connection.originator = question.sender;
  add(shard.size, 1u);
  return committed;
}

// Number of a place that is nobody's.
uint32_t ConnectionTable::take_place(Shard& shard) noexcept {
  const uint32_t number = shard.free_head;
  if (number == 0) {
    DP_ASSERT(shard.fresh < place_max_);
    return shard.first + shard.fresh++;
  }
  shard.free_head = place(number).next_free;
  return number;
}

// Of the next few places: an expired one, else the oldest unanswered, else the oldest.
void ConnectionTable::evict(Shard& shard, uint64_t now_ms) noexcept {
  uint32_t victim = 0;
  uint64_t worst = 0;
  for (uint32_t i = 0; i < std::min(evict_window, shard.fresh); ++i) {
    if (shard.evict_next >= shard.fresh) shard.evict_next = 0;
    const uint32_t number = shard.first + shard.evict_next++;
    const Connection& connection = place(number);
    if (connection.state == State::None) continue;
    const uint64_t unanswered = connection.assured == 0;
    const uint64_t rank = uint64_t{has_expired(connection, now_ms)} << 33 | unanswered << 32 |
                          idle_ms(connection, now_ms);
    if (victim != 0 && rank <= worst) continue;
    victim = number;
    worst = rank;
  }
  DP_ASSERT(victim != 0);
  remove(shard, victim);
}

void ConnectionTable::expire(Shard& shard, uint32_t number) noexcept {
  add(shard.expired, uint64_t{1});
  remove(shard, number);
}

void ConnectionTable::remove(Shard& shard, uint32_t number) noexcept {
  Connection& connection = place(number);
  DP_ASSERT(connection.state != State::None);
  const uint64_t hash = connection_hash(connection.tuple, secret_);
  shard.index.erase(shard.index.slot_of(shard.index.place_of(hash), number));
  connection.generation.store(connection.generation.load(relaxed) + 1, relaxed);
  connection.state = State::None;
  if (sink_ != nullptr) sink_->forget_entries(connection);
  connection.next_free = shard.free_head;
  shard.free_head = number;
  add(shard.size, ~0u);
}

void ConnectionTable::remove(uint32_t number, uint32_t generation) noexcept {
  if (at(number, generation) == nullptr) return;
  Shard& shard = shard_of_number(number);
  const Hold hold(*this, shard);
  if (at(number, generation) != nullptr) remove(shard, number);
}

void ConnectionTable::set_mark(Connection& connection, uint8_t bits, uint32_t until_ms) noexcept {
  connection.mark = bits;
  connection.mark_until_ms = until_ms;
  if (sink_ != nullptr) sink_->forget_entries(connection);
}

bool ConnectionTable::mark(uint32_t number, uint32_t generation, uint8_t bits,
                           uint32_t until_ms) noexcept {
  if (at(number, generation) == nullptr) return false;
  const Hold hold(*this, shard_of_number(number));
  if (at(number, generation) == nullptr) return false;
  set_mark(place(number), bits & ct_kept, until_ms);
  return true;
}

ConnectionTable::Facts ConnectionTable::facts(uint32_t number, uint32_t generation,
                                              uint32_t exact_place) noexcept {
  if (at(number, generation) == nullptr) return {};
  const Hold hold(*this, shard_of_number(number));
  if (at(number, generation) == nullptr) return {};
  const Connection& connection = place(number);
  const bool reply = connection.exact[1] == exact_place;
  const uint8_t bits = ct_tracked | ct_est | (reply ? ct_rpl : 0);
  return {connection.state, static_cast<uint8_t>(bits | connection.mark)};
}

uint32_t ConnectionTable::sweep(uint32_t worker, uint32_t budget, uint64_t now_ms) noexcept {
  uint32_t& at = sweepers_[worker].shard;
  uint32_t removed = 0;
  // Each shard of its share once at most: an empty table costs no more than a look at it.
  const uint32_t first = at;
  while (budget > 0) {
    Shard& shard = shards_[at];
    {
      const Hold hold(*this, shard);
      removed += sweep_part(shard, budget, now_ms);
      if (shard.sweep_next != 0) continue;
    }
    at = at + worker_count_ < shard_count_ ? at + worker_count_ : worker % shard_count_;
    if (at == first) break;
  }
  return removed;
}

// A few places of one shard; sweep_next is 0 afterwards if they were the last ones.
uint32_t ConnectionTable::sweep_part(Shard& shard, uint32_t& budget, uint64_t now_ms) noexcept {
  uint32_t removed = 0;
  const uint32_t end =
      std::min(shard.fresh, shard.sweep_next + std::min(budget, sweep_part_max));
  for (; shard.sweep_next < end; ++shard.sweep_next, --budget) {
    const uint32_t number = shard.first + shard.sweep_next;
    if (shard.sweep_next + 16 < end) __builtin_prefetch(&place(number + 16));
    // Places come one after the other, their buckets anyhow.
    if (shard.sweep_next + 8 < end && is_due(place(number + 8), now_ms))
      shard.index.prefetch(connection_hash(place(number + 8).tuple, secret_));
    if (is_due(place(number), now_ms)) {
      expire(shard, number);
      ++removed;
    } else if (mark_ended(place(number), now_ms)) {
      set_mark(place(number), 0, 0);
    }
  }
  if (shard.sweep_next >= shard.fresh) shard.sweep_next = 0;
  return removed;
}

uint32_t ConnectionTable::size() const noexcept {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < shard_count_; ++i) sum += shards_[i].size.load(relaxed);
  return sum;
}

uint64_t ConnectionTable::expired() const noexcept {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < shard_count_; ++i) sum += shards_[i].expired.load(relaxed);
  return sum;
}

}  // namespace vtep
