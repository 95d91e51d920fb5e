// action/straight.h — the way of nearly every packet: does it fit, routed or not, and out by one
// port or tunnel.
//
// Why:    the steady state runs through here and through nothing else of action/. The numbers in a
//         program are followed to what they mean once per flow and batch, and what a tunnel's
//         header needs is kept in registers for a run of its packets. All that is unusual about a
//         program or a packet is execute()'s, which would do the same to the packets taken here.
// Thread: one per worker. A StraightWay holds pointers that are good until the batch's end.
#pragma once

#include <cstdint>

#include "action/execute.h"
#include "action/tunnel.h"

namespace vtep {

// What a program comes to that ends with one Output or OutputTunnel and has nothing before it but
// EnforceMtu, and DecTtl, SetEthSrc and SetEthDst together: what routers do.
struct StraightWay {
  enum class Kind : uint8_t { None, Port, Tunnel };
  Kind kind = Kind::None;                // None: every packet is execute()'s
  bool routed = false;                   // takes one off the TTL and has these MACs
  MacBytes eth_src = {};
  MacBytes eth_dst = {};
  uint32_t port = 0;                     // whose lane it leaves by
  uint32_t mtu = 0;                      // L3 bytes; 0: not enforced
  uint32_t vni = 0;                      // Kind::Tunnel
  uint32_t logical_port = 0;             // Kind::Tunnel: source port for the Geneve option
  const TunnelEntry* tunnel = nullptr;   // Kind::Tunnel: has a short header
};

StraightWay straight_way(const ExecuteContext& context, const ActionProgram& program) noexcept;

// Packets of one flow in arrival order; infos[i], keys[i] and hashes[i] (hash_exact_key() of the
// untracked key) belong to packets[i].
struct FlowRun {
  Packet* packets;
  const FlowKey* keys;
  PacketInfo* infos;
  const uint64_t* hashes;
  uint32_t count;
};

// Sends packets from the first on until one is none for this way, and returns how many it took. The
// next one is execute()'s.
uint32_t go_straight(ExecuteContext& context, const StraightWay& way, const FlowRun& run) noexcept;

}  // namespace vtep
