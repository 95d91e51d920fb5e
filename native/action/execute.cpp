// action/execute.cpp — the interpreter of action programs.
#include "action/execute.h"

#include <algorithm>
#include <cstring>

#include "action/arp_reply.h"
#include "action/echo_reply.h"
#include "action/icmp_error.h"
#include "action/mtu.h"
#include "action/output.h"
#include "action/rewrite.h"
#include "action/router_advert.h"
#include "action/tunnel.h"
#include "flow/asker.h"
#include "packet/checksum.h"
#include "packet/fragment.h"
#include "packet/gso.h"
#include "packet/headers.h"

namespace vtep {

namespace {

// One packet on its way through a program.
struct Run {
  ExecuteContext& context;
  const ActionProgram& program;
  const FlowKey& key;
  PacketInfo info;
  Packet packet;
  bool turned = false;   // a reply: may go back where it came from
  bool changed = false;  // rewritten: likewise
  bool sent = false;     // went somewhere already
};

enum class Step : uint8_t { Next, Done };  // Done: the packet is consumed

void run_from(Run& run, uint32_t at) noexcept;

uint64_t& counter(Run& run, WorkerCounter which) noexcept {
  return run.context.worker_counters[static_cast<uint32_t>(which)];
}

Step end_with(Run& run, DropReason reason) noexcept {
  drop(run.context, run.packet, reason);
  return Step::Done;
}

bool uses_packet(Op op) noexcept {
  switch (op) {
    case Op::Output:
    case Op::OutputTunnel:
    case Op::OutputGroup:
    case Op::Mirror:
    case Op::Upcall:
    case Op::Drop:
    case Op::Reject:
    case Op::Unreachable:
    case Op::Sample: return true;
    default: return false;
  }
}

// Whether nothing behind `at` (an output) wants the packet, so that it can be moved, not copied.
bool last_use(const ActionProgram& program, uint32_t at) noexcept {
  at += action_length(program.words[at]);
  for (; at < program.count; at += action_length(program.words[at]))
    if (uses_packet(action_op(program.words[at]))) return false;
  return true;
}

// A copy of the packet, or the packet itself on its last use; no_frame: counted.
Packet packet_for_output(Run& run, bool last) noexcept {
  if (last) return run.packet;
  const Packet copy = run.context.frames.clone(run.packet);
  if (copy.frame == no_frame) count_drop(run.context, run.packet.in_port, DropReason::NoFrames);
  return copy;
}

Step do_output(Run& run, uint32_t at) noexcept {
  const uint32_t port = run.program.words[at + 1];
  const bool last = last_use(run.program, at);
  const bool back = port == run.packet.in_port;
  run.sent = true;
  if (back && !run.turned && !run.changed) {
    if (last) return end_with(run, DropReason::SamePort);
    count_drop(run.context, run.packet.in_port, DropReason::SamePort);
    return Step::Next;
  }
  const Packet packet = packet_for_output(run, last);
  if (packet.frame != no_frame) {
    if (back && run.turned)
      output_back(run.context, run.key, packet);
    else
      output_port(run.context, port, packet);
  }
  return last ? Step::Done : Step::Next;
}

Step do_output_tunnel(Run& run, uint32_t at) noexcept {
  const uint32_t* words = run.program.words + at;
  const bool last = last_use(run.program, at);
  run.sent = true;
  const Packet packet = packet_for_output(run, last);
  if (packet.frame != no_frame)
    output_tunnel(run.context, {words[1], words[2], words[3]},
                  inner_facts(run.context, run.key, run.info), packet);
  return last ? Step::Done : Step::Next;
}

Step do_output_group(Run& run, uint32_t at) noexcept {
  const uint32_t* words = run.program.words + at;
  const bool last = last_use(run.program, at);
  run.sent = true;
  const uint32_t served = output_group(run.context, {words[1], words[2], words[3]}, run.key,
                                       run.info, run.packet);
  if (served == 0) {
    if (last) return end_with(run, DropReason::GroupEmpty);
    count_drop(run.context, run.packet.in_port, DropReason::GroupEmpty);
  }
  if (!last) return Step::Next;
  run.context.frames.free(run.packet);
  return Step::Done;
}

// A copy to a port for someone who watches. That the watcher is gone or is the sender is counted.
void do_mirror(Run& run, uint32_t port) noexcept {
  if (!run.context.tx.has_port(port))
    return count_drop(run.context, run.packet.in_port, DropReason::PortGone);
  if (port == run.packet.in_port)
    return count_drop(run.context, run.packet.in_port, DropReason::SamePort);
  const Packet copy = packet_for_output(run, false);
  if (copy.frame != no_frame) output_port(run.context, port, copy);
}

void do_sample(Run& run, const uint32_t* words) noexcept {
  uint64_t& state = run.context.random_state;  // xorshift64
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  if (static_cast<uint32_t>(state >> 32) < words[1]) do_mirror(run, words[2]);
}

Step do_meter(Run& run, uint32_t number) noexcept {
  if (pass_meter(run.context, number, run.packet, run.info)) return Step::Next;
  return end_with(run, DropReason::MeterExceeded);
}

bool may_make(Run& run, AnswerKind kind) noexcept {
  ExecuteContext& context = run.context;
  const uint16_t asker = asker_of(run.key, context.entropy_secret);
  return may_make_answer(context.answers[asker], kind, context.now_ns);
}

// Tells the sender, if it may be told and not too often. The packet has its own drop; an answer
// that is not made is one more.
void answer(Run& run, const IcmpError& error) noexcept {
  ExecuteContext& context = run.context;
  const bool reset =
      error.kind == IcmpErrorKind::PortUnreachable && run.key.ip_proto == ip_proto_tcp;
  if (reset && (run.info.tcp_flags & tcp_rst) != 0) return;
  if (!may_answer(run.packet, run.key, run.info)) return;
  if (!may_make(run, AnswerKind::Error))
    return count_drop(context, run.packet.in_port, DropReason::AnswerLimit);
  const Packet made =
      reset ? make_tcp_reset(context.frames, run.packet, run.key, run.info)
            : make_icmp_error(context.frames, run.packet, run.key, run.info, error);
  if (made.frame == no_frame) return count_drop(context, 0, DropReason::NoFrames);
  counter(run, WorkerCounter::IcmpErrors)++;
  output_back(context, run.key, made);
}

IcmpError error_from(IcmpErrorKind kind, uint32_t mtu, const uint32_t* sources) noexcept {
  IcmpError error{kind, mtu, Be32{sources[0]}, {}};
  memcpy(error.ipv6_source.data(), sources + 1, 16);
  return error;
}

Step do_dec_ttl(Run& run, const uint32_t* words) noexcept {
  run.changed = true;
  if (dec_ttl(run.packet, run.info)) return Step::Next;
  const bool ipv6 = ip_version(run.packet, run.info) == 6;
  const bool named = ipv6 ? (words[2] | words[3] | words[4] | words[5]) != 0 : words[1] != 0;
  if (!named) {
    run.context.host.upcall(run.packet, run.key, run.info, UpcallReason::TtlExceeded);
    run.context.frames.free(run.packet);
    return Step::Done;
  }
  answer(run, error_from(IcmpErrorKind::TimeExceeded, 0, words + 1));
  return end_with(run, DropReason::TtlExceeded);
}

// The rest of the program for pieces of the packet, which is freed.
void run_pieces(Run& run, const Packet* pieces, uint32_t count, uint32_t at) noexcept {
  const bool fragments = run.packet.offload.gso_type == GsoType::None;
  for (uint32_t i = 0; i < count; i++) {
    Run piece{run.context, run.program, run.key, run.info, pieces[i],
              run.turned,  run.changed, run.sent};
    if (fragments && i > 0) piece.info.l4 = piece.info.payload = 0;
    run_from(piece, at);
  }
  run.context.frames.free(run.packet);
}

[[gnu::noinline]] Step run_fragments(Run& run, uint32_t at, uint32_t mtu) noexcept {
  Packet pieces[fragments_max];
  DropReason reason = DropReason::None;
  if (!finish_checksum(run.packet)) return end_with(run, DropReason::BadOffload);
  const uint32_t count = fragment_ipv4(run.context.frames, run.packet, {run.info.l3, mtu},
                                       {pieces, fragments_max}, reason);
  if (count == 0) return end_with(run, reason);
  run_pieces(run, pieces, count, at + op_words[static_cast<uint32_t>(Op::EnforceMtu)]);
  return Step::Done;
}

[[gnu::noinline]] Step run_segments(Run& run, uint32_t at) noexcept {
  Packet pieces[segments_max];
  DropReason reason = DropReason::None;
  const uint32_t count = segment(run.context.frames, run.packet, {run.info.l3, run.info.l4},
                                 {pieces, segments_max}, reason);
  if (count == 0) return end_with(run, reason);
  run_pieces(run, pieces, count, at);
  return Step::Done;
}

Step do_enforce_mtu(Run& run, uint32_t at) noexcept {
  const uint32_t* words = run.program.words + at;
  const uint32_t mtu = effective_mtu(run.context.tables, words);
  if (mtu == 0) return Step::Next;
  switch (judge_mtu(run.packet, run.info, mtu)) {
    case MtuVerdict::Fits: break;
    case MtuVerdict::Fragment: return run_fragments(run, at, mtu);
    case MtuVerdict::Segment: return run_segments(run, at);
    case MtuVerdict::TooBig:
      answer(run, error_from(IcmpErrorKind::TooBig, mtu, words + 3));
      return end_with(run, DropReason::MtuExceeded);
  }
  if ((run.info.tcp_flags & tcp_syn) != 0 && clamp_mss(run.packet, run.info, mtu))
    counter(run, WorkerCounter::MssClamps)++;
  return Step::Next;
}

Step do_reply(Run& run, const uint32_t* words) noexcept {
  if (!may_make(run, AnswerKind::Reply)) return end_with(run, DropReason::AnswerLimit);
  const MacBytes mac = action_mac(words + 1);
  const DropReason reason =
      action_op(words[0]) == Op::ArpReply
          ? turn_arp_request(run.packet, run.info, mac)
          : turn_nd_solicitation(run.context.frames.pool(), run.packet, run.info,
                                 NdAnswer{mac, (action_arg(words[0]) & 1) != 0});
  if (reason != DropReason::None) return end_with(run, reason);
  run.turned = true;
  counter(run, WorkerCounter::ArpReplies)++;
  return Step::Next;
}

// What is sent to a gateway and is answered by it. What is turned already is one answer with more
// in it.
Step do_gateway_answer(Run& run, const uint32_t* words) noexcept {
  if (!run.turned && !may_make(run, AnswerKind::Reply))
    return end_with(run, DropReason::AnswerLimit);
  const FramePool& pool = run.context.frames.pool();
  const uint16_t arg = action_arg(words[0]);
  DropReason reason = DropReason::None;
  if (action_op(words[0]) == Op::EchoReply) {
    reason = turn_echo_request(run.packet, run.info);
  } else if (action_op(words[0]) == Op::RouterAdvert) {
    const RouterAnswer answer{action_mac(words + 1), words[3], arg, run.turned};
    reason = turn_router_solicitation(pool, run.packet, run.info, answer);
  } else {
    AdvertisedPrefix prefix{{}, static_cast<uint8_t>(arg)};
    memcpy(prefix.prefix.data(), words + 1, prefix.prefix.size());
    reason = add_prefix(pool, run.packet, run.info, prefix);
  }
  if (reason != DropReason::None) return end_with(run, reason);
  run.turned = true;
  return Step::Next;
}

Step do_unreachable(Run& run, const uint32_t* words) noexcept {
  switch (static_cast<UnreachableKind>(action_arg(words[0]))) {
    case UnreachableKind::NoRoute:
      answer(run, error_from(IcmpErrorKind::NoRoute, 0, words + 1));
      return end_with(run, DropReason::NoRoute);
    case UnreachableKind::Host:
      answer(run, error_from(IcmpErrorKind::HostUnreachable, 0, words + 1));
      return end_with(run, DropReason::HostUnreachable);
    default:
      answer(run, error_from(IcmpErrorKind::PortUnreachable, 0, words + 1));
      return end_with(run, DropReason::RouterItself);
  }
}

Step do_rewrite(Run& run, const uint32_t* words) noexcept {
  Packet& packet = run.packet;
  PacketInfo& info = run.info;
  const uint16_t arg = action_arg(words[0]);
  const uint8_t* address = reinterpret_cast<const uint8_t*>(words + 1);
  run.changed = true;
  switch (action_op(words[0])) {
    case Op::SetEthSrc: set_eth_src(packet, action_mac(words + 1)); break;
    case Op::SetEthDst: set_eth_dst(packet, action_mac(words + 1)); break;
    case Op::PushVlan:
      if (push_vlan(run.context.frames.pool(), packet, info, arg)) break;
      return end_with(run, DropReason::NoHeadroom);
    case Op::PopVlan: pop_vlan(packet, info); break;
    case Op::SetIpv4Src: set_ip_src(packet, info, address, 4); break;
    case Op::SetIpv4Dst: set_ip_dst(packet, info, address, 4); break;
    case Op::SetIpv6Src: set_ip_src(packet, info, address, 16); break;
    case Op::SetIpv6Dst: set_ip_dst(packet, info, address, 16); break;
    case Op::SetTpSrc: set_tp_src(packet, info, be16(arg)); break;
    case Op::SetTpDst: set_tp_dst(packet, info, be16(arg)); break;
    case Op::SetDscp: set_dscp(packet, info, static_cast<uint8_t>(arg)); break;
    default: break;
  }
  return Step::Next;
}

Step do_action(Run& run, uint32_t at) noexcept {
  const uint32_t* words = run.program.words + at;
  const uint16_t arg = action_arg(words[0]);
  switch (action_op(words[0])) {
    case Op::Output: return do_output(run, at);
    case Op::OutputTunnel: return do_output_tunnel(run, at);
    case Op::OutputGroup: return do_output_group(run, at);
    case Op::DecTtl: return do_dec_ttl(run, words);
    case Op::ArpReply:
    case Op::NdReply: return do_reply(run, words);
    case Op::EchoReply:
    case Op::RouterAdvert:
    case Op::RouterPrefix: return do_gateway_answer(run, words);
    case Op::Unreachable: return do_unreachable(run, words);
    case Op::EnforceMtu: return do_enforce_mtu(run, at);
    case Op::Meter: return do_meter(run, words[1]);
    case Op::Drop: return end_with(run, static_cast<DropReason>(arg));
    case Op::Reject:
      answer(run, IcmpError{IcmpErrorKind::PortUnreachable});
      return end_with(run, DropReason::AclReject);
    case Op::Mirror: do_mirror(run, words[1]); break;
    case Op::Sample: do_sample(run, words); break;
    case Op::Upcall:
      run.sent = true;
      run.context.host.upcall(run.packet, run.key, run.info, static_cast<UpcallReason>(arg));
      break;
    case Op::CtCommit:
      run.context.host.commit_connection(run.packet, run.key, run.info,
                                         static_cast<uint16_t>(words[1]));
      break;
    default: return do_rewrite(run, words);
  }
  return Step::Next;
}

void run_from(Run& run, uint32_t at) noexcept {
  for (; at < run.program.count; at += action_length(run.program.words[at]))
    if (do_action(run, at) == Step::Done) return;
  if (!run.sent) return drop(run.context, run.packet, DropReason::NoOutput);
  run.context.frames.free(run.packet);
}

}  // namespace

void execute(ExecuteContext& context, const ActionProgram& program, const Packet& packet,
             const FlowKey& key, const PacketInfo& info) noexcept {
  Run run{context, program, key, info, packet};
  context.key = &key;
  context.program = &program;
  run_from(run, 0);
  context.key = nullptr;
  context.program = nullptr;
}

}  // namespace vtep
