// flow/connection_table.cpp — the index of connections, what a packet is to them, and their end.
//
// Why:    one chain serves both directions: the hash orders the two ends, so a packet and its
// answer
//         meet at the same head, and a connection is one record with one link.
#include "flow/connection_table.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "flow/tcp_states.h"
#include "packet/headers.h"

namespace vtep {

using hash_detail::load_word;
using hash_detail::product;
using State = ConnectionState;

namespace {

constexpr uint32_t evict_window = 32;  // places that one eviction looks at

uint32_t head_count_of(uint32_t connection_max) noexcept {
  uint32_t count = 16;
  while (count < connection_max) count *= 2;
  return count;
}

size_t heads_bytes(uint32_t connection_max) noexcept {
  return size_t{head_count_of(connection_max)} * sizeof(uint32_t);
}

uint32_t idle_ms(const Connection& connection, uint64_t now_ms) noexcept {
  return static_cast<uint32_t>(now_ms) - connection.used_ms;
}

bool has_expired(const Connection& connection, uint64_t now_ms) noexcept {
  const uint32_t idle = idle_ms(connection, now_ms);
  // A clock that another thread read a little later must not make it "four billion ms old".
  return idle > connection_timeout_ms(connection) && static_cast<int32_t>(idle) > 0;
}

bool is_closed(State state) noexcept { return state == State::TimeWait || state == State::Close; }

}  // namespace

uint32_t connection_timeout_ms(const Connection& connection) noexcept {
  static constexpr uint32_t by_state[] = {
      tcp_close_ms,      tcp_syn_sent_ms, tcp_syn_received_ms, tcp_established_ms, tcp_fin_wait_ms,
      tcp_close_wait_ms, tcp_last_ack_ms, tcp_time_wait_ms,    tcp_close_ms,       tcp_syn_sent_ms};
  if (connection.state < State::Single) return by_state[static_cast<uint32_t>(connection.state)];
  switch (connection.ip_proto) {
    case ip_proto_udp:
      return connection.state == State::Single ? udp_single_ms : udp_stream_ms;
    case ip_proto_icmp:
    case ip_proto_icmpv6:
      return icmp_ms;
    default:
      return other_ms;
  }
}

size_t ConnectionTable::bytes_needed(uint32_t connection_max) noexcept {
  return heads_bytes(connection_max) + size_t{connection_max} * sizeof(Connection);
}

ConnectionTable::ConnectionTable(std::span<std::byte> memory, const ConnectionConfig& config,
                                 const HashSecret& secret, ConnectionSink* sink) noexcept
    : connection_max_(config.connection_max),
      head_mask_(head_count_of(config.connection_max) - 1),
      tcp_loose_(config.tcp_loose),
      secret_(secret),
      sink_(sink) {
  DP_ASSERT(connection_max_ > 0 && memory.size() >= bytes_needed(connection_max_));
  DP_ASSERT(reinterpret_cast<uintptr_t>(memory.data()) % cache_line_bytes == 0);
  heads_ = reinterpret_cast<uint32_t*>(memory.data());
  connections_ = reinterpret_cast<Connection*>(memory.data() + heads_bytes(connection_max_));
}

// The same for both directions: the ends are put in order first.
uint32_t ConnectionTable::chain_of(const Tuple& tuple) const noexcept {
  const int order = memcmp(&tuple.address[0], &tuple.address[1], sizeof(Ipv6Bytes));
  const bool swapped = order > 0 || (order == 0 && tuple.port[0].raw > tuple.port[1].raw);
  const Ipv6Bytes& a = tuple.address[swapped];
  const Ipv6Bytes& b = tuple.address[!swapped];
  const uint64_t rest = tuple.port[swapped].raw | uint64_t{tuple.port[!swapped].raw} << 16 |
                        uint64_t{tuple.zone} << 32 | uint64_t{tuple.ip_proto} << 48 |
                        uint64_t{tuple.ipv6} << 56;
  hash_detail::Wide sum =
      product(load_word(&a, 0) + secret_.words[0], load_word(&a, 1) + secret_.words[1]);
  sum += product(load_word(&b, 0) + secret_.words[2], load_word(&b, 1) + secret_.words[3]);
  sum += product(rest + secret_.words[4], secret_.words[5]);
  return static_cast<uint32_t>(hash_detail::finish(sum, secret_.words[6])) & head_mask_;
}

ConnectionTable::Found ConnectionTable::find(const Tuple& tuple, uint64_t now_ms) noexcept {
  uint32_t number = heads_[chain_of(tuple)];
  while (number != 0) {
    const Connection& found = connections_[number - 1];
    const uint32_t next = found.next;
    if (found.zone == tuple.zone && found.ip_proto == tuple.ip_proto &&
        (found.flags & connection_ipv6) == tuple.ipv6) {
      for (const bool reply : {false, true}) {
        if (found.port[reply] != tuple.port[0] || found.port[!reply] != tuple.port[1] ||
            found.address[reply] != tuple.address[0] || found.address[!reply] != tuple.address[1])
          continue;
        if (!has_expired(found, now_ms)) return {number, reply};
        ++expired_;
        remove(number);
        return {};
      }
    }
    number = next;
  }
  return {};
}

Tracked ConnectionTable::answer(Found found, uint8_t ct_state, bool cacheable) const noexcept {
  Tracked tracked;
  tracked.ct_state = static_cast<uint8_t>(ct_tracked | ct_state | (found.reply ? ct_rpl : 0));
  tracked.reply = found.reply;
  tracked.cacheable = cacheable;
  tracked.connection = found.number;
  if (found.number != 0) tracked.generation = connections_[found.number - 1].generation;
  return tracked;
}

// A packet of no connection: may it start one?
Tracked ConnectionTable::track_unknown(const ConnectionPacket& packet, Kind kind) const noexcept {
  if (kind == Kind::IcmpReply) return answer({}, ct_inv, false);
  if (packet.key.ip_proto != ip_proto_tcp) return answer({}, ct_new, false);
  using tcp_states::Segment;
  const Segment segment = tcp_states::segment_of(packet.info.tcp_flags);
  const bool starts = segment == Segment::Syn || (tcp_loose_ && segment == Segment::Ack);
  return answer({}, starts ? ct_new : ct_inv, false);
}

Tracked ConnectionTable::track_tcp(const ConnectionPacket& packet, Found found,
                                   uint64_t now_ms) noexcept {
  Connection& connection = connections_[found.number - 1];
  const tcp_states::Segment segment = tcp_states::segment_of(packet.info.tcp_flags);
  const uint8_t next = tcp_states::transitions[found.reply][static_cast<uint32_t>(segment)]
                                              [static_cast<uint32_t>(connection.state)];
  if (next == tcp_states::invalid) return answer(found, ct_inv, false);
  if (next == tcp_states::ss && is_closed(connection.state)) {
    remove(found.number);  // the ports are used again, by whichever side
    return answer({}, ct_new, false);
  }
  connection.used_ms = static_cast<uint32_t>(now_ms);
  if (next != tcp_states::ignore) connection.state = static_cast<State>(next);
  if (connection.state == State::Established && found.reply) connection.flags |= connection_assured;
  const bool plain = segment == tcp_states::Segment::Ack;
  const bool steady = connection.state == State::Established && plain;
  return answer(found, ct_est, steady);
}

Tracked ConnectionTable::track(const ConnectionPacket& packet, uint64_t now_ms) noexcept {
  Tuple tuple;
  const Kind kind = tuple_of(packet, tuple);
  if (kind == Kind::Untracked) return Tracked{0, false, true, 0, 0};
  if (kind == Kind::Invalid) return answer({}, ct_inv, false);
  if (kind == Kind::IcmpError) return track_error(packet, now_ms);
  const Found found = find(tuple, now_ms);
  if (found.number == 0) return track_unknown(packet, kind);
  if (tuple.ip_proto == ip_proto_tcp) return track_tcp(packet, found, now_ms);
  // An id that equals the number of its type makes a request look like an answer.
  if (kind == Kind::IcmpRequest && found.reply) return answer({}, ct_inv, false);
  Connection& connection = connections_[found.number - 1];
  connection.used_ms = static_cast<uint32_t>(now_ms);
  if (found.reply) {
    connection.state = State::Answered;
    connection.flags |= connection_assured;
  }
  // ICMP is tracked by an id that no key holds, so an exact entry would let other ids in.
  return answer(found, ct_est, kind == Kind::Flow);
}

// An ICMP error is judged by the packet that it quotes.
Tracked ConnectionTable::track_error(const ConnectionPacket& packet, uint64_t now_ms) noexcept {
  Tuple tuple;
  if (!quoted_tuple(packet, tuple)) return answer({}, ct_inv, false);
  Found found = find(tuple, now_ms);
  if (found.number == 0) return answer({}, ct_inv, false);
  // It goes to whoever sent the quoted packet: against that packet's direction.
  found.reply = !found.reply;
  return answer(found, ct_rel, false);
}

uint32_t ConnectionTable::commit(const ConnectionPacket& packet, uint64_t now_ms) noexcept {
  Tuple tuple;
  const Kind kind = tuple_of(packet, tuple);
  if (kind != Kind::Flow && kind != Kind::IcmpRequest) return 0;
  const Found found = find(tuple, now_ms);
  if (found.number != 0) return found.number;
  const uint32_t number = take_place(now_ms);
  Connection& connection = connections_[number - 1];
  const uint32_t generation = connection.generation + 1;
  connection = Connection{};
  connection.generation = generation;
  for (const uint32_t side : {0u, 1u}) {
    connection.address[side] = tuple.address[side];
    connection.port[side] = tuple.port[side];
  }
  connection.zone = tuple.zone;
  connection.ip_proto = tuple.ip_proto;
  connection.flags = tuple.ipv6;
  connection.used_ms = static_cast<uint32_t>(now_ms);
  connection.state = State::Single;
  if (tuple.ip_proto == ip_proto_tcp) {
    const bool syn = (packet.info.tcp_flags & tcp_syn) != 0;
    connection.state = syn ? State::SynSent : State::Established;
  }
  uint32_t& head = heads_[chain_of(tuple)];
  connection.next = head;
  head = number;
  ++size_;
  ++committed_;
  return number;
}

uint32_t ConnectionTable::take_place(uint64_t now_ms) noexcept {
  if (free_head_ == 0 && fresh_ < connection_max_) return ++fresh_;
  if (free_head_ == 0) evict(now_ms);
  const uint32_t number = free_head_;
  DP_ASSERT(number != 0);
  free_head_ = connections_[number - 1].next;
  return number;
}

// Of the next few places: an expired one, else the oldest unanswered, else the oldest.
void ConnectionTable::evict(uint64_t now_ms) noexcept {
  uint32_t victim = 0;
  uint64_t worst = 0;
  for (uint32_t i = 0; i < std::min(evict_window, fresh_); ++i) {
    if (hand_ >= fresh_) hand_ = 0;
    const Connection& connection = connections_[hand_++];
    if (connection.ip_proto == 0) continue;
    const uint64_t unanswered = (connection.flags & connection_assured) == 0;
    const uint64_t rank = uint64_t{has_expired(connection, now_ms)} << 33 | unanswered << 32 |
                          idle_ms(connection, now_ms);
    if (victim != 0 && rank <= worst) continue;
    victim = hand_;
    worst = rank;
  }
  DP_ASSERT(victim != 0);
  ++evictions_;
  remove(victim);
}

void ConnectionTable::unlink(uint32_t number) noexcept {
  const Connection& connection = connections_[number - 1];
  Tuple tuple;
  for (const uint32_t side : {0u, 1u}) {
    tuple.address[side] = connection.address[side];
    tuple.port[side] = connection.port[side];
  }
  tuple.zone = connection.zone;
  tuple.ip_proto = connection.ip_proto;
  tuple.ipv6 = connection.flags & connection_ipv6;
  uint32_t* link = &heads_[chain_of(tuple)];
  while (*link != number) {
    DP_ASSERT(*link != 0);
    link = &connections_[*link - 1].next;
  }
  *link = connection.next;
}

void ConnectionTable::remove(uint32_t number) noexcept {
  Connection& connection = connections_[number - 1];
  DP_ASSERT(connection.ip_proto != 0);
  unlink(number);
  if (sink_ != nullptr) sink_->removed(number, connection);
  connection.ip_proto = 0;
  ++connection.generation;
  connection.next = free_head_;
  free_head_ = number;
  --size_;
}

bool ConnectionTable::refresh(uint32_t number, uint32_t generation, uint32_t used_ms) noexcept {
  Connection* connection = at(number, generation);
  if (connection == nullptr) return false;
  if (static_cast<int32_t>(used_ms - connection->used_ms) > 0) connection->used_ms = used_ms;
  return true;
}

uint32_t ConnectionTable::sweep(uint32_t budget, uint64_t now_ms) noexcept {
  uint32_t removed = 0;
  for (; budget > 0 && fresh_ > 0; --budget) {
    if (hand_ >= fresh_) hand_ = 0;
    const uint32_t index = hand_++;
    if (index + 8 < fresh_) __builtin_prefetch(&connections_[index + 8]);
    const Connection& connection = connections_[index];
    if (connection.ip_proto == 0 || !has_expired(connection, now_ms)) continue;
    ++expired_;
    ++removed;
    remove(index + 1);
  }
  return removed;
}

Connection* ConnectionTable::at(uint32_t number, uint32_t generation) noexcept {
  if (number == 0 || number > fresh_) return nullptr;
  Connection& connection = connections_[number - 1];
  return connection.ip_proto != 0 && connection.generation == generation ? &connection : nullptr;
}

}  // namespace vtep
