// test/native/connection_table_test.cpp — connections by scripts of packets, by time, and when
// full.
#include "flow/connection_table.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "packet_bytes.h"
#include "table_memory.h"

namespace vtep {
namespace {

using namespace bytes;  // NOLINT: the test speaks in packets

constexpr uint8_t fin = 0x01, syn = 0x02, rst = 0x04, ack = 0x10;
constexpr uint8_t new_ = ct_tracked | ct_new;
constexpr uint8_t est = ct_tracked | ct_est;
constexpr uint8_t est_rpl = ct_tracked | ct_est | ct_rpl;
constexpr uint8_t rel = ct_tracked | ct_rel;
constexpr uint8_t rel_rpl = ct_tracked | ct_rel | ct_rpl;
constexpr uint8_t inv = ct_tracked | ct_inv;

struct Sink final : ConnectionSink {
  void forget_entries(const Connection& connection) noexcept override {
    ports.push_back(connection.tuple.port(connection.originator).host());
    exact.insert({connection.exact[0], connection.exact[1]});
  }
  std::vector<uint16_t> ports;
  std::set<uint32_t> exact;
};

class Connections : public ::testing::Test {
 protected:
  static constexpr uint32_t connection_max = 64;
  Connections() { make({connection_max}); }
  void make(const ConnectionConfig& config) {
    memory = std::make_unique<TableMemory>(ConnectionTable::bytes_needed(config));
    table =
        std::make_unique<ConnectionTable>(memory->span(), config, HashSecret::from_seed(3), &sink);
  }

  // Parses the frame and asks the table, as the worker does.
  Tracked track(Bytes frame, uint16_t zone = 1) { return use(std::move(frame), zone, false); }
  // The same, and commits what is new, as a policy that allows everything does.
  Tracked allow(Bytes frame, uint16_t zone = 1) { return use(std::move(frame), zone, true); }

  Tracked use(Bytes frame, uint16_t zone, bool commit) {
    frame.shrink_to_fit();
    Packet packet = packet_of(frame);
    FlowKey key;
    PacketInfo info;
    parse(&packet, 1, RxContext{1, false, false, nullptr}, &key, &info);
    EXPECT_EQ(info.drop, DropReason::None);
    const ConnectionPacket seen{&key, &info, packet.data, packet.length, zone};
    Tracked tracked;
    table->track(&seen, 1, now_ms, &tracked);
    if (commit && (tracked.ct_state & ct_new)) {
      const Committed committed = table->commit(seen, now_ms);
      EXPECT_TRUE(committed.made);
      evictions += committed.evicted;
      last = committed.number;
      last_generation = committed.generation;
    }
    return tracked;
  }
  ConnectionState state() { return table->at(last, last_generation)->state; }

  Sink sink;
  std::unique_ptr<TableMemory> memory;
  std::unique_ptr<ConnectionTable> table;
  uint64_t now_ms = 1'000'000;
  uint32_t last = 0, last_generation = 0, evictions = 0;
};

Bytes out(uint8_t flags, uint16_t port = 1000) {
  return eth(0x0800, ipv4({.proto = 6}, tcp(port, 80, flags)));
}
Bytes back(uint8_t flags, uint16_t port = 1000) {
  return eth(0x0800, ipv4({.proto = 6, .src = ip_b, .dst = ip_a}, tcp(80, port, flags)));
}
Bytes udp_out(uint16_t port = 5) { return eth(0x0800, ipv4({}, udp(port, 53, {}))); }
Bytes udp_back(uint16_t port = 5) {
  return eth(0x0800, ipv4({.src = ip_b, .dst = ip_a}, udp(53, port, {})));
}

TEST_F(Connections, a_TCP_connection_from_SYN_to_TIME_WAIT) {
  using State = ConnectionState;
  EXPECT_EQ(allow(out(syn)).ct_state, new_);
  EXPECT_EQ(state(), State::SynSent);
  EXPECT_EQ(track(back(syn | ack)).ct_state, est_rpl);
  EXPECT_EQ(state(), State::SynReceived);
  EXPECT_FALSE(track(back(syn | ack)).cacheable);
  Tracked tracked = track(out(ack));
  EXPECT_EQ(tracked.ct_state, est);
  EXPECT_TRUE(tracked.cacheable);
  EXPECT_EQ(tracked.connection, last);
  EXPECT_EQ(state(), State::Established);
  tracked = track(back(ack));
  EXPECT_EQ(tracked.ct_state, est_rpl);
  EXPECT_TRUE(tracked.reply && tracked.cacheable);
  tracked = track(out(fin | ack));
  EXPECT_EQ(tracked.ct_state, est);
  EXPECT_FALSE(tracked.cacheable);
  EXPECT_EQ(state(), State::FinWait);
  track(back(ack));
  EXPECT_EQ(state(), State::CloseWait);
  track(back(fin | ack));
  EXPECT_EQ(state(), State::LastAck);
  track(out(ack));
  EXPECT_EQ(state(), State::TimeWait);
  EXPECT_EQ(table->size(), 1u);
}

TEST_F(Connections, a_mark_shows_in_every_packet_and_makes_exact_entries_go) {
  constexpr uint8_t kept = ct_kept;
  EXPECT_FALSE(table->mark(1, 1, kept, 0));
  allow(out(syn));
  track(back(syn | ack));
  Tracked there = track(out(ack));
  const Tracked reply = track(back(ack));
  EXPECT_TRUE(table->bind(there, 77) && table->bind(reply, 78));
  EXPECT_EQ(table->facts(last, last_generation, 77).ct_state, est);
  EXPECT_EQ(table->facts(last, last_generation, 78).ct_state, est_rpl);
  EXPECT_EQ(table->facts(last, last_generation, 77).state, ConnectionState::Established);
  // Only the bit that is meant for it is taken.
  EXPECT_TRUE(table->mark(last, last_generation, 0xff, 0));
  EXPECT_EQ(sink.exact, (std::set<uint32_t>{77, 78}));
  EXPECT_EQ(track(out(ack)).ct_state, est | kept);
  EXPECT_EQ(track(back(ack)).ct_state, est_rpl | kept);
  EXPECT_EQ(table->facts(last, last_generation, 77).ct_state, est | kept);
  EXPECT_TRUE(table->mark(last, last_generation, 0, 0));
  EXPECT_EQ(track(out(ack)).ct_state, est);
  EXPECT_FALSE(table->mark(last, last_generation + 2, kept, 0));
  EXPECT_EQ(table->facts(last, last_generation + 2, 77).state, ConnectionState::None);
}

TEST_F(Connections, the_sweep_takes_a_mark_off_when_its_time_is_up_and_a_new_one_has_none) {
  allow(out(syn));
  track(back(syn | ack));
  track(out(ack));
  const auto until = static_cast<uint32_t>(now_ms + 5000);
  EXPECT_TRUE(table->mark(last, last_generation, ct_kept, until));
  now_ms += 4000;
  table->sweep(0, connection_max, now_ms);
  EXPECT_EQ(track(out(ack)).ct_state, est | ct_kept);
  now_ms += 2000;
  sink.ports.clear();
  table->sweep(0, connection_max, now_ms);
  EXPECT_EQ(track(out(ack)).ct_state, est);
  EXPECT_EQ(sink.ports.size(), 1u);
  EXPECT_TRUE(table->mark(last, last_generation, ct_kept, 0));
  track(out(rst));
  EXPECT_EQ(allow(out(syn)).ct_state, new_);  // the same place, used again
  EXPECT_EQ(track(back(syn | ack)).ct_state, est_rpl);
}

TEST_F(Connections, nothing_is_remembered_of_a_connection_that_is_not_committed) {
  EXPECT_EQ(track(out(syn)).ct_state, new_);
  EXPECT_EQ(track(back(syn | ack)).ct_state, inv);
  EXPECT_EQ(table->size(), 0u);
}

TEST_F(Connections, segments_that_fit_no_state_are_invalid) {
  EXPECT_EQ(track(back(syn | ack)).ct_state, inv);
  EXPECT_EQ(track(out(rst)).ct_state, inv);
  EXPECT_EQ(track(out(fin | ack)).ct_state, inv);
  EXPECT_EQ(track(out(0)).ct_state, inv);
  allow(out(syn));
  EXPECT_EQ(track(out(syn | ack)).ct_state, inv);  // its own SYN answered by itself
  EXPECT_EQ(track(out(0)).ct_state, inv);
  EXPECT_EQ(track(back(fin)).ct_state & ct_inv, ct_inv);
  EXPECT_EQ(state(), ConnectionState::SynSent);
}

TEST_F(Connections, both_sides_may_send_the_SYN) {
  allow(out(syn));
  EXPECT_EQ(track(back(syn)).ct_state, est_rpl);
  EXPECT_EQ(state(), ConnectionState::SynSent2);
  track(out(syn | ack));
  EXPECT_EQ(state(), ConnectionState::SynReceived);
  track(back(ack));
  track(out(ack));
  EXPECT_EQ(state(), ConnectionState::Established);
}

TEST_F(Connections, a_reset_closes_and_a_SYN_on_the_same_ports_is_new_again) {
  allow(out(syn));
  track(back(syn | ack));
  track(out(ack));
  EXPECT_EQ(track(back(rst | ack)).ct_state, est_rpl);
  EXPECT_EQ(state(), ConnectionState::Close);
  const uint32_t old_generation = last_generation;
  EXPECT_EQ(allow(out(syn)).ct_state, new_);
  EXPECT_EQ(table->size(), 1u);
  EXPECT_EQ(state(), ConnectionState::SynSent);
  EXPECT_EQ(table->at(last, old_generation), nullptr);
  EXPECT_EQ(sink.ports.size(), 1u);
}

TEST_F(Connections, picking_up_in_the_middle_is_an_option) {
  EXPECT_EQ(allow(out(ack)).ct_state, new_);
  EXPECT_EQ(state(), ConnectionState::Established);
  EXPECT_EQ(track(back(ack)).ct_state, est_rpl);
  make({connection_max, 0});
  EXPECT_EQ(track(out(ack)).ct_state, inv);
  make({connection_max, now_ms + 300});
  now_ms += 299;
  EXPECT_EQ(track(out(ack)).ct_state, new_);
  now_ms += 1;
  EXPECT_EQ(track(out(ack)).ct_state, inv);
}

TEST_F(Connections, zones_keep_equal_5_tuples_apart) {
  allow(udp_out(), 1);
  EXPECT_EQ(track(udp_back(), 1).ct_state, est_rpl);
  EXPECT_EQ(track(udp_back(), 2).ct_state, new_);
  EXPECT_EQ(track(udp_out(), 2).ct_state, new_);
}

TEST_F(Connections, UDP_is_established_once_committed_and_stays_longer_once_answered) {
  EXPECT_EQ(allow(udp_out()).ct_state, new_);
  EXPECT_EQ(track(udp_out()).ct_state, est);
  EXPECT_TRUE(track(udp_out()).cacheable);
  EXPECT_EQ(table->timeout_ms(*table->at(last, last_generation)), udp_single_ms);
  EXPECT_EQ(track(udp_back()).ct_state, est_rpl);
  EXPECT_EQ(table->timeout_ms(*table->at(last, last_generation)), udp_stream_ms);
  now_ms += udp_single_ms + 1;
  EXPECT_EQ(track(udp_out()).ct_state, est);
}

TEST_F(Connections, IPv6_and_IPv4_mapped_addresses_are_not_the_same) {
  const Bytes mapped_a = Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff} + number32(ip_a);
  const Bytes mapped_b = Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff} + number32(ip_b);
  allow(udp_out());
  EXPECT_EQ(track(eth(0x86dd, ipv6({.src = mapped_a, .dst = mapped_b}, udp(5, 53, {})))).ct_state,
            new_);
  allow(eth(0x86dd, ipv6({}, udp(5, 53, {}))));
  EXPECT_EQ(track(eth(0x86dd, ipv6({.src = ip6(2), .dst = ip6(1)}, udp(53, 5, {})))).ct_state,
            est_rpl);
}

TEST_F(Connections, pings_are_told_apart_by_their_id) {
  const auto ask = [](uint16_t id) {
    return eth(0x0800, ipv4({.proto = 1}, icmp(8, 0, uint32_t{id} << 16 | 1)));
  };
  const auto reply = [](uint16_t id) {
    return eth(0x0800,
               ipv4({.proto = 1, .src = ip_b, .dst = ip_a}, icmp(0, 0, uint32_t{id} << 16)));
  };
  EXPECT_EQ(track(reply(77)).ct_state, inv);
  EXPECT_EQ(allow(ask(77)).ct_state, new_);
  EXPECT_EQ(track(ask(77)).ct_state, est);
  EXPECT_FALSE(track(ask(77)).cacheable);
  EXPECT_EQ(track(reply(77)).ct_state, est_rpl);
  EXPECT_EQ(track(reply(78)).ct_state, inv);
  // The other side pings with the same id: another connection.
  EXPECT_EQ(track(eth(0x0800, ipv4({.proto = 1, .src = ip_b, .dst = ip_a}, icmp(8, 0, 77u << 16))))
                .ct_state,
            new_);
  EXPECT_EQ(track(eth(0x0800, ipv4({.proto = 1}, icmp(42, 0, 0)))).ct_state, inv);
}

TEST_F(Connections, ICMPv6_echo_is_tracked_and_neighbour_discovery_is_not) {
  EXPECT_EQ(allow(eth(0x86dd, ipv6({.next = 58}, icmp(128, 0, 9u << 16)))).ct_state, new_);
  EXPECT_EQ(
      track(eth(0x86dd, ipv6({.next = 58, .src = ip6(2), .dst = ip6(1)}, icmp(129, 0, 9u << 16))))
          .ct_state,
      est_rpl);
  const Tracked ask = track(eth(0x86dd, ipv6({.next = 58, .hop_limit = 255}, nd(135, 1, mac_a))));
  EXPECT_EQ(ask.ct_state, 0);
  EXPECT_EQ(track(eth(0x0806, arp(1))).ct_state, 0);
}

// A router 10.0.0.254 tells `to` about the packet `quoted` (its IP header and eight bytes).
Bytes error4(uint32_t to, const Bytes& quoted, size_t quoted_bytes = 28) {
  const Bytes ip(quoted.begin() + 14, quoted.begin() + 14 + static_cast<long>(quoted_bytes));
  return eth(0x0800, ipv4({.proto = 1, .src = 0x0a0000fe, .dst = to}, icmp(3, 4, 1400, ip)));
}

TEST_F(Connections, an_ICMP_error_that_quotes_a_connection_is_related) {
  allow(udp_out());
  EXPECT_EQ(track(error4(ip_a, udp_out())).ct_state, rel_rpl);
  EXPECT_EQ(track(error4(ip_b, udp_back())).ct_state, rel);
  EXPECT_EQ(track(error4(ip_a, udp_out(6))).ct_state, inv);     // of no connection
  EXPECT_EQ(track(error4(ip_b, udp_out())).ct_state, inv);      // the receiver never sent that
  EXPECT_EQ(track(error4(ip_a, udp_out(), 27)).ct_state, inv);  // too little quoted
  EXPECT_EQ(track(error4(ip_a, udp_out()), 2).ct_state, inv);   // another zone
  const Bytes sent = eth(0x86dd, ipv6({}, udp(5, 53, {})));
  allow(sent);
  const Bytes quoted(sent.begin() + 14, sent.end());
  EXPECT_EQ(track(eth(0x86dd,
                      ipv6({.next = 58, .src = ip6(99), .dst = ip6(1)}, icmp(2, 0, 1280, quoted))))
                .ct_state,
            rel_rpl);
}

TEST_F(Connections, later_fragments_have_no_ports_to_be_tracked_by) {
  allow(udp_out());
  EXPECT_EQ(track(eth(0x0800, ipv4({.frag = 3}, {1}))).ct_state, inv);
}

TEST_F(Connections, each_state_has_its_timeout) {
  struct Step {
    Bytes frame;
    uint32_t timeout_ms;
  };
  const Step steps[] = {
      {out(syn), tcp_syn_sent_ms},    {back(syn | ack), tcp_syn_received_ms},
      {out(ack), tcp_established_ms}, {out(fin | ack), tcp_fin_wait_ms},
      {back(ack), tcp_close_wait_ms}, {back(fin | ack), tcp_last_ack_ms},
      {out(ack), tcp_time_wait_ms},
  };
  for (size_t count = 1; count <= std::size(steps); ++count) {
    make({connection_max});
    for (size_t i = 0; i < count; ++i) allow(steps[i].frame);
    now_ms += steps[count - 1].timeout_ms;
    EXPECT_EQ(table->sweep(0, 100, now_ms), 0u) << count;
    ++now_ms;
    EXPECT_EQ(table->sweep(0, 100, now_ms), 1u) << count;
    EXPECT_EQ(table->size(), 0u);
  }
}

TEST_F(Connections, each_state_has_the_timeout_that_the_operator_wants_at_once) {
  // Each has its own, so that none could stand for another.
  const ConnectionTimeouts timeouts{11'000, 12'000, 13'000, 14'000, 15'000, 16'000,
                                    17'000, 18'000, 19'000, 20'000, 21'000, 22'000};
  const auto timeout_ms = [&] { return table->timeout_ms(*table->at(last, last_generation)); };
  const std::pair<Bytes, uint32_t> steps[] = {
      {out(syn), 11'000},  {back(syn | ack), 12'000}, {out(ack), 13'000},
      {out(fin | ack), 14'000}, {back(ack), 15'000},  {back(fin | ack), 16'000},
      {out(ack), 17'000},  {out(rst), 18'000},
  };
  for (const auto& [frame, expected] : steps) {
    allow(frame);
    table->set_timeouts({});
    EXPECT_GE(timeout_ms(), tcp_close_ms);
    table->set_timeouts(timeouts);  // of a connection that lives
    EXPECT_EQ(timeout_ms(), expected);
  }
  allow(udp_out());
  EXPECT_EQ(timeout_ms(), 19'000u);
  track(udp_back());
  EXPECT_EQ(timeout_ms(), 20'000u);
  allow(eth(0x0800, ipv4({.proto = 1}, icmp(8, 0, 7u << 16))));
  EXPECT_EQ(timeout_ms(), 21'000u);
  allow(eth(0x0800, ipv4({.proto = 132}, sctp(1, 2))));
  EXPECT_EQ(timeout_ms(), 22'000u);
  now_ms += 22'001;
  EXPECT_EQ(table->sweep(0, 100, now_ms), 4u);
}

TEST_F(Connections, timeouts_that_would_end_what_lives_or_fit_no_number_are_held) {
  ConnectionTimeouts timeouts;
  timeouts.udp_unreplied = 0;
  timeouts.udp_stream = ~0u;
  table->set_timeouts(timeouts);
  allow(udp_out());
  EXPECT_EQ(table->timeout_ms(*table->at(last, last_generation)), timeout_min_ms);
  track(udp_back());
  EXPECT_EQ(table->timeout_ms(*table->at(last, last_generation)), timeout_max_ms);
}

TEST_F(Connections, an_expired_connection_is_gone_even_before_the_sweep_comes_by) {
  allow(udp_out());
  now_ms += udp_single_ms + 1;
  EXPECT_EQ(track(udp_out()).ct_state, new_);
  EXPECT_EQ(table->expired(), 1u);
  EXPECT_EQ(table->size(), 0u);
}

TEST_F(Connections, what_the_exact_cache_has_seen_keeps_a_connection_alive) {
  allow(udp_out());
  const auto used = static_cast<uint32_t>(now_ms + udp_single_ms);
  EXPECT_TRUE(table->refresh(last, last_generation, used));
  EXPECT_TRUE(table->refresh(last, last_generation, used - 5000));  // late news change nothing
  now_ms = used + udp_single_ms;
  EXPECT_EQ(table->sweep(0, 100, now_ms), 0u);
  EXPECT_EQ(table->sweep(0, 100, now_ms + 1), 1u);
  EXPECT_FALSE(table->refresh(last, last_generation, now_ms));
}

TEST_F(Connections, the_sweep_keeps_to_its_budget) {
  for (uint16_t port = 0; port < 60; ++port) allow(udp_out(port));
  now_ms += udp_single_ms + 1;
  EXPECT_EQ(table->sweep(0, 10, now_ms), 10u);
  EXPECT_EQ(table->sweep(0, 20, now_ms), 20u);
  EXPECT_EQ(table->sweep(0, 1000, now_ms), 30u);
  EXPECT_EQ(sink.ports.size(), 60u);
}

TEST_F(Connections, a_full_table_evicts_the_unanswered_and_oldest_first) {
  for (uint16_t port = 0; port < 20; ++port) {
    allow(udp_out(port));
    track(udp_back(port));
  }
  for (uint16_t port = 1000; port < 6000; ++port) {
    ++now_ms;
    ASSERT_EQ(allow(udp_out(port)).ct_state, new_);
    ASSERT_EQ(track(udp_out(port)).ct_state, est);
    ASSERT_LE(table->size(), connection_max);
  }
  EXPECT_EQ(evictions, 20u + 5000 - connection_max);
  for (uint16_t port = 0; port < 20; ++port) EXPECT_EQ(track(udp_out(port)).ct_state, est) << port;
}

TEST_F(Connections, numbers_and_generations_name_one_connection_only) {
  allow(udp_out(1));
  const uint32_t first = last, generation = last_generation;
  table->remove(first, generation + 2);  // not this one
  EXPECT_NE(table->at(first, generation), nullptr);
  table->remove(first, generation);
  EXPECT_EQ(table->at(first, generation), nullptr);
  allow(udp_out(2));
  EXPECT_EQ(last, first);
  EXPECT_NE(last_generation, generation);
  EXPECT_EQ(table->at(0, 0), nullptr);
  EXPECT_EQ(table->at(connection_max + 1, 0), nullptr);
}

TEST_F(Connections, committing_twice_makes_one_connection) {
  Bytes frame = udp_out();
  Packet packet = packet_of(frame);
  FlowKey key;
  PacketInfo info;
  parse(&packet, 1, RxContext{1, false, false, nullptr}, &key, &info);
  const ConnectionPacket seen{&key, &info, packet.data, packet.length, 1};
  const Committed first = table->commit(seen, now_ms);
  const Committed second = table->commit(seen, now_ms);
  EXPECT_TRUE(first.made && !second.made);
  EXPECT_EQ(first.number, second.number);
  EXPECT_EQ(first.generation, second.generation);
  EXPECT_EQ(table->size(), 1u);
}

}  // namespace
}  // namespace vtep
