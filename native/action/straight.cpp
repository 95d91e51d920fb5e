// action/straight.cpp — from the numbers in a program to what they mean now.
#include "action/straight.h"

#include "action/mtu.h"

namespace vtep {

namespace {

using Lane = TxStage::Lane;

bool passes(const StraightWay& way, const Packet& packet, const PacketInfo& info) noexcept {
  return way.mtu == 0 || (l3_bytes(packet, info) <= way.mtu && (info.tcp_flags & tcp_syn) == 0);
}

uint32_t to_port(ExecuteContext& context, const StraightWay& way, const FlowRun& run) noexcept {
  for (uint32_t i = 0; i < run.count; i++) {
    const Packet& packet = run.packets[i];
    if (packet.in_port == way.port || !passes(way, packet, run.infos[i])) return i;
    context.tx.add(way.port, packet);
  }
  return run.count;
}

// Whether the packet takes a short header as it is.
bool takes_short_header(const Packet& packet) noexcept {
  return !packet.offload.any() && !packet.frame.large() &&
         small_headroom(packet) >= short_header_bytes;
}

uint32_t to_tunnel(ExecuteContext& context, const StraightWay& way, const FlowRun& run) noexcept {
  const ShortHeader header(*way.tunnel, way.vni, way.logical_port);
  Lane& lane = context.tx.lane(way.port);
  for (uint32_t i = 0; i < run.count; i++) {
    const Packet& packet = run.packets[i];
    const PacketInfo& info = run.infos[i];
    if (!takes_short_header(packet) || !passes(way, packet, info)) return i;
    const uint64_t entropy = flow_entropy(run.keys[i], context.entropy_secret, run.hashes[i]);
    header.lay(packet, {static_cast<uint32_t>(entropy), context.outer_ip_id++, info.ip_tos},
               context.tx.place(lane, way.port));
    context.tx.placed(lane, way.port);
  }
  return run.count;
}

}  // namespace

uint32_t go_straight(ExecuteContext& context, const StraightWay& way, const FlowRun& run) noexcept {
  switch (way.kind) {
    case StraightWay::Kind::Port: return to_port(context, way, run);
    case StraightWay::Kind::Tunnel: return to_tunnel(context, way, run);
    case StraightWay::Kind::None: break;
  }
  return 0;
}

StraightWay straight_way(const ExecuteContext& context, const ActionProgram& program) noexcept {
  StraightWay way;
  uint32_t at = 0;
  if (program.count != 0 && action_op(program.words[0]) == Op::EnforceMtu) {
    way.mtu = effective_mtu(context.tables, program.words);
    at = action_length(program.words[0]);
  }
  if (at >= program.count || at + action_length(program.words[at]) != program.count) return way;
  const uint32_t* words = program.words + at;
  if (action_op(words[0]) == Op::Output) {
    way.port = words[1];
    if (context.tx.has_port(way.port)) way.kind = StraightWay::Kind::Port;
  } else if (action_op(words[0]) == Op::OutputTunnel) {
    way.tunnel = context.tables.tunnel(words[1]);
    way.vni = words[2];
    way.logical_port = words[3];
    if (way.tunnel == nullptr || !way.tunnel->resolved || !has_short_header(*way.tunnel))
      return way;
    way.port = way.tunnel->uplink_port;
    if (context.tx.has_port(way.port)) way.kind = StraightWay::Kind::Tunnel;
  }
  return way;
}

}  // namespace vtep
