// flow/exact_cache.cpp — buckets, entries, and the pipelined lookup of a burst.
//
// Why:    three stages run at fixed distances in one loop: hash and prefetch the bucket, compare
// tags
//         and prefetch the entry, verify. Sixteen lines in flight keep the fill buffers of one
//         core busy without dropping prefetches; whole-burst passes of 256 did worse.
#include "flow/exact_cache.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace vtep {

namespace {

constexpr uint32_t cache_magic = 0x43584556;  // "VEXC"
constexpr size_t header_bytes = 256;
// Age of a new entry, in rounds of the sweep: whatever was used in the last two is kept before it.
constexpr uint32_t new_age = 3;
constexpr uint8_t overflowed_many = 255;  // lost count: stays until clear()
constexpr uint32_t distance = 16;         // packets between two stages of the lookup

// The key as an entry keeps it: connection state is an answer of later stages, not a question.
constexpr size_t ct_state_offset = offsetof(FlowKey, ct_state);

uint32_t bucket_count_of(uint32_t entry_count) noexcept { return std::max(entry_count / 4, 2u); }

void prefetch_write(const void* line) noexcept { __builtin_prefetch(line, 1); }
void prefetch_read(const void* line) noexcept { __builtin_prefetch(line, 0); }

}  // namespace

size_t ExactCache::bytes_needed(uint32_t entry_count) noexcept {
  return header_bytes + size_t{bucket_count_of(entry_count)} * sizeof(Bucket) +
         size_t{entry_count} * sizeof(ExactEntry);
}

ExactCache::ExactCache(std::span<std::byte> memory, uint32_t entry_count, const HashSecret& secret,
                       ExactSink& sink) noexcept
    : entry_count_(entry_count), bucket_mask_(bucket_count_of(entry_count) - 1), sink_(sink) {
  DP_ASSERT(entry_count >= 8 && (entry_count & (entry_count - 1)) == 0);
  DP_ASSERT(memory.size() >= bytes_needed(entry_count));
  DP_ASSERT(reinterpret_cast<uintptr_t>(memory.data()) % cache_line_bytes == 0);
  header_ = reinterpret_cast<Header*>(memory.data());
  buckets_ = reinterpret_cast<Bucket*>(memory.data() + header_bytes);
  entries_ = reinterpret_cast<ExactEntry*>(memory.data() + header_bytes +
                                           (size_t{bucket_mask_} + 1) * sizeof(Bucket));
  DP_ASSERT(header_->magic == 0);
  header_->magic = cache_magic;
  header_->entry_count = entry_count;
  header_->secret = secret;
}

ExactCache::Place ExactCache::place_of(uint64_t hash) const noexcept {
  const uint16_t top = static_cast<uint16_t>(hash >> 48);
  const uint16_t tag = top == 0 ? 1 : top;
  const uint32_t bucket = static_cast<uint32_t>(hash) & bucket_mask_;
  return {bucket, other_bucket(bucket, tag), tag};
}

// Its own inverse: either bucket leads to the other.
uint32_t ExactCache::other_bucket(uint32_t bucket, uint16_t tag) const noexcept {
  return (bucket ^ (tag * 0x5bd1e995u | 1)) & bucket_mask_;
}

// A bit per slot whose tag is `tag`.
uint32_t ExactCache::matches(const Bucket& bucket, uint16_t tag) noexcept {
#if defined(__SSE2__)
  const __m128i tags = _mm_load_si128(reinterpret_cast<const __m128i*>(bucket.tags));
  const __m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16(static_cast<int16_t>(tag)));
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())));
#else
  uint32_t found = 0;
  for (uint32_t slot = 0; slot < bucket_slots; ++slot)
    found |= static_cast<uint32_t>(bucket.tags[slot] == tag) << slot;
  return found;
#endif
}

bool ExactCache::same_key(const ExactEntry& entry, const FlowKey& key) noexcept {
  uint64_t difference = 0;
  for (uint32_t word = 0; word < exact_key_bytes_v4 / 8; ++word)
    difference |= hash_detail::load_word(entry.key, word) ^ hash_detail::load_word(&key, word);
  if (difference != 0) return false;
  if (!has_long_key(key)) [[likely]]
    return true;
  return memcmp(&entry.ipv6_src, &key.ipv6_src, exact_key_bytes - exact_key_bytes_v4) == 0;
}

inline ExactEntry* ExactCache::find_in(const Bucket& bucket, const FlowKey& key,
                                       uint16_t tag) noexcept {
  for (uint32_t found = matches(bucket, tag); found != 0; found &= found - 1) {
    ExactEntry& entry = entries_[bucket.entries[__builtin_ctz(found)] - 1];
    if (same_key(entry, key)) return &entry;
  }
  return nullptr;
}

ExactEntry* ExactCache::find(const FlowKey& key, const Place& place) noexcept {
  ExactEntry* entry = find_in(buckets_[place.bucket], key, place.tag);
  if (entry != nullptr || !buckets_[place.bucket].overflowed) return entry;
  return find_in(buckets_[place.other], key, place.tag);
}

uint32_t ExactCache::lookup(const FlowKey* keys, uint32_t count, ExactEntry** entries,
                            uint64_t* hashes) noexcept {
  DP_DASSERT(count <= batch_max);
  const auto hash_stage = [&](uint32_t i) {
    hashes[i] = hash_exact_key(keys[i], header_->secret);
    prefetch_read(&buckets_[static_cast<uint32_t>(hashes[i]) & bucket_mask_]);
  };
  const auto tag_stage = [&](uint32_t i) {
    const Place place = place_of(hashes[i]);
    const Bucket& bucket = buckets_[place.bucket];
    const uint32_t found = matches(bucket, place.tag);
    if (found == 0) {
      if (bucket.overflowed) prefetch_read(&buckets_[place.other]);
      return;
    }
    const ExactEntry& entry = entries_[bucket.entries[__builtin_ctz(found)] - 1];
    prefetch_write(&entry);
    if (has_long_key(keys[i])) prefetch_read(&entry.ipv6_src);
  };
  uint32_t hits = 0;
  const auto verify_stage = [&](uint32_t i) {
    entries[i] = find(keys[i], place_of(hashes[i]));
    hits += entries[i] != nullptr;
  };
  for (uint32_t i = 0; i < std::min(distance, count); ++i) hash_stage(i);
  for (uint32_t i = 0; i < std::min(distance, count); ++i) {
    if (i + distance < count) hash_stage(i + distance);
    tag_stage(i);
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (i + 2 * distance < count) hash_stage(i + 2 * distance);
    if (i + distance < count) tag_stage(i + distance);
    verify_stage(i);
  }
  return hits;
}

void ExactCache::flush(ExactEntry& entry) noexcept {
  sink_.flush(entry);
  entry.packets = 0;
  entry.bytes = 0;
}

void ExactCache::retarget(ExactEntry& entry, const ExactTarget& target) noexcept {
  entry.flow = target.flow;
  entry.generation_flags = (target.generation & 0xffffffu) | uint32_t{target.flags} << 24;
  entry.ct_state = target.ct_state;
  entry.connection = target.connection;
  entry.connection_generation = target.connection_generation;
  entry.decision = target.decision;
}

ExactEntry& ExactCache::insert(const FlowKey& key, uint64_t hash, const ExactTarget& target,
                               uint64_t now_ms) noexcept {
  const Place place = place_of(hash);
  if (ExactEntry* entry = find(key, place)) {
    if (entry->packets != 0) flush(*entry);
    retarget(*entry, target);
    return *entry;
  }
  uint32_t number = take_entry();
  if (number == 0) {
    evict(place);
    number = take_entry();
  }
  Slot slot = take_slot(place, number);
  if (!slot.taken) {
    if (!make_room(place.bucket) && !make_room(place.other)) evict(place);
    slot = take_slot(place, number);
    DP_ASSERT(slot.taken);
  }
  ExactEntry& entry = entries_[number - 1];
  memset(static_cast<void*>(&entry), 0, sizeof entry);
  memcpy(entry.key, &key, sizeof entry.key);
  entry.key[ct_state_offset] = 0;
  if (has_long_key(key)) {
    entry.ipv6_src = key.ipv6_src;
    entry.ipv6_dst = key.ipv6_dst;
  }
  entry.bucket = slot.bucket;
  entry.in_second = slot.second;
  entry.live = 1;
  entry.used_ms = now_ms;
  entry.created_ms = static_cast<uint32_t>(now_ms);
  retarget(entry, target);
  return entry;
}

// Number of an entry that is nobody's; 0: all are in use.
uint32_t ExactCache::take_entry() noexcept {
  Header& header = *header_;
  uint32_t number = header.free_head;
  if (number != 0) {
    header.free_head = entries_[number - 1].bucket;
  } else if (header.fresh < entry_count_) {
    number = ++header.fresh;
  } else {
    return 0;
  }
  ++header.live_count;
  return number;
}

// A free slot of either bucket; the first counts the entries that it sent to the second.
ExactCache::Slot ExactCache::take_slot(const Place& place, uint32_t number) noexcept {
  for (const uint32_t candidate : {place.bucket, place.other}) {
    Bucket& chosen = buckets_[candidate];
    for (uint32_t slot = 0; slot < bucket_slots; ++slot) {
      if (chosen.entries[slot] != 0) continue;
      chosen.tags[slot] = place.tag;
      chosen.entries[slot] = number;
      chosen.ages[slot] = static_cast<uint8_t>(header_->tick - new_age);
      const bool second = candidate != place.bucket;
      if (second && buckets_[place.bucket].overflowed < overflowed_many)
        ++buckets_[place.bucket].overflowed;
      return {true, second, candidate};
    }
  }
  return {};
}

// Moves one entry of a full bucket to its other bucket, if one of them has room there.
bool ExactCache::make_room(uint32_t full) noexcept {
  Bucket& from = buckets_[full];
  for (uint32_t slot = 0; slot < bucket_slots; ++slot) {
    const uint32_t other = other_bucket(full, from.tags[slot]);
    Bucket& to = buckets_[other];
    const uint32_t* free = std::find(to.entries, to.entries + bucket_slots, 0u);
    if (free == to.entries + bucket_slots) continue;
    const size_t place = static_cast<size_t>(free - to.entries);
    ExactEntry& entry = entries_[from.entries[slot] - 1];
    to.tags[place] = std::exchange(from.tags[slot], uint16_t{0});
    to.entries[place] = std::exchange(from.entries[slot], 0u);
    to.ages[place] = from.ages[slot];
    entry.bucket = other;
    entry.in_second = !entry.in_second;
    if (entry.in_second && from.overflowed < overflowed_many) ++from.overflowed;
    if (!entry.in_second && to.overflowed < overflowed_many) --to.overflowed;
    return true;
  }
  return false;
}

// Rounds since `tick`, saturating below 255 by the sweep's care (see refresh_age).
uint8_t ExactCache::age_of(uint8_t tick) const noexcept {
  return static_cast<uint8_t>(header_->tick - tick);
}

// Throws out the oldest entry of the two buckets; with none there (the pool is empty, the buckets
// are too), one that the sweep would look at next. Ties go to the one with fewer packets.
void ExactCache::evict(const Place& place) noexcept {
  ExactEntry* victim = nullptr;
  uint32_t oldest = 0;
  for (const uint32_t candidate : {place.bucket, place.other}) {
    const Bucket& bucket = buckets_[candidate];
    for (uint32_t slot = 0; slot < bucket_slots; ++slot) {
      if (bucket.entries[slot] == 0) continue;
      ExactEntry& entry = entries_[bucket.entries[slot] - 1];
      const uint32_t age = age_of(bucket.ages[slot]);
      if (victim == nullptr || age > oldest || (age == oldest && entry.packets < victim->packets)) {
        victim = &entry;
        oldest = age;
      }
    }
  }
  if (victim == nullptr) return evict_any();
  ++header_->evictions;
  remove(*victim);
}

// All entries are in use here, so the hand stands on a live one.
void ExactCache::evict_any() noexcept {
  Header& header = *header_;
  for (uint32_t tries = 0; tries < entry_count_; ++tries) {
    const uint32_t index = header.sweep_next & (entry_count_ - 1);
    header.sweep_next = index + 1;
    ExactEntry& entry = entries_[index];
    if (entry.live == 0) continue;
    ++header.evictions;
    return remove(entry);
  }
}

void ExactCache::remove(ExactEntry& entry) noexcept {
  DP_DASSERT(entry.live != 0);
  if (entry.packets != 0) flush(entry);
  const uint32_t number = number_of(entry);
  Bucket& bucket = buckets_[entry.bucket];
  for (uint32_t slot = 0; slot < bucket_slots; ++slot) {
    if (bucket.entries[slot] != number) continue;
    uint8_t& overflowed = buckets_[other_bucket(entry.bucket, bucket.tags[slot])].overflowed;
    if (entry.in_second && overflowed < overflowed_many) --overflowed;
    bucket.tags[slot] = 0;
    bucket.entries[slot] = 0;
    break;
  }
  entry.live = 0;
  entry.bucket = header_->free_head;
  header_->free_head = number;
  --header_->live_count;
}

void ExactCache::clear() noexcept {
  for (uint32_t index = 0; index < header_->fresh; ++index)
    if (entries_[index].live != 0) remove(entries_[index]);
  // Now even a bucket that lost count has no entry elsewhere.
  for (uint32_t bucket = 0; bucket <= bucket_mask_; ++bucket)
    if (buckets_[bucket].overflowed) buckets_[bucket].overflowed = 0;
}

// Used entries get the present tick; idle ones stop at 200 rounds, before the byte wraps.
void ExactCache::refresh_age(const ExactEntry& entry, uint32_t number) noexcept {
  Bucket& bucket = buckets_[entry.bucket];
  for (uint32_t slot = 0; slot < bucket_slots; ++slot) {
    if (bucket.entries[slot] != number) continue;
    const uint32_t age_max = 200;
    if (entry.packets != 0) {
      bucket.ages[slot] = static_cast<uint8_t>(header_->tick);
    } else if (age_of(bucket.ages[slot]) > age_max) {
      bucket.ages[slot] = static_cast<uint8_t>(header_->tick - age_max);
    }
    return;
  }
}

uint32_t ExactCache::sweep(uint32_t budget, uint64_t now_ms) noexcept {
  Header& header = *header_;
  uint32_t removed = 0;
  // Never twice round in one call: what the first round flushed would look idle to the second.
  for (budget = std::min(budget, header.fresh); budget > 0; --budget) {
    if (header.sweep_next >= header.fresh) {
      header.sweep_next = 0;
      ++header.tick;
    }
    const uint32_t index = header.sweep_next++;
    if (index + 8 < header.fresh) {
      prefetch_read(&entries_[index + 8]);
      prefetch_read(&entries_[index + 8].ipv6_src);
    }
    ExactEntry& entry = entries_[index];
    if (entry.live == 0) continue;
    if (entry.packets != 0) entry.used_ms = now_ms;
    refresh_age(entry, index + 1);
    if (entry.packets != 0) flush(entry);
    if (sink_.keep(entry)) continue;
    remove(entry);
    ++removed;
  }
  return removed;
}

ExactEntry* ExactCache::at(uint32_t number) noexcept {
  if (number == 0 || number > header_->fresh) return nullptr;
  ExactEntry& entry = entries_[number - 1];
  return entry.live != 0 ? &entry : nullptr;
}

}  // namespace vtep
