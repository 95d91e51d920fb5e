// test/native/gso_test.cpp — segments must add up to the superpacket, and each be right by itself.
#include "packet/gso.h"

#include <gtest/gtest.h>

#include "packet/fragment.h"
#include "test/native/action_support.h"

namespace vtep::test {
namespace {

struct GsoTest : testing::Test {
  FramePool pool{{1024, 16, false}};
  FrameCache frames{pool};

  Packet super(FrameSpec spec, uint16_t gso_size) {
    Packet packet = packet_of(frames, build(spec));
    leave_to_device(packet, gso_size);
    return packet;
  }
  std::vector<Bytes> cut(const Packet& packet, uint32_t max = segments_max) {
    const View at = view(bytes_of(packet));
    std::vector<Packet> out(segments_max);
    DropReason reason = DropReason::None;
    const uint32_t count = segment(
        frames, packet, {static_cast<uint16_t>(at.l3), static_cast<uint16_t>(at.l4)},
        {out.data(), max}, reason);
    EXPECT_EQ(reason == DropReason::None, count != 0);
    last_reason = reason;
    std::vector<Bytes> all;
    for (uint32_t i = 0; i < count; i++) {
      EXPECT_GE(headroom(pool, out[i]), frame_headroom);
      all.push_back(bytes_of(out[i]));
      frames.free(out[i]);
    }
    return all;
  }
  DropReason last_reason = DropReason::None;
};

Bytes joined_payload(const std::vector<Bytes>& segments) {
  Bytes all;
  for (const Bytes& segment : segments) {
    const View at = view(segment);
    all.insert(all.end(), segment.begin() + at.payload, segment.begin() + at.end);
  }
  return all;
}

TEST_F(GsoTest, SegmentsOfATcpSuperpacketAddUpToItWithRightSequenceNumbersAndChecksums) {
  for (const bool ipv6 : {false, true}) {
    for (const uint16_t vid : {0, 42}) {
      FrameSpec spec;
      spec.ipv6 = ipv6;
      spec.vid = vid;
      spec.payload = 30001;
      spec.tcp_flags = 0x10 | 0x08 | 0x01 | 0x80;  // ACK PSH FIN CWR
      spec.seq = 0xffffff00;                       // wraps
      const Packet packet = super(spec, 1400);
      const std::vector<Bytes> segments = cut(packet);
      ASSERT_EQ(segments.size(), 22u);
      const Bytes whole = bytes_of(packet);
      EXPECT_EQ(joined_payload(segments), slice(whole, view(whole).payload, view(whole).end));
      for (size_t i = 0; i < segments.size(); i++) {
        const View at = view(segments[i]);
        EXPECT_EQ(judge(segments[i]), "");
        EXPECT_EQ(number(segments[i], at.l4 + 4, 4), spec.seq + static_cast<uint32_t>(i) * 1400);
        const bool last = i + 1 == segments.size();
        const uint32_t flags = segments[i][at.l4 + 13];
        EXPECT_EQ(flags, 0x10u | (last ? 0x09 : 0) | (i == 0 ? 0x80 : 0));
        if (!ipv6) {
          EXPECT_EQ(number(segments[i], at.l3 + 4, 2), spec.ip_id + i);
        }
      }
      frames.free(packet);
    }
  }
}

TEST_F(GsoTest, SegmentsOfAUdpSuperpacketAreWholeDatagrams) {
  for (const bool ipv6 : {false, true}) {
    FrameSpec spec;
    spec.ipv6 = ipv6;
    spec.proto = 17;
    spec.payload = 5000;
    const Packet packet = super(spec, 1200);
    const std::vector<Bytes> segments = cut(packet);
    ASSERT_EQ(segments.size(), 5u);
    for (const Bytes& segment : segments) EXPECT_EQ(judge(segment), "");
    const Bytes whole = bytes_of(packet);
    EXPECT_EQ(joined_payload(segments), slice(whole, view(whole).payload, view(whole).end));
    frames.free(packet);
  }
}

TEST_F(GsoTest, WhatCannotBeSegmentedIsBadSegmentationAndAllocatesNothing) {
  FrameSpec spec;
  spec.payload = 3000;
  Packet packet = super(spec, 1000);
  const uint32_t before = pool.free_count(false);
  EXPECT_TRUE(cut(packet, 2).empty());
  EXPECT_EQ(last_reason, DropReason::BadSegmentation);
  packet.offload.gso_size = 0;
  EXPECT_TRUE(cut(packet).empty());
  packet.offload.gso_size = 1000;
  packet.data[14 + 20 + 12] = 0xf0;  // a TCP header of 60 bytes is still inside
  EXPECT_FALSE(cut(packet).empty());
  packet.data[14 + 20 + 12] = 0x10;  // one of 4 is none
  EXPECT_TRUE(cut(packet).empty());
  EXPECT_EQ(last_reason, DropReason::BadSegmentation);
  EXPECT_LE(before - pool.free_count(false), FrameCache::slab_frames);
  frames.free(packet);
}

TEST_F(GsoTest, RunningOutOfFramesMidwayIsNoFramesAndGivesBackWhatWasTaken) {
  FramePool small{{4, 2, false}};
  FrameCache cache(small);
  FrameSpec spec;
  spec.payload = 30000;
  Packet packet = packet_of(cache, build(spec));
  leave_to_device(packet, 1000);
  std::vector<Packet> out(segments_max);
  DropReason reason = DropReason::None;
  EXPECT_EQ(segment(cache, packet, {14, 34}, {out.data(), segments_max}, reason), 0u);
  EXPECT_EQ(reason, DropReason::NoFrames);
  uint32_t free_small = 0;
  while (cache.alloc_small() != no_frame) free_small++;
  EXPECT_EQ(free_small, small.small_count());
}

TEST_F(GsoTest, APortGetsWhatItTakesAndTheRestIsFinishedForIt) {
  FrameSpec spec;
  spec.payload = 4000;
  struct Case {
    uint8_t can;
    uint16_t gso_size;
    uint32_t packets;
    uint64_t segments;
    uint64_t checksums;
  };
  const Case cases[] = {{0, 0, 1, 0, 1},
                        {tx_can_checksum, 0, 1, 0, 0},
                        {tx_can_checksum, 1000, 4, 4, 0},
                        {tx_can_tso, 1000, 4, 4, 0},
                        {tx_can_checksum | tx_can_tso, 1000, 1, 0, 0}};
  for (const Case& given : cases) {
    const Packet packet = super(spec, given.gso_size);
    std::vector<Packet> out(segments_max);
    Finished counts;
    const uint32_t count =
        finish_tx(frames, given.can, packet, {out.data(), segments_max}, counts);
    ASSERT_EQ(count, given.packets);
    EXPECT_EQ(counts.segments, given.segments);
    EXPECT_EQ(counts.checksums, given.checksums);
    for (uint32_t i = 0; i < count; i++) {
      EXPECT_TRUE(port_takes(given.can, out[i].offload));
      EXPECT_EQ(judge(bytes_of(out[i]), out[i].offload.any()), "");
      frames.free(out[i]);
    }
  }
}

TEST_F(GsoTest, AnOffloadThatPointsOutsideThePacketIsBadOffload) {
  Packet packet = super(FrameSpec{}, 0);
  packet.offload.checksum_start = 5000;
  Packet out[1];
  Finished finished;
  EXPECT_EQ(finish_tx(frames, 0, packet, {out, 1}, finished), 0u);
  EXPECT_EQ(finished.reason, DropReason::BadOffload);
}

TEST_F(GsoTest, FragmentsCoverThePacketWithoutOverlapAndKeepOnlyCopiedOptionsInLaterOnes) {
  FrameSpec spec;
  spec.proto = 17;
  spec.payload = 4001;
  spec.df = false;
  spec.ip_options = {0x44, 4, 5, 0, 0x94, 4, 0, 0};  // timestamp; router alert (copied)
  const Packet packet = packet_of(frames, build(spec));
  Packet out[fragments_max];
  DropReason reason = DropReason::None;
  const uint32_t count =
      fragment_ipv4(frames, packet, {14, 1000}, {out, fragments_max}, reason);
  ASSERT_EQ(count, 5u);
  Bytes payload;
  for (uint32_t i = 0; i < count; i++) {
    const Bytes piece = bytes_of(out[i]);
    EXPECT_EQ(judge(piece), "");
    EXPECT_LE(piece.size(), 14u + 1000u);
    const uint32_t frag = number(piece, 20, 2);
    EXPECT_EQ((frag & 0x1fff) * 8, payload.size());
    EXPECT_EQ((frag & 0x2000) != 0, i + 1 < count);
    EXPECT_EQ(piece[34], i == 0 ? 0x44 : 1);
    EXPECT_EQ(piece[38], 0x94);
    payload.insert(payload.end(), piece.begin() + 14 + 28, piece.end());
    frames.free(out[i]);
  }
  const Bytes whole = bytes_of(packet);
  EXPECT_EQ(payload, slice(whole, 14 + 28, static_cast<uint32_t>(whole.size())));
  frames.free(packet);
}

}  // namespace
}  // namespace vtep::test
