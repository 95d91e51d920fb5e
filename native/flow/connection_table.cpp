// flow/connection_table.cpp — what packets are to the connections; see connection_table.h.
//
// Why:    a burst is asked about in three stages at fixed distances, as in the exact cache: read
//         the packet and prefetch the bucket, compare tags and prefetch the connection, judge.
//         Where connections come and go is in connection_places.cpp.
#include "flow/connection_table.h"

#include <algorithm>

#include "base/assert.h"
#include "flow/tcp_states.h"
#include "packet/headers.h"

namespace vtep {

using Kind = ConnectionKind;
using State = ConnectionState;

namespace {

constexpr uint32_t distance = 16;  // packets between two stages
constexpr auto relaxed = std::memory_order_relaxed;

bool is_closed(State state) noexcept { return state == State::TimeWait || state == State::Close; }

// Of a packet that belongs to no connection.
Tracked alone(uint8_t ct_state) noexcept {
  Tracked tracked;
  tracked.ct_state = ct_tracked | ct_state;
  return tracked;
}

// Of one that does.
Tracked with_state(Tracked found, uint8_t ct_state, bool cacheable) noexcept {
  found.ct_state |= static_cast<uint8_t>(ct_tracked | ct_state | (found.reply ? ct_rpl : 0));
  found.cacheable = cacheable;
  return found;
}

}  // namespace

// The second stage. A shard that is held by another worker is not waited for.
void ConnectionTable::foresee(const ConnectionQuestion& question) noexcept {
  if (question.kind == Kind::Untracked || question.kind == Kind::Invalid) return;
  Shard& shard = shard_of(question.hash);
  if (worker_count_ > 1 && !shard.lock.try_lock()) return;
  const uint32_t number = shard.index.guess(question.hash);
  if (worker_count_ > 1) shard.lock.unlock();
  if (number != 0) __builtin_prefetch(&place(number), 1);
}

void ConnectionTable::track(const ConnectionPacket* packets, uint32_t count, uint64_t now_ms,
                            Tracked* tracked) noexcept {
  DP_DASSERT(count <= batch_max);
  ConnectionQuestion questions[2 * distance];
  const auto read_stage = [&](uint32_t i) {
    ConnectionQuestion& question = questions[i % (2 * distance)];
    ask(packets[i], secret_, question);
    shard_of(question.hash).index.prefetch(question.hash);
  };
  for (uint32_t i = 0; i < std::min(distance, count); ++i) read_stage(i);
  for (uint32_t i = 0; i < count + distance; ++i) {
    // In this order: the question that is judged makes room for the one that is read.
    if (i >= distance) {
      const uint32_t judged = i - distance;
      tracked[judged] = judge(packets[judged], questions[judged % (2 * distance)], now_ms);
    }
    if (i + distance < count) read_stage(i + distance);
    if (i < count) foresee(questions[i % (2 * distance)]);
  }
}

// Number of the connection; 0: there is none, or none any more.
uint32_t ConnectionTable::find(Shard& shard, const ConnectionQuestion& question,
                               uint64_t now_ms) noexcept {
  const uint32_t number = shard.index.find(question.hash, [&](uint32_t candidate) {
    return place(candidate).tuple == question.tuple;
  });
  if (number == 0 || !has_expired(place(number), now_ms)) return number;
  expire(shard, number);
  return 0;
}

Tracked ConnectionTable::judge(const ConnectionPacket& packet, const ConnectionQuestion& question,
                               uint64_t now_ms) noexcept {
  if (question.kind == Kind::Untracked) {
    Tracked untracked;
    untracked.cacheable = true;
    return untracked;
  }
  if (question.kind == Kind::Invalid) return alone(ct_inv);
  Shard& shard = shard_of(question.hash);
  const Hold hold(*this, shard);
  Tracked found;
  found.connection = find(shard, question, now_ms);
  if (found.connection == 0) return judge_unknown(packet, question.kind, now_ms);
  Connection& connection = place(found.connection);
  found.generation = connection.generation.load(relaxed);
  found.reply = question.sender != connection.originator;
  found.ct_state = connection.mark;
  // An error goes to whoever sent the packet that it quotes: against that packet's direction.
  if (question.kind == Kind::IcmpError) {
    found.reply = !found.reply;
    return with_state(found, ct_rel, false);
  }
  if (question.tuple.ip_proto() == ip_proto_tcp) return judge_tcp(shard, packet, found, now_ms);
  // An id that equals the number of its type makes a request look like an answer.
  if (question.kind == Kind::IcmpRequest && found.reply) return alone(ct_inv);
  connection.used_ms.store(static_cast<uint32_t>(now_ms), relaxed);
  if (found.reply) {
    connection.state = State::Answered;
    connection.assured = 1;
  }
  // ICMP is tracked by an id that no key holds, so an exact entry would let other ids in.
  return with_state(found, ct_est, question.kind == Kind::Flow);
}

// A packet of no connection: may it start one?
Tracked ConnectionTable::judge_unknown(const ConnectionPacket& packet, Kind kind,
                                       uint64_t now_ms) const noexcept {
  if (kind == Kind::IcmpReply || kind == Kind::IcmpError) return alone(ct_inv);
  if (packet.key->ip_proto != ip_proto_tcp) return alone(ct_new);
  using tcp_states::Segment;
  const Segment segment = tcp_states::segment_of(packet.info->tcp_flags);
  const bool middle = segment == Segment::Ack && now_ms < pick_up_until_ms_;
  const bool starts = segment == Segment::Syn || middle;
  return alone(starts ? ct_new : ct_inv);
}

Tracked ConnectionTable::judge_tcp(Shard& shard, const ConnectionPacket& packet,
                                   const Tracked& found, uint64_t now_ms) noexcept {
  Connection& connection = place(found.connection);
  const tcp_states::Segment segment = tcp_states::segment_of(packet.info->tcp_flags);
  const uint8_t next = tcp_states::transitions[found.reply][static_cast<uint32_t>(segment)]
                                              [static_cast<uint32_t>(connection.state)];
  if (next == tcp_states::invalid) return with_state(found, ct_inv, false);
  if (next == tcp_states::ss && is_closed(connection.state)) {
    remove(shard, found.connection);  // the ports are used again, by whichever side
    return alone(ct_new);
  }
  connection.used_ms.store(static_cast<uint32_t>(now_ms), relaxed);
  const State before = connection.state;
  if (next != tcp_states::ignore) connection.state = static_cast<State>(next);
  if (is_over(connection.state) && !is_over(before) && sink_ != nullptr) sink_->over(connection);
  if (connection.state == State::Established && found.reply) connection.assured = 1;
  const bool plain = segment == tcp_states::Segment::Ack;
  const bool steady = connection.state == State::Established && plain;
  return with_state(found, ct_est, steady);
}

Committed ConnectionTable::commit(const ConnectionPacket& packet, uint64_t now_ms) noexcept {
  ConnectionQuestion question;
  ask(packet, secret_, question);
  if (question.kind != Kind::Flow && question.kind != Kind::IcmpRequest) return {};
  Shard& shard = shard_of(question.hash);
  const Hold hold(*this, shard);
  const uint32_t number = find(shard, question, now_ms);
  if (number == 0) return make(shard, packet, question, now_ms);
  return {number, place(number).generation.load(relaxed), false, false};
}

Tracked ConnectionTable::find_for(const ConnectionPacket& packet, uint64_t now_ms) noexcept {
  ConnectionQuestion question;
  ask(packet, secret_, question);
  Tracked tracked;
  if (question.kind != Kind::Flow && question.kind != Kind::IcmpRequest) return tracked;
  Shard& shard = shard_of(question.hash);
  const Hold hold(*this, shard);
  tracked.connection = find(shard, question, now_ms);
  if (tracked.connection == 0) return tracked;
  tracked.generation = place(tracked.connection).generation.load(relaxed);
  tracked.reply = question.sender != place(tracked.connection).originator;
  return tracked;
}

bool ConnectionTable::bind(const Tracked& tracked, uint32_t exact_place) noexcept {
  const Hold hold(*this, shard_of_number(tracked.connection));
  if (at(tracked.connection, tracked.generation) == nullptr) return false;
  place(tracked.connection).exact[tracked.reply ? 1 : 0] = exact_place;
  return true;
}

bool ConnectionTable::is_bound(uint32_t number, uint32_t generation,
                               uint32_t exact_place) noexcept {
  if (at(number, generation) == nullptr) return false;
  const Hold hold(*this, shard_of_number(number));
  if (at(number, generation) == nullptr) return false;
  const uint32_t* exact = place(number).exact;
  return exact[0] == exact_place || exact[1] == exact_place;
}

bool ConnectionTable::refresh(uint32_t number, uint32_t generation, uint32_t used_ms) noexcept {
  if (at(number, generation) == nullptr) return false;
  // Should the connection go now, its place is at worst found "used" a moment before it was.
  std::atomic<uint32_t>& used = place(number).used_ms;
  if (static_cast<int32_t>(used_ms - used.load(relaxed)) > 0) used.store(used_ms, relaxed);
  return true;
}

const Connection* ConnectionTable::at(uint32_t number, uint32_t generation) const noexcept {
  if (number == 0 || number > shard_count_ * place_max_ || generation % 2 == 0) return nullptr;
  const Connection& connection = places_[number - 1];
  return connection.generation.load(relaxed) == generation ? &connection : nullptr;
}

}  // namespace vtep
