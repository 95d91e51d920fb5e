// flow/exact_cache.cpp — entries, their ages, and the pipelined lookup of a burst.
//
// Why:    three stages run at fixed distances in one loop: hash and prefetch the bucket, compare
//         tags and prefetch the entry, verify. Sixteen lines in flight keep the fill buffers of one
//         core busy without dropping prefetches; whole-burst passes of 256 did worse.
#include "flow/exact_cache.h"

#include <algorithm>

#include "base/assert.h"

namespace vtep {

namespace {

constexpr uint32_t cache_magic = 0x43584556;  // "VEXC"
constexpr size_t header_bytes = 256;
// Age of a new entry, in rounds of the sweep: whatever was used in the last two is kept before it.
constexpr uint32_t new_age = 3;
// Older than all that could not be told apart in a byte from what is new.
constexpr uint32_t oldest_age = 200;
constexpr uint32_t distance = 16;  // packets between two stages of the lookup

void prefetch_write(const void* line) noexcept { __builtin_prefetch(line, 1); }
void prefetch_read(const void* line) noexcept { __builtin_prefetch(line, 0); }

}  // namespace

size_t ExactCache::entries_offset(uint32_t entry_count) noexcept {
  return header_bytes + TagIndex::bytes_needed(entry_count);
}

size_t ExactCache::bytes_needed(uint32_t entry_count) noexcept {
  return entries_offset(entry_count) +
         size_t{entry_count} *
             (sizeof(ExactEntry) + sizeof(ExactSide) + sizeof(ExactLong) + sizeof(ExactTold));
}

ExactCache::ExactCache(std::span<std::byte> memory, uint32_t entry_count, const HashSecret& secret,
                       ExactSink& sink) noexcept
    : index_(memory.data() + header_bytes, entry_count), entry_count_(entry_count), sink_(sink) {
  DP_ASSERT(entry_count >= 8 && (entry_count & (entry_count - 1)) == 0);
  DP_ASSERT(memory.size() >= bytes_needed(entry_count));
  DP_ASSERT(reinterpret_cast<uintptr_t>(memory.data()) % cache_line_bytes == 0);
  header_ = reinterpret_cast<Header*>(memory.data());
  entries_ = reinterpret_cast<ExactEntry*>(memory.data() + entries_offset(entry_count));
  sides_ = reinterpret_cast<ExactSide*>(entries_ + entry_count);
  longs_ = reinterpret_cast<ExactLong*>(sides_ + entry_count);
  told_ = reinterpret_cast<ExactTold*>(longs_ + entry_count);
  DP_ASSERT(header_->magic == 0);
  header_->magic = cache_magic;
  header_->entry_count = entry_count;
  header_->secret = secret;
}

// Whether 48 bytes are the same, in three vector comparisons and one branch.
inline bool same_short_key(const void* a, const void* b) noexcept {
  using Vector = uint64_t __attribute__((vector_size(16)));
  Vector difference{};
  for (uint32_t at = 0; at < exact_key_bytes_v4; at += sizeof(Vector)) {
    Vector from_a;
    Vector from_b;
    memcpy(&from_a, static_cast<const uint8_t*>(a) + at, sizeof from_a);
    memcpy(&from_b, static_cast<const uint8_t*>(b) + at, sizeof from_b);
    difference |= from_a ^ from_b;
  }
  return (difference[0] | difference[1]) == 0;
}

bool ExactCache::same_key(const ExactEntry& entry, const FlowKey& key) const noexcept {
  if (!same_short_key(entry.key, &key)) return false;
  if (!has_long_key(key)) [[likely]]
    return true;
  return memcmp(&longs_[&entry - entries_], &key.ipv6_src, sizeof(ExactLong)) == 0;
}

inline ExactEntry* ExactCache::find(const FlowKey& key, uint64_t hash) noexcept {
  const uint32_t number = index_.find(
      hash, [&](uint32_t candidate) { return same_key(entries_[candidate - 1], key); });
  return number == 0 ? nullptr : &entries_[number - 1];
}

uint32_t ExactCache::lookup(const FlowKey* keys, uint32_t count, ExactEntry** entries,
                            uint64_t* hashes) noexcept {
  DP_DASSERT(count <= batch_max);
  // Copies, which the stores below cannot change as far as the compiler knows.
  const TagIndex index = index_;
  const HashSecret secret = header_->secret;
  ExactEntry* const table = entries_;
  const auto hash_stage = [&](uint32_t i) {
    hashes[i] = hash_exact_key(keys[i], secret);
    index.prefetch(hashes[i]);
  };
  const auto tag_stage = [&](uint32_t i) {
    const uint32_t number = index.guess(hashes[i]);
    entries[i] = nullptr;
    if (number == 0) return;
    entries[i] = &table[number - 1];
    prefetch_write(entries[i]);
    if (has_long_key(keys[i])) prefetch_read(&longs_[number - 1]);
  };
  uint32_t hits = 0;
  const auto verify_stage = [&](uint32_t i) {
    if (entries[i] == nullptr || !same_key(*entries[i], keys[i])) [[unlikely]]
      entries[i] = find(keys[i], hashes[i]);
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
  ExactSide& side = sides_[&entry - entries_];
  side.packets += entry.packets;
  side.bytes += entry.bytes;
  sink_.flush(entry, side);
  entry.packets = 0;
  entry.bytes = 0;
}

void ExactCache::retarget(ExactEntry& entry, const ExactTarget& target) noexcept {
  ExactSide& side = sides_[&entry - entries_];
  entry.flow.store(target.flow, std::memory_order_relaxed);
  entry.generation_flags =
      (target.generation & 0xffffffu) | uint32_t{target.flags} << 24 | uint32_t{exact_live} << 24;
  side.connection = target.connection;
  side.connection_generation = target.connection_generation;
  side.flow = target.flow;
  side.decision = target.decision;
  if (tells_) told(entry).ct_state = target.ct_state;
}

void ExactCache::begin(ExactEntry& entry, uint64_t now_ms) noexcept {
  ExactSide& side = sides_[&entry - entries_];
  side.used_ms = side.created_ms = static_cast<uint32_t>(now_ms);
  side.packets = side.bytes = 0;
  if (tells_) told_[&entry - entries_] = {0, 0, side.created_ms, 0, epoch_, {}};
}

ExactTold& ExactCache::told(const ExactEntry& entry) noexcept {
  ExactTold& told = told_[&entry - entries_];
  if (told.epoch != epoch_) told = {0, 0, side_of(entry).created_ms, 0, epoch_, {}};
  return told;
}

// What an entry has counted is told of as what it was, before it becomes another's: of another
// connection, or of a flow that another rule decided. One that rests has been told of.
void ExactCache::follow(ExactEntry& entry, const ExactTarget& target, uint64_t now_ms) noexcept {
  ExactSide& side = sides_[&entry - entries_];
  if (entry.packets != 0) flush(entry);
  const bool same = side.connection == target.connection &&
                    side.connection_generation == target.connection_generation;
  // The first packet of a connection has none yet, and an entry that it made neither.
  const bool other = side.connection != 0 && !same;
  if (other) tell(entry, FlowEnd::End, true, now_ms);
  if (other || (entry.flags() & exact_rests) != 0) return begin(entry, now_ms);
  const bool decided_anew = side.flow != 0 && target.flow != 0 && side.decision != target.decision;
  if (decided_anew) tell(entry, FlowEnd::Forced, true, now_ms);
}

ExactEntry& ExactCache::insert(const FlowKey& asked, uint64_t hash, const ExactTarget& target,
                               uint64_t now_ms) noexcept {
  FlowKey key = asked;
  key.ct_state = 0;  // an answer of later stages, not a question
  ExactEntry* entry = find(key, hash);
  if (entry == nullptr) return make(key, hash, target, now_ms);
  follow(*entry, target, now_ms);
  retarget(*entry, target);
  return *entry;
}

ExactEntry& ExactCache::note(const FlowKey& asked, uint64_t hash, const ExactTarget& target,
                             uint64_t now_ms) noexcept {
  FlowKey key = asked;
  key.ct_state = 0;
  ExactEntry* entry = find(key, hash);
  if (entry == nullptr) return make(key, hash, target, now_ms);
  ExactSide& side = sides_[entry - entries_];
  const bool rests = (entry->flags() & exact_rests) != 0;
  const bool same = side.connection == target.connection &&
                    side.connection_generation == target.connection_generation;
  // An answer to a question is of whatever connection the entry is; who asked had no number.
  const bool unnamed = target.connection == 0 && (target.ct_state & ct_est) != 0;
  if (rests || (!same && !unnamed)) {
    follow(*entry, target, now_ms);
    retarget(*entry, target);
  }
  side.used_ms = static_cast<uint32_t>(now_ms);
  return *entry;
}

ExactEntry* ExactCache::entry_of(const FlowKey& asked) noexcept {
  FlowKey key = asked;
  key.ct_state = 0;
  return find(key, hash_exact_key(key, header_->secret));
}

// Of a key without ct_state that has no entry.
ExactEntry& ExactCache::make(const FlowKey& key, uint64_t hash, const ExactTarget& target,
                             uint64_t now_ms) noexcept {
  uint32_t number = take_entry();
  if (number == 0) {
    evict(hash);
    number = take_entry();
  }
  place(hash, number);
  ExactEntry& entry = entries_[number - 1];
  memcpy(entry.key, &key, sizeof entry.key);
  entry.packets = 0;
  entry.bytes = 0;
  if (has_long_key(key)) longs_[number - 1] = {key.ipv6_src, key.ipv6_dst};
  begin(entry, now_ms);
  retarget(entry, target);
  return entry;
}

// Number of an entry that is nobody's; 0: all are in use.
uint32_t ExactCache::take_entry() noexcept {
  Header& header = *header_;
  uint32_t number = header.free_head;
  if (number != 0) {
    header.free_head = sides_[number - 1].next_free;
  } else if (header.fresh < entry_count_) {
    number = ++header.fresh;
  } else {
    return 0;
  }
  ++header.live_count;
  return number;
}

// Into the index; what is oldest there goes if there is no room.
void ExactCache::place(uint64_t hash, uint32_t number) noexcept {
  TagIndex::Slot slot = index_.insert(hash, number);
  if (!slot.found()) [[unlikely]] {
    evict(hash);
    slot = index_.insert(hash, number);
    DP_ASSERT(slot.found());
  }
  index_.note(slot) = static_cast<uint8_t>(header_->tick - new_age);
}

// Throws out the oldest entry of the two buckets; with none there (the pool is empty, the buckets
// are too), one that the sweep would look at next. Ties go to the one with fewer packets.
void ExactCache::evict(uint64_t hash) noexcept {
  const TagIndex::Place place = index_.place_of(hash);
  ExactEntry* victim = nullptr;
  uint32_t oldest = 0;
  for (const uint32_t bucket : {place.first, place.other}) {
    for (uint32_t at = 0; at < TagIndex::bucket_slots; ++at) {
      const TagIndex::Slot slot{bucket, at};
      if (index_.number(slot) == 0) continue;
      ExactEntry& entry = entries_[index_.number(slot) - 1];
      const uint32_t age = static_cast<uint8_t>(header_->tick - index_.note(slot));
      if (victim == nullptr || age > oldest || (age == oldest && entry.packets < victim->packets)) {
        victim = &entry;
        oldest = age;
      }
    }
  }
  if (victim == nullptr) return evict_any();
  ++header_->evictions;
  remove(*victim, FlowEnd::Evicted);
}

// All entries are in use here, so the hand stands on a live one.
void ExactCache::evict_any() noexcept {
  Header& header = *header_;
  for (uint32_t tries = 0; tries < entry_count_; ++tries) {
    const uint32_t index = header.sweep_next & (entry_count_ - 1);
    header.sweep_next = index + 1;
    ExactEntry& entry = entries_[index];
    if (!entry.live()) continue;
    ++header.evictions;
    return remove(entry, FlowEnd::Evicted);
  }
}

FlowKey ExactCache::key_of(const ExactEntry& entry) const noexcept {
  FlowKey key{};
  memcpy(static_cast<void*>(&key), entry.key, sizeof entry.key);
  if (has_long_key(key)) memcpy(&key.ipv6_src, &longs_[&entry - entries_], sizeof(ExactLong));
  return key;
}

// The hash of the key that the entry was made of.
uint64_t ExactCache::hash_of(const ExactEntry& entry) const noexcept {
  FlowKey key;
  memcpy(static_cast<void*>(&key), entry.key, sizeof entry.key);
  if (has_long_key(key)) memcpy(&key.ipv6_src, &longs_[&entry - entries_], sizeof(ExactLong));
  return hash_exact_key(key, header_->secret);
}

void ExactCache::remove(ExactEntry& entry, FlowEnd why) noexcept {
  DP_DASSERT(entry.live());
  if (entry.packets != 0) flush(entry);
  tell(entry, why, true, 0);
  const uint32_t number = number_of(entry);
  index_.erase(index_.slot_of(index_.place_of(hash_of(entry)), number));
  entry.generation_flags = 0;
  sides_[number - 1].next_free = header_->free_head;
  header_->free_head = number;
  --header_->live_count;
}

void ExactCache::clear() noexcept {
  for (uint32_t index = 0; index < header_->fresh; ++index) {
    ExactEntry& entry = entries_[index];
    if (entry.live() && entry.packets != 0) flush(entry);
    if (entry.live()) tell(entry, FlowEnd::Forced, true, 0);
    entry.generation_flags = 0;
  }
  index_.clear();
  header_->fresh = header_->free_head = header_->live_count = header_->sweep_next = 0;
}

// What was not told of yet, if there is any. False: it is not told of now.
bool ExactCache::tell(const ExactEntry& entry, FlowEnd why, bool last_chance,
                      uint64_t now_ms) noexcept {
  if (!tells_) return true;
  const ExactSide& side = side_of(entry);
  ExactTold& known = told(entry);
  if (side.packets == known.packets) return true;
  if (!sink_.tell(entry, side, known, {why, last_chance}) && !last_chance) return false;
  known.packets = side.packets;
  known.bytes = side.bytes;
  known.since_ms = static_cast<uint32_t>(now_ms);
  return true;
}

// Notes how old it is, in rounds of the sweep.
void ExactCache::date(const ExactEntry& entry, uint32_t age) noexcept {
  index_.note(index_.slot_of(index_.place_of(hash_of(entry)), number_of(entry))) =
      static_cast<uint8_t>(header_->tick - age);
}

// Flushes and dates what was used; whether it may stay. What cannot be told of now does.
bool ExactCache::sweep_one(ExactEntry& entry, uint64_t now_ms) noexcept {
  ExactSide& side = sides_[&entry - entries_];
  if (entry.packets != 0) {
    side.used_ms = static_cast<uint32_t>(now_ms);
    date(entry, 0);
    flush(entry);
  }
  const ExactVerdict verdict = sink_.keep(entry, side);
  if (verdict.tell != FlowEnd::None && !tell(entry, verdict.tell, false, now_ms)) return true;
  if (verdict.fate == ExactFate::Rests) rest(entry, now_ms);
  return verdict.fate != ExactFate::Goes;
}

// Ages are bytes: who rests for long is held at the oldest that there is.
void ExactCache::rest(ExactEntry& entry, uint64_t now_ms) noexcept {
  entry.flow.store(0, std::memory_order_relaxed);
  entry.generation_flags |= uint32_t{exact_rests} << 24;
  const uint32_t idle_ms = static_cast<uint32_t>(now_ms) - sides_[&entry - entries_].used_ms;
  if (idle_ms >= oldest_age * round_ms_) date(entry, oldest_age);
}

bool ExactCache::end(uint32_t number) noexcept {
  ExactEntry& entry = entries_[number - 1];
  if (entry.packets != 0) flush(entry);
  if (!tell(entry, FlowEnd::End, false, side_of(entry).used_ms)) return false;
  rest(entry, side_of(entry).used_ms);
  return true;
}

// The second of two stages: the entry is here, its bucket and its connection are fetched.
void ExactCache::foresee(uint32_t index) noexcept {
  const ExactEntry& entry = entries_[index];
  if (!entry.live()) return;
  if (entry.packets != 0) index_.prefetch(hash_of(entry));
  sink_.foresee(entry, sides_[index]);
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
    if (index + 16 < header.fresh) {
      prefetch_read(&entries_[index + 16]);
      prefetch_read(&sides_[index + 16]);
      if (tells_) prefetch_read(&told_[index + 16]);
    }
    if (index + 8 < header.fresh) foresee(index + 8);
    ExactEntry& entry = entries_[index];
    if (!entry.live() || sweep_one(entry, now_ms)) continue;
    remove(entry);
    ++removed;
  }
  return removed;
}

}  // namespace vtep
