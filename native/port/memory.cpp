// port/memory.cpp — a registry of channels by name, and queues that copy from and to them.
#include "port/memory.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>

#include "base/error.h"
#include "base/fd.h"
#include "port/device.h"

namespace vtep {

namespace {

constexpr uint32_t copy_block_bytes = 64;
// Short enough that whole blocks of it stay inside a small frame, wherever it begins there.
constexpr uint32_t short_template_bytes = 512;
constexpr uint32_t prefetch_bytes = 2048;  // ahead, across the pages that stop the hardware's own

constexpr uint32_t whole_blocks(size_t bytes) noexcept {
  return static_cast<uint32_t>((bytes + copy_block_bytes - 1) / copy_block_bytes *
                               copy_block_bytes);
}

// Templates end to end in one memory, each in whole blocks, as a ring of a device has them: a
// million of them in turn are read as a stream.
struct LoopTemplates {
  struct Place {
    uint32_t block = 0;   // first block
    uint32_t length = 0;  // bytes
    Offload offload;
  };
  std::vector<uint8_t> bytes;
  std::vector<Place> places;
  uint32_t burst = batch_max;  // packets at a time

  LoopTemplates() = default;
  LoopTemplates(const std::vector<MemoryPacket>& packets, uint32_t burst_packets)
      : burst(burst_packets) {
    size_t blocks = 0;
    for (const MemoryPacket& packet : packets)
      blocks += whole_blocks(packet.bytes.size()) / copy_block_bytes;
    bytes.resize(blocks * copy_block_bytes);
    blocks = 0;
    for (const MemoryPacket& packet : packets) {
      const auto length = static_cast<uint32_t>(packet.bytes.size());
      places.push_back({static_cast<uint32_t>(blocks), length, packet.offload});
      memcpy(bytes.data() + blocks * copy_block_bytes, packet.bytes.data(), length);
      blocks += whole_blocks(length) / copy_block_bytes;
    }
  }
};

}  // namespace

// What the test's thread and the workers share.
struct MemoryChannel {
  Fd doorbell;                          // readable while `injected` is not empty, or always (loop)
  std::mutex mutex;                     // guards the two lists
  std::deque<MemoryPacket> injected;    // not yet taken by a worker
  std::vector<MemoryPacket> collected;  // sent, not yet collected
  std::atomic<uint64_t> waiting{0};     // injected.size(), for a look without the lock
  std::atomic<uint64_t> received{0};
  std::atomic<uint64_t> sent{0};
  std::atomic<uint64_t> sent_bytes{0};
  std::atomic<bool> sink{false};        // count and free
  LoopTemplates loop;                   // set before the queues open, then constant
};

namespace {

std::mutex registry_mutex;

std::map<std::string, std::shared_ptr<MemoryChannel>>& registry() {
  static std::map<std::string, std::shared_ptr<MemoryChannel>> channels;
  return channels;
}

std::shared_ptr<MemoryChannel> find_channel(const std::string& name) {
  const std::lock_guard lock(registry_mutex);
  const auto found = registry().find(name);
  if (found == registry().end())
    throw Error("ERR_PORT_NOT_FOUND", "there is no memory port called '" + name + "'");
  return found->second;
}

void check_length(const MemoryPacket& packet) {
  if (packet.bytes.size() < 14 || packet.bytes.size() > packet_bytes_max)
    throw Error("ERR_LIMIT", "a packet of " + std::to_string(packet.bytes.size()) +
                                 " bytes: memory ports take 14 to " +
                                 std::to_string(packet_bytes_max));
}

void silence(const MemoryChannel& channel) noexcept {
  uint64_t rings = 0;
  if (::read(channel.doorbell.get(), &rings, sizeof rings) < 0) rings = 0;  // nobody had rung
}

class MemoryQueue final : public PortQueue {
 public:
  MemoryQueue(std::shared_ptr<MemoryChannel> channel, uint32_t port_number, bool receives) noexcept
      : channel_(std::move(channel)), port_number_(port_number), receives_(receives) {}

  uint32_t rx_burst(FrameCache& frames, Packet* packets, uint32_t max) noexcept override;
  void tx_burst(FrameCache& frames, const Packet* packets, uint32_t count) noexcept override;
  void flush(FrameCache&) noexcept override {}
  bool receives() const noexcept override { return receives_; }
  int rx_fd() const noexcept override { return receives_ ? channel_->doorbell.get() : -1; }
  bool pending() const noexcept override {
    return receives_ &&
           (!channel_->loop.places.empty() ||
            channel_->waiting.load(std::memory_order_relaxed) != 0);
  }

 private:
  bool copy(FrameCache& frames, const MemoryPacket& from, Packet& to) noexcept;
  bool fill(FrameCache& frames, const uint8_t* from, const LoopTemplates::Place& place,
            Packet& to) noexcept;
  uint32_t rx_loop(FrameCache& frames, Packet* packets, uint32_t max) noexcept;
  void keep(FrameCache& frames, const Packet* packets, uint32_t count) noexcept;

  std::shared_ptr<MemoryChannel> channel_;
  const uint32_t port_number_;
  const bool receives_;
  size_t next_place_ = 0;
};

bool MemoryQueue::copy(FrameCache& frames, const MemoryPacket& from, Packet& to) noexcept {
  to = frames.make(static_cast<uint32_t>(from.bytes.size()));
  if (to.frame == no_frame) {
    ++stats.drops[static_cast<uint32_t>(DropReason::NoFrames)];
    return false;
  }
  memcpy(to.data, from.bytes.data(), from.bytes.size());
  to.offload = from.offload;
  to.in_port = port_number_;
  return true;
}

// A short template is copied in whole blocks: what follows it in its frame is nobody's.
inline bool MemoryQueue::fill(FrameCache& frames, const uint8_t* from,
                              const LoopTemplates::Place& place, Packet& to) noexcept {
  const bool is_short = place.length <= short_template_bytes;
  if (is_short) [[likely]]
    frames.make_small(place.length, to);
  else
    to = frames.make(place.length);
  if (to.frame == no_frame) [[unlikely]] {
    ++stats.drops[static_cast<uint32_t>(DropReason::NoFrames)];
    return false;
  }
  if (is_short) [[likely]] {
    uint8_t* const data = to.data;
    const uint32_t length = place.length;
    for (uint32_t block = 0; block < length; block += copy_block_bytes)
      memcpy(data + block, from + block, copy_block_bytes);
  } else {
    memcpy(to.data, from, place.length);
  }
  to.offload = place.offload;
  to.in_port = port_number_;
  return true;
}

uint32_t MemoryQueue::rx_loop(FrameCache& frames, Packet* packets, uint32_t max) noexcept {
  const LoopTemplates& loop = channel_->loop;
  const LoopTemplates::Place* const end = loop.places.data() + loop.places.size();
  const LoopTemplates::Place* place = loop.places.data() + next_place_;
  const uint8_t* const bytes = loop.bytes.data();
  const uint32_t wanted = std::min(max, loop.burst);
  uint32_t count = 0;
  for (; count < wanted; ++count) {
    const uint8_t* from = bytes + size_t{place->block} * copy_block_bytes;
    __builtin_prefetch(from + prefetch_bytes);
    __builtin_prefetch(from + prefetch_bytes + copy_block_bytes);
    if (!fill(frames, from, *place, packets[count])) break;
    if (++place == end) place = loop.places.data();
  }
  next_place_ = static_cast<size_t>(place - loop.places.data());
  channel_->received.fetch_add(count, std::memory_order_relaxed);
  return count;
}

uint32_t MemoryQueue::rx_burst(FrameCache& frames, Packet* packets, uint32_t max) noexcept {
  if (!receives_) return 0;
  if (!channel_->loop.places.empty()) return rx_loop(frames, packets, max);
  if (channel_->waiting.load(std::memory_order_acquire) == 0) return 0;
  const std::lock_guard lock(channel_->mutex);
  uint32_t count = 0;
  while (count < max && !channel_->injected.empty()) {
    if (copy(frames, channel_->injected.front(), packets[count])) ++count;
    channel_->injected.pop_front();
  }
  if (channel_->injected.empty()) silence(*channel_);
  channel_->waiting.store(channel_->injected.size(), std::memory_order_release);
  channel_->received.fetch_add(count, std::memory_order_relaxed);
  return count;
}

// Tests only: this allocates under a lock.
void MemoryQueue::keep(FrameCache& frames, const Packet* packets, uint32_t count) noexcept {
  const std::lock_guard lock(channel_->mutex);
  for (uint32_t i = 0; i < count; ++i) {
    const Packet& packet = packets[i];
    if (channel_->collected.size() < memory_kept_max)
      channel_->collected.push_back(
          {std::vector<uint8_t>(packet.data, packet.data + packet.length), packet.offload});
    else
      ++stats.drops[static_cast<uint32_t>(DropReason::TxFull)];
  }
}

void MemoryQueue::tx_burst(FrameCache& frames, const Packet* packets, uint32_t count) noexcept {
  if (!channel_->sink.load(std::memory_order_relaxed)) keep(frames, packets, count);
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; ++i) {
    bytes += packets[i].length;
    frames.free(packets[i]);
  }
  channel_->sent_bytes.fetch_add(bytes, std::memory_order_relaxed);
  channel_->sent.fetch_add(count, std::memory_order_release);
}

void ring(const MemoryChannel& channel) {
  const uint64_t one = 1;
  if (::write(channel.doorbell.get(), &one, sizeof one) < 0 && errno != EAGAIN)
    throw Error("ERR_INTERNAL", "ringing the doorbell of a memory port failed", errno);
}

}  // namespace

void memory_port_inject(const std::string& name, MemoryPacket packet) {
  check_length(packet);
  const auto channel = find_channel(name);
  const std::lock_guard lock(channel->mutex);
  channel->injected.push_back(std::move(packet));
  channel->waiting.store(channel->injected.size(), std::memory_order_release);
  ring(*channel);
}

std::vector<MemoryPacket> memory_port_collect(const std::string& name) {
  const auto channel = find_channel(name);
  const std::lock_guard lock(channel->mutex);
  return std::exchange(channel->collected, {});
}

MemoryPortCounts memory_port_counts(const std::string& name) {
  const auto channel = find_channel(name);
  return {channel->received, channel->sent, channel->sent_bytes, channel->waiting};
}

void memory_port_loop(const std::string& name, const std::vector<MemoryPacket>& templates,
                      uint32_t burst) {
  for (const MemoryPacket& packet : templates) check_length(packet);
  if (burst == 0 || burst > batch_max)
    throw Error("ERR_LIMIT", "a burst of " + std::to_string(burst) +
                                 " packets: memory ports give 1 to " + std::to_string(batch_max));
  const auto channel = find_channel(name);
  channel->loop = LoopTemplates(templates, burst);
  channel->sink = true;
  if (templates.empty())
    silence(*channel);
  else
    ring(*channel);
}

void memory_port_sink(const std::string& name, bool sink) { find_channel(name)->sink = sink; }

MemoryPort::MemoryPort(const PortConfig& config, FramePool&) : Port(config) {
  capabilities_ = {.tx_checksum = true, .tx_tso = true, .tx_uso = true, .rx_superpackets = true};
  channel_ = std::make_shared<MemoryChannel>();
  channel_->doorbell = Fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!channel_->doorbell.open()) throw_errno("making a memory port", "a descriptor", errno);
  const std::lock_guard lock(registry_mutex);
  if (!registry().emplace(config_.name, channel_).second)
    throw Error("ERR_DEVICE_BUSY",
                "there already is a memory port called '" + std::string(config_.name) + "'");
}

MemoryPort::~MemoryPort() {
  const std::lock_guard lock(registry_mutex);
  registry().erase(config_.name);
}

PortStatus MemoryPort::status() const {
  PortStatus status;
  status.kind = PortKind::Memory;
  status.mtu = config_.mtu != 0 ? config_.mtu : 1500;
  status.link_up = 1;
  set_text(status.mode, "memory");
  set_text(status.why, why_);
  return status;
}

std::unique_ptr<PortQueue> MemoryPort::open_queue(uint32_t, bool receive) {
  return std::make_unique<MemoryQueue>(channel_, config_.number, receive);
}

}  // namespace vtep
