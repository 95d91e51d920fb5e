// flow/exact_cache.h — exact-match cache: the first question asked about a packet.
//
// Why:    one direction of one connection is one entry: key, flow and counters in one cache line;
//         the addresses of IPv6 lie in a second. A lookup reads one bucket line (flow/tag_index.h)
//         and one entry line, both prefetched for a whole burst, so that a million flows in random
//         order cost memory bandwidth and not memory latency. A hit writes only the line that it
//         has read.
// Thread: one cache per worker, touched by nobody else, but for kill().
// Owner:  the caller owns the memory: bytes_needed() bytes, 64-aligned, zeroed.
//         Entries name flows by slot and generation; a removed flow's entries are found stale by
//         whoever hits them, and by the sweep.
// Limits: entry_count, a power of two. Insertion evicts, never allocates, never fails.
//
// Memory     Size                     Contents
// 0          256                      Header: secret, counts, lists
// 256        64 * entry_count / 5     buckets
// behind     64 * entry_count         entries, number 1 first; 0 means none
// behind     40 * entry_count         their sides: what a hit does not touch
// behind     32 * entry_count         their IPv6 addresses: untouched, so not there, for IPv4
// behind     24 * entry_count         what was told of them: likewise, unless somebody is told
//
// When both buckets of a key are full, one of the 16 goes: the least recently used, by ages that
// the sweep keeps. A new entry is "old" until the sweep has seen it used, so a scan evicts its own
// entries first. The hash is keyed (flow/hash.h): nobody can fill the buckets of another's
// connection on purpose.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/limits.h"
#include "flow/flow_key.h"
#include "flow/hash.h"
#include "flow/tag_index.h"
#include "packet/headers.h"

namespace vtep {

// ARP and ND keys are longer than exact entries; one packet of them is rarely followed by its like.
inline bool fits_exact(const FlowKey& key) noexcept {
  if (key.eth_type == be16(eth_type_arp)) return false;
  if (key.ip_proto != ip_proto_icmpv6) return true;
  const uint16_t type = key.tp_src.host();
  return type < nd_router_solicit || type > nd_redirect;
}

// Flags of an entry, in the top byte of generation_flags.
constexpr uint8_t exact_watch_tcp = 1;  // SYN, FIN and RST must go by the connection table
constexpr uint8_t exact_rests = 0x40;   // its end was told of, and it is still here
constexpr uint8_t exact_live = 0x80;    // in use; the cache's own

// All that an IPv4 hit touches.
struct ExactEntry {
  uint8_t key[exact_key_bytes_v4];  // 0: FlowKey bytes 0..47, ct_state zero
  std::atomic<uint32_t> flow;       // 48: slot in the flow store; 0: killed, of no flow any more
  uint32_t generation_flags;        // 52: generation of the flow, low 24 bits; flags above
  uint32_t packets;                 // 56: since the last flush
  uint32_t bytes;                   // 60: since the last flush

  uint32_t generation() const noexcept { return generation_flags & 0xffffffu; }
  uint8_t flags() const noexcept { return static_cast<uint8_t>(generation_flags >> 24); }
  bool live() const noexcept { return (flags() & exact_live) != 0; }
  // To be read once per use: kill() may come in between.
  uint32_t slot() const noexcept { return flow.load(std::memory_order_relaxed); }
  // Whether the entry is of its flow as it is now.
  bool current(uint32_t flow_generation) const noexcept {
    return generation() == (flow_generation & 0xffffffu);
  }
};
static_assert(sizeof(ExactEntry) == cache_line_bytes);

// What a hit does not touch.
struct ExactSide {
  uint32_t connection;             // number in the connection table; 0: none
  uint32_t connection_generation;
  uint32_t used_ms;                // last flush with packets, or insertion; low 32 bits
  union {
    uint32_t next_free;   // while free
    uint32_t created_ms;  // in use: low 32 bits
  };
  uint64_t packets;   // flushed so far, whatever flows it was of
  uint64_t bytes;
  uint32_t flow;      // as the entry's, but left there by kill()
  uint32_t decision;  // of the flow
};
static_assert(sizeof(ExactSide) == 40);

// What the sink has been told of an entry, while it is told.
struct ExactTold {
  uint64_t packets;
  uint64_t bytes;
  uint32_t since_ms;  // when what it was not told of began, low 32 bits
  uint8_t ct_state;   // of the packet that the entry was made of
  uint8_t epoch;      // the cache's, or all this is of a time when others were told
  uint8_t pad[2];
};
static_assert(sizeof(ExactTold) == 24);

// What an entry is made of.
struct ExactTarget {
  uint32_t flow;
  uint32_t generation;
  uint8_t flags = 0;  // exact_watch_tcp
  uint32_t connection = 0;
  uint32_t connection_generation = 0;
  uint32_t decision = 0;  // of the flow
  uint8_t ct_state = 0;
};

// What becomes of an entry that the sweep looks at. Rests: it is told of as if it had ended, but
// stays to be seen, of no flow; its next packet begins it anew.
enum class ExactFate : uint8_t { Goes, Stays, Rests };

// Why an entry is told of: flowEndReason of IPFIX (RFC 5102, 5.11.3; IANA element 136).
enum class FlowEnd : uint8_t {
  None = 0,     // not to be told of now
  Idle = 1,     // no packet for long
  Active = 2,   // it goes on, and was not told of for long
  End = 3,      // TCP said so
  Forced = 4,   // rules changed, or somebody ended it
  Evicted = 5,  // there was no room for it: "lack of resources"
};

struct ExactVerdict {
  ExactFate fate;
  FlowEnd tell = FlowEnd::None;
};

class ExactSink {
 public:
  virtual ~ExactSink() = default;
  // Takes what an entry has counted since the last time (entry.packets, entry.bytes; side.used_ms
  // is up to date), before the counters are zeroed: called by evictions, removals and the sweep.
  virtual void flush(const ExactEntry& entry, const ExactSide& side) noexcept = 0;
  // The sweep asks what becomes of an entry.
  virtual ExactVerdict keep(const ExactEntry& entry, const ExactSide& side) noexcept = 0;
  // What an entry has counted since it was told of last: side.packets - told.packets, which is not
  // 0. Its counters are flushed. False: not now. Then it is kept and told of later, unless this was
  // the last chance. Nothing is told before tell_ends().
  struct Telling {
    FlowEnd why;
    bool last_chance;
  };
  virtual bool tell(const ExactEntry&, const ExactSide&, const ExactTold&, Telling) noexcept {
    return true;
  }
  // The sweep will soon call the two for this entry: a chance to prefetch.
  virtual void foresee(const ExactEntry& entry, const ExactSide& side) noexcept = 0;
};

class ExactCache {
 public:
  static size_t bytes_needed(uint32_t entry_count) noexcept;
  // `memory` is zeroed. `sink` outlives the cache.
  ExactCache(std::span<std::byte> memory, uint32_t entry_count, const HashSecret& secret,
             ExactSink& sink) noexcept;
  ExactCache(const ExactCache&) = delete;
  ExactCache& operator=(const ExactCache&) = delete;

  // entries[i] is the entry of keys[i] or null, hashes[i] its hash; returns how many were found.
  // count <= batch_max. Keys have ct_state zero and are neither ARP nor ND. Counts nothing.
  uint32_t lookup(const FlowKey* keys, uint32_t count, ExactEntry** entries,
                  uint64_t* hashes) noexcept;
  // Adds to the entry's counters; flushes them before they overflow.
  void count(ExactEntry& entry, uint32_t packets, uint32_t bytes) noexcept {
    entry.packets += packets;
    entry.bytes += bytes;
    if (entry.bytes >= flush_bytes) [[unlikely]]
      flush(entry);
  }

  // The entry of the key, made if there is none; `hash` is the one that lookup() gave, before the
  // key had a ct_state. An existing one gets the new target, after a flush to the old one. Evicts
  // if it must.
  ExactEntry& insert(const FlowKey& asked, uint64_t hash, const ExactTarget& target,
                     uint64_t now_ms) noexcept;
  // The entry of a key whose packets are not to hit it, or of one that they hit: somewhere to count
  // a packet that went by the later stages. Made of no flow if there is none, like insert(); one of
  // the same connection stays as it is.
  ExactEntry& note(const FlowKey& asked, uint64_t hash, const ExactTarget& target,
                   uint64_t now_ms) noexcept;
  // The entry of the key, or null; for once per connection.
  ExactEntry* entry_of(const FlowKey& asked) noexcept;
  // The connection of an entry that was made before it had one.
  void tie(ExactEntry& entry, uint32_t connection, uint32_t generation) noexcept {
    side(entry).connection = connection;
    side(entry).connection_generation = generation;
  }
  // The entry has come to its end, but may be seen on: tells of it and lets it rest. False: not
  // now.
  bool end(uint32_t number) noexcept;
  // Takes the flow from an entry, so that its next packet is classified anew. Any worker; a number
  // that has been used again meanwhile costs that entry one look-up.
  void kill(uint32_t number) noexcept {
    entries_[number - 1].flow.store(0, std::memory_order_relaxed);
  }
  // Flushes, tells and forgets.
  void remove(ExactEntry& entry) noexcept { remove(entry, FlowEnd::Forced); }
  void clear() noexcept;

  // Looks at the next `budget` entry places: flushes what was used, removes what the sink does not
  // keep, tells what it wants told. Each full round is a tick of the ages. Returns how many were
  // removed.
  uint32_t sweep(uint32_t budget, uint64_t now_ms) noexcept;
  // Whether the sink is told of entries, and how long a round of the sweep takes, so that ages are
  // not taken for more than they are.
  void tell_ends(bool on, uint32_t round_ms) noexcept {
    epoch_ = static_cast<uint8_t>(epoch_ + (on && !tells_ ? 1 : 0));
    tells_ = on;
    round_ms_ = round_ms;
  }
  // What was told of an entry; good while the sink is told.
  const ExactTold& told_of(const ExactEntry& entry) noexcept { return told(entry); }

  // Number of an entry, for kill().
  uint32_t number_of(const ExactEntry& entry) const noexcept {
    return static_cast<uint32_t>(&entry - entries_) + 1;
  }

  // The entry at a place, or null: there is none. Places are 0..places()-1.
  const ExactEntry* entry_at(uint32_t place) const noexcept {
    return place < header_->fresh && entries_[place].live() ? &entries_[place] : nullptr;
  }
  uint32_t places() const noexcept { return header_->fresh; }
  // What the entry was made of, ct_state zero.
  FlowKey key_of(const ExactEntry& entry) const noexcept;

  uint32_t size() const noexcept { return header_->live_count; }
  uint32_t entry_count() const noexcept { return entry_count_; }
  uint64_t evictions() const noexcept { return header_->evictions; }
  const ExactSide& side_of(const ExactEntry& entry) const noexcept {
    return sides_[&entry - entries_];
  }
  const HashSecret& secret() const noexcept { return header_->secret; }

 private:
  static constexpr uint32_t flush_bytes = 1u << 31;

  struct ExactLong {
    Ipv6Bytes src;  // FlowKey bytes 48..79
    Ipv6Bytes dst;
  };
  struct Header {
    HashSecret secret;
    uint32_t magic;
    uint32_t entry_count;
    uint32_t live_count;
    uint32_t fresh;       // entries [fresh, entry_count) were never used
    uint32_t free_head;   // number of the first free entry that was used before; 0: none
    uint32_t sweep_next;  // index that the sweep looks at next
    uint64_t evictions;
    uint32_t tick;  // rounds of the sweep
  };
  static_assert(sizeof(Header) <= 256);

  static size_t entries_offset(uint32_t entry_count) noexcept;
  bool same_key(const ExactEntry& entry, const FlowKey& key) const noexcept;
  ExactEntry* find(const FlowKey& key, uint64_t hash) noexcept;
  uint64_t hash_of(const ExactEntry& entry) const noexcept;
  uint32_t take_entry() noexcept;
  void place(uint64_t hash, uint32_t number) noexcept;
  void evict(uint64_t hash) noexcept;
  void evict_any() noexcept;
  ExactSide& side(const ExactEntry& entry) noexcept { return sides_[&entry - entries_]; }
  ExactEntry& make(const FlowKey& key, uint64_t hash, const ExactTarget& target,
                   uint64_t now_ms) noexcept;
  void retarget(ExactEntry& entry, const ExactTarget& target) noexcept;
  void follow(ExactEntry& entry, const ExactTarget& target, uint64_t now_ms) noexcept;
  void begin(ExactEntry& entry, uint64_t now_ms) noexcept;
  ExactTold& told(const ExactEntry& entry) noexcept;
  void flush(ExactEntry& entry) noexcept;
  bool sweep_one(ExactEntry& entry, uint64_t now_ms) noexcept;
  void rest(ExactEntry& entry, uint64_t now_ms) noexcept;
  void date(const ExactEntry& entry, uint32_t age) noexcept;
  bool tell(const ExactEntry& entry, FlowEnd why, bool last_chance, uint64_t now_ms) noexcept;
  void remove(ExactEntry& entry, FlowEnd why) noexcept;
  void foresee(uint32_t index) noexcept;

  Header* header_;
  TagIndex index_;  // notes: the tick of the sweep that last saw the entry used
  ExactEntry* entries_;  // entries_[number - 1]
  ExactSide* sides_;     // likewise
  ExactLong* longs_;     // likewise
  ExactTold* told_;      // likewise
  uint32_t entry_count_;
  uint32_t round_ms_ = 8000;
  bool tells_ = false;
  uint8_t epoch_ = 0;  // grows when telling begins
  ExactSink& sink_;
};

}  // namespace vtep
