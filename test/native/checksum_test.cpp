// test/native/checksum_test.cpp — every way to compute a checksum agrees with the naive one.
#include "packet/checksum.h"

#include <gtest/gtest.h>

#include <random>

#include "packet_bytes.h"

namespace vtep {
namespace {

using namespace bytes;  // NOLINT: the test speaks in packets

Bytes random_bytes(std::mt19937& random, size_t count) {
  Bytes data(count);
  for (uint8_t& byte : data) byte = static_cast<uint8_t>(random());
  return data;
}

TEST(Checksum, portable_AVX2_and_dispatched_sums_agree_with_the_naive_one) {
  std::mt19937 random(1);
  for (size_t count = 0; count < 700; ++count) {
    for (const size_t offset : {0, 1, 3}) {
      const Bytes data = random_bytes(random, count + offset);
      const uint8_t* start = data.data() + offset;
      const uint16_t naive = naive_sum(Bytes(start, start + count));
      EXPECT_EQ(checksum_fold(checksum_add(start, count)).host() % 0xffff, naive % 0xffff);
      EXPECT_EQ(checksum_fold(checksum_add_portable(start, count, 0)).host() % 0xffff,
                naive % 0xffff);
      if (checksum_has_avx2()) {
        EXPECT_EQ(checksum_fold(checksum_add_avx2(start, count, 0)).host() % 0xffff,
                  naive % 0xffff);
      }
    }
  }
}

TEST(Checksum, a_whole_superpacket_of_ones_does_not_overflow) {
  const Bytes data(65535 + 18, 0xff);
  uint64_t sum = 0;
  for (int part = 0; part < 1000; ++part) sum = checksum_add(data.data(), data.size() - 1, sum);
  EXPECT_EQ(checksum_fold(sum).raw, 0xffff);
}

TEST(Checksum, parts_at_even_offsets_add_up_to_the_whole) {
  std::mt19937 random(2);
  const Bytes data = random_bytes(random, 1501);
  const uint64_t whole = checksum_add(data.data(), data.size());
  for (const size_t cut : {2, 20, 64, 130, 1498}) {
    const uint64_t first = checksum_add(data.data(), cut);
    EXPECT_EQ(checksum_fold(checksum_add(data.data() + cut, data.size() - cut, first)),
              checksum_fold(whole));
  }
}

TEST(Checksum, the_example_of_RFC_1071) {
  const Bytes data = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(checksum_fold(checksum_add(data.data(), data.size())).host(), 0xddf2);
  EXPECT_EQ(checksum_finish(checksum_add(data.data(), data.size())).host(), 0x220d);
}

TEST(Checksum, incremental_updates_agree_with_summing_again) {
  std::mt19937 random(3);
  for (int round = 0; round < 5000; ++round) {
    Bytes data = random_bytes(random, 40);
    patch16(data, 0, 0);
    patch16(data, 0, naive_checksum(data));
    Be16 checksum = load_be16(data.data());
    const Bytes before = data;
    const Bytes change = random_bytes(random, 16);
    std::copy(change.begin(), change.end(), data.begin() + 8);
    Be16 by_words = checksum;
    for (size_t at = 8; at < 24; at += 4)
      by_words = checksum_update(by_words, load_be32(&before[at]), load_be32(&data[at]));
    Be16 by_halves = checksum;
    for (size_t at = 8; at < 24; at += 2)
      by_halves = checksum_update(by_halves, load_be16(&before[at]), load_be16(&data[at]));
    const Be16 by_bytes = checksum_update(checksum, &before[8], &data[8], 16);
    for (const Be16 updated : {by_words, by_halves, by_bytes}) {
      store_be16(data.data(), updated);
      EXPECT_TRUE(checksum_valid(checksum_add(data.data(), data.size())));
    }
  }
}

TEST(Checksum, pseudo_header_sums_agree_with_the_pseudo_header_written_out) {
  const Bytes v4 = number32(ip_a) + number32(ip_b) + number16(6) + number16(1234);
  EXPECT_EQ(checksum_fold(pseudo_sum_v4(&v4[0], &v4[4], 6, 1234)).host(), naive_sum(v4));
  const Bytes v6 = ip6(1) + ip6(2) + number32(70000) + number32(17);
  EXPECT_EQ(checksum_fold(pseudo_sum_v6(&v6[0], &v6[16], 17, 70000)).host(), naive_sum(v6));
}

// Frames as a container leaves them: the checksum field holds the pseudo-header sum.
Bytes unfinished_udp(const Bytes& payload, uint16_t source_port = 1000) {
  Bytes datagram = udp(source_port, 2000, payload);
  const Bytes pseudo = number32(ip_a) + number32(ip_b) + number16(17) +
                       number16(static_cast<uint32_t>(datagram.size()));
  patch16(datagram, 6, naive_sum(pseudo));
  return eth(0x0800, ipv4({}, datagram));
}

uint16_t udp4_sum(const Bytes& frame) {
  const Bytes datagram(frame.begin() + 34, frame.end());
  return naive_sum(number32(ip_a) + number32(ip_b) + number16(17) +
                   number16(static_cast<uint32_t>(datagram.size())) + datagram);
}

TEST(FinishChecksum, completes_what_the_sender_left) {
  Bytes frame = unfinished_udp({1, 2, 3, 4, 5});
  Packet packet = packet_of(frame);
  packet.offload = {offload_needs_checksum, GsoType::None, 0, 34, 6};
  ASSERT_TRUE(finish_checksum(packet));
  EXPECT_FALSE(packet.offload.any());
  EXPECT_EQ(udp4_sum(frame), 0xffff);
}

TEST(FinishChecksum, a_UDP_result_of_zero_is_sent_as_all_ones) {
  // One of all source ports makes the sum come out so that the checksum is zero.
  uint32_t zeros = 0;
  for (uint32_t port = 0; port < 65536; ++port) {
    Bytes frame = unfinished_udp({9, 9}, static_cast<uint16_t>(port));
    Packet packet = packet_of(frame);
    packet.offload = {offload_needs_checksum, GsoType::None, 0, 34, 6};
    ASSERT_TRUE(finish_checksum(packet));
    ASSERT_NE(load_be16(&frame[40]).raw, 0);
    zeros += load_be16(&frame[40]).raw == 0xffff;
  }
  EXPECT_EQ(zeros, 1u);
}

TEST(FinishChecksum, at_the_place_of_SCTP_it_is_a_CRC32c) {
  // The check value of CRC-32C over "123456789" is 0xe3069283; here in an SCTP-shaped frame
  // computed bit by bit, as the polynomial is written down.
  Bytes frame = eth(0x0800, ipv4({.proto = 132}, sctp(5, 6) + Bytes{1, 2, 3, 4, 5, 6, 7}));
  uint32_t crc = 0xffffffff;
  for (size_t at = 34; at < frame.size(); ++at) {
    crc ^= frame[at];
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
  }
  frame[42] = 0xaa;  // whatever the sender left there does not count
  Packet packet = packet_of(frame);
  packet.offload = {offload_needs_checksum, GsoType::None, 0, 34, 8};
  ASSERT_TRUE(finish_checksum(packet));
  const uint32_t field = frame[42] | frame[43] << 8 | frame[44] << 16 | uint32_t{frame[45]} << 24;
  EXPECT_EQ(field, ~crc);
}

TEST(FinishChecksum, a_place_outside_the_packet_changes_nothing) {
  Bytes frame = unfinished_udp({1, 2});
  const Bytes before = frame;
  Packet packet = packet_of(frame);
  packet.offload = {offload_needs_checksum, GsoType::None, 0,
                    static_cast<uint16_t>(frame.size() - 7), 6};
  EXPECT_FALSE(finish_checksum(packet));
  // Two bytes are there at the place of SCTP, four would be needed.
  packet.offload.checksum_start = static_cast<uint16_t>(frame.size() - 10);
  packet.offload.checksum_offset = 8;
  EXPECT_FALSE(finish_checksum(packet));
  EXPECT_EQ(frame, before);
}

TEST(LooksPartial, tells_a_pseudo_header_sum_from_a_finished_checksum) {
  Bytes frame = unfinished_udp({1, 2, 3, 4});
  Packet packet = packet_of(frame);
  EXPECT_TRUE(looks_partial(packet, 14, 34));
  ASSERT_TRUE(mark_if_partial(packet));
  EXPECT_EQ(packet.offload, (Offload{offload_needs_checksum, GsoType::None, 0, 34, 6}));
  ASSERT_TRUE(finish_checksum(packet));
  EXPECT_FALSE(looks_partial(packet, 14, 34));
  EXPECT_FALSE(mark_if_partial(packet));
}

TEST(LooksPartial, finds_TCP_over_IPv6_behind_a_VLAN_tag_and_an_extension_header) {
  Bytes segment = tcp(1, 2, 0x10, {1, 2, 3});
  const Bytes pseudo =
      ip6(1) + ip6(2) + number32(static_cast<uint32_t>(segment.size())) + number32(6);
  patch16(segment, 16, naive_sum(pseudo));
  Ip6 ip;
  ip.next = 60;
  Bytes frame = eth(0x8100, vlan(5, 0x86dd, ipv6(ip, extension(6, 1) + segment)));
  Packet packet = packet_of(frame);
  ASSERT_TRUE(mark_if_partial(packet));
  EXPECT_EQ(packet.offload.checksum_start, 14 + 4 + 40 + 16);
  EXPECT_EQ(packet.offload.checksum_offset, 16);
  EXPECT_TRUE(looks_partial(packet, 18, 74));
}

TEST(LooksPartial, padding_behind_the_IP_packet_does_not_count) {
  Bytes frame = unfinished_udp({1, 2}) + Bytes(16, 0xee);
  Packet packet = packet_of(frame);
  EXPECT_TRUE(mark_if_partial(packet));
}

TEST(LooksPartial, never_reads_behind_a_truncated_packet) {
  const Bytes whole = unfinished_udp({1, 2, 3});
  Ip6 ip;
  ip.next = 0;
  const Bytes six = eth(0x86dd, ipv6(ip, extension(17, 0) + udp(1, 2, {3})));
  for (const Bytes& frame : {whole, six}) {
    for (size_t length = 0; length < frame.size(); ++length) {
      Bytes cut(frame.begin(), frame.begin() + static_cast<long>(length));
      cut.shrink_to_fit();
      Packet packet = packet_of(cut);
      EXPECT_FALSE(mark_if_partial(packet));
      EXPECT_FALSE(looks_partial(packet, 14, 34));
    }
  }
}

}  // namespace
}  // namespace vtep
