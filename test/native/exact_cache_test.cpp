// test/native/exact_cache_test.cpp — the exact cache against a map, when full, and under attack.
#include "flow/exact_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "table_memory.h"

namespace vtep {
namespace {

// Flow, packets and bytes of an entry that went.
struct End {
  uint32_t flow;
  uint64_t packets, bytes;
  bool operator==(const End&) const = default;
};

// Keeps every flushed count by flow slot, and removes the flows that the test names.
struct Sink final : ExactSink {
  void flush(const ExactEntry& entry, const ExactSide& side) noexcept override {
    packets[entry.slot()] += entry.packets;
    bytes[entry.slot()] += entry.bytes;
    used_ms = side.used_ms;
  }
  ExactVerdict keep(const ExactEntry& entry, const ExactSide&) noexcept override {
    if (entry.slot() == resting || entry.slot() == 0) return {ExactFate::Rests, FlowEnd::Idle};
    if (entry.slot() == unwanted) return {ExactFate::Goes, FlowEnd::Forced};
    return {ExactFate::Stays, due};
  }
  void foresee(const ExactEntry& entry, const ExactSide&) noexcept override {
    foreseen += entry.live();
  }
  std::map<uint32_t, uint64_t> packets, bytes;
  bool tell(const ExactEntry&, const ExactSide& side, const ExactTold& told,
            Telling telling) noexcept override {
    if (full && !telling.last_chance) return false;
    ends.push_back({side.flow, side.packets - told.packets, side.bytes - told.bytes});
    reasons.push_back(telling.why);
    return true;
  }
  std::vector<FlowEnd> reasons;  // of `ends`
  bool full = false;             // nothing can be told of now
  FlowEnd due = FlowEnd::None;   // what keep() wants told of all that stays
  std::vector<End> ends;
  uint64_t used_ms = 0;
  uint32_t unwanted = ~0u;
  uint32_t resting = ~0u;  // flow whose entries are idle, and of connections
  uint64_t foreseen = 0;
};

struct Cache {
  explicit Cache(uint32_t entries, uint64_t seed = 1)
      : memory(ExactCache::bytes_needed(entries)),
        table(memory.span(), entries, HashSecret::from_seed(seed), sink) {
    table.tell_ends(true, 8000);
  }
  ExactEntry* find(const FlowKey& key) {
    ExactEntry* entry = nullptr;
    uint64_t hash = 0;
    table.lookup(&key, 1, &entry, &hash);
    return entry;
  }
  ExactEntry& insert(const FlowKey& key, uint32_t flow, uint64_t now_ms = 0) {
    return table.insert(key, hash_exact_key(key, table.secret()), {flow, 1}, now_ms);
  }
  Sink sink;
  TableMemory memory;
  ExactCache table;
};

TEST(ExactCache, finds_what_was_inserted_with_its_flow_and_nothing_else) {
  Cache cache(64);
  const FlowKey key = numbered_key(1);
  EXPECT_EQ(cache.find(key), nullptr);
  const ExactTarget target{42, 0x12345678, exact_watch_tcp, 9, 3};
  cache.table.insert(key, hash_exact_key(key, cache.table.secret()), target, 5000);
  ExactEntry* entry = cache.find(key);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->slot(), 42u);
  EXPECT_TRUE(entry->current(0x12345678));
  EXPECT_FALSE(entry->current(0x12345679));
  EXPECT_EQ(entry->flags() & exact_watch_tcp, exact_watch_tcp);
  const ExactSide& side = cache.table.side_of(*entry);
  EXPECT_EQ(side.connection, 9u);
  EXPECT_EQ(side.connection_generation, 3u);
  EXPECT_EQ(side.used_ms, 5000u);
  cache.table.kill(cache.table.number_of(*entry));
  EXPECT_EQ(cache.find(key), entry);  // still there, but of no flow
  EXPECT_EQ(entry->slot(), 0u);
}

TEST(ExactCache, keeps_what_an_entry_carried_for_the_one_who_is_told_of_its_end) {
  Cache cache(64);
  const FlowKey key = numbered_key(1, true);
  ExactEntry& entry = cache.insert(key, 7, 1000);
  cache.table.count(entry, 2, 300);
  cache.table.sweep(64, 2000);
  cache.insert(key, 8, 3000);  // another flow carries it now
  cache.table.count(entry, 3, 400);
  const ExactSide& side = cache.table.side_of(entry);
  EXPECT_EQ(side.packets, 2u);
  EXPECT_EQ(side.bytes, 300u);
  EXPECT_EQ(side.created_ms, 1000u);
  EXPECT_TRUE(cache.table.key_of(entry) == key);
  EXPECT_EQ(cache.table.entry_at(0), &entry);
  EXPECT_EQ(cache.table.entry_at(1), nullptr);
  cache.table.kill(1);
  cache.table.remove(entry);
  EXPECT_EQ(cache.sink.ends, (std::vector<End>{{8, 5, 700}}));
  EXPECT_EQ(cache.table.entry_at(0), nullptr);
  EXPECT_EQ(cache.table.entry_at(~0u), nullptr);
  cache.insert(key, 9, 4000);
  cache.table.clear();
  EXPECT_EQ(cache.sink.ends.size(), 1u);  // it had carried nothing
}

TEST(ExactCache, tells_of_each_packet_once_however_often_it_tells) {
  Cache cache(64);
  const FlowKey key = numbered_key(1);
  ExactEntry& entry = cache.insert(key, 7, 1000);
  cache.sink.due = FlowEnd::Active;
  cache.table.count(entry, 2, 300);
  cache.table.sweep(64, 2000);
  cache.table.sweep(64, 3000);  // nothing came
  cache.table.count(entry, 1, 100);
  cache.sink.full = true;
  cache.table.sweep(64, 4000);
  cache.table.count(entry, 1, 50);
  cache.sink.full = false;
  cache.table.sweep(64, 5000);
  EXPECT_EQ(cache.table.told_of(entry).since_ms, 5000u);
  cache.table.count(entry, 4, 40);
  cache.table.remove(entry);
  EXPECT_EQ(cache.sink.ends, (std::vector<End>{{7, 2, 300}, {7, 2, 150}, {7, 4, 40}}));
  using enum FlowEnd;
  EXPECT_EQ(cache.sink.reasons, (std::vector<FlowEnd>{Active, Active, Forced}));
}

TEST(ExactCache, what_cannot_be_told_of_now_does_not_go) {
  Cache cache(64);
  cache.table.count(cache.insert(numbered_key(1), 7, 1000), 2, 300);
  cache.sink.unwanted = 7;
  cache.sink.full = true;
  cache.table.sweep(64, 2000);
  EXPECT_EQ(cache.table.size(), 1u);
  cache.sink.full = false;
  EXPECT_EQ(cache.table.sweep(64, 3000), 1u);
  EXPECT_EQ(cache.sink.ends, (std::vector<End>{{7, 2, 300}}));
}

TEST(ExactCache, notes_the_packets_of_a_connection_until_it_ends_and_begins_the_next_anew) {
  Cache cache(64);
  const FlowKey key = numbered_key(1);
  const uint64_t hash = hash_exact_key(key, cache.table.secret());
  ExactTarget target{0, 0};
  target.ct_state = ct_tracked | ct_new;
  ExactEntry& entry = cache.table.note(key, hash, target, 1000);
  cache.table.count(entry, 1, 60);
  EXPECT_EQ(entry.slot(), 0u);  // no packet hits it
  cache.table.tie(entry, 5, 1);
  target = {8, 1, exact_watch_tcp, 5, 1, 3, ct_tracked | ct_est};
  EXPECT_EQ(&cache.table.insert(key, hash, target, 1500), &entry);
  cache.table.count(entry, 2, 200);
  target.flow = 0;  // a FIN
  EXPECT_EQ(&cache.table.note(key, hash, target, 2000), &entry);
  cache.table.count(entry, 1, 54);
  EXPECT_EQ(entry.slot(), 8u);
  EXPECT_TRUE(cache.sink.ends.empty());
  EXPECT_TRUE(cache.table.end(cache.table.number_of(entry)));
  EXPECT_EQ(cache.sink.ends, (std::vector<End>{{8, 4, 314}}));
  EXPECT_EQ(entry.slot(), 0u);
  // A late one is told of with the next connection's first.
  cache.table.count(cache.table.note(key, hash, target, 2500), 1, 54);
  target = {0, 0, 0, 0, 0, 3, ct_tracked | ct_new};
  cache.table.count(cache.table.note(key, hash, target, 3000), 1, 60);
  ASSERT_EQ(cache.sink.ends.size(), 2u);
  EXPECT_EQ(cache.sink.ends[1].packets, 1u);
  EXPECT_EQ(cache.table.side_of(entry).created_ms, 3000u);
  // And what another rule decides is told of apart.
  cache.table.insert(key, hash, {8, 1, 0, 6, 1, 3, ct_est}, 3000);
  cache.table.insert(key, hash, {9, 1, 0, 6, 1, 4, ct_est}, 3000);
  ASSERT_EQ(cache.sink.ends.size(), 3u);
  using enum FlowEnd;
  EXPECT_EQ(cache.sink.reasons, (std::vector<FlowEnd>{End, End, Forced}));
}

TEST(ExactCache, every_bit_of_the_compared_bytes_tells_keys_apart) {
  for (const bool ipv6 : {false, true}) {
    Cache cache(4096);
    const FlowKey key = numbered_key(3, ipv6);
    cache.insert(key, 1);
    const uint32_t compared = ipv6 ? exact_key_bytes : exact_key_bytes_v4;
    for (uint32_t bit = 0; bit < compared * 8; ++bit) {
      // The EtherType decides how much is compared; the state of the connection is no question.
      if (bit / 8 == offsetof(FlowKey, ct_state)) continue;
      FlowKey other = key;
      reinterpret_cast<uint8_t*>(&other)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      EXPECT_EQ(cache.find(other), nullptr) << bit;
    }
    EXPECT_NE(cache.find(key), nullptr);
  }
}

TEST(ExactCache, inserting_a_key_again_changes_its_flow_and_flushes_the_old_one) {
  Cache cache(64);
  const FlowKey key = numbered_key(1);
  cache.table.count(cache.insert(key, 10), 3, 300);
  ExactEntry& again = cache.insert(key, 11);
  EXPECT_EQ(cache.table.size(), 1u);
  EXPECT_EQ(again.slot(), 11u);
  EXPECT_EQ(again.packets, 0u);
  EXPECT_EQ(cache.sink.packets[10], 3u);
  EXPECT_EQ(cache.sink.bytes[10], 300u);
}

TEST(ExactCache, the_state_of_the_connection_is_no_part_of_the_key) {
  Cache cache(64);
  FlowKey key = numbered_key(1);
  const uint64_t hash = hash_exact_key(key, cache.table.secret());
  key.ct_state = ct_tracked | ct_est;
  cache.table.insert(key, hash, {10, 1}, 0);
  cache.table.insert(key, hash, {11, 1}, 0);
  EXPECT_EQ(cache.table.size(), 1u);
  key.ct_state = 0;
  ASSERT_NE(cache.find(key), nullptr);
  EXPECT_EQ(cache.find(key)->slot(), 11u);
}

TEST(ExactCache, agrees_with_a_map_through_random_inserts_removals_and_batches) {
  Cache cache(4096);
  std::mt19937 random(7);
  std::unordered_map<uint32_t, uint32_t> oracle;  // key number to flow; even numbers are IPv6
  const auto key_of = [](uint32_t number) { return numbered_key(number, number % 2 == 0); };
  for (uint32_t round = 0; round < 300; ++round) {
    for (uint32_t i = 0; i < 20; ++i) {
      const uint32_t number = random() % 3000;
      if (random() % 3 == 0) {
        ExactEntry* entry = cache.find(key_of(number));
        ASSERT_EQ(entry != nullptr, oracle.contains(number));
        if (entry != nullptr) cache.table.remove(*entry);
        oracle.erase(number);
      } else {
        oracle[number] = random() % 1000;
        cache.insert(key_of(number), oracle[number]);
      }
    }
    ASSERT_EQ(cache.table.size(), oracle.size());
    std::vector<uint32_t> numbers(1 + random() % batch_max);
    std::vector<FlowKey> keys;
    for (uint32_t& number : numbers) keys.push_back(key_of(number = random() % 3000));
    std::vector<ExactEntry*> entries(numbers.size());
    std::vector<uint64_t> hashes(numbers.size());
    const uint32_t hits = cache.table.lookup(keys.data(), static_cast<uint32_t>(keys.size()),
                                             entries.data(), hashes.data());
    uint32_t expected_hits = 0;
    for (size_t i = 0; i < numbers.size(); ++i) {
      const auto known = oracle.find(numbers[i]);
      ASSERT_EQ(entries[i] != nullptr, known != oracle.end());
      EXPECT_EQ(hashes[i], hash_exact_key(keys[i], cache.table.secret()));
      if (known == oracle.end()) continue;
      ++expected_hits;
      EXPECT_EQ(entries[i]->slot(), known->second);
    }
    EXPECT_EQ(hits, expected_hits);
  }
  EXPECT_EQ(cache.table.evictions(), 0u);
}

TEST(ExactCache, a_full_cache_evicts_counts_it_and_loses_no_statistics) {
  Cache cache(256);
  const uint32_t flows = 5000;
  for (uint32_t i = 0; i < flows; ++i) {
    cache.table.count(cache.insert(numbered_key(i), i), 1, 100);
    ASSERT_NE(cache.find(numbered_key(i)), nullptr);
    ASSERT_LE(cache.table.size(), 256u);
  }
  EXPECT_GE(cache.table.evictions(), flows - 256);
  cache.table.clear();
  EXPECT_EQ(cache.table.size(), 0u);
  EXPECT_EQ(cache.sink.packets.size(), flows);
  for (const auto& [flow, packets] : cache.sink.packets) EXPECT_EQ(packets, 1u) << flow;
  for (uint32_t i = 0; i < flows; ++i) EXPECT_EQ(cache.find(numbered_key(i)), nullptr);
}

TEST(ExactCache, a_cache_with_room_evicts_nothing) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Cache cache(4096, seed);
    for (uint32_t i = 0; i < 4096; ++i) cache.insert(numbered_key(i), i);
    EXPECT_EQ(cache.table.evictions(), 0u) << "seed " << seed;
    for (uint32_t i = 0; i < 4096; ++i) ASSERT_NE(cache.find(numbered_key(i)), nullptr);
    // Removing half and inserting others keeps the counts of moved entries right.
    for (uint32_t i = 0; i < 4096; i += 2) cache.table.remove(*cache.find(numbered_key(i)));
    for (uint32_t i = 0; i < 4096; i += 2) cache.insert(numbered_key(i + 8192), i);
    for (uint32_t i = 0; i < 4096; ++i)
      ASSERT_NE(cache.find(numbered_key(i % 2 == 0 ? i + 8192 : i)), nullptr);
    EXPECT_EQ(cache.table.evictions(), 0u) << "seed " << seed;
  }
}

TEST(ExactCache, entries_in_use_survive_a_scan_of_new_keys) {
  Cache cache(1024);
  const uint32_t used = 200;
  for (uint32_t i = 0; i < used; ++i) cache.insert(numbered_key(i), i);
  uint32_t scanned = used;
  uint32_t lost = 0;
  for (uint64_t second = 1; second <= 20; ++second) {
    for (uint32_t i = 0; i < used; ++i) {
      ExactEntry* entry = cache.find(numbered_key(i));
      lost += entry == nullptr;
      cache.table.count(entry != nullptr ? *entry : cache.insert(numbered_key(i), i), 1, 64);
    }
    cache.table.sweep(1024, second * 1000);
    // Ten times the size of the cache, each key once.
    for (uint32_t i = 0; i < 10240; ++i) cache.insert(numbered_key(scanned++), 9999);
  }
  // A few of 4000 may go where 16 used ones share two buckets.
  EXPECT_LT(lost, 40u);
}

TEST(ExactCache, the_sweep_flushes_dates_and_removes_within_its_budget) {
  Cache cache(128);
  for (uint32_t i = 0; i < 100; ++i) cache.insert(numbered_key(i), i % 2, 1000);
  for (uint32_t i = 0; i < 100; ++i) cache.table.count(*cache.find(numbered_key(i)), 1, 60);
  EXPECT_EQ(cache.table.sweep(10, 2000), 0u);
  EXPECT_EQ(cache.sink.packets[0] + cache.sink.packets[1], 10u);
  EXPECT_EQ(cache.sink.used_ms, 2000u);
  cache.table.sweep(90, 2000);
  EXPECT_EQ(cache.sink.packets[0], 50u);
  EXPECT_EQ(cache.sink.bytes[1], 3000u);
  cache.sink.unwanted = 1;
  EXPECT_EQ(cache.table.sweep(100, 3000), 50u);
  EXPECT_EQ(cache.table.size(), 50u);
  EXPECT_EQ(cache.find(numbered_key(1)), nullptr);
  ASSERT_NE(cache.find(numbered_key(2)), nullptr);
  EXPECT_EQ(cache.table.side_of(*cache.find(numbered_key(2))).used_ms, 2000u);
}

TEST(ExactCache, what_rests_is_told_of_once_and_begins_anew_with_its_next_packet) {
  Cache cache(128);
  const FlowKey key = numbered_key(1);
  cache.table.count(cache.insert(key, 7, 1000), 2, 120);
  cache.table.sweep(128, 2000);
  cache.sink.resting = 7;
  for (uint64_t now_ms = 130000; now_ms < 4000000; now_ms += 8000) cache.table.sweep(128, now_ms);
  EXPECT_EQ(cache.sink.ends, (std::vector<End>{{7, 2, 120}}));
  // It is there, of no flow, with what it has carried.
  ASSERT_EQ(cache.table.size(), 1u);
  const ExactEntry& rests = *cache.find(key);
  EXPECT_EQ(rests.slot(), 0u);
  EXPECT_EQ(cache.table.side_of(rests).packets, 2u);
  EXPECT_EQ(cache.table.side_of(rests).created_ms, 1000u);
  cache.sink.resting = ~0u;
  cache.table.count(cache.insert(key, 9, 5000000), 1, 60);
  EXPECT_EQ(cache.table.side_of(rests).packets, 0u);
  EXPECT_EQ(cache.table.side_of(rests).created_ms, 5000000u);
  cache.sink.unwanted = 9;
  cache.table.sweep(128, 5008000);
  EXPECT_EQ(cache.sink.ends, (std::vector<End>{{7, 2, 120}, {9, 1, 60}}));
  // What goes while it rests is not told of again.
  cache.table.count(cache.insert(key, 7, 6000000), 1, 60);
  cache.sink.resting = 7;
  cache.table.sweep(128, 7000000);
  ASSERT_EQ(cache.sink.ends.size(), 3u);
  cache.table.remove(*cache.find(key));
  EXPECT_EQ(cache.sink.ends.size(), 3u);
}

TEST(ExactCache, what_rests_is_the_first_to_go_however_long_it_has) {
  Cache cache(64);
  cache.insert(numbered_key(0), 7, 0);
  cache.sink.resting = 7;
  // Ages would wrap after 256 rounds of the sweep, and the entry would look young.
  for (uint64_t round = 1; round < 300; ++round) cache.table.sweep(64, round * 8000);
  cache.sink.resting = ~0u;
  uint32_t number = 1;
  for (; cache.find(numbered_key(0)) != nullptr && number < 4000; ++number)
    cache.insert(numbered_key(number), 9, 300 * 8000);
  EXPECT_LT(number, 200u);
}

TEST(ExactCache, byte_counters_are_flushed_before_they_overflow) {
  Cache cache(64);
  ExactEntry& entry = cache.insert(numbered_key(1), 5);
  for (uint32_t i = 0; i < 100000; ++i) cache.table.count(entry, 1, 65535);
  cache.table.clear();
  EXPECT_EQ(cache.sink.bytes[5], 100000ull * 65535);
  EXPECT_EQ(cache.sink.packets[5], 100000u);
}

// Who knew the secret could choose keys that share one bucket. The cache must stay correct and
// bounded even then: that is what this test does, by searching for such keys.
TEST(ExactCache, keys_chosen_to_collide_evict_only_each_other) {
  Cache cache(4096);
  const FlowKey victim = numbered_key(1);
  const uint64_t victim_hash = hash_exact_key(victim, cache.table.secret());
  cache.insert(victim, 1);
  std::vector<FlowKey> colliding;
  for (uint32_t i = 2; colliding.size() < 100; ++i) {
    const FlowKey key = numbered_key(i);
    const uint64_t hash = hash_exact_key(key, cache.table.secret());
    if (((hash ^ victim_hash) & 1023) == 512) colliding.push_back(key);  // one bucket, not its own
  }
  for (const FlowKey& key : colliding) {
    cache.insert(key, 2);
    ASSERT_NE(cache.find(key), nullptr);
  }
  EXPECT_NE(cache.find(victim), nullptr);
  EXPECT_GT(cache.table.size(), 8u);
}

TEST(ExactCache, without_the_secret_chosen_5_tuples_spread_evenly) {
  // Keys that differ in few bits, as an attacker with one address and all ports has them.
  const HashSecret secret = HashSecret::random();
  std::vector<uint32_t> buckets(1024);
  for (uint32_t port = 0; port < 65536; ++port) {
    FlowKey key = numbered_key(5);
    key.tp_src = be16(static_cast<uint16_t>(port));
    ++buckets[hash_exact_key(key, secret) & 1023];
  }
  uint32_t fullest = 0;
  for (const uint32_t count : buckets) fullest = std::max(fullest, count);
  EXPECT_LT(fullest, 128u);  // 64 on average; a Poisson tail of eight deviations
}

TEST(FlowEntropy, is_the_same_for_all_packets_of_a_direction_and_all_fragments) {
  const HashSecret secret = HashSecret::from_seed(4);
  FlowKey key = numbered_key(9);
  const uint64_t entropy = flow_entropy(key, secret);
  FlowKey later = key;
  later.ct_state = ct_est | ct_tracked;
  EXPECT_EQ(flow_entropy(later, secret), entropy);
  FlowKey other = key;
  other.tp_src = be16(4321);
  EXPECT_NE(flow_entropy(other, secret), entropy);
  key.ip_frag = frag_first;
  other.ip_frag = frag_later;
  other.tp_src = other.tp_dst = be16(0);
  EXPECT_EQ(flow_entropy(other, secret), flow_entropy(key, secret));
  EXPECT_GE(entropy_port(entropy), 49152);
}

}  // namespace
}  // namespace vtep
