// flow/tag_index.cpp — numbers that come, move and go; see tag_index.h.
#include "flow/tag_index.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace vtep {

namespace {

constexpr uint32_t full_slots = 5;  // of eight, when record_max numbers are in

uint32_t bucket_count_of(uint32_t record_max) noexcept {
  const uint32_t least = (record_max + full_slots - 1) / full_slots;
  return std::max((least + 1) & ~1u, 2u);
}

}  // namespace

size_t TagIndex::bytes_needed(uint32_t record_max) noexcept {
  return size_t{bucket_count_of(record_max)} * sizeof(Bucket);
}

TagIndex::TagIndex(std::byte* memory, uint32_t record_max) noexcept
    : buckets_(reinterpret_cast<Bucket*>(memory)), bucket_count_(bucket_count_of(record_max)) {
  DP_ASSERT(reinterpret_cast<uintptr_t>(memory) % cache_line_bytes == 0);
}

TagIndex::Slot TagIndex::insert(uint64_t hash, uint32_t number) noexcept {
  const Place place = place_of(hash);
  const Resident resident{number, place.tag, 0};
  if (has_room(place.first) || (!has_room(place.other) && make_room(place.first)))
    return put(place.first, resident, false);
  if (has_room(place.other) || make_room(place.other)) return put(place.other, resident, true);
  return {};
}

// Into a free slot. `second`: the bucket is not the one that the hash came to first, which counts
// what it sent on.
TagIndex::Slot TagIndex::put(uint32_t bucket, const Resident& resident, bool second) noexcept {
  Bucket& chosen = buckets_[bucket];
  const auto at = static_cast<uint32_t>(__builtin_ctz(matches(chosen, 0)));
  chosen.tags[at] = resident.tag;
  chosen.numbers[at] = resident.number;
  chosen.notes[at] = resident.note;
  if (second) {
    chosen.second |= static_cast<uint8_t>(1u << at);
    uint8_t& overflowed = buckets_[other_bucket(bucket, resident.tag)].overflowed;
    if (overflowed < overflowed_many) ++overflowed;
  }
  return {bucket, at};
}

// Moves one number of a full bucket to its other bucket, if one of them has room there.
bool TagIndex::make_room(uint32_t full) noexcept {
  const Bucket& from = buckets_[full];
  for (uint32_t slot = 0; slot < bucket_slots; ++slot) {
    const Resident resident{from.numbers[slot], from.tags[slot], from.notes[slot]};
    const uint32_t other = other_bucket(full, resident.tag);
    if (!has_room(other)) continue;
    const bool second = (from.second >> slot & 1) != 0;
    erase({full, slot});
    put(other, resident, !second);
    return true;
  }
  return false;
}

TagIndex::Slot TagIndex::slot_of(const Place& place, uint32_t number) const noexcept {
  for (const uint32_t bucket : {place.first, place.other}) {
    const uint32_t* numbers = buckets_[bucket].numbers;
    const uint32_t* end = numbers + bucket_slots;
    const uint32_t* found = std::find(numbers, end, number);
    if (found != end) return {bucket, static_cast<uint32_t>(found - numbers)};
  }
  return {};
}

void TagIndex::erase(const Slot& slot) noexcept {
  Bucket& bucket = buckets_[slot.bucket];
  const auto bit = static_cast<uint8_t>(1u << slot.at);
  if ((bucket.second & bit) != 0) {
    uint8_t& overflowed = buckets_[other_bucket(slot.bucket, bucket.tags[slot.at])].overflowed;
    if (overflowed < overflowed_many) --overflowed;
    bucket.second &= static_cast<uint8_t>(~bit);
  }
  bucket.tags[slot.at] = 0;
  bucket.numbers[slot.at] = 0;
}

void TagIndex::clear() noexcept {
  memset(static_cast<void*>(buckets_), 0, size_t{bucket_count_} * sizeof(Bucket));
}

}  // namespace vtep
