// flow/connection_table.h — the connections of all workers, and what packets are to them.
//
// Why:    ct_state is a key field: whether a packet starts a connection, belongs to one, answers
//         one, is an ICMP error about one, or fits none. Only packets that the exact cache does not
//         hold come here: once a connection is established its two exact entries carry its packets,
//         and the sweep of the exact cache tells this table that it is alive (refresh()).
//         The two directions of a connection come in by different ports, and ports are read by
//         different workers, so the table is one for all of them. It is cut into shards by the hash
//         of the connection, each with a lock that is held for one packet; a datapath with one
//         worker has one shard and takes no lock.
// Thread: any worker, all at the same time. refresh(), at() and set_timeouts() take no lock.
// Owner:  the caller owns the memory: bytes_needed() bytes, 64-aligned, zeroed. Numbers start at 1;
//         a number is good together with its generation only.
// Limits: connection_max, over all shards. When a shard is full, the oldest unused of a few is
//         thrown out, unanswered ones first; nothing is allocated, nothing stalls. 64 bytes a
//         connection and 13 for the index; with both exact entries (64 + 40, and 13 of a bucket)
//         less than 313 for IPv4.
// Source: TCP windows are not checked. Fragments behind the first have no ports: invalid.
//
// Life of a connection       Who                     When
//   (none) -> committed      commit()                a CtCommit action ran on a packet with ct_new
//   state changes            track()                 SYN, FIN, RST, first answer
//   used                     track(), refresh()      a packet, or the exact cache's sweep saw some
//   gone                     track(), sweep()        idle for longer than its state allows
//                            track()                 a SYN reopens a closed one: it is new again
//                            commit()                evicted for a newer one
//                            remove()                the policy says so
//   marked                   mark()                  the operator lets it go on for a while
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/spin_lock.h"
#include "flow/connection.h"
#include "flow/tag_index.h"

namespace vtep {

struct Tracked {
  uint8_t ct_state = 0;  // ct_*; 0: of a kind that is not tracked (ARP, ND, zone 0)
  bool reply = false;    // the packet goes to the originator
  // Whether the next packet of this key would have the same answer, so that an exact entry may be
  // made (for TCP: with exact_watch_tcp). A verdict that neither looked at ct_state nor commits may
  // be cached all the same.
  bool cacheable = false;
  uint32_t connection = 0;  // 0: none
  uint32_t generation = 0;  // of the connection's place
};

struct Committed {
  uint32_t number = 0;  // 0: the packet is of no kind that has connections
  uint32_t generation = 0;
  bool made = false;     // there was none before
  bool evicted = false;  // and another went for it
};

// Told of every connection that goes, or whose packets get another ct_state by a mark, under the
// lock of its shard: its exact entries must go.
class ConnectionSink {
 public:
  virtual ~ConnectionSink() = default;
  virtual void forget_entries(const Connection& connection) noexcept = 0;
  // TCP has ended the connection: both sides have closed it, or one has reset it. A few packets may
  // follow. Under the lock likewise.
  virtual void over(const Connection&) noexcept {}
};

struct ConnectionConfig {
  uint32_t connection_max = 65536;
  // Until then, TCP connections are picked up in the middle: an ACK of no connection is "new", not
  // "invalid". Linux: nf_conntrack_tcp_loose, on by default. CLOCK_MONOTONIC; 0: never.
  uint64_t pick_up_until_ms = ~0ull;
  uint32_t worker_count = 1;
};

class ConnectionTable {
 public:
  static size_t bytes_needed(const ConnectionConfig& config) noexcept;
  // `sink` outlives the table; may be null.
  ConnectionTable(std::span<std::byte> memory, const ConnectionConfig& config,
                  const HashSecret& secret, ConnectionSink* sink) noexcept;
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  // What each packet is to the connections, and what it does to the state of its own, in order.
  // count <= batch_max.
  void track(const ConnectionPacket* packets, uint32_t count, uint64_t now_ms,
             Tracked* tracked) noexcept;
  // Makes the packet's connection, its sender being the originator; the present one if there is one
  // already.
  Committed commit(const ConnectionPacket& packet, uint64_t now_ms) noexcept;
  // The connection that a packet is of, as track() would tell it; changes nothing. None: there is
  // none, or the packet only speaks of it.
  Tracked find_for(const ConnectionPacket& packet, uint64_t now_ms) noexcept;
  // A packet of the connection was seen elsewhere at `used_ms` (low 32 bits). False: the connection
  // is gone.
  bool refresh(uint32_t number, uint32_t generation, uint32_t used_ms) noexcept;
  // The exact entry of one direction, of which the sink is told at the end. False: the connection
  // is gone.
  bool bind(const Tracked& tracked, uint32_t exact_place) noexcept;
  // Whether it lives, and its packets of one direction have their exact entry there.
  bool is_bound(uint32_t number, uint32_t generation, uint32_t exact_place) noexcept;
  void remove(uint32_t number, uint32_t generation) noexcept;

  // From now on, ct_state of its packets has these bits besides; `until_ms` (low 32 bits of
  // CLOCK_MONOTONIC; 0: as long as it lives): the sweep takes them off then. False: it is gone.
  bool mark(uint32_t number, uint32_t generation, uint8_t bits, uint32_t until_ms) noexcept;
  // State and ct_state of the packets whose exact entry is at `exact_place`; none: it is gone.
  struct Facts {
    ConnectionState state = ConnectionState::None;
    uint8_t ct_state = 0;
  };
  Facts facts(uint32_t number, uint32_t generation, uint32_t exact_place) noexcept;

  // Worker `worker` looks at the next `budget` places of its share and removes what has expired;
  // returns how many.
  uint32_t sweep(uint32_t worker, uint32_t budget, uint64_t now_ms) noexcept;

  // Idle times from now on, of connections that are there as well; each is held within
  // timeout_min_ms and timeout_max_ms.
  void set_timeouts(const ConnectionTimeouts& timeouts) noexcept;
  // Idle time that a connection's protocol and state allow, in ms.
  uint32_t timeout_ms(const Connection& connection) const noexcept;

  // Null when out of range, free, or of another generation. Without the lock only generation and
  // time of use of what it points to may be read.
  const Connection* at(uint32_t number, uint32_t generation) const noexcept;
  void prefetch(uint32_t number) const noexcept { __builtin_prefetch(&places_[number - 1]); }
  uint32_t size() const noexcept;
  uint64_t expired() const noexcept;

 private:
  struct Shard {
    SpinLock lock;
    TagIndex index;          // numbers of the table
    uint32_t first = 0;      // number of its first place
    uint32_t fresh = 0;      // places [fresh, place_max_) of it were never used
    uint32_t free_head = 0;  // number of its first free place that was; 0: none
    uint32_t evict_next = 0;  // place that the next eviction looks at first
    uint32_t sweep_next = 0;  // place that the sweep looks at next
    std::atomic<uint32_t> size = 0;     // written under the lock
    std::atomic<uint64_t> expired = 0;  // likewise
  };
  // Holds a shard, if there is anybody to keep out.
  class Hold {
   public:
    Hold(const ConnectionTable& table, Shard& shard) noexcept
        : lock_(table.worker_count_ > 1 ? &shard.lock : nullptr) {
      if (lock_ != nullptr) lock_->lock();
    }
    ~Hold() {
      if (lock_ != nullptr) lock_->unlock();
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    SpinLock* lock_;
  };
  struct alignas(cache_line_bytes) Sweeper {
    uint32_t shard = 0;  // that its worker is at
  };

  // Indices of timeouts_: TCP's states, other states with UDP, and these.
  static constexpr uint32_t timeout_icmp = static_cast<uint32_t>(ConnectionState::Count);
  static constexpr uint32_t timeout_other = timeout_icmp + 1;
  static constexpr uint32_t timeout_count = timeout_other + 1;

  static constexpr uint32_t shard_max = 64;
  static uint32_t shard_count_of(const ConnectionConfig& config) noexcept;

  Shard& shard_of(uint64_t hash) noexcept { return shards_[hash >> 32 & (shard_count_ - 1)]; }
  Shard& shard_of_number(uint32_t number) noexcept { return shards_[(number - 1) / place_max_]; }
  Connection& place(uint32_t number) noexcept { return places_[number - 1]; }
  void foresee(const ConnectionQuestion& question) noexcept;
  uint32_t find(Shard& shard, const ConnectionQuestion& question, uint64_t now_ms) noexcept;
  Tracked judge(const ConnectionPacket& packet, const ConnectionQuestion& question,
                uint64_t now_ms) noexcept;
  Tracked judge_unknown(const ConnectionPacket& packet, ConnectionKind kind,
                        uint64_t now_ms) const noexcept;
  Tracked judge_tcp(Shard& shard, const ConnectionPacket& packet, const Tracked& found,
                    uint64_t now_ms) noexcept;
  Committed make(Shard& shard, const ConnectionPacket& packet, const ConnectionQuestion& question,
                 uint64_t now_ms) noexcept;
  uint32_t take_place(Shard& shard) noexcept;
  void evict(Shard& shard, uint64_t now_ms) noexcept;
  bool has_expired(const Connection& connection, uint64_t now_ms) const noexcept;
  bool is_due(const Connection& connection, uint64_t now_ms) const noexcept;
  void expire(Shard& shard, uint32_t number) noexcept;
  void remove(Shard& shard, uint32_t number) noexcept;
  void set_mark(Connection& connection, uint8_t bits, uint32_t until_ms) noexcept;
  uint32_t sweep_part(Shard& shard, uint32_t& budget, uint64_t now_ms) noexcept;

  Shard shards_[shard_max];
  Sweeper sweepers_[worker_max];
  Connection* places_;    // places_[number - 1], those of a shard together
  uint32_t shard_count_;  // a power of two
  uint32_t place_max_;    // of a shard
  uint32_t worker_count_;
  uint64_t pick_up_until_ms_;
  std::atomic<uint32_t> timeouts_[timeout_count];  // ms
  HashSecret secret_;
  ConnectionSink* sink_;
};

}  // namespace vtep
