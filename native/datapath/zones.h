// datapath/zones.h — which connection tracking zone a packet belongs to, and which ports are
// captured.
//
// Why:    overlapping tenants have equal 5-tuples; the zone tells them apart. It comes from the
//         VNI of a tunnel packet, else from the port and its outermost VLAN: the logical ports of
//         a trunk may be of different tenants.
//         What changed is kept for a while, so that a worker throws away the exact entries of those
//         places alone: others do not feel it when a port comes or goes.
// Thread: written by the control thread, read by workers; every entry stands for itself.
// Limits: 2^24 VNIs, 2^12 VLANs a port, directly indexed; pages are taken as they are touched.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/limits.h"
#include "datapath/lazy_array.h"
#include "flow/flow_key.h"

namespace vtep {

constexpr uint32_t vni_limit = 1u << 24;
constexpr uint32_t vlan_limit = 1u << 12;
constexpr uint32_t zone_changes_max = 64;  // what a worker can be behind before all has changed

// What has a zone: a VNI, or a VLAN of a port.
enum class ZonePlace : uint32_t {};

constexpr ZonePlace place_of_vni(uint32_t vni) noexcept { return ZonePlace{1u << 31 | vni}; }
constexpr ZonePlace place_of_vlan(uint32_t port, uint32_t vlan) noexcept {
  return ZonePlace{port * vlan_limit + vlan};
}
// Of packets with this key.
inline ZonePlace place_of(const FlowKey& key) noexcept {
  if (key.tunnel_id != 0) return place_of_vni(key.tunnel_id & (vni_limit - 1));
  return place_of_vlan(key.in_port & (port_max - 1), key.vlan_tci.host() & (vlan_limit - 1));
}

class Zones {
 public:
  Zones()
      : by_port_(port_max * vlan_limit, "connection tracking zones of ports"),
        by_vni_(vni_limit, "connection tracking zones") {}

  // 0: not tracked.
  uint16_t of(const FlowKey& key) const noexcept {
    const auto place = static_cast<uint32_t>(place_of(key));
    if (key.tunnel_id != 0) return by_vni_[place & (vni_limit - 1)].load(relaxed);
    return by_port_[place].load(relaxed);
  }
  // VLAN 0: frames without a tag, and priority-tagged ones.
  void set_port(uint32_t port, uint32_t vlan, uint16_t zone) noexcept {
    const ZonePlace place = place_of_vlan(port, vlan);
    set(by_port_[static_cast<uint32_t>(place)], place, zone);
  }
  void clear_port(uint32_t port) noexcept {
    for (uint32_t vlan = 0; vlan < vlan_limit; vlan++) set_port(port, vlan, 0);
  }
  void set_vni(uint32_t vni, uint16_t zone) noexcept {
    set(by_vni_[vni], place_of_vni(vni), zone);
  }
  // Grows by one with every change.
  uint32_t version() const noexcept { return version_.load(std::memory_order_acquire); }

  // The change that made version `version` + 1; only the last zone_changes_max are known.
  ZonePlace changed(uint32_t version) const noexcept {
    return changed_[version % zone_changes_max].load(relaxed);
  }

 private:
  static constexpr auto relaxed = std::memory_order_relaxed;

  void set(std::atomic<uint16_t>& entry, ZonePlace place, uint16_t zone) noexcept {
    if (entry.load(relaxed) == zone) return;
    entry.store(zone, relaxed);
    const uint32_t version = version_.load(relaxed);
    changed_[version % zone_changes_max].store(place, std::memory_order_release);
    version_.store(version + 1, std::memory_order_release);
  }

  std::atomic<uint32_t> version_ = 0;
  std::atomic<ZonePlace> changed_[zone_changes_max] = {};
  LazyArray<std::atomic<uint16_t>> by_port_;
  LazyArray<std::atomic<uint16_t>> by_vni_;
};
static_assert((port_max & (port_max - 1)) == 0);
static_assert(uint64_t{port_max} * vlan_limit <= 1u << 31);  // places of ports are no VNIs'

// The places whose zone has changed and whose exact entries are still there: a worker's list.
class ChangedZones {
 public:
  // Adds what has changed since the last time; false: nothing has.
  bool follow(const Zones& zones) noexcept {
    const uint32_t version = zones.version();
    if (version == version_) [[likely]]
      return false;
    for (uint32_t next = version_; next != version && !all_; next++) add(zones.changed(next));
    // What was overwritten while it was read is not known.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (zones.version() - version_ >= zone_changes_max) all_ = true;
    version_ = version;
    return true;
  }
  bool has(ZonePlace place) const noexcept {
    if (all_) return true;
    if ((hints_ & hint(place)) == 0) [[likely]]
      return false;
    return std::find(places_, places_ + count_, place) != places_ + count_;
  }
  void clear() noexcept {
    count_ = 0;
    hints_ = 0;
    all_ = false;
  }

 private:
  static uint64_t hint(ZonePlace place) noexcept {
    return uint64_t{1} << (static_cast<uint32_t>(place) * 0x9e3779b9u >> 26);
  }
  void add(ZonePlace place) noexcept {
    if (count_ == zone_changes_max) {
      all_ = true;
      return;
    }
    places_[count_++] = place;
    hints_ |= hint(place);
  }

  uint32_t version_ = 0;
  uint32_t count_ = 0;
  bool all_ = false;  // more than there is room for
  uint64_t hints_ = 0;  // a bit for each place, of 64
  ZonePlace places_[zone_changes_max];
};

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
