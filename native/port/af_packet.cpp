// port/af_packet.cpp — recvmmsg and sendmmsg on packet sockets, and what the kernel says beside the
// bytes.
#include "port/af_packet.h"

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/be.h"
#include "base/error.h"
#include "port/packet_sender.h"
#include "port/tx_runs.h"
#include "port/uplink_filter.h"
#include "port/vnet_frame.h"

namespace vtep {
namespace {

constexpr uint32_t rx_slots_min = 8;   // what a quiet queue offers to the kernel
constexpr uint32_t rx_tries_max = 64;  // reads that the kernel may refuse in a row
constexpr uint32_t drops_asked_every =
    1024;  // packets between two looks at the kernel's drop counter
// A superpacket is charged with some 70 KiB, so this is about a hundred of them or 8000 small
// packets.
constexpr int socket_bytes = 8 << 20;

constexpr const char* no_uso =
    "; this kernel, before Linux 6.2, drops UDP superpackets (UDP_SEGMENT) on their way to us";

// Room for the one control message that we ask for.
struct alignas(cmsghdr) ControlBuffer {
  char bytes[CMSG_SPACE(sizeof(tpacket_auxdata))];
};

class AfPacketQueue final : public PortQueue {
 public:
  // `join`: whether tunnel packets may leave as superpackets.
  AfPacketQueue(FramePool& pool, uint32_t port_number, Fd rx, Fd tx, bool join) noexcept;
  ~AfPacketQueue() override;

  uint32_t rx_burst(FrameCache& frames, Packet* packets, uint32_t max) noexcept override;
  void tx_burst(FrameCache& frames, const Packet* packets, uint32_t count) noexcept override;
  void flush(FrameCache& frames) noexcept override;
  bool receives() const noexcept override { return rx_.open(); }
  int rx_fd() const noexcept override { return rx_.get(); }

 private:
  int receive(uint32_t wanted) noexcept;
  bool accept(uint32_t slot, Packet& packet) noexcept;
  void ask_kernel_drops() noexcept;
  void lay_out() noexcept;
  uint32_t send_some(uint32_t sent, bool& retried) noexcept;
  void drop(DropReason reason, uint32_t count = 1) noexcept {
    stats.drops[static_cast<uint32_t>(reason)] += count;
  }

  FramePool& pool_;
  const uint32_t port_number_;
  Fd rx_;  // not open: this queue only sends
  Fd tx_;
  ScatterFrames scatter_;
  uint32_t rx_slots_ = rx_slots_min;  // slots per read: grows while reads come back full
  uint32_t unasked_packets_ = 0;      // received since the kernel's drop counter was read
  mmsghdr rx_messages_[ScatterFrames::slot_max] = {};
  ControlBuffer rx_control_[ScatterFrames::slot_max] = {};

  TxRuns waiting_;  // for flush()
  sockaddr_ll bound_ = {};
  mmsghdr tx_messages_[TxRuns::packets_max] = {};  // one per run
  // Of each run: the virtio_net_hdr, then its packets.
  iovec tx_vectors_[2 * TxRuns::packets_max] = {};
  VnetHeader tx_headers_[TxRuns::packets_max] = {};
  sockaddr_ll tx_addresses_[TxRuns::packets_max] = {};
};

AfPacketQueue::AfPacketQueue(FramePool& pool, uint32_t port_number, Fd rx, Fd tx,
                             bool join) noexcept
    : pool_(pool),
      port_number_(port_number),
      rx_(std::move(rx)),
      tx_(std::move(tx)),
      scatter_(pool),
      waiting_(join) {
  for (uint32_t slot = 0; slot < ScatterFrames::slot_max; ++slot) {
    rx_messages_[slot].msg_hdr.msg_iov = scatter_.vectors(slot);
    rx_messages_[slot].msg_hdr.msg_iovlen = 3;
    rx_messages_[slot].msg_hdr.msg_control = &rx_control_[slot];
  }
  socklen_t size = sizeof bound_;
  ::getsockname(tx_.get(), reinterpret_cast<sockaddr*>(&bound_), &size);
}

AfPacketQueue::~AfPacketQueue() {
  for (uint32_t i = 0; i < waiting_.packet_count(); ++i) pool_.give(&waiting_.packet(i).frame, 1);
}

int AfPacketQueue::receive(uint32_t wanted) noexcept {
  for (uint32_t slot = 0; slot < wanted; ++slot) {
    rx_messages_[slot].msg_hdr.msg_controllen = sizeof(ControlBuffer);
    rx_messages_[slot].msg_hdr.msg_flags = 0;
  }
  // Not for ever: who sends only such packets must not keep the worker from the other ports.
  for (uint32_t tries = 0; tries < rx_tries_max; ++tries) {
    const int got = ::recvmmsg(rx_.get(), rx_messages_, wanted, MSG_DONTWAIT, nullptr);
    if (got >= 0) return got;
    if (errno == EINTR) continue;
    // EINVAL: the packet at the head has an offload that virtio_net_hdr cannot say; the kernel
    // threw it away. ENETDOWN is said once when the link goes down; the socket wakes up with the
    // link.
    if (errno != EINVAL) return 0;
    drop(DropReason::BadOffload);
  }
  return 0;
}

bool AfPacketQueue::accept(uint32_t slot, Packet& packet) noexcept {
  const mmsghdr& message = rx_messages_[slot];
  DropReason reason = DropReason::None;
  if ((message.msg_hdr.msg_flags & MSG_TRUNC) != 0) {
    drop(DropReason::TooLong);
    return false;
  }
  if (message.msg_len < sizeof(VnetHeader) + ETH_HLEN) {
    drop(DropReason::TooShort);
    return false;
  }
  packet = scatter_.take(slot, message.msg_len - sizeof(VnetHeader), reason);
  if (packet.frame == no_frame) {
    drop(reason);
    return false;
  }
  packet.in_port = port_number_;
  const cmsghdr* control = CMSG_FIRSTHDR(&message.msg_hdr);
  if (control == nullptr || control->cmsg_type != PACKET_AUXDATA) return true;
  tpacket_auxdata aux;
  memcpy(&aux, CMSG_DATA(control), sizeof aux);
  if ((aux.tp_status & TP_STATUS_VLAN_VALID) != 0) {
    const bool named = (aux.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0;
    insert_vlan(packet, named ? aux.tp_vlan_tpid : uint16_t{ETH_P_8021Q}, aux.tp_vlan_tci);
  }
  return true;
}

uint32_t AfPacketQueue::rx_burst(FrameCache& frames, Packet* packets, uint32_t max) noexcept {
  uint32_t count = 0;
  bool drained = false;
  uint32_t seen = 0;  // bad ones too: they take time as well
  while (seen < max && !drained) {
    uint32_t wanted = rx_slots_ < max - seen ? rx_slots_ : max - seen;
    wanted = scatter_.prepare(frames, wanted);
    if (wanted == 0)
      break;  // no frames: the packets wait in the kernel, which counts what it drops
    const uint32_t got = static_cast<uint32_t>(receive(wanted));
    for (uint32_t slot = 0; slot < got; ++slot)
      if (accept(slot, packets[count])) ++count;
    seen += got;
    unasked_packets_ += got;
    drained = got < wanted;
    if (got == rx_slots_ && rx_slots_ < ScatterFrames::slot_max) rx_slots_ *= 2;
  }
  if (drained) {
    rx_slots_ = rx_slots_min;
    scatter_.release(frames);
  }
  if (unasked_packets_ >= drops_asked_every || (count == 0 && unasked_packets_ != 0))
    ask_kernel_drops();
  return count;
}

void AfPacketQueue::ask_kernel_drops() noexcept {
  tpacket_stats counted = {};
  socklen_t size = sizeof counted;
  unasked_packets_ = 0;
  if (::getsockopt(rx_.get(), SOL_PACKET, PACKET_STATISTICS, &counted, &size) == 0)
    stats.kernel_drops += counted.tp_drops;  // the kernel's counter starts again at every look
}

void AfPacketQueue::tx_burst(FrameCache& frames, const Packet* packets, uint32_t count) noexcept {
  for (uint32_t i = 0; i < count; ++i) {
    if (waiting_.full()) flush(frames);
    waiting_.add(packets[i]);
  }
}

// One message a run.
void AfPacketQueue::lay_out() noexcept {
  iovec* vector = tx_vectors_;
  for (uint32_t at = 0; at < waiting_.count(); ++at) {
    const TxRun& run = waiting_.run(at);
    const Packet whole = waiting_.whole(at);
    tx_headers_[at] = vnet_from_offload(whole);
    msghdr& header = tx_messages_[at].msg_hdr;
    header.msg_iov = vector;
    *vector++ = {&tx_headers_[at], sizeof(VnetHeader)};
    *vector++ = {whole.data, waiting_.packet(run.first).length};
    for (uint32_t index = run.first; index != run.last;) {
      index = waiting_.next(index);
      const Packet& packet = waiting_.packet(index);
      *vector++ = {packet.data + run.outer, packet.length - run.outer};
    }
    header.msg_iovlen = static_cast<size_t>(vector - header.msg_iov);
    // The kernel takes the L3 protocol of a superpacket from its GSO type, past any tag, and then
    // segments it wrongly. Naming the protocol ourselves prevents that.
    const bool named = whole.offload.gso_type != GsoType::None && whole.length >= ETH_HLEN;
    if (named) {
      tx_addresses_[at] = bound_;
      tx_addresses_[at].sll_protocol = load_be16(whole.data + 12).raw;
    }
    header.msg_name = named ? &tx_addresses_[at] : nullptr;
    header.msg_namelen = named ? sizeof(sockaddr_ll) : 0;
  }
}

// Sends from the run `sent` on; returns how many runs were dealt with, at least one.
uint32_t AfPacketQueue::send_some(uint32_t sent, bool& retried) noexcept {
  const int got = ::sendmmsg(tx_.get(), tx_messages_ + sent, waiting_.count() - sent, MSG_DONTWAIT);
  if (got > 0) {
    retried = false;
    return static_cast<uint32_t>(got);
  }
  if (errno == EINTR) return 0;
  const bool full = errno == EAGAIN || errno == ENOBUFS;
  if (full && !retried) {
    retried = true;
    return 0;
  }
  retried = false;
  drop(full                ? DropReason::TxFull
       : errno == EMSGSIZE ? DropReason::TxTooLong
                           : DropReason::TxError,
       waiting_.run(sent).count);
  return 1;
}

void AfPacketQueue::flush(FrameCache& frames) noexcept {
  lay_out();
  bool retried = false;
  for (uint32_t sent = 0; sent < waiting_.count();) sent += send_some(sent, retried);
  for (uint32_t i = 0; i < waiting_.packet_count(); ++i) frames.free(waiting_.packet(i));
  waiting_.clear();
}

void set_size(int socket, int forced, int plain) {
  if (::setsockopt(socket, SOL_SOCKET, forced, &socket_bytes, sizeof socket_bytes) != 0)
    ::setsockopt(socket, SOL_SOCKET, plain, &socket_bytes, sizeof socket_bytes);
}

void set_packet_option(int socket, int option, const std::string& doing) {
  const int on = 1;
  if (::setsockopt(socket, SOL_PACKET, option, &on, sizeof on) != 0)
    throw_errno(doing, "CAP_NET_RAW", errno);
}

// A bound packet socket with virtio_net_hdr that receives `protocol` (0: nothing).
Fd open_packet_socket(const Device& device, uint16_t protocol, const PortConfig& config) {
  const std::string doing = "opening a packet socket on device '" + device.name + "'";
  // Protocol 0 until bind(): no packet of another device, nor one past the filter, gets in before.
  Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.open()) throw_errno(doing, "CAP_NET_RAW", errno);
  set_packet_option(socket.get(), PACKET_VNET_HDR, doing);
  if (protocol != 0) {
    set_packet_option(socket.get(), PACKET_AUXDATA, doing);
    set_packet_option(socket.get(), PACKET_IGNORE_OUTGOING, doing);
    set_size(socket.get(), SO_RCVBUFFORCE, SO_RCVBUF);
    if ((config.flags & port_flag_uplink) != 0) attach_uplink_filter(socket.get(), config, doing);
  } else {
    set_size(socket.get(), SO_SNDBUFFORCE, SO_SNDBUF);
  }
  sockaddr_ll address = {};
  address.sll_family = AF_PACKET;
  address.sll_protocol = be16(protocol).raw;
  address.sll_ifindex = static_cast<int>(device.ifindex);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw_errno(doing, "CAP_NET_RAW", errno);
  return socket;
}

// Access ports carry MACs that are not the device's.
void make_promiscuous(int socket, const Device& device) {
  packet_mreq request = {};
  request.mr_ifindex = static_cast<int>(device.ifindex);
  request.mr_type = PACKET_MR_PROMISC;
  if (::setsockopt(socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request) != 0)
    throw_errno("making device '" + device.name + "' promiscuous", "CAP_NET_RAW", errno);
}

}  // namespace

std::unique_ptr<PortQueue> make_packet_sender(FramePool& pool, const Device& device,
                                              uint32_t port_number) {
  Fd tx = open_packet_socket(device, 0, PortConfig{});
  return std::make_unique<AfPacketQueue>(pool, port_number, Fd(), std::move(tx), false);
}

AfPacketPort::AfPacketPort(const PortConfig& config, FramePool& pool, bool uso)
    : Port(config), pool_(pool), device_(find_device(config.device)) {
  capabilities_.tx_checksum = true;
  capabilities_.tx_tso = true;
  capabilities_.tx_uso = uso;
  capabilities_.rx_superpackets = true;
  first_tx_ = open_packet_socket(device_, 0, config_);  // says now what open_queue() would later
  if ((config.flags & port_flag_uplink) == 0) {
    guard_ = std::make_unique<IngressGuard>(device_.name, device_.ifindex);
    return;
  }
  for (const uint16_t port : {config.vxlan_port, config.geneve_port})
    if (port != 0) sinks_.push_back(UdpSink::open(port, uso));
}

PortStatus AfPacketPort::status() const {
  PortStatus status;
  status.kind = PortKind::AfPacket;
  device_status(device_.ifindex, status);
  if (config_.mtu != 0) status.mtu = config_.mtu;
  set_text(status.mode, guard_ ? std::string("af_packet, ") + guard_->method() + " guard"
                               : "af_packet, uplink filter");
  set_text(status.why, capabilities_.tx_uso ? why_ : why_ + no_uso);
  return status;
}

std::unique_ptr<PortQueue> AfPacketPort::open_queue(uint32_t, bool receive) {
  Fd rx;
  if (receive) {
    rx = open_packet_socket(device_, ETH_P_ALL, config_);
    if ((config_.flags & port_flag_uplink) == 0) make_promiscuous(rx.get(), device_);
  }
  Fd tx = first_tx_.open() ? std::move(first_tx_) : open_packet_socket(device_, 0, config_);
  const bool join = (config_.flags & port_flag_uplink) != 0 && capabilities_.tx_uso;
  return std::make_unique<AfPacketQueue>(pool_, config_.number, std::move(rx), std::move(tx), join);
}

}  // namespace vtep
