// port/af_xdp.cpp — descriptors to packets and back, and the choice of mode.
#include "port/af_xdp.h"

#include <linux/if_ether.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "port/kernel_abi.h"
#include "port/offload_guess.h"
#include "port/packet_sender.h"
#include "port/vnet_frame.h"

namespace vtep {
namespace {

// Frames that wait in the kernel for packets: an access port's share must leave some for a hundred
// others.
constexpr uint32_t fill_access = 512;
constexpr uint32_t fill_uplink = 1024;
constexpr uint32_t drops_asked_every =
    1024;  // packets between two looks at the kernel's drop counters

class AfXdpQueue final : public PortQueue {
 public:
  struct Options {
    uint32_t port_number;
    uint32_t tx_mtu;  // of the device, L3 bytes
    bool unmarked;    // the device does not tell about unfinished checksums
    OffloadGuess guess;
  };

  AfXdpQueue(FramePool& pool, std::vector<std::unique_ptr<XskSocket>> sockets,
             const Options& options);
  ~AfXdpQueue() override;

  uint32_t rx_burst(FrameCache& frames, Packet* packets, uint32_t max) noexcept override;
  void tx_burst(FrameCache& frames, const Packet* packets, uint32_t count) noexcept override;
  void flush(FrameCache& frames) noexcept override;
  bool receives() const noexcept override { return true; }
  int rx_fd() const noexcept override { return poll_.open() ? poll_.get() : sockets_[0]->fd(); }

 private:
  uint32_t receive(XskSocket& socket, FrameCache& frames, Packet* packets, uint32_t max) noexcept;
  bool assemble(FrameCache& frames, const xdp_desc& descriptor, Packet& packet) noexcept;
  void append(FrameCache& frames, const xdp_desc& descriptor) noexcept;
  bool finish(FrameCache& frames, Packet& packet) noexcept;
  bool send_small(XskSocket& socket, const Packet& packet) noexcept;
  bool send_pieces(XskSocket& socket, FrameCache& frames, const Packet& packet) noexcept;
  void ask_kernel_drops() noexcept;
  void drop(DropReason reason) noexcept { ++stats.drops[static_cast<uint32_t>(reason)]; }

  FramePool& pool_;
  std::vector<std::unique_ptr<XskSocket>> sockets_;  // one per device queue
  Fd poll_;  // epoll over them; not open when there is only one
  const Options options_;
  uint32_t next_socket_ = 0;                        // to read first, in turn
  uint32_t unasked_packets_ = 0;                    // received since the drop counters were read
  Packet assembly_;                                 // a packet of several chunks, so far
  DropReason assembly_failure_ = DropReason::None;  // why the rest of it is thrown away
  bool assembling_ = false;
};

AfXdpQueue::AfXdpQueue(FramePool& pool, std::vector<std::unique_ptr<XskSocket>> sockets,
                       const Options& options)
    : pool_(pool), sockets_(std::move(sockets)), options_(options) {
  FrameCache frames(pool);
  for (const auto& socket : sockets_) socket->refill(frames);
  if (sockets_.size() == 1) return;
  poll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  for (const auto& socket : sockets_) {
    epoll_event event = {};
    event.events = EPOLLIN;
    if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, socket->fd(), &event) != 0)
      throw_errno("watching AF_XDP sockets", "a descriptor", errno);
  }
}

AfXdpQueue::~AfXdpQueue() {
  if (assembly_.frame != no_frame) pool_.give(&assembly_.frame, 1);
}

uint32_t AfXdpQueue::rx_burst(FrameCache& frames, Packet* packets, uint32_t max) noexcept {
  uint32_t count = 0;
  const auto sockets = static_cast<uint32_t>(sockets_.size());
  for (uint32_t i = 0; i < sockets && count < max; ++i)
    count += receive(*sockets_[(next_socket_ + i) % sockets], frames, packets + count, max - count);
  next_socket_ = (next_socket_ + 1) % sockets;
  unasked_packets_ += count;
  if (unasked_packets_ >= drops_asked_every || (count == 0 && unasked_packets_ != 0))
    ask_kernel_drops();
  return count;
}

uint32_t AfXdpQueue::receive(XskSocket& socket, FrameCache& frames, Packet* packets,
                             uint32_t max) noexcept {
  xdp_desc descriptors[batch_max];
  uint32_t count = 0;
  while (count < max) {
    const uint32_t got = socket.receive(descriptors, std::min(max - count, batch_max));
    if (got == 0) break;
    for (uint32_t i = 0; i < got; ++i)
      if (assemble(frames, descriptors[i], packets[count]) && finish(frames, packets[count]))
        ++count;
  }
  socket.refill(frames);
  return count;
}

// True when `descriptor` completes a packet; its frame is then in `packet`.
bool AfXdpQueue::assemble(FrameCache& frames, const xdp_desc& descriptor, Packet& packet) noexcept {
  const bool more = (descriptor.options & kernel::xdp_packet_continues) != 0;
  if (!assembling_ && !more) {
    packet = Packet{};
    packet.frame = pool_.small_frame_at(descriptor.addr);
    packet.data = pool_.small_memory() + descriptor.addr;
    packet.length = descriptor.len;
    return true;
  }
  if (!assembling_) {
    assembling_ = true;
    assembly_ = Packet{};
    assembly_failure_ = DropReason::None;
    assembly_.frame = frames.alloc_large();
    if (assembly_.frame == no_frame)
      assembly_failure_ = DropReason::NoFrames;
    else
      assembly_.data = pool_.base(assembly_.frame) + rx_data_offset;
  }
  append(frames, descriptor);
  if (more) return false;
  assembling_ = false;
  packet = std::exchange(assembly_, Packet{});
  if (assembly_failure_ == DropReason::None) return true;
  drop(assembly_failure_);
  frames.free(packet);
  return false;
}

void AfXdpQueue::append(FrameCache& frames, const xdp_desc& descriptor) noexcept {
  if (assembly_.length + descriptor.len > packet_bytes_max) assembly_failure_ = DropReason::TooLong;
  if (assembly_failure_ == DropReason::None) {
    memcpy(assembly_.data + assembly_.length, pool_.small_memory() + descriptor.addr,
           descriptor.len);
    assembly_.length += descriptor.len;
  }
  frames.free(pool_.small_frame_at(descriptor.addr));
}

bool AfXdpQueue::finish(FrameCache& frames, Packet& packet) noexcept {
  packet.in_port = options_.port_number;
  DropReason reason = packet.length < ETH_HLEN ? DropReason::TooShort : DropReason::None;
  if (options_.unmarked && reason == DropReason::None)
    reason = guess_offload(packet, options_.guess);
  if (reason == DropReason::None) return true;
  drop(reason);
  frames.free(packet);
  return false;
}

void AfXdpQueue::ask_kernel_drops() noexcept {
  unasked_packets_ = 0;
  for (const auto& socket : sockets_) stats.kernel_drops += socket->take_kernel_drops();
}

bool AfXdpQueue::send_small(XskSocket& socket, const Packet& packet) noexcept {
  if (!socket.reserve(1)) return false;
  xdp_desc descriptor = {};
  descriptor.addr = static_cast<uint64_t>(packet.data - pool_.small_memory());
  descriptor.len = packet.length;
  socket.push(packet.frame, descriptor);
  return true;
}

// Large frames are not the kernel's to read: the packet goes in small ones, chained if it needs
// several.
bool AfXdpQueue::send_pieces(XskSocket& socket, FrameCache& frames, const Packet& packet) noexcept {
  constexpr uint32_t piece_max = 17;  // the kernel's MAX_SKB_FRAGS
  const uint32_t pieces = (packet.length + small_frame_bytes - 1) / small_frame_bytes;
  FrameId copies[piece_max];
  if (pieces > piece_max) {
    drop(DropReason::TxTooLong);
    frames.free(packet);
    return true;
  }
  if (!socket.reserve(pieces)) return false;
  const uint32_t got = frames.alloc_small(copies, pieces);
  if (got < pieces) {
    for (uint32_t i = 0; i < got; ++i) frames.free(copies[i]);
    drop(DropReason::NoFrames);
    frames.free(packet);
    return true;
  }
  for (uint32_t i = 0; i < pieces; ++i) {
    const uint32_t at = i * small_frame_bytes;
    xdp_desc descriptor = {};
    descriptor.addr = uint64_t{copies[i].index()} * small_frame_bytes;
    descriptor.len = std::min(small_frame_bytes, packet.length - at);
    descriptor.options = i + 1 < pieces ? kernel::xdp_packet_continues : 0;
    memcpy(pool_.base(copies[i]), packet.data + at, descriptor.len);
    socket.push(copies[i], descriptor);
  }
  frames.free(packet);
  return true;
}

void AfXdpQueue::tx_burst(FrameCache& frames, const Packet* packets, uint32_t count) noexcept {
  XskSocket& socket = *sockets_[0];
  for (uint32_t i = 0; i < count; ++i) {
    const Packet& packet = packets[i];
    if (packet.length > options_.tx_mtu + ETH_HLEN + vlan_tag_bytes) {
      drop(DropReason::TxTooLong);
      frames.free(packet);
      continue;
    }
    const auto send = [&] {
      return packet.frame.large() ? send_pieces(socket, frames, packet)
                                  : send_small(socket, packet);
    };
    if (send()) continue;
    flush(frames);
    if (send()) continue;
    drop(DropReason::TxFull);
    frames.free(packet);
  }
}

void AfXdpQueue::flush(FrameCache& frames) noexcept {
  sockets_[0]->kick();
  sockets_[0]->reclaim(frames);
}

const char* driver_that_hides_offloads = "veth";

}  // namespace

AfXdpPort::AfXdpPort(const PortConfig& config, FramePool& pool)
    : Port(config), pool_(pool), device_(find_device(config.device)) {
  if (device_.queue_count > xdp_queue_max)
    throw Error("ERR_LIMIT", "device '" + device_.name + "' has " +
                                 std::to_string(device_.queue_count) +
                                 " queues, AF_XDP ports take " + std::to_string(xdp_queue_max) +
                                 " (`ethtool -L`)");
  capabilities_.rx_partial_unmarked = device_.driver == driver_that_hides_offloads;
  std::string refusal;
  const bool native_wanted = config.kind != PortKind::AfXdpGeneric;
  const bool native = native_wanted && try_mode(true, refusal);
  if (!native && config.kind == PortKind::AfXdpNative) throw Error("ERR_XDP_UNSUPPORTED", refusal);
  if (!native) {
    const std::string why_not_native = refusal;
    if (!try_mode(false, refusal)) throw Error("ERR_XDP_UNSUPPORTED", refusal);
    fallback_ = why_not_native;
  }
  capabilities_.rx_superpackets = !native && capabilities_.rx_partial_unmarked;
  if ((config.flags & port_flag_uplink) == 0) return;
  for (const uint16_t port : {config.vxlan_port, config.geneve_port})
    if (port != 0) sinks_.push_back(UdpSink::open(port));
}

// Attaches the program and opens the sockets. False and why, when the device or kernel lacks the
// mode.
bool AfXdpPort::try_mode(bool native, std::string& refusal) {
  try {
    program_ = std::make_unique<XdpProgram>(device_, config_, native);
  } catch (const Error& error) {
    if (strcmp(error.code(), "ERR_XDP_UNSUPPORTED") != 0) throw;
    refusal = error.what();
    return false;
  }
  native_ = native;
  for (const bool zero_copy : {true, false}) {
    if (zero_copy && !native) continue;
    try {
      opened_ = open_sockets(zero_copy);
      zero_copy_ = zero_copy;
      return true;
    } catch (const Error& error) {
      if (strcmp(error.code(), "ERR_XDP_UNSUPPORTED") != 0) throw;
      refusal = error.what();
      if (zero_copy) fallback_ = refusal;
    }
  }
  program_.reset();
  return false;
}

AfXdpPort::Sockets AfXdpPort::open_sockets(bool zero_copy) {
  Sockets sockets;
  XskOptions options;
  options.device = device_.name;
  options.ifindex = device_.ifindex;
  options.zero_copy = zero_copy;
  options.fill_target = (config_.flags & port_flag_uplink) != 0 ? fill_uplink : fill_access;
  for (options.queue = 0; options.queue < device_.queue_count; ++options.queue) {
    sockets.push_back(std::make_unique<XskSocket>(pool_, options));
    program_->set_socket(options.queue, sockets.back()->fd());
  }
  return sockets;
}

PortStatus AfXdpPort::status() const {
  PortStatus status;
  status.kind = native_ ? PortKind::AfXdpNative : PortKind::AfXdpGeneric;
  device_status(device_.ifindex, status);
  if (config_.mtu != 0) status.mtu = config_.mtu;
  set_text(status.mode, !native_     ? "af_xdp generic"
                        : zero_copy_ ? "af_xdp native zero-copy"
                                     : "af_xdp native copy");
  set_text(status.why, fallback_.empty() ? why_ : why_ + "; " + fallback_);
  return status;
}

std::unique_ptr<PortQueue> AfXdpPort::open_queue(uint32_t, bool receive) {
  if (!receive) return make_packet_sender(pool_, device_, config_.number);
  Sockets sockets = opened_.empty() ? open_sockets(zero_copy_) : std::exchange(opened_, {});
  AfXdpQueue::Options options = {};
  options.port_number = config_.number;
  options.tx_mtu = device_.mtu;
  options.unmarked = capabilities_.rx_partial_unmarked;
  options.guess.mtu = config_.mtu != 0 ? std::min(config_.mtu, device_.mtu) : device_.mtu;
  options.guess.uplink = (config_.flags & port_flag_uplink) != 0;
  options.guess.vxlan_port = config_.vxlan_port;
  options.guess.geneve_port = config_.geneve_port;
  return std::make_unique<AfXdpQueue>(pool_, std::move(sockets), options);
}

void AfXdpPort::set_endpoints(const std::vector<std::array<uint8_t, 16>>& addresses) {
  program_->set_endpoints(addresses);
}

}  // namespace vtep
