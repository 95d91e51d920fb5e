// flow/tunnel_endpoints.cpp — filling the tables, on the control side.
#include "flow/tunnel_endpoints.h"

#include <string>

#include "base/assert.h"
#include "base/error.h"

namespace vtep {

using tunnel_endpoints_detail::spread;

void TunnelEndpoints::set_endpoints(const Endpoint* endpoints, uint32_t count) {
  if (count > endpoint_max) {
    throw Error("ERR_LIMIT", "more than " + std::to_string(endpoint_max) + " tunnel endpoints");
  }
  for (uint32_t i = 0; i < count; ++i) endpoints_[i] = endpoints[i];
  endpoint_count_ = count;
}

void TunnelEndpoints::set_tunnel(uint16_t number, const Ipv6Bytes& remote, Encap encap) {
  if (number == 0 || number >= tunnel_max) {
    throw Error("ERR_LIMIT", "tunnel number " + std::to_string(number) + " is not in 1.." +
                                 std::to_string(tunnel_max - 1));
  }
  uint32_t slot = spread(AddressWords::of(remote)) % tunnel_slots;
  while (tunnels_[slot].numbers[0] != 0 &&
         memcmp(&tunnels_[slot].remote, &remote, sizeof remote) != 0) {
    slot = (slot + 1) % tunnel_slots;
  }
  const bool fresh = tunnels_[slot].numbers[0] == 0;
  if (fresh && ++tunnel_count_ > tunnel_max) {
    --tunnel_count_;
    throw Error("ERR_LIMIT", "more remote VTEPs than the datapath can hold");
  }
  if (fresh) tunnels_[slot] = TunnelSlot{remote, {number, number}};
  tunnels_[slot].numbers[place_of(encap)] = number;
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
