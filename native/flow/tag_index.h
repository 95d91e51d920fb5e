// flow/tag_index.h — the buckets of a hash table: from a hash to the numbers of records kept
// elsewhere.
//
// Why:    exact entries and connections are found alike. A bucket is one cache line: eight tags to
//         compare at once, eight numbers. A question about a record that is not there reads one
//         line, and no record; one about a record that is there reads its line besides.
// Thread: as its owner says.
// Owner:  the caller owns the memory: bytes_needed() bytes, 64-aligned, zeroed.
// Limits: record_max numbers, from 1; nothing is allocated. insert() finds room as long as fewer
//         are in: 5 of 8 slots are used when all are, and what does not fit its two buckets moves
//         one that stands there. That it fails nevertheless is a matter of less than one in a
//         million tables with a keyed hash, and the owner must then throw something out.
//
// A hash has two buckets. A number goes into the first unless that is full, and a bucket counts
// those that it sent on: 95 of 100 questions read one bucket when the table is full, 98 at 4 of 8.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace vtep {

class TagIndex {
 public:
  static constexpr uint32_t bucket_slots = 8;

  // Where the number of a record may stand.
  struct Place {
    uint32_t first;  // bucket
    uint32_t other;  // bucket
    uint16_t tag;
  };
  // Where one stands.
  struct Slot {
    uint32_t bucket = 0;
    uint32_t at = bucket_slots;  // bucket_slots: nowhere
    bool found() const noexcept { return at != bucket_slots; }
  };

  static size_t bytes_needed(uint32_t record_max) noexcept;
  TagIndex() noexcept = default;  // none, until one is assigned
  TagIndex(std::byte* memory, uint32_t record_max) noexcept;

  Place place_of(uint64_t hash) const noexcept {
    const uint32_t first = bucket_of(hash);
    const uint16_t tag = tag_of(hash);
    return {first, other_bucket(first, tag), tag};
  }
  void prefetch(uint64_t hash) const noexcept { __builtin_prefetch(&buckets_[bucket_of(hash)]); }
  // The number that is most likely meant; 0: probably none. Reads the first bucket only, and
  // prefetches the second if it matters.
  uint32_t guess(uint64_t hash) const noexcept {
    const Bucket& bucket = buckets_[bucket_of(hash)];
    const uint32_t found = matches(bucket, tag_of(hash));
    if (found != 0) [[likely]]
      return bucket.numbers[__builtin_ctz(found)];
    if (bucket.overflowed != 0) __builtin_prefetch(&buckets_[place_of(hash).other]);
    return 0;
  }
  // The first number with the hash's tag for which same(number) holds; 0: none.
  template <typename Same>
  uint32_t find(uint64_t hash, Same&& same) const noexcept {
    const Bucket& bucket = buckets_[bucket_of(hash)];
    const uint16_t tag = tag_of(hash);
    const uint32_t number = find_in(bucket, tag, same);
    if (number != 0 || bucket.overflowed == 0) [[likely]]
      return number;
    return find_in(buckets_[place_of(hash).other], tag, same);
  }

  // Where it stands now; nowhere: no room, and none to be had by moving one.
  Slot insert(uint64_t hash, uint32_t number) noexcept;
  Slot slot_of(const Place& place, uint32_t number) const noexcept;
  void erase(const Slot& slot) noexcept;
  void clear() noexcept;

  // What stands in slot `at` of a bucket: 0 if nothing.
  uint32_t number(const Slot& slot) const noexcept {
    return buckets_[slot.bucket].numbers[slot.at];
  }
  // A byte of the owner's that goes with the number; 0 when it is inserted.
  uint8_t& note(const Slot& slot) noexcept { return buckets_[slot.bucket].notes[slot.at]; }

 private:
  static constexpr uint8_t overflowed_many = 255;  // lost count: stays

  struct alignas(cache_line_bytes) Bucket {
    uint16_t tags[bucket_slots];     // 0: free
    uint32_t numbers[bucket_slots];  // 0: free
    uint8_t notes[bucket_slots];
    uint8_t second;      // a bit per slot: this is the second bucket of what stands there
    uint8_t overflowed;  // numbers of this bucket that stand in their second
    uint8_t spare[6];
  };
  static_assert(sizeof(Bucket) == cache_line_bytes);

  static uint16_t tag_of(uint64_t hash) noexcept {
    const auto top = static_cast<uint16_t>(hash >> 48);
    return top == 0 ? 1 : top;
  }
  // Any number of buckets will do, so that a table costs what it holds: Lemire's multiplication
  // instead of a mask.
  uint32_t scale(uint32_t bits) const noexcept {
    return static_cast<uint32_t>(uint64_t{bits} * bucket_count_ >> 32);
  }
  uint32_t bucket_of(uint64_t hash) const noexcept { return scale(static_cast<uint32_t>(hash)); }
  // Its own inverse, and never the same: the two add up to an odd number modulo an even one.
  uint32_t other_bucket(uint32_t bucket, uint16_t tag) const noexcept {
    const uint32_t sum = scale(tag * 0x9e3779b1u) | 1;
    return sum >= bucket ? sum - bucket : sum + bucket_count_ - bucket;
  }
  // A bit per slot whose tag is `tag`.
  static uint32_t matches(const Bucket& bucket, uint16_t tag) noexcept {
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
  template <typename Same>
  static uint32_t find_in(const Bucket& bucket, uint16_t tag, Same& same) noexcept {
    for (uint32_t found = matches(bucket, tag); found != 0; found &= found - 1) {
      const uint32_t number = bucket.numbers[__builtin_ctz(found)];
      if (same(number)) return number;
    }
    return 0;
  }
  bool has_room(uint32_t bucket) const noexcept { return matches(buckets_[bucket], 0) != 0; }
  struct Resident {
    uint32_t number;
    uint16_t tag;
    uint8_t note;
  };
  Slot put(uint32_t bucket, const Resident& resident, bool second) noexcept;
  bool make_room(uint32_t full) noexcept;

  Bucket* buckets_ = nullptr;
  uint32_t bucket_count_ = 0;  // even
};

}  // namespace vtep
