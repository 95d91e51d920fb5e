// action/straight.cpp — from the numbers in a program to what they mean now.
#include "action/straight.h"

#include <algorithm>

#include "action/mtu.h"
#include "action/rewrite.h"

namespace vtep {

namespace {

using Lane = TxStage::Lane;

bool passes(const StraightWay& way, const Packet& packet, const PacketInfo& info) noexcept {
  return way.mtu == 0 || (l3_bytes(packet, info) <= way.mtu && (info.tcp_flags & tcp_syn) == 0);
}

// As a router leaves it; false: its TTL is used up, and nothing is changed.
bool route(const StraightWay& way, Packet& packet, PacketInfo& info) noexcept {
  if (!dec_ttl(packet, info)) return false;
  set_eth_src(packet, way.eth_src);
  set_eth_dst(packet, way.eth_dst);
  return true;
}

uint32_t to_port(ExecuteContext& context, const StraightWay& way, const FlowRun& run) noexcept {
  for (uint32_t i = 0; i < run.count; i++) {
    Packet& packet = run.packets[i];
    if (packet.in_port == way.port || !passes(way, packet, run.infos[i])) return i;
    if (way.routed && !route(way, packet, run.infos[i])) return i;
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
    Packet& packet = run.packets[i];
    PacketInfo& info = run.infos[i];
    if (!takes_short_header(packet) || !passes(way, packet, info)) return i;
    if (way.routed && !route(way, packet, info)) return i;
    const uint64_t entropy = flow_entropy(run.keys[i], context.entropy_secret, run.hashes[i]);
    header.lay(packet, {static_cast<uint32_t>(entropy), context.outer_ip_id++, info.ip_tos},
               context.tx.place(lane, way.port));
    context.tx.placed(lane, way.port);
  }
  return run.count;
}

// Reads what comes before the output; where that is, or the program's end: not for a straight way.
uint32_t read_changes(const ExecuteContext& context, const ActionProgram& program,
                      StraightWay& way) noexcept {
  uint32_t ttls = 0;
  uint32_t sources = 0;
  uint32_t destinations = 0;
  uint32_t at = 0;
  for (; at < program.count; at += action_length(program.words[at])) {
    const uint32_t* words = program.words + at;
    const Op op = action_op(words[0]);
    if (op == Op::EnforceMtu) {
      const uint32_t mtu = effective_mtu(context.tables, words);
      if (mtu != 0) way.mtu = way.mtu == 0 ? mtu : std::min(way.mtu, mtu);
    } else if (op == Op::DecTtl) {
      ttls++;
    } else if (op == Op::SetEthSrc) {
      way.eth_src = action_mac(words + 1);
      sources++;
    } else if (op == Op::SetEthDst) {
      way.eth_dst = action_mac(words + 1);
      destinations++;
    } else {
      break;
    }
  }
  if (ttls + sources + destinations == 0) return at;
  way.routed = ttls == 1 && sources == 1 && destinations == 1;
  return way.routed ? at : program.count;
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
  const uint32_t at = read_changes(context, program, way);
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
