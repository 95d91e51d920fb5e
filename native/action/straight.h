// action/straight.h — the way of nearly every packet: does it fit, and out by one port or tunnel.
//
// Why:    the steady state runs through here and through nothing else of action/. The numbers in a
//         program are followed to what they mean once per flow and batch, not once per packet, and
//         what is left per packet is inlined into the worker's loop. All that is unusual about a
//         program or a packet is execute()'s, which would do the same to the packets taken here.
// Thread: one per worker. A StraightWay holds pointers that are good until the batch's end.
#pragma once

#include <cstdint>

#include "action/execute.h"
#include "action/mtu.h"
#include "action/tunnel.h"

namespace vtep {

// What a program of [EnforceMtu] and one Output or OutputTunnel comes to.
struct StraightWay {
  enum class Kind : uint8_t { None, Port, Tunnel };
  Kind kind = Kind::None;                // None: every packet is execute()'s
  uint32_t port = 0;                     // whose lane it leaves by
  uint32_t mtu = 0;                      // L3 bytes; 0: not enforced
  uint32_t vni = 0;                      // Kind::Tunnel
  uint32_t logical_port = 0;             // Kind::Tunnel: source port for the Geneve option
  const TunnelEntry* tunnel = nullptr;   // Kind::Tunnel: has a short header
};

StraightWay straight_way(const ExecuteContext& context, const ActionProgram& program) noexcept;

// Takes the packet, or returns false and leaves it to execute(). `entropy` is that of its flow.
inline bool go_straight(ExecuteContext& context, const StraightWay& way, const Packet& packet,
                        const PacketInfo& info, uint64_t entropy) noexcept {
  if (way.kind == StraightWay::Kind::None) return false;
  if (way.mtu != 0 && (l3_bytes(packet, info) > way.mtu || (info.tcp_flags & tcp_syn) != 0))
    return false;
  if (way.kind == StraightWay::Kind::Port) {
    if (way.port == packet.in_port) return false;
    context.tx.add(way.port, packet);
    return true;
  }
  if (packet.offload.any() || packet.frame.large()) return false;
  if (small_headroom(packet) < short_header_bytes) return false;
  Packet& pushed = context.tx.place(way.port, packet);
  lay_short_header(*way.tunnel,
                   {way.vni, way.logical_port, static_cast<uint32_t>(entropy), info.ip_tos,
                    context.outer_ip_id++},
                   pushed);
  context.tx.placed(way.port);
  return true;
}

}  // namespace vtep
