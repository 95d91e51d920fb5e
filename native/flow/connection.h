// flow/connection.h — one connection: who talks to whom, its state, and how long it may be idle.
//
// Why:    apart from the table, because what a packet says of a connection (connection_tuple.cpp),
//         what the states are and where connections are kept are three questions.
// Source: states and transitions are those of Linux's nf_conntrack_proto_tcp.c, timeouts and their
//         defaults those of its nf_conntrack_*_timeout.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/limits.h"
#include "flow/flow_key.h"
#include "flow/hash.h"
#include "flow/parse.h"

namespace vtep {

// Idle times after which a connection is forgotten, in ms, unless the operator wants others.
constexpr uint32_t tcp_syn_sent_ms = 120'000;
constexpr uint32_t tcp_syn_received_ms = 60'000;
constexpr uint32_t tcp_established_ms = 432'000'000;  // five days
constexpr uint32_t tcp_fin_wait_ms = 120'000;
constexpr uint32_t tcp_close_wait_ms = 60'000;
constexpr uint32_t tcp_last_ack_ms = 30'000;
constexpr uint32_t tcp_time_wait_ms = 120'000;
constexpr uint32_t tcp_close_ms = 10'000;
constexpr uint32_t udp_single_ms = 30'000;   // no answer yet
constexpr uint32_t udp_stream_ms = 120'000;  // answered
constexpr uint32_t icmp_ms = 30'000;
constexpr uint32_t other_ms = 600'000;

// All of them, as vtepd sends them. In the order of the kernel's sysctls.
struct ConnectionTimeouts {
  uint32_t syn_sent = tcp_syn_sent_ms;
  uint32_t syn_received = tcp_syn_received_ms;
  uint32_t established = tcp_established_ms;
  uint32_t fin_wait = tcp_fin_wait_ms;
  uint32_t close_wait = tcp_close_wait_ms;
  uint32_t last_ack = tcp_last_ack_ms;
  uint32_t time_wait = tcp_time_wait_ms;
  uint32_t close = tcp_close_ms;
  uint32_t udp_unreplied = udp_single_ms;
  uint32_t udp_stream = udp_stream_ms;
  uint32_t icmp = icmp_ms;
  uint32_t other = other_ms;
};
static_assert(sizeof(ConnectionTimeouts) == 48);
// Packets that hit exact entries refresh their connection by the sweep of these, every now and
// then: a shorter time would end what lives. Longer ones would not fit a signed number.
constexpr uint32_t timeout_min_ms = 5'000;
constexpr uint32_t timeout_max_ms = 2'000'000'000;

enum class ConnectionState : uint8_t {
  None = 0,  // this place is free
  SynSent = 1,
  SynReceived = 2,
  Established = 3,
  FinWait = 4,
  CloseWait = 5,
  LastAck = 6,
  TimeWait = 7,
  Close = 8,
  SynSent2 = 9,   // both sides sent a SYN
  Single = 10,    // not TCP: one direction seen
  Answered = 11,  // not TCP: both seen
  Count
};

// Both sides have closed it, or one has reset it.
constexpr bool is_over(ConnectionState state) noexcept {
  return state >= ConnectionState::LastAck && state <= ConnectionState::Close;
}

// Zone and both ends, the lesser end first, so that both directions have the same tuple. Words, to
// be hashed and compared without having been bytes before.
struct ConnectionTuple {
  uint64_t address[2][2] = {};  // as in the packet; IPv4: the second word
  uint64_t rest = 0;            // ports, zone << 32, protocol << 48, bit 56: IPv6

  // ICMP: the asker's port is the id, the other's the type of the request.
  constexpr Be16 port(uint32_t end) const noexcept {
    return Be16{static_cast<uint16_t>(rest >> 16 * end)};
  }
  constexpr uint16_t zone() const noexcept { return static_cast<uint16_t>(rest >> 32); }
  constexpr uint8_t ip_proto() const noexcept { return static_cast<uint8_t>(rest >> 48); }
  bool operator==(const ConnectionTuple& other) const noexcept {
    return ((address[0][0] ^ other.address[0][0]) | (address[0][1] ^ other.address[0][1]) |
            (address[1][0] ^ other.address[1][0]) | (address[1][1] ^ other.address[1][1]) |
            (rest ^ other.rest)) == 0;
  }
};

// One connection. Generation and time of use are read, and the latter written, without the lock of
// the table; the rest is under it.
struct Connection {
  ConnectionTuple tuple;
  std::atomic<uint32_t> used_ms;     // low 32 bits
  std::atomic<uint32_t> generation;  // of this place: grows when a connection comes or goes
  uint32_t exact[2];    // exact cache entries of originator and other: exact_place(); 0: none
  union {
    uint32_t next_free;      // while free: number of the next free place of the shard; 0: none
    uint32_t mark_until_ms;  // in use: when the mark goes, low 32 bits; 0: never
  };
  ConnectionState state;
  uint8_t assured;      // 1: both directions were seen: evicted last
  uint8_t originator;   // which end of the tuple began
  uint8_t mark;         // bits that ct_state of its packets has besides: ct_kept or 0
};
static_assert(sizeof(Connection) == cache_line_bytes);

// An exact entry of any worker, in one word.
constexpr uint32_t exact_place(uint32_t worker, uint32_t number) noexcept {
  return worker << 28 | number;
}
constexpr uint32_t exact_place_worker(uint32_t place) noexcept { return place >> 28; }
constexpr uint32_t exact_place_number(uint32_t place) noexcept { return place & 0xfffffffu; }
static_assert(worker_max <= 16);

// A packet as the table sees it. `data` and `length` are those of the Packet: ICMP ids and the
// packets that ICMP errors quote are in no key.
struct ConnectionPacket {
  const FlowKey* key;
  const PacketInfo* info;
  const uint8_t* data;
  uint32_t length;
  uint16_t zone;  // 1..65535; 0: not tracked
};

enum class ConnectionKind : uint8_t { Untracked, Invalid, Flow, IcmpRequest, IcmpReply, IcmpError };

// What a packet asks the table for.
struct ConnectionQuestion {
  ConnectionTuple tuple;
  uint64_t hash = 0;                                 // of the tuple
  ConnectionKind kind = ConnectionKind::Untracked;
  uint8_t sender = 0;  // which end of the tuple sent it, or the packet that an ICMP error quotes
};

uint64_t connection_hash(const ConnectionTuple& tuple, const HashSecret& secret) noexcept;

// Which connection the packet is of, or speaks of. Only `kind` is written when Untracked or
// Invalid.
void ask(const ConnectionPacket& packet, const HashSecret& secret,
         ConnectionQuestion& question) noexcept;

}  // namespace vtep
