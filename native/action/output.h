// action/output.h — the ends of a packet's way: a port, a tunnel, a group of both.
//
// Why:    the fast paths, the interpreter and the answers that we make ourselves all leave through
//         these.
// Owner:  every function consumes the packet it is given, unless its comment says otherwise.
// Thread: a worker, with its context.
#pragma once

#include <cstdint>

#include "action/execute.h"
#include "flow/flow_key.h"
#include "flow/hash.h"
#include "flow/parse.h"
#include "packet/packet.h"

namespace vtep {

// Counts a drop; frees nothing.
void count_drop(ExecuteContext& context, uint32_t in_port, DropReason reason) noexcept;

// Takes the packet's cost from a meter; false: it is above the rate. No such meter, no limit.
bool pass_meter(ExecuteContext& context, uint32_t number, const Packet& packet,
                const PacketInfo& info) noexcept;

// Into the lane of `port`, or PortGone.
void output_port(ExecuteContext& context, uint32_t port, const Packet& packet) noexcept;

struct TunnelTarget {
  uint32_t tunnel;
  uint32_t vni;
  uint32_t logical_port;  // 0: none
};

// What tunnels need to know of the inner packet.
struct InnerFacts {
  uint32_t entropy;
  uint16_t l3;  // 0: not IP
  uint16_t l4;  // 0: none
  uint8_t tos;
};

inline InnerFacts inner_facts(const ExecuteContext& context, const FlowKey& key,
                              const PacketInfo& info) noexcept {
  const uint64_t entropy = flow_entropy(key, context.entropy_secret);
  return InnerFacts{static_cast<uint32_t>(entropy), info.l3, info.l4, info.ip_tos};
}

// Through a tunnel: finishes the inner checksum, segments superpackets (or lets the uplink do it),
// lays the outer header. Drops with TunnelGone, TunnelUnresolved, PortGone, and what pushing and
// segmenting give.
void output_tunnel(ExecuteContext& context, const TunnelTarget& target, const InnerFacts& inner,
                   const Packet& packet) noexcept;

// A copy to every member of the group but the sender, and those whose meter it does not pass:
// each such is a drop. `packet` stays the caller's. Returns how many members there were for it; 0:
// the group is gone, empty, or holds only the sender.
struct GroupTarget {
  uint32_t group;
  uint32_t vni;
  uint32_t logical_port;
};
uint32_t output_group(ExecuteContext& context, const GroupTarget& target, const FlowKey& key,
                      const PacketInfo& info, Packet& packet) noexcept;

inline bool from_tunnel(const FlowKey& key) noexcept {
  return key.tunnel_src != 0 || key.tunnel_id != 0;
}

// A packet that we made, back to where the packet with this key came from: its port or its tunnel.
void output_back(ExecuteContext& context, const FlowKey& key, const Packet& packet) noexcept;

}  // namespace vtep
