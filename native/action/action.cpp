// action/action.cpp — the one check that lets execute() trust a program.
#include "action/action.h"

namespace vtep {

namespace {

bool port_ok(uint32_t number) noexcept { return number > 0 && number < port_max; }
bool vni_ok(uint32_t vni) noexcept { return vni < 1u << 24; }

// `words` holds the whole action.
bool operands_ok(const uint32_t* words) noexcept {
  const uint16_t arg = action_arg(words[0]);
  switch (action_op(words[0])) {
    case Op::Output:
    case Op::Mirror: return port_ok(words[1]);
    case Op::OutputTunnel: return words[1] > 0 && words[1] < tunnel_max && vni_ok(words[2]);
    case Op::OutputGroup: return words[1] > 0 && words[1] < group_max && vni_ok(words[2]);
    case Op::PushVlan: return arg > 0 && arg < 4095;
    case Op::SetDscp: return arg < 64;
    case Op::NdReply: return arg < 2;
    case Op::EnforceMtu: return words[2] < tunnel_max && words[1] <= 65535;
    case Op::Meter: return words[1] > 0 && words[1] < meter_max;
    case Op::Drop: return arg > 0 && arg < drop_reason_count;
    case Op::CtCommit: return words[1] <= 0xffff;
    case Op::Sample: return port_ok(words[2]);
    case Op::Unreachable: return arg < static_cast<uint16_t>(UnreachableKind::Count);
    case Op::RouterPrefix: return arg <= 128;
    default: return true;
  }
}

}  // namespace

bool validate(const uint32_t* words, uint32_t count) noexcept {
  if (count > action_words_max) return false;
  uint32_t at = 0;
  while (at < count) {
    const uint32_t op = words[at] & 0xff;
    if (op == 0 || op >= static_cast<uint32_t>(Op::Count)) return false;
    const uint32_t length = action_length(words[at]);
    if (length != op_words[op] || length > count - at) return false;
    if (!operands_ok(words + at)) return false;
    at += length;
  }
  return true;
}

}  // namespace vtep
