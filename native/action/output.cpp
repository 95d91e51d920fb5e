// action/output.cpp — see output.h.
#include "action/output.h"

#include <algorithm>

#include "action/meter.h"
#include "action/rewrite.h"
#include "action/tunnel.h"
#include "packet/checksum.h"
#include "packet/gso.h"

namespace vtep {

namespace {

// A tunnel that is up, and the port that it leaves by.
const TunnelEntry* usable_tunnel(ExecuteContext& context, uint32_t number,
                                 DropReason& reason) noexcept {
  const TunnelEntry* tunnel = context.tables.tunnel(number);
  if (tunnel == nullptr)
    reason = DropReason::TunnelGone;
  else if (!tunnel->resolved)
    reason = DropReason::TunnelUnresolved;
  else if (!context.tx.has_port(tunnel->uplink_port))
    reason = DropReason::PortGone;
  else
    return tunnel;
  return nullptr;
}

void push_and_add(ExecuteContext& context, const TunnelEntry& tunnel, TunnelPush& push,
                  Packet packet) noexcept {
  push.ip_id = context.outer_ip_id++;
  const DropReason reason = push_tunnel(context.frames.pool(), tunnel, push, packet);
  if (reason != DropReason::None) return drop(context, packet, reason);
  context.tx.add(tunnel.uplink_port, packet);
}

// An inner superpacket: one outer superpacket where the uplink can, else segment by segment. Kept
// out of line for its 32 KiB of stack.
[[gnu::noinline]] void push_segments(ExecuteContext& context, const TunnelEntry& tunnel,
                                     TunnelPush& push, const InnerFacts& inner,
                                     const Packet& packet) noexcept {
  Packet made[segments_max];
  DropReason reason = DropReason::BadSegmentation;
  uint32_t count = 0;
  const uint8_t can = tx_can_checksum | tx_can_uso;
  if (inner.l4 == 0 || inner.l3 == 0) return drop(context, packet, reason);
  if ((context.tx.can(tunnel.uplink_port) & can) == can) {
    push.ip_id = context.outer_ip_id;
    count = push_tunnel_super(context.frames, {tunnel, push, {inner.l3, inner.l4}}, packet,
                              {made, segments_max}, reason);
    for (uint32_t i = 0; i < count; i++) context.tx.add(tunnel.uplink_port, made[i]);
    context.outer_ip_id = static_cast<uint16_t>(context.outer_ip_id + tunnel_super_segments);
  }
  if (count == 0) {
    count = segment(context.frames, packet, {inner.l3, inner.l4}, {made, segments_max}, reason);
    if (count == 0) return drop(context, packet, reason);
    for (uint32_t i = 0; i < count; i++) push_and_add(context, tunnel, push, made[i]);
    context.port_counters[tunnel.uplink_port][static_cast<uint32_t>(PortCounter::TxSegments)] +=
        count;
  }
  context.frames.free(packet);
}

bool is_sender(const GroupMember& member, const FlowKey& key, const Packet& packet) noexcept {
  const uint16_t came_with = key.vlan_tci.host() & 0x0fff;
  return member.number == packet.in_port && member.vlan_vid == came_with;
}

void output_member_port(ExecuteContext& context, const GroupMember& member, const PacketInfo& info,
                        Packet packet) noexcept {
  PacketInfo moved = info;
  if (member.vlan_vid != 0 &&
      !push_vlan(context.frames.pool(), packet, moved, member.vlan_vid))
    return drop(context, packet, DropReason::NoHeadroom);
  output_port(context, member.number, packet);
}

}  // namespace

void count_drop(ExecuteContext& context, uint32_t in_port, DropReason reason) noexcept {
  context.port_drops[in_port][static_cast<uint32_t>(reason)]++;
  context.port_counters[in_port][static_cast<uint32_t>(PortCounter::Drops)]++;
}

void drop(ExecuteContext& context, const Packet& packet, DropReason reason) noexcept {
  count_drop(context, packet.in_port, reason);
  if (packet.frame != no_frame && context.drop_samples.due(packet.in_port, reason, context.now_ns))
    context.host.show_drop(packet, reason);
  context.frames.free(packet);
}

bool pass_meter(ExecuteContext& context, uint32_t number, const Packet& packet,
                const PacketInfo& info) noexcept {
  const MeterConfig* config = context.tables.meter(number);
  if (config == nullptr) return true;
  uint64_t cost = packet.length;
  if (config->packets) {
    const Offload& offload = packet.offload;
    const uint32_t payload = packet.length - std::min<uint32_t>(info.payload, packet.length);
    cost = 1;
    if (offload.gso_type != GsoType::None)
      cost = (payload + offload.gso_size - 1) / offload.gso_size;
  }
  return meter_pass(*config, context.meters[number], cost, context.now_ns);
}

void output_port(ExecuteContext& context, uint32_t port, const Packet& packet) noexcept {
  if (!context.tx.has_port(port)) return drop(context, packet, DropReason::PortGone);
  context.tx.add(port, packet);
}

void output_tunnel(ExecuteContext& context, const TunnelTarget& target, const InnerFacts& inner,
                   const Packet& packet) noexcept {
  DropReason reason = DropReason::None;
  const TunnelEntry* tunnel = usable_tunnel(context, target.tunnel, reason);
  if (tunnel == nullptr) return drop(context, packet, reason);
  TunnelPush push{target.vni, target.logical_port, inner.entropy, inner.tos, 0};
  if (packet.offload.gso_type != GsoType::None)
    return push_segments(context, *tunnel, push, inner, packet);
  Packet whole = packet;
  if ((whole.offload.flags & offload_needs_checksum) != 0) {
    if (!finish_checksum(whole)) return drop(context, whole, DropReason::BadOffload);
    context.port_counters[tunnel->uplink_port][static_cast<uint32_t>(PortCounter::Checksums)]++;
  }
  push_and_add(context, *tunnel, push, whole);
}

uint32_t output_group(ExecuteContext& context, const GroupTarget& target, const FlowKey& key,
                      const PacketInfo& info, Packet& packet) noexcept {
  const Group* group = context.tables.group(target.group);
  if (group == nullptr) return 0;
  const bool split_horizon = from_tunnel(key);
  const InnerFacts inner = inner_facts(context, key, info);
  uint32_t served = 0;
  for (const GroupMember& member : group->members) {
    const bool tunnel = member.kind == GroupMember::Kind::Tunnel;
    if (tunnel ? split_horizon : is_sender(member, key, packet)) continue;
    served++;
    if (member.meter != 0 && !pass_meter(context, member.meter, packet, info)) {
      count_drop(context, packet.in_port, DropReason::MeterExceeded);
      continue;
    }
    // One sum for all tunnel copies. Ports see a finished checksum then, which is as good.
    if (tunnel && packet.offload.gso_type == GsoType::None) finish_checksum(packet);
    const Packet copy = context.frames.clone(packet);
    if (copy.frame == no_frame) {
      count_drop(context, packet.in_port, DropReason::NoFrames);
      continue;
    }
    if (tunnel)
      output_tunnel(context, {member.number, target.vni, target.logical_port}, inner, copy);
    else
      output_member_port(context, member, info, copy);
  }
  return served;
}

void output_back(ExecuteContext& context, const FlowKey& key, const Packet& packet) noexcept {
  if (!from_tunnel(key)) return output_port(context, key.in_port, packet);
  output_tunnel(context, {key.tunnel_src, key.tunnel_id, 0}, inner_facts(context, key, {}), packet);
}

}  // namespace vtep
