// host/netlink.cpp — rtnetlink requests and news.
#include "host/netlink.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace vtep {
namespace {

constexpr size_t answer_bytes_max = 32768;
constexpr int answer_timeout_ms = 1000;
constexpr uint32_t news_reads_max = 256;  // each may hold many messages
constexpr uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

template <typename Body>
std::vector<uint8_t> make_request(uint16_t type, uint16_t flags, const Body& body) {
  std::vector<uint8_t> bytes(NLMSG_SPACE(sizeof body));
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  memcpy(bytes.data(), &header, sizeof header);
  memcpy(bytes.data() + NLMSG_HDRLEN, &body, sizeof body);
  return bytes;
}

void put_attribute(std::vector<uint8_t>& bytes, uint16_t type, const void* value, size_t count) {
  const size_t at = bytes.size();
  bytes.resize(at + RTA_SPACE(count));
  rtattr attribute{};
  attribute.rta_type = type;
  attribute.rta_len = static_cast<uint16_t>(RTA_LENGTH(count));
  memcpy(bytes.data() + at, &attribute, sizeof attribute);
  memcpy(bytes.data() + at + RTA_LENGTH(0), value, count);
}

// The address as its family has it on the wire.
void put_address(std::vector<uint8_t>& bytes, uint16_t type, const Ipv6Bytes& address) {
  if (is_v4_mapped(address))
    put_attribute(bytes, type, address.data() + 12, 4);
  else
    put_attribute(bytes, type, address.data(), 16);
}

Ipv6Bytes get_address(const uint8_t* value, size_t count) {
  Ipv6Bytes address{};
  if (count == 4) {
    memcpy(address.data(), v4_prefix, sizeof v4_prefix);
    memcpy(address.data() + 12, value, 4);
  } else if (count == 16) {
    memcpy(address.data(), value, 16);
  }
  return address;
}

uint32_t get_u32(const uint8_t* value, size_t count) {
  uint32_t number = 0;
  if (count >= sizeof number) memcpy(&number, value, sizeof number);
  return number;
}

// Calls visit(type, value, count) for each attribute in [at, end).
template <typename Visit>
void each_attribute(const uint8_t* at, const uint8_t* end, Visit visit) {
  while (end - at >= static_cast<ptrdiff_t>(sizeof(rtattr))) {
    rtattr attribute;
    memcpy(&attribute, at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > end - at) return;
    visit(attribute.rta_type & NLA_TYPE_MASK, at + RTA_LENGTH(0),
          static_cast<size_t>(attribute.rta_len - RTA_LENGTH(0)));
    const ptrdiff_t step = RTA_ALIGN(attribute.rta_len);
    if (step > end - at) return;
    at += step;
  }
}

template <typename Body, typename Visit>
bool each_in_answer(const std::vector<uint8_t>& answer, Body& body, Visit visit) {
  if (answer.size() < NLMSG_SPACE(sizeof body)) return false;
  memcpy(&body, answer.data() + NLMSG_HDRLEN, sizeof body);
  each_attribute(answer.data() + NLMSG_SPACE(sizeof body), answer.data() + answer.size(), visit);
  return true;
}

Fd netlink_socket(uint32_t groups, int flags) {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE));
  if (!socket.open()) throw Error("ERR_PERMISSION", "cannot make a netlink socket", errno);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw Error("ERR_LIMIT", "cannot bind a netlink socket", errno);
  }
  return socket;
}

void read_link_info(const uint8_t* value, size_t count, LinkAnswer& answer) {
  bool vlan = false;
  each_attribute(value, value + count, [&](int type, const uint8_t* part, size_t bytes) {
    if (type == IFLA_INFO_KIND) vlan = bytes >= 4 && memcmp(part, "vlan", 4) == 0;
    if (type != IFLA_INFO_DATA || !vlan) return;
    each_attribute(part, part + bytes, [&](int data, const uint8_t* id, size_t size) {
      if (data == IFLA_VLAN_ID && size >= 2) memcpy(&answer.vlan_vid, id, 2);
    });
  });
}

}  // namespace

bool is_v4_mapped(const Ipv6Bytes& address) noexcept {
  return memcmp(address.data(), v4_prefix, sizeof v4_prefix) == 0;
}

std::string address_text(const Ipv6Bytes& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (is_v4_mapped(address))
    inet_ntop(AF_INET, address.data() + 12, text, sizeof text);
  else
    inet_ntop(AF_INET6, address.data(), text, sizeof text);
  return text;
}

Netlink::Netlink()
    : requests_(netlink_socket(0, 0)),
      news_(netlink_socket(RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
                           SOCK_NONBLOCK)) {}

std::vector<uint8_t> Netlink::ask(std::vector<uint8_t>& request) {
  nlmsghdr header;
  memcpy(&header, request.data(), sizeof header);
  header.nlmsg_len = static_cast<uint32_t>(request.size());
  header.nlmsg_seq = ++sequence_;
  memcpy(request.data(), &header, sizeof header);
  if (send(requests_.get(), request.data(), request.size(), 0) < 0) return {};
  std::vector<uint8_t> answer(answer_bytes_max);
  for (;;) {
    pollfd wanted{requests_.get(), POLLIN, 0};
    const int ready = poll(&wanted, 1, answer_timeout_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      errno = ETIMEDOUT;
      return {};
    }
    const ssize_t got = recv(requests_.get(), answer.data(), answer.size(), 0);
    if (got < static_cast<ssize_t>(sizeof header)) return {};
    memcpy(&header, answer.data(), sizeof header);
    if (header.nlmsg_seq == sequence_) {
      answer.resize(static_cast<size_t>(got));
      break;
    }
  }
  if (header.nlmsg_type == NLMSG_ERROR) {
    nlmsgerr error{};
    if (answer.size() >= NLMSG_HDRLEN + sizeof error.error) {
      memcpy(&error.error, answer.data() + NLMSG_HDRLEN, sizeof error.error);
    }
    errno = -error.error;
    return {};
  }
  errno = 0;
  return answer;
}

RouteAnswer Netlink::route_to(const Ipv6Bytes& remote, const Ipv6Bytes& local) {
  const bool v4 = is_v4_mapped(remote);
  rtmsg body{};
  body.rtm_family = v4 ? AF_INET : AF_INET6;
  body.rtm_dst_len = v4 ? 32 : 128;
  body.rtm_src_len = body.rtm_dst_len;
  auto request = make_request(RTM_GETROUTE, 0, body);
  put_address(request, RTA_DST, remote);
  put_address(request, RTA_SRC, local);
  const auto bytes = ask(request);
  RouteAnswer answer;
  answer.gateway = remote;
  if (bytes.empty()) {
    answer.why = "no route to " + address_text(remote) + " from " + address_text(local) + ": " +
                 strerror(errno ? errno : ETIMEDOUT);
    return answer;
  }
  each_in_answer(bytes, body, [&](int type, const uint8_t* value, size_t count) {
    if (type == RTA_OIF) answer.ifindex = get_u32(value, count);
    if (type == RTA_GATEWAY) answer.gateway = get_address(value, count);
    if (type == RTA_VIA && count > sizeof(rtvia)) {
      answer.gateway = get_address(value + sizeof(rtvia), count - sizeof(rtvia));
    }
    if (type == RTA_GATEWAY || type == RTA_VIA) answer.has_gateway = true;
    if (type != RTA_METRICS) return;
    each_attribute(value, value + count, [&](int metric, const uint8_t* part, size_t size) {
      if (metric == RTAX_MTU) answer.mtu = get_u32(part, size);
    });
  });
  answer.local = body.rtm_type == RTN_LOCAL;
  if (body.rtm_type == RTN_UNREACHABLE || body.rtm_type == RTN_BLACKHOLE ||
      body.rtm_type == RTN_PROHIBIT) {
    answer.ifindex = 0;
    answer.why = "the route to " + address_text(remote) + " is a reject route";
  }
  return answer;
}

NeighbourAnswer Netlink::neighbour(uint32_t ifindex, const Ipv6Bytes& address) {
  ndmsg body{};
  body.ndm_family = is_v4_mapped(address) ? AF_INET : AF_INET6;
  body.ndm_ifindex = static_cast<int>(ifindex);
  auto request = make_request(RTM_GETNEIGH, 0, body);
  put_address(request, NDA_DST, address);
  NeighbourAnswer answer;
  const auto bytes = ask(request);
  each_in_answer(bytes, body, [&](int type, const uint8_t* value, size_t count) {
    if (type == NDA_LLADDR && count == answer.mac.size()) {
      memcpy(answer.mac.data(), value, count);
      answer.known = true;
    }
  });
  constexpr uint16_t usable =
      NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;
  if (!(body.ndm_state & usable)) answer.known = false;
  answer.stale = (body.ndm_state & NUD_STALE) != 0;
  return answer;
}

LinkAnswer Netlink::link(uint32_t ifindex) {
  ifinfomsg body{};
  body.ifi_family = AF_UNSPEC;
  body.ifi_index = static_cast<int>(ifindex);
  auto request = make_request(RTM_GETLINK, 0, body);
  LinkAnswer answer;
  const auto bytes = ask(request);
  answer.exists = each_in_answer(bytes, body, [&](int type, const uint8_t* value, size_t count) {
    if (type == IFLA_IFNAME && count > 0) {
      answer.name.assign(reinterpret_cast<const char*>(value),
                         strnlen(reinterpret_cast<const char*>(value), count));
    }
    if (type == IFLA_ADDRESS && count == answer.mac.size()) memcpy(answer.mac.data(), value, count);
    if (type == IFLA_MTU) answer.mtu = get_u32(value, count);
    if (type == IFLA_LINK) answer.lower_ifindex = get_u32(value, count);
    if (type == IFLA_LINKINFO) read_link_info(value, count, answer);
  });
  answer.up = (body.ifi_flags & IFF_UP) && (body.ifi_flags & IFF_RUNNING);
  answer.no_arp = (body.ifi_flags & (IFF_NOARP | IFF_LOOPBACK)) != 0;
  return answer;
}

void Netlink::probe_neighbour(uint32_t ifindex, const Ipv6Bytes& address) {
  ndmsg body{};
  body.ndm_family = is_v4_mapped(address) ? AF_INET : AF_INET6;
  body.ndm_ifindex = static_cast<int>(ifindex);
  body.ndm_state = NUD_NONE;
  body.ndm_flags = NTF_USE;
  auto request = make_request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_ACK, body);
  put_address(request, NDA_DST, address);
  ask(request);
}

// A routing daemon may make news faster than we read them: the rest waits in the socket, which goes
// on polling readable.
NetlinkNews Netlink::read_news() noexcept {
  NetlinkNews news;
  uint8_t bytes[16384];
  for (uint32_t reads = 0; reads < news_reads_max; reads++) {
    const ssize_t got = recv(news_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      if (errno == ENOBUFS) news.lost = true;
      if (errno != ENOBUFS) return news;
      continue;
    }
    size_t left = static_cast<size_t>(got);
    const uint8_t* at = bytes;
    while (left >= sizeof(nlmsghdr)) {
      nlmsghdr header;
      memcpy(&header, at, sizeof header);
      const uint16_t type = header.nlmsg_type;
      news.routes |= type == RTM_NEWROUTE || type == RTM_DELROUTE;
      news.links |= type == RTM_NEWLINK || type == RTM_DELLINK;
      news.neighbours |= type == RTM_NEWNEIGH || type == RTM_DELNEIGH;
      const size_t step = NLMSG_ALIGN(header.nlmsg_len);
      if (step < sizeof header || step > left) break;
      at += step;
      left -= step;
    }
  }
  return news;
}

}  // namespace vtep
