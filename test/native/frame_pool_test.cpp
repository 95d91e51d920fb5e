// test/native/frame_pool_test.cpp — frames are handed out once, come back, and never leak.
#include "packet/frame_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "base/error.h"

namespace vtep {
namespace {

FramePoolConfig small_pool(uint32_t small, uint32_t large) {
  FramePoolConfig config;
  config.small_count = small;
  config.large_count = large;
  return config;
}

TEST(FramePool, hands_out_every_frame_once_and_then_no_frame) {
  FramePool pool(small_pool(200, 6));
  FrameCache cache(pool);
  std::set<uint32_t> seen;
  for (int i = 0; i < 200; ++i) {
    const FrameId frame = cache.alloc_small();
    ASSERT_NE(frame, no_frame);
    EXPECT_FALSE(frame.large());
    EXPECT_TRUE(seen.insert(frame.raw).second);
  }
  EXPECT_EQ(cache.alloc_small(), no_frame);
  for (int i = 0; i < 6; ++i) {
    const FrameId frame = cache.alloc_large();
    ASSERT_NE(frame, no_frame);
    EXPECT_TRUE(frame.large());
    EXPECT_TRUE(seen.insert(frame.raw).second);
  }
  EXPECT_EQ(cache.alloc_large(), no_frame);
  EXPECT_EQ(pool.free_count(false), 0u);
  for (const uint32_t raw : seen) cache.free(FrameId{raw});
}

TEST(FramePool, a_cache_gives_everything_back_when_it_goes) {
  FramePool pool(small_pool(500, 20));
  {
    FrameCache cache(pool);
    std::vector<FrameId> frames;
    for (int i = 0; i < 300; ++i) frames.push_back(cache.alloc_small());
    for (int i = 0; i < 11; ++i) frames.push_back(cache.alloc_large());
    for (const FrameId frame : frames) cache.free(frame);
  }
  EXPECT_EQ(pool.free_count(false), 500u);
  EXPECT_EQ(pool.free_count(true), 20u);
}

TEST(FramePool, frames_do_not_overlap_and_small_ones_are_found_by_their_offset) {
  FramePool pool(small_pool(64, 4));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(pool.small_memory()) % 4096, 0u);
  EXPECT_EQ(pool.small_memory_bytes(), 64u * small_frame_bytes);
  for (uint32_t i = 0; i < 64; ++i) {
    EXPECT_EQ(pool.base(FrameId{i}), pool.small_memory() + i * small_frame_bytes);
    EXPECT_EQ(pool.small_frame_at(i * small_frame_bytes + 777), FrameId{i});
  }
  const FrameId first_large{FrameId::large_bit};
  const FrameId second_large{FrameId::large_bit | 1};
  EXPECT_EQ(pool.base(second_large) - pool.base(first_large), large_frame_bytes);
  memset(pool.base(first_large), 0xaa, large_frame_bytes);
  memset(pool.base(second_large), 0x55, large_frame_bytes);
  EXPECT_EQ(pool.base(first_large)[large_frame_bytes - 1], 0xaa);
}

TEST(FramePool, make_chooses_the_size_and_leaves_headroom) {
  FramePool pool(small_pool(64, 4));
  FrameCache cache(pool);
  const Packet small = cache.make(small_frame_bytes - frame_headroom);
  EXPECT_FALSE(small.frame.large());
  EXPECT_EQ(headroom(pool, small), frame_headroom);
  EXPECT_EQ(tailroom(pool, small), 0u);
  const Packet large = cache.make(small_frame_bytes - frame_headroom + 1);
  EXPECT_TRUE(large.frame.large());
  EXPECT_EQ(cache.make(packet_bytes_max).length, packet_bytes_max);
  const Packet none = cache.make(large_frame_bytes);
  EXPECT_EQ(none.frame, no_frame);
  EXPECT_EQ(none.data, nullptr);
}

TEST(FramePool, a_clone_has_the_same_bytes_and_offload_state_in_another_frame) {
  FramePool pool(small_pool(64, 4));
  FrameCache cache(pool);
  Packet packet = cache.make(100);
  for (uint32_t i = 0; i < 100; ++i) packet.data[i] = static_cast<uint8_t>(i);
  packet.in_port = 7;
  packet.offload.flags = offload_needs_checksum;
  packet.offload.checksum_start = 34;
  const Packet copy = cache.clone(packet);
  EXPECT_NE(copy.frame, packet.frame);
  EXPECT_EQ(copy.offload, packet.offload);
  EXPECT_EQ(copy.in_port, 7u);
  EXPECT_EQ(memcmp(copy.data, packet.data, 100), 0);
}

TEST(FramePool, the_checksum_place_moves_with_the_start_of_the_packet) {
  FramePool pool(small_pool(64, 4));
  FrameCache cache(pool);
  Packet packet = cache.make(100);
  packet.offload.flags = offload_needs_checksum;
  packet.offload.checksum_start = 34;
  prepend(packet, 50);
  EXPECT_EQ(packet.offload.checksum_start, 84);
  EXPECT_EQ(packet.length, 150u);
  trim_front(packet, 50);
  EXPECT_EQ(packet.offload.checksum_start, 34);
}

TEST(FramePool, workers_on_several_threads_never_share_a_frame) {
  FramePool pool(small_pool(4096, 16));
  const auto worker = [&pool](uint8_t mark) {
    FrameCache cache(pool);
    for (int round = 0; round < 300; ++round) {
      std::vector<FrameId> frames;
      for (int i = 0; i < 300; ++i) frames.push_back(cache.alloc_small());
      for (const FrameId frame : frames) {
        ASSERT_NE(frame, no_frame);
        memset(pool.base(frame), mark, 64);
      }
      for (const FrameId frame : frames) {
        for (int i = 0; i < 64; ++i) ASSERT_EQ(pool.base(frame)[i], mark);
        cache.free(frame);
      }
    }
  };
  std::thread a(worker, uint8_t{1}), b(worker, uint8_t{2}), c(worker, uint8_t{3});
  a.join(), b.join(), c.join();
  EXPECT_EQ(pool.free_count(false), 4096u);
}

TEST(FramePool, too_many_frames_are_refused_with_a_sentence) {
  try {
    FramePool pool(small_pool(1u << 30, 1));
    FAIL() << "a pool of a billion frames was made";
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), "ERR_LIMIT");
  }
}

TEST(FramePoolDeathTest, a_frame_that_is_freed_twice_is_noticed_when_it_comes_back) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        FramePool pool(small_pool(8, 4));
        FrameCache cache(pool);
        const FrameId frame = cache.alloc_small();
        for (int i = 0; i < 130; ++i) cache.free(frame);
      },
      "assertion failed");
}

}  // namespace
}  // namespace vtep
