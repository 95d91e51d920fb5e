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
  std::vector<MemoryPacket> templates;  // set before the queues open, then constant
  uint32_t burst = batch_max;           // likewise: templates that arrive together
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
           (!channel_->templates.empty() || channel_->waiting.load(std::memory_order_relaxed) != 0);
  }

 private:
  bool copy(FrameCache& frames, const MemoryPacket& from, Packet& to) noexcept;
  uint32_t rx_loop(FrameCache& frames, Packet* packets, uint32_t max) noexcept;
  void keep(FrameCache& frames, const Packet* packets, uint32_t count) noexcept;

  std::shared_ptr<MemoryChannel> channel_;
  const uint32_t port_number_;
  const bool receives_;
  size_t next_template_ = 0;
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

uint32_t MemoryQueue::rx_loop(FrameCache& frames, Packet* packets, uint32_t max) noexcept {
  const std::vector<MemoryPacket>& templates = channel_->templates;
  max = std::min(max, channel_->burst);
  uint32_t count = 0;
  while (count < max && copy(frames, templates[next_template_], packets[count])) {
    ++count;
    if (++next_template_ == templates.size()) next_template_ = 0;
  }
  channel_->received.fetch_add(count, std::memory_order_relaxed);
  return count;
}

uint32_t MemoryQueue::rx_burst(FrameCache& frames, Packet* packets, uint32_t max) noexcept {
  if (!receives_) return 0;
  if (!channel_->templates.empty()) return rx_loop(frames, packets, max);
  if (channel_->waiting.load(std::memory_order_acquire) == 0) return 0;
  const std::lock_guard lock(channel_->mutex);
  uint32_t count = 0;
  while (count < max && !channel_->injected.empty()) {
    if (copy(frames, channel_->injected.front(), packets[count])) ++count;
    channel_->injected.pop_front();
  }
  if (channel_->injected.empty()) {
    uint64_t rings = 0;
    if (::read(channel_->doorbell.get(), &rings, sizeof rings) < 0) rings = 0;  // nobody had rung
  }
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

void memory_port_loop(const std::string& name, std::vector<MemoryPacket> templates,
                      uint32_t burst) {
  for (const MemoryPacket& packet : templates) check_length(packet);
  const auto channel = find_channel(name);
  channel->templates = std::move(templates);
  channel->burst = burst;
  channel->sink = true;
  if (!channel->templates.empty()) ring(*channel);
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
