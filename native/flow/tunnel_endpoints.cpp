// flow/tunnel_endpoints.cpp — what parse asks about a tunnel packet: ours? whose? which network?
//
// Why:    open-addressed tables at most half full: a lookup, hit or miss, reads one or two lines.
// Entries
//         are never removed: the control side builds a new object and publishes it whole.
// Thread: lookups from any worker; writers only before publication.
#include <string>

#include "base/assert.h"
#include "base/error.h"
#include "flow/parse.h"

namespace vtep {

namespace {

constexpr uint32_t tunnel_slots = 2 * tunnel_max;
static_assert((tunnel_slots & (tunnel_slots - 1)) == 0);

// The keys come from the model, not from packets, so the hash need not be keyed.
uint32_t spread(uint64_t value) noexcept {
  return static_cast<uint32_t>((value * 0x9e3779b97f4a7c15ull) >> 40);
}

uint32_t spread(AddressWords address) noexcept {
  return spread(address.low ^ (address.high << 7 | address.high >> 57));
}

}  // namespace

bool TunnelEndpoints::ours(AddressWords address, Be16 udp_port, Encap& encap) const noexcept {
  for (uint32_t i = 0; i < endpoint_count_; ++i) {
    const Endpoint& endpoint = endpoints_[i];
    if (AddressWords::of(endpoint.address) != address) continue;
    if (udp_port == endpoint.vxlan_port) {
      encap = Encap::Vxlan;
      return true;
    }
    if (udp_port == endpoint.geneve_port) {
      encap = Encap::Geneve;
      return true;
    }
  }
  return false;
}

uint16_t TunnelEndpoints::tunnel_of(AddressWords address) const noexcept {
  uint32_t slot = spread(address) % tunnel_slots;
  while (tunnels_[slot].number != 0) {
    if (AddressWords::of(tunnels_[slot].remote) == address) return tunnels_[slot].number;
    slot = (slot + 1) % tunnel_slots;
  }
  return 0;
}

TunnelEndpoints::VniKind TunnelEndpoints::network(uint32_t vni) const noexcept {
  uint32_t slot = spread(vni) % vni_slots;
  while (vnis_[slot].vni_and_encap != 0) {
    const uint32_t found = vnis_[slot].vni_and_encap;
    if ((found & 0xffffffu) == vni) return static_cast<VniKind>(found >> 24);
    slot = (slot + 1) % vni_slots;
  }
  return VniKind::Unknown;
}

void TunnelEndpoints::set_endpoints(const Endpoint* endpoints, uint32_t count) {
  if (count > endpoint_max) {
    throw Error("ERR_LIMIT", "more than " + std::to_string(endpoint_max) + " tunnel endpoints");
  }
  for (uint32_t i = 0; i < count; ++i) endpoints_[i] = endpoints[i];
  endpoint_count_ = count;
}

void TunnelEndpoints::set_tunnel(uint16_t number, const Ipv6Bytes& remote) {
  if (number == 0 || number >= tunnel_max) {
    throw Error("ERR_LIMIT", "tunnel number " + std::to_string(number) + " is not in 1.." +
                                 std::to_string(tunnel_max - 1));
  }
  uint32_t slot = spread(AddressWords::of(remote)) % tunnel_slots;
  while (tunnels_[slot].number != 0 &&
         memcmp(&tunnels_[slot].remote, &remote, sizeof remote) != 0) {
    slot = (slot + 1) % tunnel_slots;
  }
  if (tunnels_[slot].number == 0 && ++tunnel_count_ > tunnel_max) {
    --tunnel_count_;
    throw Error("ERR_LIMIT", "more remote VTEPs than the datapath can hold");
  }
  tunnels_[slot] = TunnelSlot{remote, number};
}

void TunnelEndpoints::set_network(uint32_t vni, Encap encap) {
  DP_ASSERT(vni < 1u << 24);
  uint32_t slot = spread(vni) % vni_slots;
  while (vnis_[slot].vni_and_encap != 0 && (vnis_[slot].vni_and_encap & 0xffffffu) != vni) {
    slot = (slot + 1) % vni_slots;
  }
  if (vnis_[slot].vni_and_encap == 0 && ++vni_count_ > vni_max) {
    --vni_count_;
    throw Error("ERR_LIMIT", "more networks than the datapath can hold");
  }
  vnis_[slot].vni_and_encap = vni | static_cast<uint32_t>(encap) << 24;
}

}  // namespace vtep
