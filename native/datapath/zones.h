// datapath/zones.h — which connection tracking zone a packet belongs to, and which ports are
// captured.
//
// Why:    overlapping tenants have equal 5-tuples; the zone tells them apart. It comes from the
//         VNI of a tunnel packet, else from the port and its outermost VLAN: the logical ports of
//         a trunk may be of different tenants.
// Thread: written by the control thread, read by workers; every entry stands for itself.
// Limits: 2^24 VNIs, 2^12 VLANs a port, directly indexed; pages are taken as they are touched.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/limits.h"
#include "datapath/lazy_array.h"
#include "flow/flow_key.h"

namespace vtep {

constexpr uint32_t vni_limit = 1u << 24;
constexpr uint32_t vlan_limit = 1u << 12;

class Zones {
 public:
  Zones()
      : by_port_(port_max * vlan_limit, "connection tracking zones of ports"),
        by_vni_(vni_limit, "connection tracking zones") {}

  // 0: not tracked.
  uint16_t of(const FlowKey& key) const noexcept {
    if (key.tunnel_id != 0) return by_vni_[key.tunnel_id & (vni_limit - 1)].load(relaxed);
    const uint32_t vlan = key.vlan_tci.host() & (vlan_limit - 1);
    return by_port_[(key.in_port & (port_max - 1)) * vlan_limit + vlan].load(relaxed);
  }
  // VLAN 0: frames without a tag, and priority-tagged ones.
  void set_port(uint32_t port, uint32_t vlan, uint16_t zone) noexcept {
    set(by_port_[port * vlan_limit + vlan], zone);
  }
  void clear_port(uint32_t port) noexcept {
    for (uint32_t vlan = 0; vlan < vlan_limit; vlan++) set_port(port, vlan, 0);
  }
  void set_vni(uint32_t vni, uint16_t zone) noexcept { set(by_vni_[vni], zone); }
  // Grows with every change.
  uint32_t version() const noexcept { return version_.load(std::memory_order_acquire); }

 private:
  static constexpr auto relaxed = std::memory_order_relaxed;

  void set(std::atomic<uint16_t>& place, uint16_t zone) noexcept {
    if (place.load(relaxed) == zone) return;
    place.store(zone, relaxed);
    version_.fetch_add(1, std::memory_order_release);
  }

  std::atomic<uint32_t> version_ = 0;
  LazyArray<std::atomic<uint16_t>> by_port_;
  LazyArray<std::atomic<uint16_t>> by_vni_;
};
static_assert((port_max & (port_max - 1)) == 0);

// Which ports are captured now. Workers look at `any` once per burst.
struct CaptureFlags {
  std::atomic<uint32_t> any = 0;           // ports that are on; 0: nobody captures
  std::atomic<uint8_t> ports[port_max] = {};  // 1: on; index 0: every port

  bool on(uint32_t port) const noexcept {
    return any.load(std::memory_order_relaxed) != 0 &&
           (ports[0].load(std::memory_order_relaxed) | ports[port].load(std::memory_order_relaxed));
  }
};

}  // namespace vtep
