// action/straight.cpp — from the numbers in a program to what they mean now.
#include "action/straight.h"

namespace vtep {

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
