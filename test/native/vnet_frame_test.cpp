// vnet_frame_test.cpp — what the kernel hands over with a virtio header, as a packet or a reason.

#include "port/vnet_frame.h"

#include <gtest/gtest.h>

#include "packet/frame_pool.h"

namespace vtep {
namespace {

class ScatterTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(scatter_.prepare(cache_, 1), 1u);
    header() = VnetHeader{};
  }
  void TearDown() override { scatter_.release(cache_); }

  // The slot's header, where the kernel would write it.
  VnetHeader& header() { return *static_cast<VnetHeader*>(scatter_.vectors(0)[0].iov_base); }

  FramePool pool_{FramePoolConfig{64, 4, false}};
  FrameCache cache_{pool_};
  ScatterFrames scatter_{pool_};
};

TEST_F(ScatterTest, MoreThanAFrameHoldsIsTooLong) {
  DropReason reason = DropReason::None;
  EXPECT_EQ(scatter_.take(0, packet_bytes_max + 1, reason).frame, no_frame);
  EXPECT_EQ(reason, DropReason::TooLong);
  reason = DropReason::None;
  const Packet largest = scatter_.take(0, packet_bytes_max, reason);
  ASSERT_NE(largest.frame, no_frame);
  EXPECT_EQ(largest.length, packet_bytes_max);
  EXPECT_EQ(reason, DropReason::None);
  cache_.free(largest);
}

TEST_F(ScatterTest, AHeaderThatLiesAboutThePacketIsABadOffload) {
  header().flags = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
  header().csum_start = 2000;
  header().csum_offset = 16;
  DropReason reason = DropReason::None;
  EXPECT_EQ(scatter_.take(0, 100, reason).frame, no_frame);
  EXPECT_EQ(reason, DropReason::BadOffload);
}

}  // namespace
}  // namespace vtep
