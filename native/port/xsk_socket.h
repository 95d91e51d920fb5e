// port/xsk_socket.h — one AF_XDP socket on one device queue, with its four rings.
//
// Why:    own code on the kernel's uapi; libxdp's dispatcher is trouble on several kernels.
//
//         Ring        | Producer | Consumer | Holds
//         fill        | us       | kernel   | frames for packets to come
//         rx          | kernel   | us       | packets that came
//         tx          | us       | kernel   | packets to send
//         completion  | kernel   | us       | frames of packets that were sent
//
// Thread: the worker of its queue; open and close on the control thread.
// Owner:  a frame given to the kernel (fill or tx) is marked in `given_`; when the socket closes,
//         all marked frames go back to the pool, wherever in the kernel they were.
// Limits: ring_entries each; fill_target frames wait for packets.
#pragma once

#include <linux/if_xdp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "packet/frame_pool.h"

namespace vtep {

// What a socket needs to know to open.
struct XskOptions {
  std::string device;  // for messages
  uint32_t ifindex = 0;
  uint32_t queue = 0;        // of the device
  bool zero_copy = false;    // demand it; else the kernel copies
  uint32_t fill_target = 0;  // frames that wait for packets, at most ring_entries
};

class XskSocket {
 public:
  static constexpr uint32_t ring_entries = 2048;

  // Binds the socket. The memory is shared with a socket of the same pool and mode where there is
  // one. Throws Error ERR_XDP_UNSUPPORTED when the driver cannot do it, ERR_DEVICE_BUSY, ERR_LIMIT.
  XskSocket(FramePool& pool, const XskOptions& options);
  ~XskSocket();
  XskSocket(const XskSocket&) = delete;
  XskSocket& operator=(const XskSocket&) = delete;

  int fd() const noexcept { return socket_.get(); }
  uint32_t queue() const noexcept { return options_.queue; }

  // Gives the kernel frames until fill_target wait there.
  void refill(FrameCache& frames) noexcept;
  // Takes up to `max` received descriptors; their frames are the caller's. addr counts from
  // FramePool::small_memory().
  uint32_t receive(xdp_desc* descriptors, uint32_t max) noexcept;
  // Asks for `count` places in the tx ring: all or none.
  bool reserve(uint32_t count) noexcept;
  // Puts a packet (or part of it) into a reserved place; the frame is the kernel's.
  void push(FrameId frame, xdp_desc descriptor) noexcept;
  // Makes pushed packets visible and wakes the kernel if it has to be.
  void kick() noexcept;
  // Takes the frames of sent packets back.
  void reclaim(FrameCache& frames) noexcept;
  // Packets that the kernel dropped for want of frames or ring places, since the last call.
  uint64_t take_kernel_drops() noexcept;

 private:
  struct Ring {
    uint32_t* producer = nullptr;
    uint32_t* consumer = nullptr;
    uint32_t* flags = nullptr;
    void* entries = nullptr;
    void* memory = nullptr;  // the mapping
    size_t bytes = 0;        // of the mapping
    uint32_t head = 0;       // our own index: producer or consumer
  };

  bool open_once();
  void set_up(int share);
  bool bind(int share) noexcept;
  void map_ring(Ring& ring, uint64_t page, const xdp_ring_offset& offset, size_t entry_bytes);
  void unmap() noexcept;
  void mark(FrameId frame) noexcept {
    given_[frame.index() / 64] |= uint64_t{1} << (frame.index() % 64);
  }
  void unmark(FrameId frame) noexcept {
    given_[frame.index() / 64] &= ~(uint64_t{1} << (frame.index() % 64));
  }

  FramePool& pool_;
  XskOptions options_;
  Fd socket_;
  Ring fill_, rx_, tx_, completion_;
  uint32_t filled_ = 0;              // frames in the fill ring or on their way to the rx ring
  uint32_t tx_free_ = ring_entries;  // places whose frame has come back; bounds the completion ring
  uint64_t drops_seen_ = 0;          // of the kernel's running count
  std::vector<uint64_t> given_;      // bit per small frame: the kernel has it
};

}  // namespace vtep
