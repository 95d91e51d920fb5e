// port/device.cpp — ioctls on a throw-away datagram socket: no sysfs, which may be another
// namespace's.
#include "port/device.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/fd.h"

namespace vtep {
namespace {

struct Asker {
  explicit Asker(const std::string& name) noexcept
      : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, name.data(), std::min<size_t>(name.size(), IFNAMSIZ - 1));
  }
  bool ask(unsigned long what) noexcept { return ::ioctl(socket_.get(), what, &request) == 0; }
  bool ask_ethtool(void* command) noexcept {
    request.ifr_data = static_cast<char*>(command);
    return ask(SIOCETHTOOL);
  }

  ifreq request;

 private:
  Fd socket_;
};

std::string driver_of(const std::string& name) {
  Asker asker(name);
  ethtool_drvinfo info = {};
  info.cmd = ETHTOOL_GDRVINFO;
  return asker.ask_ethtool(&info) ? std::string(info.driver) : std::string();
}

uint32_t queue_count_of(const std::string& name) {
  Asker asker(name);
  ethtool_channels channels = {};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (!asker.ask_ethtool(&channels)) return 1;
  const uint32_t count = channels.combined_count + channels.rx_count;
  return count == 0 ? 1 : count;
}

bool link_up(short flags) noexcept { return (flags & IFF_UP) != 0 && (flags & IFF_RUNNING) != 0; }

}  // namespace

Device find_device(const std::string& name) {
  if (name.empty())
    throw Error("ERR_DEVICE_NOT_FOUND",
                "the port names no device: give it the name of one (`ip link`)");
  Device device;
  device.name = name;
  device.ifindex = name.size() < IFNAMSIZ ? if_nametoindex(name.c_str()) : 0;
  if (device.ifindex == 0)
    throw Error("ERR_DEVICE_NOT_FOUND", "no network device is called '" + name +
                                            "' in this network namespace: see `ip link`");
  Asker asker(name);
  if (asker.ask(SIOCGIFMTU)) device.mtu = static_cast<uint32_t>(asker.request.ifr_mtu);
  if (asker.ask(SIOCGIFFLAGS)) device.link_up = link_up(asker.request.ifr_flags);
  if (asker.ask(SIOCGIFHWADDR)) {
    const uint16_t type = asker.request.ifr_hwaddr.sa_family;
    device.ethernet = type == ARPHRD_ETHER || type == ARPHRD_LOOPBACK;
    memcpy(device.mac.data(), asker.request.ifr_hwaddr.sa_data, device.mac.size());
  }
  if (!device.ethernet)
    throw Error(
        "ERR_CONFIG_INVALID",
        "device '" + name + "' carries no Ethernet frames: a port needs " + "an Ethernet device");
  device.driver = driver_of(name);
  device.queue_count = queue_count_of(name);
  return device;
}

void device_status(uint32_t ifindex, PortStatus& status) noexcept {
  char name[IFNAMSIZ] = {};
  status.ifindex = 0;
  status.link_up = 0;
  status.mac = {};
  status.mtu = 0;
  if (ifindex == 0 || if_indextoname(ifindex, name) == nullptr) return;
  status.ifindex = ifindex;
  Asker asker(name);
  if (asker.ask(SIOCGIFMTU)) status.mtu = static_cast<uint32_t>(asker.request.ifr_mtu);
  if (asker.ask(SIOCGIFFLAGS)) status.link_up = link_up(asker.request.ifr_flags) ? 1 : 0;
  if (asker.ask(SIOCGIFHWADDR))
    memcpy(status.mac.data(), asker.request.ifr_hwaddr.sa_data, status.mac.size());
}

void throw_errno(const std::string& doing, const char* privilege, int number) {
  switch (number) {
    case EPERM:
    case EACCES:
      throw Error("ERR_PERMISSION", doing + " needs " + privilege, number);
    case ENODEV:
    case ENXIO:
    case ENOENT:
      throw Error("ERR_DEVICE_NOT_FOUND", doing + " failed: the device is not there", number);
    case EBUSY:
    case EADDRINUSE:
    case EEXIST:
      throw Error("ERR_DEVICE_BUSY", doing + " failed: something else holds it", number);
    case ENOMEM:
    case ENOBUFS:
    case EMFILE:
    case ENFILE:
      throw Error("ERR_LIMIT", doing + " failed for want of memory or descriptors", number);
    default:
      throw Error("ERR_CONFIG_INVALID", doing + " failed", number);
  }
}

}  // namespace vtep
