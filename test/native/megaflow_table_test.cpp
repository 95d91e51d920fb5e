// test/native/megaflow_table_test.cpp — the masked table against a linear scan.
#include "flow/megaflow_table.h"

#include <gtest/gtest.h>

#include <vector>

#include "table_memory.h"

namespace vtep {
namespace {

struct Table {
  explicit Table(uint32_t flow_max = 4096)
      : memory(MegaflowTable::bytes_needed(flow_max)),
        megaflows(memory.span(), flow_max, HashSecret::from_seed(11)) {}
  FlowRef find(const FlowKey& key) {
    const FlowKey* keys[] = {&key};
    FlowRef found;
    megaflows.lookup(keys, 1, &found);
    return found;
  }
  TableMemory memory;
  MegaflowTable megaflows;
};

struct Megaflow {
  FlowRef flow;
  FlowKey key;
  FlowMask mask;
};

uint8_t byte_of(const FlowKey& key, uint32_t at) {
  return reinterpret_cast<const uint8_t*>(&key)[at];
}
uint8_t& byte_of(FlowKey& key, uint32_t at) { return reinterpret_cast<uint8_t*>(&key)[at]; }

bool covers(const Megaflow& megaflow, const FlowKey& key) {
  for (uint32_t at = 0; at < sizeof key; ++at)
    if ((byte_of(megaflow.key, at) ^ byte_of(key, at)) & byte_of(megaflow.mask, at)) return false;
  return true;
}

FlowMask mask_of(std::initializer_list<std::pair<size_t, size_t>> fields) {
  FlowMask mask = {};
  for (const auto& [offset, size] : fields)
    for (size_t at = offset; at < offset + size; ++at)
      byte_of(mask, static_cast<uint32_t>(at)) = 0xff;
  return mask;
}

// Keys with few values per byte, so that masks overlap and hits happen.
FlowKey random_key(std::mt19937& random) {
  FlowKey key = {};
  for (uint32_t at = 0; at < sizeof key; ++at) byte_of(key, at) = random() % 4 == 0 ? 1 : 0;
  return key;
}
FlowMask random_mask(std::mt19937& random) {
  FlowMask mask = {};
  for (uint32_t at = 0; at < sizeof mask; ++at) {
    const uint32_t choice = random() % 16;
    byte_of(mask, at) = choice == 0 ? 0xff : choice == 1 ? 0x01 : 0;
  }
  return mask;
}

TEST(MegaflowTable, agrees_with_a_linear_scan_of_random_masks) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    Table table;
    std::vector<FlowMask> masks;
    for (int i = 0; i < 40; ++i) masks.push_back(random_mask(random));
    std::vector<Megaflow> oracle;
    uint32_t slot = 1;
    for (uint32_t round = 0; round < 400; ++round) {
      if (random() % 4 == 0 && !oracle.empty()) {
        const size_t at = random() % oracle.size();
        ASSERT_TRUE(table.megaflows.remove(oracle[at].flow));
        oracle.erase(oracle.begin() + static_cast<long>(at));
      } else {
        const Megaflow added{
            {slot++, static_cast<uint32_t>(random())}, random_key(random), masks[random() % 40]};
        ASSERT_EQ(table.megaflows.insert(added.flow, added.key, added.mask),
                  MegaflowTable::Insert::Done);
        oracle.push_back(added);
      }
      if (round % 50 == 0) table.megaflows.rank();
      ASSERT_EQ(table.megaflows.size(), oracle.size());
      std::vector<FlowKey> keys(1 + random() % 32);
      std::vector<const FlowKey*> pointers;
      for (FlowKey& key : keys) {
        key = random_key(random);
        pointers.push_back(&key);
      }
      std::vector<FlowRef> found(keys.size());
      const uint32_t hits =
          table.megaflows.lookup(pointers.data(), static_cast<uint32_t>(keys.size()), found.data());
      uint32_t expected_hits = 0;
      for (size_t i = 0; i < keys.size(); ++i) {
        bool any = false;
        bool right = false;
        for (const Megaflow& megaflow : oracle) {
          if (!covers(megaflow, keys[i])) continue;
          any = true;
          right = right || megaflow.flow == found[i];
        }
        expected_hits += any;
        ASSERT_EQ(found[i].slot != 0, any);
        // Any megaflow that covers the packet is right: they all hold the same verdict.
        ASSERT_TRUE(right || !any);
      }
      EXPECT_EQ(hits, expected_hits);
    }
  }
}

TEST(MegaflowTable, bits_outside_the_mask_do_not_count_and_every_bit_inside_does) {
  Table table;
  const FlowKey key = numbered_key(5, true);
  const FlowMask mask = mask_of({{0, 4}, {10, 2}, {23, 1}, {34, 2}, {64, 16}});
  ASSERT_EQ(table.megaflows.insert({7, 1}, key, mask), MegaflowTable::Insert::Done);
  for (uint32_t bit = 0; bit < sizeof key * 8; ++bit) {
    FlowKey other = key;
    byte_of(other, bit / 8) ^= static_cast<uint8_t>(1 << bit % 8);
    const bool masked = byte_of(mask, bit / 8) >> bit % 8 & 1;
    EXPECT_EQ(table.find(other).slot, masked ? 0u : 7u) << bit;
  }
}

TEST(MegaflowTable, an_empty_mask_covers_every_packet) {
  Table table;
  ASSERT_EQ(table.megaflows.insert({1, 1}, numbered_key(1), FlowMask{}),
            MegaflowTable::Insert::Done);
  EXPECT_EQ(table.find(numbered_key(99, true)).slot, 1u);
}

TEST(MegaflowTable, the_newer_of_equal_megaflows_is_found_and_the_older_takes_over_again) {
  Table table;
  const FlowKey key = numbered_key(1);
  const FlowMask mask = mask_of({{0, 48}});
  ASSERT_EQ(table.megaflows.insert({1, 5}, key, mask), MegaflowTable::Insert::Done);
  ASSERT_EQ(table.megaflows.insert({2, 6}, key, mask), MegaflowTable::Insert::Done);
  EXPECT_EQ(table.find(key), (FlowRef{2, 6}));
  EXPECT_TRUE(table.megaflows.remove({2, 6}));
  EXPECT_EQ(table.find(key), (FlowRef{1, 5}));
}

TEST(MegaflowTable, slots_and_generations_are_checked) {
  Table table(16);
  const FlowKey key = numbered_key(1);
  const FlowMask mask = mask_of({{0, 48}});
  EXPECT_EQ(table.megaflows.insert({0, 1}, key, mask), MegaflowTable::Insert::BadSlot);
  EXPECT_EQ(table.megaflows.insert({16, 1}, key, mask), MegaflowTable::Insert::BadSlot);
  EXPECT_EQ(table.megaflows.insert({3, 1}, key, mask), MegaflowTable::Insert::Done);
  EXPECT_EQ(table.megaflows.insert({3, 2}, key, mask), MegaflowTable::Insert::SlotInUse);
  EXPECT_TRUE(table.megaflows.current({3, 1}));
  EXPECT_FALSE(table.megaflows.current({3, 2}));
  EXPECT_FALSE(table.megaflows.remove({3, 2}));
  EXPECT_FALSE(table.megaflows.remove({99, 1}));
  EXPECT_TRUE(table.megaflows.remove({3, 1}));
  EXPECT_FALSE(table.megaflows.remove({3, 1}));
  EXPECT_FALSE(table.megaflows.current({3, 1}));
  EXPECT_EQ(table.megaflows.insert({3, 2}, key, mask), MegaflowTable::Insert::Done);
  EXPECT_EQ(table.find(key), (FlowRef{3, 2}));
}

TEST(MegaflowTable, one_mask_too_many_is_refused_and_a_freed_one_can_be_used) {
  Table table;
  const auto mask_number = [](uint32_t number) {
    FlowMask mask = {};
    mask.in_port = 1 + number;
    return mask;
  };
  for (uint32_t i = 0; i < subtable_max; ++i) {
    ASSERT_EQ(table.megaflows.insert({i + 1, 1}, numbered_key(i), mask_number(i)),
              MegaflowTable::Insert::Done);
  }
  EXPECT_EQ(table.megaflows.subtable_count(), subtable_max);
  EXPECT_EQ(table.megaflows.insert({1000, 1}, numbered_key(1), mask_number(subtable_max)),
            MegaflowTable::Insert::NoSubtable);
  EXPECT_TRUE(table.megaflows.remove({50, 1}));
  EXPECT_EQ(table.megaflows.insert({1000, 1}, numbered_key(1), mask_number(subtable_max)),
            MegaflowTable::Insert::Done);
}

TEST(MegaflowTable, subtables_with_hits_are_searched_first_after_ranking) {
  Table table;
  const FlowKey key = numbered_key(500);
  for (uint32_t i = 0; i < 20; ++i) {
    FlowMask mask = mask_of({{0, 4}, {32, 2}});
    mask.ip_dst = be32(1u << i);
    FlowKey other = numbered_key(i);
    other.in_port = 1000 + i;
    ASSERT_EQ(table.megaflows.insert({i + 1, 1}, other, mask), MegaflowTable::Insert::Done);
  }
  ASSERT_EQ(table.megaflows.insert({100, 1}, key, mask_of({{0, 48}})), MegaflowTable::Insert::Done);
  for (int i = 0; i < 10; ++i) table.find(key);
  EXPECT_EQ(table.megaflows.probes_percent(), 2100u);
  table.megaflows.rank();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(table.find(key).slot, 100u);
  EXPECT_EQ(table.megaflows.probes_percent(), 100u);
}

TEST(MegaflowTable, all_slots_can_be_filled_and_emptied_twice) {
  const uint32_t flow_max = 1000;
  Table table(flow_max);
  const FlowMask mask = mask_of({{0, 48}});
  for (uint32_t generation = 1; generation <= 2; ++generation) {
    for (uint32_t slot = 1; slot < flow_max; ++slot) {
      ASSERT_EQ(table.megaflows.insert({slot, generation}, numbered_key(slot), mask),
                MegaflowTable::Insert::Done);
    }
    for (uint32_t slot = 1; slot < flow_max; ++slot)
      ASSERT_EQ(table.find(numbered_key(slot)), (FlowRef{slot, generation}));
    for (uint32_t slot = 1; slot < flow_max; ++slot)
      ASSERT_TRUE(table.megaflows.remove({slot, generation}));
    EXPECT_EQ(table.megaflows.subtable_count(), 0u);
  }
}

}  // namespace
}  // namespace vtep
