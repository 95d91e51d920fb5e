// flow/connection_table.h — connections: zone and 5-tuple, both directions, their state and age.
//
// Why:    ct_state is a key field: whether a packet starts a connection, belongs to one, answers
// one,
//         is an ICMP error about one, or fits none. Only packets that the exact cache does not hold
//         come here: once a connection is established its two exact entries carry its packets, and
//         the sweep of the exact cache tells this table that it is alive (refresh()).
// Thread: one table per worker, touched by nobody else.
// Owner:  the caller owns the memory: bytes_needed() bytes, 64-aligned, zeroed. Numbers start at 1;
//         a number is good together with its generation only.
// Limits: connection_max. When full, the oldest unused of a few is thrown out, unanswered ones
//         first; nothing is allocated, nothing stalls. 64 bytes a connection, 4 to 8 for the index;
//         with both exact entries (64 + 16, and 13 of a bucket) less than 260 for IPv4.
// Source: states and transitions are those of Linux's nf_conntrack_proto_tcp.c, timeouts its
//         defaults. TCP windows are not checked. Fragments behind the first have no ports: invalid.
//
// Life of a connection       Who                     When
//   (none) -> committed      commit()                a CtCommit action ran on a packet with ct_new
//   state changes            track()                 SYN, FIN, RST, first answer
//   used                     track(), refresh()      a packet, or the exact cache's sweep saw some
//   gone                     track(), sweep()        idle for longer than its state allows
//                            track()                 a SYN reopens a closed one: it is new again
//                            commit()                evicted for a newer one
//                            remove()                the policy says so
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/limits.h"
#include "flow/flow_key.h"
#include "flow/hash.h"
#include "flow/parse.h"

namespace vtep {

// Idle times after which a connection is forgotten, in ms (Linux: nf_conntrack_*_timeout).
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

enum class ConnectionState : uint8_t {
  None = 0,
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

constexpr uint8_t connection_ipv6 = 1;
constexpr uint8_t connection_assured = 2;  // both directions were seen: evicted last

// One connection, 64 bytes. Index 0 of each pair is the originator's side.
struct Connection {
  Ipv6Bytes address[2];  // v4-mapped for IPv4
  Be16 port[2];          // ICMP: the asker's is the id, the other's the type of the request
  uint16_t zone;
  uint8_t ip_proto;  // 0: this place is free
  ConnectionState state;
  uint32_t used_ms;     // low 32 bits
  uint32_t generation;  // of this place
  uint32_t exact[2];    // exact cache entries of the directions, kept by the worker; 0: none
  uint32_t next;        // in the chain, or in the free list
  uint8_t flags;        // connection_*
  uint8_t spare[3];
};
static_assert(sizeof(Connection) == cache_line_bytes);

// A packet as the table sees it. `data` and `length` are those of the Packet: ICMP ids and the
// packets that ICMP errors quote are in no key.
struct ConnectionPacket {
  const FlowKey& key;
  const PacketInfo& info;
  const uint8_t* data;
  uint32_t length;
  uint16_t zone;  // 1..65535
};

struct Tracked {
  uint8_t ct_state = 0;  // ct_*; 0: of a kind that is not tracked (ARP, ND)
  bool reply = false;    // the packet goes to the originator
  // Whether the next packet of this key would have the same answer, so that an exact entry may be
  // made (for TCP: with exact_watch_tcp). A verdict that neither looked at ct_state nor commits may
  // be cached all the same.
  bool cacheable = false;
  uint32_t connection = 0;  // 0: none
  uint32_t generation = 0;  // of the connection's place
};

// Told of every connection that goes: its exact entries must go too.
class ConnectionSink {
 public:
  virtual ~ConnectionSink() = default;
  virtual void removed(uint32_t number, const Connection& connection) noexcept = 0;
};

struct ConnectionConfig {
  uint32_t connection_max = 65536;
  // Pick up TCP connections in the middle (an ACK of no connection is "new"), as after a restart of
  // the datapath or a moved VM. Linux: nf_conntrack_tcp_loose, on by default.
  bool tcp_loose = true;
};

class ConnectionTable {
 public:
  static size_t bytes_needed(uint32_t connection_max) noexcept;
  // `sink` outlives the table; may be null.
  ConnectionTable(std::span<std::byte> memory, const ConnectionConfig& config,
                  const HashSecret& secret, ConnectionSink* sink) noexcept;
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  // What the packet is to the connections, and what it does to the state of its own.
  Tracked track(const ConnectionPacket& packet, uint64_t now_ms) noexcept;
  // Makes the packet's connection, its sender being the originator; the present one if there is one
  // already. 0: the packet is of no kind that has connections.
  uint32_t commit(const ConnectionPacket& packet, uint64_t now_ms) noexcept;
  // A packet of the connection was seen elsewhere at `used_ms` (low 32 bits). False: the connection
  // is gone.
  bool refresh(uint32_t number, uint32_t generation, uint32_t used_ms) noexcept;
  void remove(uint32_t number) noexcept;

  // Looks at the next `budget` places and removes what has expired; returns how many.
  uint32_t sweep(uint32_t budget, uint64_t now_ms) noexcept;

  // Null when out of range, free, or of another generation.
  Connection* at(uint32_t number, uint32_t generation) noexcept;
  void prefetch(uint32_t number) const noexcept { __builtin_prefetch(&connections_[number - 1]); }
  uint32_t generation_of(uint32_t number) const noexcept {
    return connections_[number - 1].generation;
  }
  uint32_t size() const noexcept { return size_; }
  uint64_t committed() const noexcept { return committed_; }
  uint64_t evictions() const noexcept { return evictions_; }
  uint64_t expired() const noexcept { return expired_; }

 private:
  struct Tuple {  // as the packet has it: [0] is its sender
    Ipv6Bytes address[2] = {};
    Be16 port[2] = {};
    uint16_t zone = 0;
    uint8_t ip_proto = 0;
    uint8_t ipv6 = 0;
  };
  enum class Kind : uint8_t { Untracked, Invalid, Flow, IcmpRequest, IcmpReply, IcmpError };
  struct Found {
    uint32_t number = 0;
    bool reply = false;
  };

  static Kind tuple_of(const ConnectionPacket& packet, Tuple& tuple) noexcept;
  static Kind icmp_tuple(const ConnectionPacket& packet, Tuple& tuple) noexcept;
  static bool quoted_tuple(const ConnectionPacket& packet, Tuple& tuple) noexcept;
  static bool quoted_ports(const uint8_t* l4, Tuple& tuple) noexcept;
  uint32_t chain_of(const Tuple& tuple) const noexcept;
  Found find(const Tuple& tuple, uint64_t now_ms) noexcept;
  Tracked track_error(const ConnectionPacket& packet, uint64_t now_ms) noexcept;
  Tracked track_unknown(const ConnectionPacket& packet, Kind kind) const noexcept;
  Tracked track_tcp(const ConnectionPacket& packet, Found found, uint64_t now_ms) noexcept;
  Tracked answer(Found found, uint8_t ct_state, bool cacheable) const noexcept;
  uint32_t take_place(uint64_t now_ms) noexcept;
  void evict(uint64_t now_ms) noexcept;
  void unlink(uint32_t number) noexcept;

  Connection* connections_;  // connections_[number - 1]
  uint32_t* heads_;          // first of each chain; 0: empty
  uint32_t connection_max_;
  uint32_t head_mask_;
  bool tcp_loose_;
  HashSecret secret_;
  ConnectionSink* sink_;
  uint32_t fresh_ = 0;  // places [fresh_, connection_max_) were never used
  uint32_t free_head_ = 0;
  uint32_t hand_ = 0;  // index that sweep and eviction look at next
  uint32_t size_ = 0;
  uint64_t committed_ = 0;
  uint64_t evictions_ = 0;
  uint64_t expired_ = 0;
};

// Idle time that a connection's protocol and state allow, in ms.
uint32_t connection_timeout_ms(const Connection& connection) noexcept;

}  // namespace vtep
