// flow/exact_cache.h — exact-match cache: the first question asked about a packet.
//
// Why:    one direction of one connection is one entry: key, flow, counters in one cache line for
//         IPv4, two for IPv6. A lookup reads one bucket line and one entry line, both prefetched
//         for a whole burst, so that a million flows in random order cost memory bandwidth and not
//         memory latency. A hit writes only the line that it has read.
// Thread: one cache per worker, touched by nobody else (other processes may read its memory).
// Owner:  the caller owns the memory: bytes_needed() bytes, 64-aligned, zeroed, possibly shared.
//         Entries name flows by slot and generation; a removed flow's entries are found stale by
//         whoever hits them, and by the sweep.
// Limits: entry_count, a power of two. Insertion evicts, never allocates, never fails.
//
// Memory     Size                    Contents
// 0          256                     Header: secret, counts, lists
// 256        64 * entry_count / 4    buckets: eight tags, entry numbers and ages each
// behind     128 * entry_count       entries, number 1 first; 0 means none
//
// A key has two buckets. It goes into the first unless that is full, and a bucket counts those
// that it sent on: half full on average, 98 of 100 lookups, hits and misses alike, read one bucket.
// When both are full, one of their entries moves to its own other bucket if it can; else one of the
// 16 goes: the least recently used, by ages that the sweep keeps. A
// new entry is "old" until the sweep has seen it used, so a scan evicts its own entries first. The
// hash is keyed (flow/hash.h): nobody can fill the buckets of another's connection on purpose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/limits.h"
#include "flow/flow_key.h"
#include "flow/hash.h"

namespace vtep {

// Flags of an entry, in the top byte of generation_flags.
constexpr uint8_t exact_watch_tcp = 1;  // SYN, FIN and RST must go by the connection table

struct ExactEntry {
  // First line: all that an IPv4 hit touches.
  uint8_t key[exact_key_bytes_v4];  // 0: FlowKey bytes 0..47, ct_state zero
  uint32_t flow;                    // 48: slot in the flow store
  uint32_t generation_flags;        // 52: generation of the flow, low 24 bits; flags above
  uint32_t packets;                 // 56: since the last flush
  uint32_t bytes;                   // 60: since the last flush
  // Second line.
  Ipv6Bytes ipv6_src;              // 64: FlowKey bytes 48..79; zero unless IPv6
  Ipv6Bytes ipv6_dst;              // 80
  uint64_t used_ms;                // 96: last flush with packets, or insertion
  uint32_t connection;             // 104: number in the connection table; 0: none
  uint32_t connection_generation;  // 108
  uint32_t bucket;                 // 112: where it is; while free, the next free entry
  uint32_t created_ms;             // 116: low 32 bits of insertion
  uint16_t live;                   // 120: 1 while in use
  uint8_t ct_state;                // 122: what the megaflow matched on, for people who ask
  uint8_t in_second;               // 123: 1: it is in the second bucket of its key
  uint32_t decision;               // 124: the slow path's id of the decision

  uint32_t generation() const noexcept { return generation_flags & 0xffffffu; }
  uint8_t flags() const noexcept { return static_cast<uint8_t>(generation_flags >> 24); }
  // Whether the entry is of this flow; the caller knows the flow's present generation.
  bool belongs_to(uint32_t slot, uint32_t flow_generation) const noexcept {
    return flow == slot && generation() == (flow_generation & 0xffffffu);
  }
};
static_assert(sizeof(ExactEntry) == 2 * cache_line_bytes);
static_assert(offsetof(ExactEntry, ipv6_src) == cache_line_bytes);
static_assert(offsetof(ExactEntry, decision) == 124);

// What an entry is made of.
struct ExactTarget {
  uint32_t flow;
  uint32_t generation;
  uint8_t flags = 0;  // exact_*
  uint8_t ct_state = 0;
  uint32_t connection = 0;
  uint32_t connection_generation = 0;
  uint32_t decision = 0;
};

// Takes what an entry has counted since the last time (entry.packets, entry.bytes; used_ms is up to
// date), before the counters are zeroed: called by evictions, removals and the sweep.
class ExactSink {
 public:
  virtual ~ExactSink() = default;
  virtual void flush(const ExactEntry& entry) noexcept = 0;
  // The sweep asks whether an entry may stay: not if its flow or connection is gone, or it is idle
  // for too long.
  virtual bool keep(const ExactEntry& entry) noexcept = 0;
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

  // The entry of `key`, made if there is none; `hash` is the one that lookup() gave. An existing
  // one gets the new target and keeps its counters, after a flush to the old one. Evicts if it
  // must.
  ExactEntry& insert(const FlowKey& key, uint64_t hash, const ExactTarget& target,
                     uint64_t now_ms) noexcept;
  // Flushes and forgets.
  void remove(ExactEntry& entry) noexcept;
  void clear() noexcept;

  // Looks at the next `budget` entry places: flushes what was used, removes what the sink does not
  // keep. Each full round is a tick of the ages. Returns how many were removed.
  uint32_t sweep(uint32_t budget, uint64_t now_ms) noexcept;

  // Number of an entry, for Connection::exact; at() of a number, null when out of range or free.
  uint32_t number_of(const ExactEntry& entry) const noexcept {
    return static_cast<uint32_t>(&entry - entries_) + 1;
  }
  ExactEntry* at(uint32_t number) noexcept;

  uint32_t size() const noexcept { return header_->live_count; }
  uint32_t entry_count() const noexcept { return entry_count_; }
  uint64_t evictions() const noexcept { return header_->evictions; }
  const HashSecret& secret() const noexcept { return header_->secret; }

 private:
  static constexpr uint32_t bucket_slots = 8;
  static constexpr uint32_t flush_bytes = 1u << 31;

  struct alignas(cache_line_bytes) Bucket {
    uint16_t tags[bucket_slots];     // 0: free
    uint32_t entries[bucket_slots];  // numbers; 0: free
    uint8_t ages[bucket_slots];      // tick of the sweep that last saw it used
    uint8_t overflowed;              // entries of this bucket that are in their second; 255: many
    uint8_t spare[7];
  };
  static_assert(sizeof(Bucket) == cache_line_bytes);

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

  struct Place {
    uint32_t bucket;
    uint32_t other;  // the other bucket
    uint16_t tag;
  };
  Place place_of(uint64_t hash) const noexcept;
  uint32_t other_bucket(uint32_t bucket, uint16_t tag) const noexcept;
  static uint32_t matches(const Bucket& bucket, uint16_t tag) noexcept;
  static bool same_key(const ExactEntry& entry, const FlowKey& key) noexcept;
  ExactEntry* find_in(const Bucket& bucket, const FlowKey& key, uint16_t tag) noexcept;
  ExactEntry* find(const FlowKey& key, const Place& place) noexcept;
  struct Slot {
    bool taken = false;
    bool second = false;
    uint32_t bucket = 0;
  };
  Slot take_slot(const Place& place, uint32_t number) noexcept;
  bool make_room(uint32_t full) noexcept;
  uint32_t take_entry() noexcept;
  void evict(const Place& place) noexcept;
  void evict_any() noexcept;
  void retarget(ExactEntry& entry, const ExactTarget& target) noexcept;
  void flush(ExactEntry& entry) noexcept;
  uint8_t age_of(uint8_t tick) const noexcept;
  void refresh_age(const ExactEntry& entry, uint32_t number) noexcept;

  Header* header_;
  Bucket* buckets_;
  ExactEntry* entries_;  // entries_[number - 1]
  uint32_t entry_count_;
  uint32_t bucket_mask_;
  ExactSink& sink_;
};

}  // namespace vtep
