// port/udp_sink.cpp — one bound, deaf UDP socket per family.
#include "port/udp_sink.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "base/error.h"
#include "port/device.h"
#include "port/kernel_abi.h"

namespace vtep {
namespace {

// The wildcard address of `family` with `port`; returns its size.
socklen_t wildcard(int family, uint16_t port, sockaddr_storage& address) {
  address = {};
  if (family == AF_INET) {
    auto& inet = reinterpret_cast<sockaddr_in&>(address);
    inet.sin_family = AF_INET;
    inet.sin_port = htons(port);
    return sizeof inet;
  }
  auto& inet6 = reinterpret_cast<sockaddr_in6&>(address);
  inet6.sin6_family = AF_INET6;
  inet6.sin6_port = htons(port);
  return sizeof inet6;
}

Fd open_deaf(int family, uint16_t port, bool join) {
  const std::string doing = "holding UDP port " + std::to_string(port);
  Fd socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP));
  if (!socket.open()) {
    if (errno == EAFNOSUPPORT && family == AF_INET6) return socket;
    throw_errno(doing, "CAP_NET_BIND_SERVICE", errno);
  }
  sock_filter none[] = {{BPF_RET | BPF_K, 0, 0, 0}};
  const sock_fprog filter = {1, none};
  const int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0)
    throw_errno(doing, "CAP_NET_RAW", errno);
  if (family == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (join) ::setsockopt(socket.get(), IPPROTO_UDP, kernel::udp_gro, &on, sizeof on);
  sockaddr_storage address;
  const socklen_t size = wildcard(family, port, address);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0) return socket;
  if (errno == EADDRINUSE)
    throw Error(
        "ERR_DEVICE_BUSY",
        "UDP port " + std::to_string(port) +
            " is taken by another VTEP on this host, such as a kernel vxlan or geneve device " +
            "(`ip -d link show type vxlan`) or a program (`ss -lunp`): remove it, or use " +
            "another tunnel port",
        errno);
  throw_errno(doing, "CAP_NET_BIND_SERVICE", errno);
}

}  // namespace

UdpSink::UdpSink(uint16_t port, bool join)
    : ipv4_(open_deaf(AF_INET, port, join)), ipv6_(open_deaf(AF_INET6, port, join)) {}

std::shared_ptr<UdpSink> UdpSink::open(uint16_t port, bool join) {
  static std::mutex mutex;
  static std::map<std::pair<uint64_t, uint16_t>, std::weak_ptr<UdpSink>> sinks;
  struct stat netns = {};
  ::stat("/proc/thread-self/ns/net", &netns);  // without /proc: one namespace, number 0
  const std::lock_guard lock(mutex);
  std::weak_ptr<UdpSink>& known = sinks[{netns.st_ino, port}];
  if (auto sink = known.lock()) return sink;
  auto sink = std::make_shared<UdpSink>(port, join);
  known = sink;
  return sink;
}

}  // namespace vtep
