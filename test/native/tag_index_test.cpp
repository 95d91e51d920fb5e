// test/native/tag_index_test.cpp — the index against a map, when full, and what a connection costs.
#include "flow/tag_index.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <unordered_map>
#include <vector>

#include "flow/connection_table.h"
#include "flow/exact_cache.h"
#include "table_memory.h"

namespace vtep {
namespace {

struct Index {
  explicit Index(uint32_t record_max)
      : memory(TagIndex::bytes_needed(record_max)), table(memory.span().data(), record_max) {}
  // Records are told apart by their whole hash, as an owner does by the key.
  uint32_t find(uint64_t hash) {
    return table.find(hash, [&](uint32_t number) { return hashes[number] == hash; });
  }
  bool insert(uint64_t hash, uint32_t number) {
    hashes[number] = hash;
    return table.insert(hash, number).found();
  }
  void erase(uint64_t hash, uint32_t number) {
    table.erase(table.slot_of(table.place_of(hash), number));
  }
  TableMemory memory;
  TagIndex table;
  std::unordered_map<uint32_t, uint64_t> hashes;
};

TEST(TagIndex, holds_as_many_records_as_it_was_made_for_whatever_the_hashes) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    const uint32_t record_max = 100 * static_cast<uint32_t>(seed);
    Index index(record_max);
    for (uint32_t number = 1; number <= record_max; ++number)
      ASSERT_TRUE(index.insert(random(), number)) << record_max;
    for (uint32_t number = 1; number <= record_max; ++number)
      ASSERT_EQ(index.find(index.hashes[number]), number) << record_max;
  }
}

TEST(TagIndex, agrees_with_a_map_while_records_come_and_go) {
  constexpr uint32_t record_max = 500;
  Index index(record_max);
  std::mt19937_64 random(3);
  std::vector<uint32_t> in, out;
  for (uint32_t number = record_max; number > 0; --number) out.push_back(number);
  for (uint32_t round = 0; round < 50'000; ++round) {
    const bool grow = in.empty() || (!out.empty() && random() % 5 < 3);
    std::vector<uint32_t>& from = grow ? out : in;
    std::swap(from[random() % from.size()], from.back());
    const uint32_t number = from.back();
    from.pop_back();
    if (grow) {
      ASSERT_TRUE(index.insert(random(), number));
      ASSERT_EQ(index.find(index.hashes[number]), number);
      in.push_back(number);
    } else {
      index.erase(index.hashes[number], number);
      ASSERT_EQ(index.find(index.hashes[number]), 0u);
      out.push_back(number);
    }
  }
  for (const uint32_t number : in) ASSERT_EQ(index.find(index.hashes[number]), number);
  for (const uint32_t number : in) index.erase(index.hashes[number], number);
  // Counts of what stood elsewhere went back as well: it is as it was made.
  for (const std::byte byte : index.memory.span().first(TagIndex::bytes_needed(record_max)))
    if (byte != std::byte{0}) FAIL() << "something is left";
}

TEST(TagIndex, notes_move_with_their_numbers) {
  constexpr uint32_t record_max = 400;
  Index index(record_max);
  std::mt19937_64 random(9);
  const auto note_of = [&](uint32_t number) -> uint8_t& {
    return index.table.note(
        index.table.slot_of(index.table.place_of(index.hashes[number]), number));
  };
  for (uint32_t number = 1; number <= record_max; ++number) {
    ASSERT_TRUE(index.insert(random(), number));
    EXPECT_EQ(note_of(number), 0);
    note_of(number) = static_cast<uint8_t>(number);
  }
  for (uint32_t number = 1; number <= record_max; ++number)
    ASSERT_EQ(note_of(number), static_cast<uint8_t>(number));
}

TEST(TagIndex, a_guess_is_the_number_itself_wherever_no_tag_is_double) {
  Index index(1000);
  std::mt19937_64 random(4);
  for (uint32_t number = 1; number <= 1000; ++number) index.insert(random(), number);
  uint32_t right = 0, wrong = 0;
  for (const auto& [number, hash] : index.hashes) {
    const uint32_t guess = index.table.guess(hash);
    right += guess == number;
    wrong += guess != number && guess != 0;
  }
  EXPECT_GE(right, 930u);  // the rest stands in its second bucket
  EXPECT_LE(wrong, 2u);
}

// Zero pages as the data path takes them: there once touched.
class Pages {
 public:
  explicit Pages(size_t bytes) : bytes_(bytes) {
    memory_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory_, MAP_FAILED);
    madvise(memory_, bytes, MADV_NOHUGEPAGE);
  }
  ~Pages() { munmap(memory_, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::span<std::byte> span() { return {static_cast<std::byte*>(memory_), bytes_}; }
  size_t resident() const {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    std::vector<unsigned char> there((bytes_ + page - 1) / page);
    EXPECT_EQ(mincore(memory_, bytes_, there.data()), 0);
    size_t bytes = 0;
    for (const unsigned char each : there) bytes += (each & 1) != 0 ? page : 0;
    return bytes;
  }

 private:
  void* memory_;
  size_t bytes_;
};

struct NoSink final : ExactSink {
  void flush(const ExactEntry&, const ExactSide&) noexcept override {}
  ExactVerdict keep(const ExactEntry&, const ExactSide&) noexcept override {
    return {ExactFate::Stays};
  }
  void foresee(const ExactEntry&, const ExactSide&) noexcept override {}
};

TEST(Footprint, an_IPv4_connection_with_both_its_exact_entries_takes_at_most_320_bytes) {
  constexpr uint32_t connection_max = 1 << 16;
  const HashSecret secret = HashSecret::from_seed(1);
  NoSink sink;
  Pages exact_pages(ExactCache::bytes_needed(2 * connection_max));
  ExactCache cache(exact_pages.span(), 2 * connection_max, secret, sink);
  const ConnectionConfig config{connection_max};
  Pages connection_pages(ConnectionTable::bytes_needed(config));
  ConnectionTable table(connection_pages.span(), config, secret, nullptr);
  PacketInfo info;
  for (uint32_t number = 0; number < connection_max; ++number) {
    FlowKey key = numbered_key(number);
    const Committed committed = table.commit({&key, &info, nullptr, 0, 1}, 0);
    ASSERT_TRUE(committed.made && !committed.evicted);
    for (const uint32_t port : {1u, 2u}) {
      key.in_port = port;
      cache.insert(key, hash_exact_key(key, secret), {1, 1}, 0);
    }
  }
  ASSERT_EQ(cache.evictions(), 0u);
  const size_t bytes = exact_pages.resident() + connection_pages.resident();
  EXPECT_LE(bytes / connection_max, 320u);
  EXPECT_GE(bytes / connection_max, 64u * 3);  // or residence was not measured
}

}  // namespace
}  // namespace vtep
