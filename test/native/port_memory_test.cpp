// test/native/port_memory_test.cpp — memory ports: what is injected arrives, what is sent is
// collected.
#include <gtest/gtest.h>
#include <poll.h>

#include <cstring>

#include "base/error.h"
#include "port/memory.h"
#include "test/native/port_support.h"

namespace vtep::test {
namespace {

class MemoryTest : public ::testing::Test {
 protected:
  FramePool pool_{{.small_count = 1024, .large_count = 16, .huge_pages = false}};
};

TEST_F(MemoryTest, InjectedPacketsArriveInOrderWithTheirOffloadAndRingTheDoorbell) {
  auto port = make_port(port_config(7, PortKind::Memory, ""), pool_);
  auto queue = port->open_queue(0, true);
  FrameCache frames(pool_);
  pollfd ready = {queue->rx_fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&ready, 1, 0), 0);
  const Offload offload = {.flags = offload_needs_checksum,
                           .gso_type = GsoType::TcpV4,
                           .gso_size = 1400,
                           .checksum_start = 34,
                           .checksum_offset = 16};
  memory_port_inject("port7", {ethernet_frame(0x800, 20000), offload});
  memory_port_inject("port7", {ethernet_frame(0x806, 46), {}});
  EXPECT_EQ(::poll(&ready, 1, 0), 1);
  EXPECT_TRUE(queue->pending());
  Packet packets[4];
  ASSERT_EQ(queue->rx_burst(frames, packets, 4), 2u);
  EXPECT_EQ(packets[0].length, 20014u);
  EXPECT_EQ(packets[0].offload, offload);
  EXPECT_EQ(packets[1].in_port, 7u);
  EXPECT_EQ(::poll(&ready, 1, 0), 0);
  EXPECT_FALSE(queue->pending());
  queue->tx_burst(frames, packets, 2);
  const auto sent = memory_port_collect("port7");
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].bytes, ethernet_frame(0x800, 20000));
  EXPECT_EQ(sent[0].offload, offload);
  EXPECT_EQ(sent[1].bytes, ethernet_frame(0x806, 46));
  EXPECT_TRUE(memory_port_collect("port7").empty());
}

TEST_F(MemoryTest, LoopedTemplatesArriveForEverAndTheSinkGivesEveryFrameBack) {
  const FreeFrames before(pool_);
  {
    auto port = make_port(port_config(1, PortKind::Memory, ""), pool_);
    memory_port_loop("port1", {{ethernet_frame(0x800, 50), {}}, {ethernet_frame(0x800, 3000), {}}});
    auto queue = port->open_queue(0, true);
    FrameCache frames(pool_);
    Packet packets[9];
    for (uint32_t round = 0; round < 1000; ++round) {
      ASSERT_EQ(queue->rx_burst(frames, packets, 9), 9u);
      queue->tx_burst(frames, packets, 9);
    }
    EXPECT_EQ(memory_port_counts("port1").sent, 9000u);
    EXPECT_EQ(memory_port_counts("port1").sent_bytes, 4500u * 64 + 4500u * 3014);
    EXPECT_TRUE(memory_port_collect("port1").empty());
  }
  EXPECT_EQ(FreeFrames(pool_), before);
}

TEST_F(MemoryTest, RunningOutOfFramesIsCountedAndCrashesNothing) {
  auto port = make_port(port_config(1, PortKind::Memory, ""), pool_);
  auto queue = port->open_queue(0, true);
  FrameCache frames(pool_);
  for (uint32_t i = 0; i < 20; ++i) memory_port_inject("port1", {ethernet_frame(0x800, 5000), {}});
  Packet packets[20];
  EXPECT_EQ(queue->rx_burst(frames, packets, 20), 16u);
  EXPECT_EQ(queue->stats.drops[static_cast<uint32_t>(DropReason::NoFrames)], 4u);
  queue->tx_burst(frames, packets, 16);
}

TEST_F(MemoryTest, NamesAreUniqueAndUnknownOnesAreErrors) {
  auto port = make_port(port_config(1, PortKind::Memory, ""), pool_);
  EXPECT_THROW(make_port(port_config(1, PortKind::Memory, ""), pool_), Error);
  EXPECT_NO_THROW(memory_port_counts("port1"));
  EXPECT_THROW(memory_port_inject("nobody", {ethernet_frame(0x800, 50), {}}), Error);
  EXPECT_THROW(memory_port_inject("port1", {std::vector<uint8_t>(13), {}}), Error);
  EXPECT_THROW(memory_port_inject("port1", {std::vector<uint8_t>(packet_bytes_max + 1), {}}),
               Error);
  port.reset();
  EXPECT_THROW(memory_port_counts("port1"), Error);
}

TEST_F(MemoryTest, APortNumberOutOfRangeIsRefused) {
  for (const uint32_t number : {0u, port_max})
    EXPECT_THROW(make_port(port_config(number, PortKind::Memory, ""), pool_), Error);
}

}  // namespace
}  // namespace vtep::test
