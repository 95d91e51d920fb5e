// packet/frame_pool.h — all frame buffers of a datapath, and each worker's private stock of them.
//
// Why:    as in xsk_fwd.c: one memory for all sockets (the small frames are the UMEM of every
//         AF_XDP socket), a private cache per worker that trades whole slabs with the pool, so that
//         the packet path takes no lock and never allocates.
// Thread: FramePool is shared (a lock per slab trade); FrameCache belongs to one worker.
// Owner:  the pool owns the memory; a FrameId in a Packet is the right to use one frame.
// Limits: counts are fixed at construction; memory is touched only when frames are first used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/limits.h"
#include "packet/packet.h"

namespace vtep {

struct FramePoolConfig {
  uint32_t small_count = 16384;  // frames of small_frame_bytes
  uint32_t large_count = 256;    // frames of large_frame_bytes
  bool huge_pages = false;       // ask for transparent huge pages (madvise), never demanded
};

class FramePool {
 public:
  // Throws Error{ERR_LIMIT} when the memory cannot be reserved.
  explicit FramePool(const FramePoolConfig& config);
  ~FramePool();
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  uint8_t* small_memory() const noexcept;  // page aligned; the UMEM: frame i starts at i * 2048
  size_t small_memory_bytes() const noexcept;
  uint32_t small_count() const noexcept;
  uint32_t large_count() const noexcept;

  // First byte of a frame's buffer, headroom included.
  uint8_t* base(FrameId frame) const noexcept;
  // Bytes of a frame's buffer, headroom included.
  static constexpr uint32_t capacity(FrameId frame) noexcept {
    return frame.large() ? large_frame_bytes : small_frame_bytes;
  }
  // Frame that holds an address of small_memory() (AF_XDP descriptors name addresses).
  FrameId small_frame_at(uint64_t offset) const noexcept;

  // Slab trades, for FrameCache only. Return how many frames moved.
  uint32_t take(FrameId* frames, uint32_t count, bool large) noexcept;
  void give(const FrameId* frames, uint32_t count) noexcept;
  // Frames not handed out now, for tests that look for leaks.
  uint32_t free_count(bool large) const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Where a short packet begins in its small frame, behind the headroom. Frames lie 2048 bytes apart,
// so packets that all began at one offset would fight for two of the 64 sets of an L1 cache; a
// colour of 0 to 15 lines, by the frame's number, spreads them over all. Long packets have none.
constexpr uint32_t frame_colour(FrameId frame, uint32_t length) noexcept {
  constexpr uint32_t colours = 16;
  constexpr uint32_t spread_bytes = colours * cache_line_bytes;
  if (length > small_frame_bytes - frame_headroom - spread_bytes) return 0;
  return (frame.index() / 2 % colours) * cache_line_bytes;
}

// One worker's stock. alloc/free are a few instructions; every slab_frames-th goes to the pool.
class FrameCache {
 public:
  explicit FrameCache(FramePool& pool) noexcept
      : pool_(pool), small_memory_(pool.small_memory()) {}
  ~FrameCache();  // gives everything back
  FrameCache(const FrameCache&) = delete;
  FrameCache& operator=(const FrameCache&) = delete;

  FramePool& pool() const noexcept { return pool_; }
  // no_frame when the pool is empty too.
  FrameId alloc_small() noexcept {
    if (small_count_ == 0) [[unlikely]]
      return alloc(false);
    return small_[--small_count_];
  }
  FrameId alloc_large() noexcept { return alloc(true); }
  // All or nothing is not promised: returns how many were filled.
  uint32_t alloc_small(FrameId* frames, uint32_t count) noexcept;
  void free(FrameId frame) noexcept {
    static_assert(no_frame.raw < FrameId::large_bit);  // so one comparison tells small frames
    if (frame.raw >= no_frame.raw || small_count_ == stock_frames) [[unlikely]]
      return give_back(frame);
    small_[small_count_++] = frame;
  }
  void free(const Packet& packet) noexcept {
    if (packet.frame != no_frame) free(packet.frame);
  }
  // A new packet with frame_headroom before data; length is set, bytes are not. The frame is small
  // if `length` fits, else large. On exhaustion, frame == no_frame and data == nullptr.
  Packet make(uint32_t length) noexcept {
    if (length > small_frame_bytes - frame_headroom) return make_large(length);
    Packet packet;
    make_small(length, packet);
    return packet;
  }
  // make() in place, for lengths that fit into a small frame; sets all of the packet but in_port.
  // Field by field: a Packet that is built elsewhere and moved here stalls on its own stores.
  bool make_small(uint32_t length, Packet& packet) noexcept {
    const FrameId frame = alloc_small();
    packet.offload = Offload{};
    packet.frame = frame;
    if (frame == no_frame) [[unlikely]] {
      packet.data = nullptr;
      packet.length = 0;
      return false;
    }
    packet.data = small_memory_ + size_t{frame.raw} * small_frame_bytes + frame_headroom +
                  frame_colour(frame, length);
    packet.length = length;
    return true;
  }
  // A copy with its own frame, same offload state and in_port. Exhaustion as in make().
  Packet clone(const Packet& packet) noexcept;

  static constexpr uint32_t slab_frames = 256;  // a full burst

 private:
  FrameId alloc(bool large) noexcept;
  void give_back(FrameId frame) noexcept;
  Packet make_large(uint32_t length) noexcept;

  static constexpr uint32_t stock_frames = 2 * slab_frames;

  FramePool& pool_;
  uint8_t* const small_memory_;     // of the pool
  FrameId small_[stock_frames];     // stack of free small frames
  uint32_t small_count_ = 0;
  FrameId large_[8];                // large ones are few: trade them in fours
  uint32_t large_count_ = 0;
};

// Room before packet.data in a small frame, whose memory is aligned to its size.
inline uint32_t small_headroom(const Packet& packet) noexcept {
  static_assert((small_frame_bytes & (small_frame_bytes - 1)) == 0);
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(packet.data) & (small_frame_bytes - 1));
}
// Room before packet.data, given its pool.
inline uint32_t headroom(const FramePool& pool, const Packet& packet) noexcept {
  return static_cast<uint32_t>(packet.data - pool.base(packet.frame));
}
// Room behind the packet's last byte.
inline uint32_t tailroom(const FramePool& pool, const Packet& packet) noexcept {
  return FramePool::capacity(packet.frame) - headroom(pool, packet) - packet.length;
}

// Moves the start by `bytes` toward lower addresses (prepend) or higher ones (trim_front), and the
// checksum offset with it. The caller has checked headroom or length.
inline void prepend(Packet& packet, uint32_t bytes) noexcept {
  packet.data -= bytes;
  packet.length += bytes;
  if (packet.offload.flags & offload_needs_checksum)
    packet.offload.checksum_start = static_cast<uint16_t>(packet.offload.checksum_start + bytes);
}
inline void trim_front(Packet& packet, uint32_t bytes) noexcept {
  packet.data += bytes;
  packet.length -= bytes;
  if (packet.offload.flags & offload_needs_checksum)
    packet.offload.checksum_start = static_cast<uint16_t>(packet.offload.checksum_start - bytes);
}

}  // namespace vtep
