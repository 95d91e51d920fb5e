// flow/megaflow_table.h — the masked table: what the slow path has decided, for all packets alike.
//
// What a megaflow is. The pipeline in TypeScript answers the question of one packet, and its answer
// holds for more than that packet: had another destination port been in it, the same rules would
// have been looked at in the same order and said the same. So a verdict comes with a mask. A 1-bit
// of the mask says "the verdict depended on this bit of the key"; a 0-bit (a wildcarded,
// un-looked-at bit) says "any value here would have had the same verdict". Key and mask together
// are a megaflow.
//
// Why masks must be exact. A mask bit that is 1 without need is slow: the megaflow covers fewer
// packets, more of them miss, and the slow path answers the same question again and again. A mask
// bit that is 0 and should be 1 is wrong: packets that the rules would have treated differently are
// treated as this one was. One is a cost, the other a hole in the firewall. So the pipeline starts
// from all zeroes and sets a bit whenever it reads one: reading a field un-wildcards it.
//
// What reading means. It is not only the field that decided. A rule that did not match was read as
// well: the packet differs from it in some bit, and one such bit must be 1, or a packet that does
// match the rule would be caught by this megaflow. A table that was searched for a longer prefix
// and had none has read the bits that excluded those prefixes. A port range [80, 443] that did not
// match has read as many leading bits as prove it. A lookup in an exact map reads the whole field,
// found or not. Protocol comes before ports: tp_dst is meaningless, and zero in the key, until
// ip_proto, eth_type and ip_frag are fixed, so a mask with a bit in tp_dst has them all ones.
//
// What follows for this table.
// - There are no priorities. All megaflows that can match a packet hold the same verdict, because
//   each mask covers everything that its verdict depended on. Whichever is found first is right. So
//   one lookup may stop at the first hit, and subtables are searched in the order of their hits.
// - Megaflows may overlap, and a newer one may equal an older one in key and mask: two packets
// asked
//   the same question before the first was answered, or a verdict is being replaced (the new one is
//   installed before the old one is removed, so that no packet misses in between). The newer is
//   found first among equals.
// - ct_state is a field like others: a verdict that asked "is this connection established?" has its
//   bits in the mask, and the connection table was asked before this table is.
// - in_port and tunnel_id are always in the mask: tenants' addresses overlap, and only these two
//   tell whose they are.
// - When rules change, the slow path translates each megaflow's packet again and compares verdict
// and
//   mask; flows that would come out otherwise are replaced. The property that makes this sound, and
//   the most valuable test of the project: flip any bit that a mask leaves wild, and the verdict
//   does not change.
//
// Structure. One subtable per distinct mask: its mask, and the list of the mask's nonzero 64-bit
// words, so that hashing and comparing touch those words only (usually five of fourteen). Megaflows
// of all subtables hang in one array of hash chains; the number of the subtable is part of what is
// compared. A megaflow's place is its slot number in the flow store, so install and remove need no
// search and no free list, and the generation of a slot is one load away for whoever holds a
// number.
//
// Thread: one table per worker, touched by nobody else.
// Owner:  the caller owns the memory: bytes_needed() bytes, 64-aligned, zeroed.
// Limits: flow_max slots (slot 0 is none), subtable_max masks. Nothing is allocated, ever.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/limits.h"
#include "flow/flow_key.h"
#include "flow/hash.h"

namespace vtep {

// Names one flow at one time.
struct FlowRef {
  uint32_t slot = 0;  // 0: none
  uint32_t generation = 0;
  constexpr bool operator==(const FlowRef&) const noexcept = default;
};

class MegaflowTable {
 public:
  enum class Insert : uint8_t { Done, SlotInUse, NoSubtable, BadSlot };

  static size_t bytes_needed(uint32_t flow_max) noexcept;
  MegaflowTable(std::span<std::byte> memory, uint32_t flow_max, const HashSecret& secret) noexcept;
  MegaflowTable(const MegaflowTable&) = delete;
  MegaflowTable& operator=(const MegaflowTable&) = delete;

  // Bits of `key` outside `mask` do not count. SlotInUse: remove it first. NoSubtable: subtable_max
  // distinct masks are in use (drop reason FlowTableFull).
  Insert insert(FlowRef flow, const FlowKey& key, const FlowMask& mask) noexcept;
  // False when the slot holds no flow of that generation.
  bool remove(FlowRef flow) noexcept;
  // Whether this very flow is in the table now: the check of exact entries.
  bool current(FlowRef flow) const noexcept {
    return flow.slot < flow_max_ && flows_[flow.slot].state_hash != 0 &&
           flows_[flow.slot].generation == flow.generation;
  }
  // Present generation of a slot, and whether it is in use.
  bool present(uint32_t slot, uint32_t& generation) const noexcept {
    if (slot >= flow_max_ || flows_[slot].state_hash == 0) return false;
    generation = flows_[slot].generation;
    return true;
  }

  // found[i] is the flow of *keys[i], slot 0 if none; returns how many were found.
  // count <= batch_max. ct_state is in the keys.
  uint32_t lookup(const FlowKey* const* keys, uint32_t count, FlowRef* found) noexcept;

  // Sorts the subtables by their hits since the last call, halved each time so that the past fades.
  // Call about once a second.
  void rank() noexcept;

  uint32_t size() const noexcept { return size_; }
  uint32_t subtable_count() const noexcept { return subtable_count_; }
  // Mean number of subtables searched per lookup since the last rank(), times 100; 0: no lookup.
  uint32_t probes_percent() const noexcept;

 private:
  // 128 bytes: two lines, the first decides most mismatches.
  struct alignas(cache_line_bytes) Flow {
    uint32_t next;        // slot of the next in the chain; 0: end
    uint32_t state_hash;  // high bits of the hash, subtable + 1 in the low byte; 0: not in use
    uint32_t generation;
    uint32_t bucket;  // index of its chain
    FlowKey key;      // masked
  };
  static_assert(sizeof(Flow) == 2 * cache_line_bytes);

  struct Subtable {
    FlowMask mask;
    uint64_t words[flow_key_words];  // nonzero words of the mask, in order
    uint8_t at[flow_key_words];      // which words of the key they are
    uint8_t word_count;              // of the two arrays
    uint32_t flow_count;             // 0: not in use
    uint64_t hits;                   // since the last rank(), plus half of those before
  };

  uint64_t hash(const Subtable& subtable, const FlowKey& key) const noexcept;
  static bool same_masked(const Subtable& subtable, const FlowKey& masked,
                          const FlowKey& key) noexcept;
  uint32_t find_subtable(const FlowMask& mask) noexcept;
  uint32_t add_subtable(const FlowMask& mask) noexcept;
  void drop_subtable(uint32_t number) noexcept;
  uint32_t search(uint32_t number, const FlowKey& key, uint64_t key_hash) const noexcept;
  static uint32_t state_hash_of(uint64_t key_hash, uint32_t subtable) noexcept;

  Flow* flows_;      // by slot
  uint32_t* heads_;  // by hash; 0: empty chain
  uint32_t flow_max_;
  uint32_t head_mask_;
  uint32_t size_ = 0;
  HashSecret secret_;
  Subtable subtables_[subtable_max] = {};
  uint8_t order_[subtable_max] = {};  // numbers of those in use, most hits first
  uint32_t subtable_count_ = 0;
  uint64_t lookups_ = 0;  // since the last rank()
  uint64_t probes_ = 0;   // subtables searched for them
};

}  // namespace vtep
