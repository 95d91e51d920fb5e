// flow/asker.h — who a packet is from, as far as shares and limits are concerned.
//
// Why:    a port is a tenant's, and yet all tenants of all hosts come in by one uplink, and those
//         of a trunk by one device. So an asker is a port, a VLAN of a trunk, or a network of a
//         remote VTEP.
// Thread: pure.
// Limits: ports have a number of their own each; the others share asker_max - port_max by a keyed
//         hash, so that nobody arranges whom to share with.
#pragma once

#include <cstdint>

#include "base/limits.h"
#include "flow/flow_key.h"
#include "flow/hash.h"

namespace vtep {

// Below asker_max: the port itself below port_max, others above.
inline uint16_t asker_of(const FlowKey& key, const HashSecret& secret) noexcept {
  if (key.tunnel_id == 0 && key.vlan_tci.raw == 0) return static_cast<uint16_t>(key.in_port);
  const uint64_t where = uint64_t{key.in_port} << 32 | key.tunnel_id;
  const uint64_t who = uint64_t{key.vlan_tci.raw} << 16 | key.tunnel_src;
  const uint64_t hash = hash_detail::finish(
      hash_detail::product(where + secret.words[0], who + secret.words[1]), secret.words[2]);
  return static_cast<uint16_t>(port_max + hash % (asker_max - port_max));
}

}  // namespace vtep
