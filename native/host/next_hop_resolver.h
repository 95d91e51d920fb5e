// host/next_hop_resolver.h — keeps the next hop of every tunnel as the kernel's routing has it.
//
// Why:    the operator routes the underlay with the kernel's own tools; we follow. A changed route,
//         neighbour, link or MTU changes one tunnel entry and no flow, also while vtepd is dead.
// Thread: the control thread of the datapath process.
// Limits: under a storm of news, looking at all tunnels again takes at most a tenth of the thread;
//         retries what is unresolved once a second; asks the kernel to verify stale neighbours of
//         tunnels every verify_ms.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "datapath/datapath.h"
#include "host/netlink.h"

namespace vtep {

class NextHopResolver {
 public:
  explicit NextHopResolver(Datapath& datapath) : datapath_(datapath), uplinks_(find_uplinks()) {}

  int fd() const noexcept { return netlink_.news_fd(); }
  void on_readable();
  void on_time();
  // Milliseconds until on_time() has work; -1: none.
  int next_wake_ms() const noexcept;

  void on_tunnel_set(const TunnelConfig& config);
  void on_tunnel_removed(uint32_t number);
  void on_ports_changed();

 private:
  struct Entry {
    TunnelConfig config;
    NextHop hop;
    bool resolved = false;
    std::string why;         // why not
    uint32_t ifindex = 0;    // device of the route
    Ipv6Bytes gateway = {};  // neighbour on it
    bool stale = false;      // the kernel has not verified the neighbour lately
    bool probed = false;     // a datagram was sent since the neighbour was last known
    bool published = false;
  };

  using Uplinks = std::map<uint32_t, uint32_t>;  // device to port number

  void resolve(Entry& entry);
  bool find_hop(Entry& entry, NextHop& hop, std::string& why);
  void probe(Entry& entry);
  Uplinks find_uplinks();
  uint32_t uplink_on(uint32_t ifindex) const noexcept;
  void resolve_all();
  void retry();
  uint64_t next_resolve_ms() const noexcept;
  bool any_unresolved() const noexcept;

  Datapath& datapath_;
  Netlink netlink_;
  std::map<uint32_t, Entry> entries_;  // by tunnel number
  Uplinks uplinks_;                    // as the ports are now
  bool dirty_ = false;
  uint64_t resolved_ms_ = 0;  // when all were last resolved
  uint64_t took_ms_ = 0;      // how long that took
  uint64_t retried_ms_ = 0;   // when the unresolved were last looked at
  uint64_t verified_ms_ = 0;  // when stale neighbours were last probed
};

}  // namespace vtep
