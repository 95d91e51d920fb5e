// port/vnet_frame.h — virtio_net_hdr and frames: what AF_PACKET and TAP have in common.
//
// Why:    both hand over one packet as (virtio_net_hdr, bytes), from 14 bytes to 64 KiB, and the
//         size is known only after the read. Each read therefore scatters: the first rx_small_bytes
//         into a small frame, the rest into a large one, placed so that the first part can be
//         copied in front of it. Small packets keep the small frame and cost no copy; a superpacket
//         costs one copy of 1852 bytes.
//
//            small  | headroom 192 | tag 4 | first 1852 bytes |
//            large  | headroom 192 | tag 4 | (first part)     | rest, up to 71680 bytes |
//
// Thread: ScatterFrames belongs to one queue and thus to one worker.
// Owner:  frames in a slot are the queue's; take() passes one of them to the caller with the
//         packet.
#pragma once

#include <sys/uio.h>

#include <cstdint>

#include "base/drop_reasons.h"
#include "packet/frame_pool.h"
#include "packet/headers.h"
#include "packet/packet.h"
#include "port/kernel_abi.h"

namespace vtep {

// The tag that the kernel took out goes back in by moving the two MACs into these four bytes.
constexpr uint32_t rx_data_offset = frame_headroom + vlan_tag_bytes;
constexpr uint32_t rx_small_bytes = small_frame_bytes - rx_data_offset;
constexpr uint32_t rx_spill_offset = rx_data_offset + rx_small_bytes;
constexpr uint32_t rx_spill_bytes = large_frame_bytes - rx_spill_offset;
static_assert(rx_small_bytes >= 1518);
static_assert(rx_small_bytes + rx_spill_bytes >= packet_bytes_max);

using kernel::VnetHeader;

// Whether virtio_net_hdr of a kernel release ("6.1.0-18-amd64") says UDP segmentation: Linux 6.2.
// A probe would have to send a packet. Before that, the kernel throws a UDP superpacket away rather
// than hand it to a packet socket.
bool release_has_uso(const char* release) noexcept;
bool kernel_has_uso() noexcept;  // the running one

// What the device said of a packet of `length` bytes. False when it contradicts itself or the
// packet.
bool offload_from_vnet(const VnetHeader& header, uint32_t length, Offload& offload) noexcept;
// The header to send a packet with. hdr_len spans all headers of a superpacket.
VnetHeader vnet_from_offload(const Packet& packet) noexcept;
// Puts an 802.1Q or 802.1ad tag (host order) behind the MACs. The caller has checked headroom and
// length.
void insert_vlan(Packet& packet, uint16_t tpid, uint16_t tci) noexcept;

class ScatterFrames {
 public:
  static constexpr uint32_t slot_max = 32;  // messages per recvmmsg: 2 MiB of spill at most

  explicit ScatterFrames(FramePool& pool) noexcept;
  ~ScatterFrames();  // gives the frames back to the pool
  ScatterFrames(const ScatterFrames&) = delete;
  ScatterFrames& operator=(const ScatterFrames&) = delete;

  // Fills slots 0..wanted-1 and returns how many are ready: fewer when frames have run out.
  uint32_t prepare(FrameCache& frames, uint32_t wanted) noexcept;
  // Gives the frames of all slots back: an idle queue holds none.
  void release(FrameCache& frames) noexcept;

  // Where slot `slot` wants its bytes: [virtio_net_hdr, small, spill], to be used as they are.
  iovec* vectors(uint32_t slot) noexcept { return vectors_[slot]; }
  const VnetHeader& header(uint32_t slot) const noexcept { return headers_[slot]; }

  // The packet of a slot that received `length` bytes behind the header. On failure packet.frame is
  // no_frame, the slot keeps its frames and `reason` says why.
  Packet take(uint32_t slot, uint32_t length, DropReason& reason) noexcept;

 private:
  FramePool& pool_;
  uint32_t held_ = 0;        // slots below may hold frames
  FrameId small_[slot_max];  // no_frame: empty
  FrameId large_[slot_max];  // no_frame: empty
  VnetHeader headers_[slot_max];
  iovec vectors_[slot_max][3];
};

}  // namespace vtep
