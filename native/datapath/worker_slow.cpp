// datapath/worker_slow.cpp — questions to the slow path, and what becomes of its answers.
//
// The packet of an answered record comes back from memory that another process may write, so it is
// copied into a frame first and parsed again; only the key fields that its bytes do not tell
// (tunnel, connection state) come from what the worker remembered.

#include <cstring>
#include <utility>

#include "datapath/worker.h"

namespace vtep {

namespace {

// A packet that is answered with Retry and still matches nothing is asked again this many times.
constexpr uint8_t tries_max = 3;

bool denies(const ActionProgram& program) noexcept {
  if (program.count == 0) return true;
  const Op op = action_op(program.words[0]);
  return op == Op::Drop || op == Op::Unreachable;
}

}  // namespace

// Sends up what no flow knows and takes it out of the batch.
void Worker::ask(Batch& batch) noexcept {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < batch.count; i++) {
    EventRecord* const captured = std::exchange(batch.captured[i], nullptr);
    if (batch.flows[i] == 0) {
      ask_one(batch.packets[i], batch.keys[i], batch.infos[i], 0);
      if (captured != nullptr) captured->verdict = 1;
      continue;
    }
    if (kept != i) {
      batch.packets[kept] = batch.packets[i];
      batch.keys[kept] = batch.keys[i];
      batch.infos[kept] = batch.infos[i];
      batch.hashes[kept] = batch.hashes[i];
      batch.flows[kept] = batch.flows[i];
    }
    batch.captured[kept] = captured;
    kept++;
  }
  batch.count = kept;
}

// The packet is consumed: copied into a record and freed, or dropped.
void Worker::ask_one(const Packet& packet, const FlowKey& key, const PacketInfo& info,
                     uint8_t tries) noexcept {
  if (coarse_drops_.drops(key, now_ns_)) return drop_known(packet, key, DropReason::UpcallScan);
  DropReason why = DropReason::None;
  const UpcallResult result = upcalls_.fill({packet, key, info, 0, tries, now_ns_}, why);
  if (result == UpcallResult::Refused) return drop_known(packet, key, why);
  port_counter(key.in_port, PortCounter::Upcalls)++;
  if (result == UpcallResult::Follows) counter(WorkerCounter::Followers)++;
  frames_.free(packet);
}

// An action copies a packet up; the packet itself goes on, so a refused copy is counted, not
// dropped.
void Worker::upcall(const Packet& packet, const FlowKey& key, const PacketInfo& info,
                    UpcallReason reason) noexcept {
  DropReason why = DropReason::None;
  const UpcallResult result =
      upcalls_.fill({packet, key, info, static_cast<uint16_t>(reason), 0, now_ns_}, why);
  if (result == UpcallResult::Asked) port_counter(key.in_port, PortCounter::Upcalls)++;
  if (result == UpcallResult::Refused)
    port_drops_[key.in_port][static_cast<uint32_t>(why)]++;
}

uint32_t Worker::take_verdicts() noexcept {
  uint32_t taken = 0;
  const UpcallRecord* record = nullptr;
  while (taken < answers_per_breath) {
    const Outstanding* oldest = upcalls_.answered(record);
    if (oldest == nullptr) break;
    // Copies of all that is needed, so that the bytes can go back before anything else is asked.
    const Outstanding outstanding = *oldest;
    UpcallRecord verdict;
    memcpy(&verdict, record, sizeof verdict);
    const Packet packet = copy_in(reinterpret_cast<const uint8_t*>(record) + sizeof *record,
                                  outstanding.packet_bytes, outstanding.in_port);
    upcalls_.take_back();
    answer(outstanding, verdict, packet);
    taken++;
  }
  if (taken != 0) {
    counter(WorkerCounter::Verdicts) += taken;
    upcalls_.release();
  }
  return taken;
}

// Does what the verdict says. A record that an action made (`copy`) never counts a drop by verdict.
void Worker::answer(const Outstanding& outstanding, const UpcallRecord& verdict,
                    Packet packet) noexcept {
  DropReason reason = DropReason::None;
  uint32_t flow = 0;
  if (verdict.verdict_kind == static_cast<uint32_t>(VerdictKind::Flow)) {
    reason = install(verdict.verdict_flow, verdict.verdict_generation);
    flow = verdict.verdict_flow;
  }
  if (packet.frame == no_frame) {
    packet.in_port = outstanding.in_port;
    return drop(context_, packet, DropReason::NoFrames);
  }
  FlowKey key;
  PacketInfo info;
  if (reason == DropReason::None && !restore(outstanding, packet, key, info))
    reason = DropReason::BadVerdict;
  if (reason != DropReason::None) return drop(context_, packet, reason);

  switch (static_cast<VerdictKind>(verdict.verdict_kind)) {
    case VerdictKind::Flow:
      if (outstanding.copy != 0) return frames_.free(packet);
      coarse_drops_.answered(key, denies(flows_[flow].program), now_ns_);
      if (reports_ends_) note_answered(packet, key, info, flow);
      return run_flow(flow, packet, key, info);
    case VerdictKind::Once:
      coarse_drops_.answered(key, false, now_ns_);
      return run_once_actions(verdict, packet, key, info);
    case VerdictKind::Retry:
      if (outstanding.copy != 0) return frames_.free(packet);
      return try_again(outstanding, packet, key, info);
    case VerdictKind::Drop:
      if (outstanding.copy != 0) return frames_.free(packet);
      coarse_drops_.answered(key, true, now_ns_);
      if (verdict.verdict_reason == 0 || verdict.verdict_reason >= drop_reason_count)
        return drop(context_, packet, DropReason::BadVerdict);
      return drop_known(packet, key, static_cast<DropReason>(verdict.verdict_reason));
    case VerdictKind::None:
      if (outstanding.copy != 0) return frames_.free(packet);
      return drop(context_, packet, DropReason::NoVerdict);
  }
  drop(context_, packet, DropReason::BadVerdict);
}

void Worker::run_once_actions(const UpcallRecord& verdict, Packet& packet, const FlowKey& key,
                              PacketInfo& info) noexcept {
  ActionProgram program;
  program.count = verdict.inline_count;
  if (program.count <= inline_action_words_max)
    memcpy(program.words, verdict.inline_actions, program.count * sizeof(uint32_t));
  if (program.count > inline_action_words_max || !validate(program.words, program.count))
    return drop(context_, packet, DropReason::BadVerdict);
  execute(context_, program, packet, key, info);
}

// A follower, or a packet whose flow exists already: looked up like any other.
void Worker::try_again(const Outstanding& outstanding, Packet& packet, FlowKey& key,
                       PacketInfo& info) noexcept {
  key.ct_state = 0;  // as parse leaves it; classify() asks again
  Tracked tracked;
  const uint32_t flow = classify(packet, key, info, tracked);
  if (flow != 0) {
    if (reports_ends_) note_alone(packet, key, flow, tracked);
    return run_flow(flow, packet, key, info);
  }
  if (outstanding.tries == tries_max) return drop(context_, packet, DropReason::NoVerdict);
  counter(WorkerCounter::Misses)++;
  ask_one(packet, key, info, static_cast<uint8_t>(outstanding.tries + 1));
}

// A packet with frame and headroom from bytes that are not ours. Without a free frame: no_frame.
Packet Worker::copy_in(const uint8_t* bytes, uint32_t count, uint32_t in_port) noexcept {
  Packet packet = frames_.make(count);
  if (packet.frame == no_frame) return packet;
  memcpy(packet.data, bytes, count);
  packet.in_port = in_port;
  return packet;
}

// Key and facts of a packet that came back; false if its bytes do not parse any more.
bool Worker::restore(const Outstanding& outstanding, Packet& packet, FlowKey& key,
                     PacketInfo& info) noexcept {
  packet.offload = outstanding.offload;
  const RxContext rx{outstanding.in_port, false, false, nullptr};
  parse(&packet, 1, rx, &key, &info);
  if (info.drop != DropReason::None) return false;
  key.tunnel_id = outstanding.tunnel_id;
  key.tunnel_src = outstanding.tunnel_src;
  key.tunnel_port = outstanding.tunnel_port;
  key.ct_state = outstanding.ct_state;
  info.outer_tos = outstanding.outer_tos;
  info.outer_bytes = outstanding.outer_bytes;
  return true;
}

}  // namespace vtep
