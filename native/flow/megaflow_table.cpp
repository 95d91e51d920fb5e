// flow/megaflow_table.cpp — subtables, chains, and the search of a batch subtable by subtable.
//
// Why:    the batch is the inner loop: each subtable hashes all keys that are still without an
// answer
//         and prefetches their chains before it compares, so that cache misses overlap.
#include "flow/megaflow_table.h"

#include <algorithm>

#include "base/assert.h"

namespace vtep {

using hash_detail::load_word;
using hash_detail::product;

namespace {

static_assert(subtable_max <= 254, "the subtable's number plus one is a byte");

uint32_t head_count_of(uint32_t flow_max) noexcept {
  uint32_t count = 16;
  while (count < flow_max) count *= 2;
  return count;
}

size_t heads_bytes(uint32_t flow_max) noexcept {
  return size_t{head_count_of(flow_max)} * sizeof(uint32_t);
}

}  // namespace

size_t MegaflowTable::bytes_needed(uint32_t flow_max) noexcept {
  return heads_bytes(flow_max) + size_t{flow_max} * sizeof(Flow);
}

MegaflowTable::MegaflowTable(std::span<std::byte> memory, uint32_t flow_max,
                             const HashSecret& secret) noexcept
    : flow_max_(flow_max), head_mask_(head_count_of(flow_max) - 1), secret_(secret) {
  DP_ASSERT(memory.size() >= bytes_needed(flow_max));
  DP_ASSERT(reinterpret_cast<uintptr_t>(memory.data()) % cache_line_bytes == 0);
  heads_ = reinterpret_cast<uint32_t*>(memory.data());
  flows_ = reinterpret_cast<Flow*>(memory.data() + heads_bytes(flow_max));
}

// NH over the masked words; a zero word stands in for the missing partner of the last.
uint64_t MegaflowTable::hash(const Subtable& subtable, const FlowKey& key) const noexcept {
  hash_detail::Wide sum = 0;
  const uint32_t count = subtable.word_count;
  for (uint32_t i = 0; i < count; i += 2) {
    const uint64_t a = load_word(&key, subtable.at[i]) & subtable.words[i];
    const uint64_t b =
        i + 1 < count ? load_word(&key, subtable.at[i + 1]) & subtable.words[i + 1] : 0;
    sum += product(a + secret_.words[i], b + secret_.words[i + 1]);
  }
  return hash_detail::finish(sum, secret_.words[HashSecret::word_count - 1]);
}

bool MegaflowTable::same_masked(const Subtable& subtable, const FlowKey& masked,
                                const FlowKey& key) noexcept {
  uint64_t difference = 0;
  for (uint32_t i = 0; i < subtable.word_count; ++i) {
    const uint32_t at = subtable.at[i];
    difference |= load_word(&masked, at) ^ (load_word(&key, at) & subtable.words[i]);
  }
  return difference == 0;
}

uint32_t MegaflowTable::state_hash_of(uint64_t key_hash, uint32_t subtable) noexcept {
  return (static_cast<uint32_t>(key_hash >> 32) & 0xffffff00u) | (subtable + 1);
}

// Number of the subtable of `mask`; subtable_max: there is none.
uint32_t MegaflowTable::find_subtable(const FlowMask& mask) noexcept {
  for (uint32_t i = 0; i < subtable_count_; ++i)
    if (subtables_[order_[i]].mask == mask) return order_[i];
  return subtable_max;
}

uint32_t MegaflowTable::add_subtable(const FlowMask& mask) noexcept {
  if (subtable_count_ == subtable_max) return subtable_max;
  uint32_t number = 0;
  while (subtables_[number].flow_count != 0) ++number;
  Subtable& subtable = subtables_[number];
  subtable = Subtable{};
  subtable.mask = mask;
  for (uint32_t word = 0; word < flow_key_words; ++word) {
    const uint64_t bits = load_word(&mask, word);
    if (bits == 0) continue;
    subtable.words[subtable.word_count] = bits;
    subtable.at[subtable.word_count++] = static_cast<uint8_t>(word);
  }
  order_[subtable_count_++] = static_cast<uint8_t>(number);
  return number;
}

void MegaflowTable::drop_subtable(uint32_t number) noexcept {
  uint8_t* end = order_ + subtable_count_;
  std::copy(std::find(order_, end, number) + 1, end, std::find(order_, end, number));
  --subtable_count_;
}

MegaflowTable::Insert MegaflowTable::insert(FlowRef flow, const FlowKey& key,
                                            const FlowMask& mask) noexcept {
  if (flow.slot == 0 || flow.slot >= flow_max_) return Insert::BadSlot;
  Flow& place = flows_[flow.slot];
  if (place.state_hash != 0) return Insert::SlotInUse;
  uint32_t number = find_subtable(mask);
  if (number == subtable_max) number = add_subtable(mask);
  if (number == subtable_max) return Insert::NoSubtable;
  Subtable& subtable = subtables_[number];
  const uint64_t key_hash = hash(subtable, key);
  memset(static_cast<void*>(&place.key), 0, sizeof place.key);
  for (uint32_t i = 0; i < subtable.word_count; ++i) {
    const uint64_t word = load_word(&key, subtable.at[i]) & subtable.words[i];
    memcpy(reinterpret_cast<uint8_t*>(&place.key) + 8 * subtable.at[i], &word, sizeof word);
  }
  place.generation = flow.generation;
  place.state_hash = state_hash_of(key_hash, number);
  place.bucket = static_cast<uint32_t>(key_hash) & head_mask_;
  place.next = heads_[place.bucket];
  heads_[place.bucket] = flow.slot;
  ++subtable.flow_count;
  ++size_;
  return Insert::Done;
}

bool MegaflowTable::remove(FlowRef flow) noexcept {
  if (flow.slot == 0 || !current(flow)) return false;
  Flow& place = flows_[flow.slot];
  uint32_t* link = &heads_[place.bucket];
  while (*link != flow.slot) {
    DP_ASSERT(*link != 0);
    link = &flows_[*link].next;
  }
  *link = place.next;
  const uint32_t number = (place.state_hash & 0xff) - 1;
  place.state_hash = 0;
  if (--subtables_[number].flow_count == 0) drop_subtable(number);
  --size_;
  return true;
}

// Slot of the newest flow of the subtable that covers the key; 0: none.
uint32_t MegaflowTable::search(uint32_t number, const FlowKey& key,
                               uint64_t key_hash) const noexcept {
  const uint32_t wanted = state_hash_of(key_hash, number);
  uint32_t slot = heads_[static_cast<uint32_t>(key_hash) & head_mask_];
  while (slot != 0) {
    const Flow& flow = flows_[slot];
    if (flow.state_hash == wanted && same_masked(subtables_[number], flow.key, key)) return slot;
    slot = flow.next;
  }
  return 0;
}

uint32_t MegaflowTable::lookup(const FlowKey* const* keys, uint32_t count,
                               FlowRef* found) noexcept {
  DP_DASSERT(count <= batch_max);
  uint16_t open[batch_max];  // packets still without an answer
  uint64_t hashes[batch_max];
  uint32_t open_count = count;
  for (uint32_t i = 0; i < count; ++i) {
    open[i] = static_cast<uint16_t>(i);
    found[i] = FlowRef{};
  }
  lookups_ += count;
  for (uint32_t rank = 0; rank < subtable_count_ && open_count != 0; ++rank) {
    const uint32_t number = order_[rank];
    Subtable& subtable = subtables_[number];
    for (uint32_t i = 0; i < open_count; ++i) {
      hashes[i] = hash(subtable, *keys[open[i]]);
      __builtin_prefetch(&heads_[static_cast<uint32_t>(hashes[i]) & head_mask_]);
    }
    for (uint32_t i = 0; i < open_count; ++i) {
      const uint32_t slot = heads_[static_cast<uint32_t>(hashes[i]) & head_mask_];
      if (slot != 0) __builtin_prefetch(&flows_[slot]);
    }
    probes_ += open_count;
    uint32_t still_open = 0;
    for (uint32_t i = 0; i < open_count; ++i) {
      const uint32_t slot = search(number, *keys[open[i]], hashes[i]);
      if (slot != 0) {
        found[open[i]] = FlowRef{slot, flows_[slot].generation};
      } else {
        open[still_open++] = open[i];
      }
    }
    subtable.hits += open_count - still_open;
    open_count = still_open;
  }
  return count - open_count;
}

void MegaflowTable::rank() noexcept {
  // Insertion sort: stable, in place, and nearly sorted is what it meets each second.
  for (uint32_t i = 1; i < subtable_count_; ++i) {
    const uint8_t number = order_[i];
    uint32_t at = i;
    for (; at > 0 && subtables_[order_[at - 1]].hits < subtables_[number].hits; --at)
      order_[at] = order_[at - 1];
    order_[at] = number;
  }
  for (uint32_t i = 0; i < subtable_count_; ++i) subtables_[order_[i]].hits /= 2;
  lookups_ = 0;
  probes_ = 0;
}

uint32_t MegaflowTable::probes_percent() const noexcept {
  return lookups_ == 0 ? 0 : static_cast<uint32_t>(probes_ * 100 / lookups_);
}

}  // namespace vtep
