// port/tap.cpp — readv and writev on /dev/net/tun, one packet each.
#include "port/tap.h"

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "port/device.h"
#include "port/kernel_abi.h"
#include "port/vnet_frame.h"

namespace vtep {
namespace {

class TapQueue final : public PortQueue {
 public:
  TapQueue(FramePool& pool, uint32_t port_number, int file, bool receives) noexcept
      : port_number_(port_number), file_(file), receives_(receives), scatter_(pool) {}

  uint32_t rx_burst(FrameCache& frames, Packet* packets, uint32_t max) noexcept override;
  void tx_burst(FrameCache& frames, const Packet* packets, uint32_t count) noexcept override;
  void flush(FrameCache&) noexcept override {}
  bool receives() const noexcept override { return receives_; }
  int rx_fd() const noexcept override { return receives_ ? file_ : -1; }

 private:
  bool accept(uint32_t bytes, Packet& packet) noexcept;
  void send(const Packet& packet) noexcept;
  void fall_silent() noexcept;
  void drop(DropReason reason) noexcept { ++stats.drops[static_cast<uint32_t>(reason)]; }

  const uint32_t port_number_;
  const int file_;  // the port's
  const bool receives_;
  ScatterFrames scatter_;
};

bool TapQueue::accept(uint32_t bytes, Packet& packet) noexcept {
  if (bytes < sizeof(VnetHeader) + ETH_HLEN) {
    drop(DropReason::TooShort);
    return false;
  }
  DropReason reason = DropReason::None;
  packet = scatter_.take(0, bytes - sizeof(VnetHeader), reason);
  packet.in_port = port_number_;
  if (packet.frame != no_frame) return true;
  drop(reason);
  return false;
}

uint32_t TapQueue::rx_burst(FrameCache& frames, Packet* packets, uint32_t max) noexcept {
  uint32_t count = 0;
  // Bad packets count as well: whoever sends only those must not keep the worker.
  for (uint32_t tries = 0; tries < max && scatter_.prepare(frames, 1) == 1; ++tries) {
    const ssize_t got = ::readv(file_, scatter_.vectors(0), 3);
    if (got >= 0) {
      if (accept(static_cast<uint32_t>(got), packets[count])) ++count;
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EBADFD) fall_silent();
    if (errno != EINVAL) {
      scatter_.release(frames);
      break;
    }
    drop(DropReason::BadOffload);  // an offload that virtio_net_hdr cannot say; the kernel dropped
                                   // it
  }
  return count;
}

// The device was deleted: its file now polls as failed for ever, which would keep the worker awake.
// A timer that is never armed takes its place under the same number.
void TapQueue::fall_silent() noexcept {
  const int silent = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (silent < 0) return;
  ::dup3(silent, file_, O_CLOEXEC);
  ::close(silent);
  errno = EBADFD;
}

void TapQueue::send(const Packet& packet) noexcept {
  VnetHeader header = vnet_from_offload(packet);
  const iovec vectors[] = {{&header, sizeof header}, {packet.data, packet.length}};
  bool retried = false;
  for (;;) {
    if (::writev(file_, vectors, 2) >= 0) return;
    if (errno == EINTR) continue;
    const bool full = errno == EAGAIN || errno == ENOBUFS;
    if (full && !retried) {
      retried = true;
      continue;
    }
    // EIO: the device is down. EINVAL and EBADFD: it has gone.
    return drop(full                ? DropReason::TxFull
                : errno == EMSGSIZE ? DropReason::TxTooLong
                                    : DropReason::TxError);
  }
}

void TapQueue::tx_burst(FrameCache& frames, const Packet* packets, uint32_t count) noexcept {
  for (uint32_t i = 0; i < count; ++i) {
    send(packets[i]);
    frames.free(packets[i]);
  }
}

// The device's present name; empty when it has gone.
std::string device_name(int file) {
  ifreq request = {};
  return ::ioctl(file, TUNGETIFF, &request) == 0 ? std::string(request.ifr_name) : std::string();
}

// Fills `status` from the namespace in which the device is now, which need not be ours.
void status_where_it_is(int file, PortStatus& status) {
  const std::string name = device_name(file);
  if (name.empty()) return;
  const Fd netns(::ioctl(file, kernel::tun_device_netns));
  if (!netns.open()) return device_status(if_nametoindex(name.c_str()), status);
  // A namespace belongs to a thread: borrow one for the question.
  std::thread([&] {
    if (::setns(netns.get(), CLONE_NEWNET) == 0)
      device_status(if_nametoindex(name.c_str()), status);
  }).join();
}

}  // namespace

TapPort::TapPort(const PortConfig& config, FramePool& pool) : Port(config), pool_(pool) {
  const std::string name = config.device;
  const std::string doing = "opening TAP device '" + name + "'";
  if (name.empty() || name.size() >= IFNAMSIZ)
    throw Error("ERR_DEVICE_NOT_FOUND", doing + " failed: a device name has 1 to 15 characters");
  file_ = Fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!file_.open() && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
    throw Error("ERR_DEVICE_NOT_FOUND",
                doing + " failed: /dev/net/tun is missing; run `modprobe tun`");
  if (!file_.open()) throw_errno(doing, "CAP_NET_ADMIN", errno);
  set_up_device(doing);
  unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  const unsigned with_uso = offloads | kernel::tun_uso4 | kernel::tun_uso6;
  capabilities_.tx_uso = ::ioctl(file_.get(), TUNSETOFFLOAD, with_uso) == 0;
  if (!capabilities_.tx_uso && ::ioctl(file_.get(), TUNSETOFFLOAD, offloads) != 0)
    throw_errno("setting the offloads of '" + name + "'", "CAP_NET_ADMIN", errno);
  capabilities_.tx_checksum = true;
  capabilities_.tx_tso = true;
  capabilities_.rx_superpackets = true;
}

void TapPort::set_up_device(const std::string& doing) {
  ifreq request = {};
  set_text(request.ifr_name, config_.device);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (::ioctl(file_.get(), TUNSETIFF, &request) != 0) {
    if (errno == EBUSY)
      throw Error("ERR_DEVICE_BUSY", doing + " failed: another program has it open", errno);
    if (errno == EINVAL)
      throw Error("ERR_CONFIG_INVALID",
                  doing + " failed: a device of this name exists and is no single-queue TAP",
                  errno);
    throw_errno(doing, "CAP_NET_ADMIN", errno);
  }
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (config_.mtu != 0) {
    request.ifr_mtu = static_cast<int>(config_.mtu);
    if (::ioctl(socket.get(), SIOCSIFMTU, &request) != 0)
      throw_errno("setting the MTU of '" + std::string(config_.device) + "'", "CAP_NET_ADMIN",
                  errno);
  }
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) == 0) {
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    ::ioctl(socket.get(), SIOCSIFFLAGS,
            &request);  // who moves the device has to do it again anyway
  }
}

PortStatus TapPort::status() const {
  PortStatus status;
  status.kind = PortKind::Tap;
  status_where_it_is(file_.get(), status);
  if (config_.mtu != 0) status.mtu = config_.mtu;
  set_text(status.mode, capabilities_.tx_uso ? "tap, with UDP segmentation" : "tap");
  set_text(status.why, why_);
  return status;
}

std::unique_ptr<PortQueue> TapPort::open_queue(uint32_t, bool receive) {
  return std::make_unique<TapQueue>(pool_, config_.number, file_.get(), receive);
}

}  // namespace vtep
