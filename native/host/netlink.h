// host/netlink.h — the few questions we ask the kernel's routing: route, neighbour, link.
//
// Source: rtnetlink(7). Requests go through one socket, notifications arrive on another, so that an
// answer is never
//         mixed up with news.
// Thread: the control thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "flow/flow_key.h"

namespace vtep {

struct RouteAnswer {
  uint32_t ifindex = 0;  // 0: no route; `why` says more
  bool local = false;    // the address is one of this host's own
  bool has_gateway = false;
  Ipv6Bytes gateway = {};  // v4-mapped for IPv4; the destination itself when on link
  uint32_t mtu = 0;        // of the route; 0: the device's
  std::string why;
};

struct NeighbourAnswer {
  bool known = false;  // has a usable link-layer address
  bool stale = false;  // usable, but the kernel has not verified it lately
  MacBytes mac = {};
};

struct LinkAnswer {
  bool exists = false;
  bool up = false;  // administratively and carrier
  std::string name;
  MacBytes mac = {};
  uint32_t mtu = 0;
  uint32_t lower_ifindex = 0;  // VLAN sub-interface: the device under it
  uint16_t vlan_vid = 0;       // VLAN sub-interface: its id
  bool no_arp = false;         // IFF_NOARP or loopback: no neighbour is needed
};

struct NetlinkNews {
  bool routes = false;  // any route changed
  bool links = false;   // any link changed
  bool neighbours = false;
  bool lost = false;  // the kernel dropped news: look at everything again
};

class Netlink {
 public:
  Netlink();  // throws Error{ERR_PERMISSION or ERR_LIMIT}

  RouteAnswer route_to(const Ipv6Bytes& remote, const Ipv6Bytes& local);
  NeighbourAnswer neighbour(uint32_t ifindex, const Ipv6Bytes& address);
  LinkAnswer link(uint32_t ifindex);
  // Asks the kernel to resolve or re-verify a neighbour (NTF_USE): it sends the ARP or ND itself.
  void probe_neighbour(uint32_t ifindex, const Ipv6Bytes& address);

  int news_fd() const noexcept { return news_.get(); }
  NetlinkNews read_news() noexcept;

 private:
  // Sends a request and returns the first answer's bytes (header included); empty with errno set on
  // an error.
  std::vector<uint8_t> ask(std::vector<uint8_t>& request);

  Fd requests_;
  Fd news_;
  uint32_t sequence_ = 0;
};

// ::ffff:a.b.c.d?
bool is_v4_mapped(const Ipv6Bytes& address) noexcept;
std::string address_text(const Ipv6Bytes& address);

}  // namespace vtep
