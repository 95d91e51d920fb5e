// host/next_hop_resolver.cpp — route → link → neighbour → outer Ethernet header.
#include "host/next_hop_resolver.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "base/fd.h"

namespace vtep {
namespace {

constexpr uint64_t resolve_gap_ms = 20;
constexpr uint64_t rest_factor = 10;  // rests this much longer than looking at all tunnels takes
constexpr uint64_t retry_ms = 1000;
constexpr uint64_t verify_ms = 15000;
constexpr uint16_t discard_port = 9;

uint64_t now_ms() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

bool same_hop(const NextHop& a, const NextHop& b) noexcept {
  return a.source_mac == b.source_mac && a.target_mac == b.target_mac &&
         a.uplink_port == b.uplink_port && a.mtu == b.mtu && a.vlan_vid == b.vlan_vid;
}

struct SocketAddress {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

SocketAddress socket_address(const Ipv6Bytes& address, uint16_t port) noexcept {
  SocketAddress result;
  if (is_v4_mapped(address)) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    memcpy(&v4.sin_addr, address.data() + 12, 4);
    memcpy(&result.bytes, &v4, result.size = sizeof v4);
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    memcpy(&v6.sin6_addr, address.data(), 16);
    memcpy(&result.bytes, &v6, result.size = sizeof v6);
  }
  return result;
}

// Has the kernel resolve the neighbour on the way to `remote` by sending an empty datagram to its
// discard port (RFC 863). NTF_USE alone would take a second on a new device: a solicitation without
// a packet behind it takes its source from the device's link-local address, which duplicate address
// detection (RFC 4862, 5.4) still holds back, while this one takes the tunnel's own.
bool send_empty_datagram(const Ipv6Bytes& local, const Ipv6Bytes& remote) noexcept {
  const SocketAddress from = socket_address(local, 0);
  const SocketAddress to = socket_address(remote, discard_port);
  const Fd socket(::socket(from.bytes.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.get() < 0) return false;
  const auto* source = reinterpret_cast<const sockaddr*>(&from.bytes);
  if (bind(socket.get(), source, from.size) != 0) return false;
  const auto* target = reinterpret_cast<const sockaddr*>(&to.bytes);
  return sendto(socket.get(), nullptr, 0, MSG_NOSIGNAL, target, to.size) == 0;
}

}  // namespace

void NextHopResolver::on_readable() {
  const NetlinkNews news = netlink_.read_news();
  if (news.routes || news.links || news.neighbours || news.lost) dirty_ = true;
}

void NextHopResolver::on_tunnel_set(const TunnelConfig& config) {
  Entry& entry = entries_[config.number];
  entry = Entry{};
  entry.config = config;
  resolve(entry);
}

void NextHopResolver::on_tunnel_removed(uint32_t number) { entries_.erase(number); }

// Access ports come and go by the hundred, and change no route.
void NextHopResolver::on_ports_changed() {
  Uplinks now = find_uplinks();
  if (now == uplinks_) return;
  uplinks_ = std::move(now);
  resolve_all();
}

bool NextHopResolver::any_unresolved() const noexcept {
  return std::any_of(entries_.begin(), entries_.end(),
                     [](const auto& item) { return !item.second.resolved; });
}

uint64_t NextHopResolver::next_resolve_ms() const noexcept {
  return resolved_ms_ + std::max(resolve_gap_ms, rest_factor * took_ms_);
}

int NextHopResolver::next_wake_ms() const noexcept {
  if (entries_.empty()) return -1;
  const uint64_t now = now_ms();
  uint64_t due = verified_ms_ + verify_ms;
  if (dirty_) due = std::min(due, next_resolve_ms());
  if (any_unresolved()) due = std::min(due, retried_ms_ + retry_ms);
  return due <= now ? 0 : static_cast<int>(due - now);
}

void NextHopResolver::on_time() {
  const uint64_t now = now_ms();
  if (dirty_ && now >= next_resolve_ms()) resolve_all();
  if (now >= retried_ms_ + retry_ms && any_unresolved()) retry();
  if (now < verified_ms_ + verify_ms) return;
  verified_ms_ = now;
  for (auto& [number, entry] : entries_) {
    if (entry.resolved && entry.stale) netlink_.probe_neighbour(entry.ifindex, entry.gateway);
  }
}

void NextHopResolver::resolve_all() {
  const uint64_t start = now_ms();
  dirty_ = false;
  for (auto& [number, entry] : entries_) resolve(entry);
  resolved_ms_ = retried_ms_ = now_ms();
  took_ms_ = resolved_ms_ - start;
}

// What the kernel tells no news of, such as a probe that was lost.
void NextHopResolver::retry() {
  for (auto& [number, entry] : entries_) {
    if (!entry.resolved) resolve(entry);
  }
  retried_ms_ = now_ms();
}

void NextHopResolver::resolve(Entry& entry) {
  NextHop hop;
  std::string why;
  const bool found = find_hop(entry, hop, why);
  if (entry.published && found == entry.resolved && same_hop(hop, entry.hop) && why == entry.why) {
    return;
  }
  entry.resolved = found;
  entry.hop = hop;
  entry.why = why;
  entry.published = true;
  datapath_.set_next_hop(entry.config.number, found ? &hop : nullptr, why.c_str());
}

// First as a packet would. Where that may not leave, and where it was lost, the kernel is told.
void NextHopResolver::probe(Entry& entry) {
  const bool sent = !entry.probed && send_empty_datagram(entry.config.local, entry.config.remote);
  entry.probed = true;
  if (!sent) netlink_.probe_neighbour(entry.ifindex, entry.gateway);
}

NextHopResolver::Uplinks NextHopResolver::find_uplinks() {
  Uplinks found;
  for (const auto& [config, status] : datapath_.list_ports()) {
    const bool uplink = (config.flags & port_flag_uplink) != 0;
    if (uplink && status.ifindex != 0) found.emplace(status.ifindex, config.number);
  }
  return found;
}

// The number of the uplink port on a device; 0: none.
uint32_t NextHopResolver::uplink_on(uint32_t ifindex) const noexcept {
  const auto found = uplinks_.find(ifindex);
  return found == uplinks_.end() ? 0 : found->second;
}

bool NextHopResolver::find_hop(Entry& entry, NextHop& hop, std::string& why) {
  const RouteAnswer route = netlink_.route_to(entry.config.remote, entry.config.local);
  if (route.ifindex == 0) return why = route.why, false;
  if (route.local) {
    why = address_text(entry.config.remote) + " is an address of this host itself";
    return false;
  }
  LinkAnswer link = netlink_.link(route.ifindex);
  hop.source_mac = link.mac;
  hop.mtu = route.mtu ? std::min(route.mtu, link.mtu) : link.mtu;
  hop.uplink_port = uplink_on(route.ifindex);
  if (hop.uplink_port == 0 && link.vlan_vid != 0) {
    hop.vlan_vid = link.vlan_vid;
    hop.uplink_port = uplink_on(link.lower_ifindex);
  }
  if (hop.uplink_port == 0) {
    why = "the route to " + address_text(entry.config.remote) + " leaves by " + link.name +
          ", which is no uplink of ours";
    return false;
  }
  if (!link.up) return why = "the underlay device " + link.name + " is down", false;
  entry.ifindex = route.ifindex;
  entry.gateway = route.gateway;
  const NeighbourAnswer neighbour = netlink_.neighbour(route.ifindex, route.gateway);
  entry.stale = neighbour.stale;
  if (!neighbour.known && !link.no_arp) {
    probe(entry);
    why = "no neighbour entry for " + address_text(route.gateway) + " on " + link.name + " yet";
    return false;
  }
  entry.probed = false;
  hop.target_mac = neighbour.mac;
  return true;
}

}  // namespace vtep
