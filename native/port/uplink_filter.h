// port/uplink_filter.h — the socket filter of an uplink: tunnel packets only.
//
// Why:    the host keeps using its underlay device for everything else, and what the filter refuses
//         is never copied to us.
// Thread: control thread.
// Limits: a fragment behind the first has no ports and is refused; the first one passes, so that an
//         underlay with too small an MTU shows as outer_fragment drops.
#pragma once

#include <string>

#include "port/port.h"

namespace vtep {

// Attaches the filter: UDP to config.vxlan_port or config.geneve_port, over IPv4 or IPv6 without
// extension headers. Throws Error, beginning with `doing`.
void attach_uplink_filter(int socket, const PortConfig& config, const std::string& doing);

}  // namespace vtep
