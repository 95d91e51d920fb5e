// packet/frame_pool.cpp — frame memory from mmap, slab trades under a lock, private stocks without.
//
// Why:    memory is reserved whole and touched on first use: an idle datapath costs no RAM. The
//         pool's stacks hand out low frame numbers first, so that what is touched stays small and
//         warm.
// Thread: the mutex is taken once per slab (256 small or 4 large frames), never per packet.
#include "packet/frame_pool.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/error.h"

namespace vtep {

namespace {

constexpr uint32_t frame_count_max = 1u << 24;  // 32 GiB of small frames: a typing error, surely
constexpr uint32_t large_trade = 4;             // large frames per trade

// One anonymous mapping, given back on destruction.
class Mapping {
 public:
  Mapping(size_t bytes, bool huge_pages) : bytes_(bytes) {
    if (bytes == 0) return;
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      throw Error("ERR_LIMIT",
                  "cannot reserve " + std::to_string(bytes >> 20) +
                      " MiB for frame buffers; lower the frame counts",
                  errno);
    }
    memory_ = static_cast<uint8_t*>(memory);
    if (huge_pages) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: refusal changes nothing
  }
  ~Mapping() {
    if (memory_ != nullptr) munmap(memory_, bytes_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  uint8_t* memory() const noexcept { return memory_; }
  size_t bytes() const noexcept { return bytes_; }

 private:
  uint8_t* memory_ = nullptr;
  size_t bytes_;
};

uint32_t checked_count(uint32_t count) {
  if (count > frame_count_max) {
    throw Error("ERR_LIMIT", std::to_string(count) + " frames asked for, at most " +
                                 std::to_string(frame_count_max) + " are possible");
  }
  return count;
}

}  // namespace

struct FramePool::State {
  explicit State(const FramePoolConfig& config)
      : small(size_t{checked_count(config.small_count)} * small_frame_bytes, config.huge_pages),
        large(size_t{checked_count(config.large_count)} * large_frame_bytes, config.huge_pages),
        small_count(config.small_count),
        large_count(config.large_count) {
    free_small.reserve(small_count);
    for (uint32_t i = small_count; i-- > 0;) free_small.push_back(FrameId{i});
    free_large.reserve(large_count);
    for (uint32_t i = large_count; i-- > 0;) free_large.push_back(FrameId{i | FrameId::large_bit});
  }

  std::vector<FrameId>& free_frames(bool is_large) noexcept {
    return is_large ? free_large : free_small;
  }

  Mapping small;
  Mapping large;
  uint32_t small_count;
  uint32_t large_count;
  std::mutex lock;                  // guards the two stacks
  std::vector<FrameId> free_small;  // reserved whole: push_back never allocates
  std::vector<FrameId> free_large;
};

FramePool::FramePool(const FramePoolConfig& config) : state_(std::make_unique<State>(config)) {}
FramePool::~FramePool() = default;

uint8_t* FramePool::small_memory() const noexcept { return state_->small.memory(); }
size_t FramePool::small_memory_bytes() const noexcept { return state_->small.bytes(); }
uint32_t FramePool::small_count() const noexcept { return state_->small_count; }
uint32_t FramePool::large_count() const noexcept { return state_->large_count; }

uint8_t* FramePool::base(FrameId frame) const noexcept {
  if (frame.large()) {
    DP_DASSERT(frame.index() < state_->large_count);
    return state_->large.memory() + size_t{frame.index()} * large_frame_bytes;
  }
  DP_DASSERT(frame.index() < state_->small_count);
  return state_->small.memory() + size_t{frame.index()} * small_frame_bytes;
}

FrameId FramePool::small_frame_at(uint64_t offset) const noexcept {
  DP_DASSERT(offset / small_frame_bytes < state_->small_count);
  return FrameId{static_cast<uint32_t>(offset / small_frame_bytes)};
}

uint32_t FramePool::take(FrameId* frames, uint32_t count, bool large) noexcept {
  const std::lock_guard guard(state_->lock);
  std::vector<FrameId>& stack = state_->free_frames(large);
  uint32_t taken = 0;
  for (; taken < count && !stack.empty(); ++taken) {
    frames[taken] = stack.back();
    stack.pop_back();
  }
  return taken;
}

void FramePool::give(const FrameId* frames, uint32_t count) noexcept {
  const std::lock_guard guard(state_->lock);
  for (uint32_t i = 0; i < count; ++i) {
    const bool large = frames[i].large();
    std::vector<FrameId>& stack = state_->free_frames(large);
    // More frames back than there are: one was freed twice.
    DP_ASSERT(stack.size() < (large ? state_->large_count : state_->small_count));
    stack.push_back(frames[i]);
  }
}

uint32_t FramePool::free_count(bool large) const noexcept {
  const std::lock_guard guard(state_->lock);
  return static_cast<uint32_t>(state_->free_frames(large).size());
}

FrameCache::~FrameCache() {
  pool_.give(small_, small_count_);
  pool_.give(large_, large_count_);
}

FrameId FrameCache::alloc(bool large) noexcept {
  if (large) {
    if (large_count_ == 0) large_count_ = pool_.take(large_, large_trade, true);
    return large_count_ == 0 ? no_frame : large_[--large_count_];
  }
  if (small_count_ == 0) small_count_ = pool_.take(small_, slab_frames, false);
  return small_count_ == 0 ? no_frame : small_[--small_count_];
}

uint32_t FrameCache::alloc_small(FrameId* frames, uint32_t count) noexcept {
  uint32_t filled = 0;
  while (filled < count) {
    const FrameId frame = alloc(false);
    if (frame == no_frame) break;
    frames[filled++] = frame;
  }
  return filled;
}

void FrameCache::give_back(FrameId frame) noexcept {
  if (frame == no_frame) return;
  if (frame.large()) {
    if (large_count_ == std::size(large_)) {
      large_count_ -= large_trade;
      pool_.give(large_ + large_count_, large_trade);
    }
    large_[large_count_++] = frame;
    return;
  }
  if (small_count_ == stock_frames) {
    small_count_ -= slab_frames;
    pool_.give(small_ + small_count_, slab_frames);
  }
  small_[small_count_++] = frame;
}

Packet FrameCache::make_large(uint32_t length) noexcept {
  Packet packet;
  if (length > large_frame_bytes - frame_headroom) return packet;
  packet.frame = alloc(true);
  if (packet.frame == no_frame) return packet;
  packet.data = pool_.base(packet.frame) + frame_headroom;
  packet.length = length;
  return packet;
}

Packet FrameCache::clone(const Packet& packet) noexcept {
  Packet copy = make(packet.length);
  if (copy.frame == no_frame) return copy;
  memcpy(copy.data, packet.data, packet.length);
  copy.offload = packet.offload;
  copy.in_port = packet.in_port;
  return copy;
}

}  // namespace vtep
