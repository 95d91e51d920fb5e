// datapath/worker_commands.cpp — flows that come and go, and packets that the slow path sends.
//
// A flow slot is written by another process at any time: its 512 bytes are copied, then checked,
// then used. What is installed is the copy.

#include <algorithm>
#include <cstring>
#include <iterator>

#include "datapath/worker.h"

namespace vtep {

namespace {

bool drops_all(const ActionProgram& program) noexcept {
  if (program.count == 0) return true;
  const Op op = action_op(program.words[0]);
  return op == Op::Drop || op == Op::Reject || op == Op::Unreachable;
}

bool commits(const ActionProgram& program) noexcept {
  for (uint32_t at = 0; at < program.count; at += action_length(program.words[at]))
    if (action_op(program.words[at]) == Op::CtCommit) return true;
  return false;
}

}  // namespace

uint32_t Worker::take_commands() noexcept {
  uint32_t taken = 0;
  Command command;
  while (taken < commands_per_breath) {
    const CommandRing::Next next = commands_.next(command);
    if (next == CommandRing::Next::None) break;
    taken++;
    if (next == CommandRing::Next::Broken) {
      port_drops_[0][static_cast<uint32_t>(DropReason::BadVerdict)]++;
      continue;
    }
    switch (static_cast<CommandKind>(command.record.kind)) {
      case CommandKind::InstallFlow: {
        const DropReason why = install(command.record.slot, command.record.generation);
        if (why != DropReason::None) port_drops_[0][static_cast<uint32_t>(why)]++;
        break;
      }
      case CommandKind::RemoveFlow:
        remove(command.record.slot, command.record.generation);
        break;
      case CommandKind::PacketOut:
        packet_out(command);
        break;
      case CommandKind::FlushExact:
        exact_.clear();
        break;
      case CommandKind::ListEntries:
        list_entries(command);
        break;
      case CommandKind::MarkConnection:
        mark_connection(command.record);
        break;
      case CommandKind::ReportEnds:
        report_ends(command.record);
        break;
      case CommandKind::SetTimeouts:
        set_timeouts(command.packet);
        break;
      default:
        break;  // Barrier; kinds of a newer slow path
    }
  }
  if (taken != 0) {
    counter(WorkerCounter::Commands) += taken;
    commands_.release();
  }
  return taken;
}

// The table is everybody's, so each worker sets the same; but each has an exact cache to sweep.
void Worker::set_timeouts(const uint8_t* bytes) noexcept {
  ConnectionTimeouts timeouts;
  memcpy(&timeouts, bytes, sizeof timeouts);
  connections_.set_timeouts(timeouts);
  // Those in which packets hit exact entries.
  const uint32_t steady[] = {timeouts.established, timeouts.fin_wait,   timeouts.close_wait,
                             timeouts.udp_stream,  timeouts.udp_unreplied, timeouts.other};
  steady_ms_ = std::max(*std::min_element(std::begin(steady), std::end(steady)), timeout_min_ms);
  pace_sweep();
}

// A connection is refreshed by the sweep of its entries three times before it would expire, and a
// record of the flow log is late by a quarter of its time at most.
void Worker::pace_sweep() noexcept {
  uint32_t round_ms = std::min(sweep_round_default_ms, steady_ms_ / 3);
  if (reports_ends_) round_ms = std::min(round_ms, std::min(idle_ms_, active_ms_) / 4);
  sweep_round_ms_ = std::max(round_ms, sweep_round_min_ms);
  exact_.tell_ends(reports_ends_, sweep_round_ms_);
}

void Worker::packet_out(const Command& command) noexcept {
  ActionProgram program;
  program.count = command.record.action_words;
  memcpy(program.words, command.actions, program.count * sizeof(uint32_t));
  const uint32_t in_port = command.record.in_port < port_max ? command.record.in_port : 0;
  Packet packet = copy_in(command.packet, command.record.packet_bytes, in_port);
  if (packet.frame == no_frame) {
    packet.in_port = in_port;
    return drop(context_, packet, DropReason::NoFrames);
  }
  if (!validate(program.words, program.count))
    return drop(context_, packet, DropReason::BadVerdict);
  FlowKey key;
  PacketInfo info;
  const RxContext rx{in_port, false, false, nullptr};
  parse(&packet, 1, rx, &key, &info);
  if (info.drop != DropReason::None) return drop(context_, packet, info.drop);
  execute(context_, program, packet, key, info);
}

// Copies the slot into the worker's own tables. None, BadVerdict or FlowTableFull.
DropReason Worker::install(uint32_t slot, uint32_t generation) noexcept {
  if (slot == 0 || slot >= shared_.config.flow_max) return DropReason::BadVerdict;
  InstalledFlow& flow = flows_[slot];
  if (flow.installed != 0 && flow.generation == generation) return DropReason::None;
  FlowSlot copy;
  memcpy(&copy, &slots_[slot], sizeof copy);
  if (copy.state != flow_live || copy.generation != generation) return DropReason::BadVerdict;
  if (copy.action_words > action_words_max || !validate(copy.actions, copy.action_words))
    return DropReason::BadVerdict;
  if (flow.installed != 0) forget(slot);
  if (megaflows_.insert({slot, generation}, copy.key, copy.mask) != MegaflowTable::Insert::Done)
    return DropReason::FlowTableFull;
  flow.program.count = copy.action_words;
  memcpy(flow.program.words, copy.actions, copy.action_words * sizeof(uint32_t));
  flow.generation = generation;
  flow.decision = copy.decision;
  flow.installed = 1;
  flow.stamp = 0;
  flow.stateful = copy.mask.ct_state != 0 || commits(flow.program) ? 1 : 0;
  flow.denies = drops_all(flow.program) ? 1 : 0;
  return DropReason::None;
}

void Worker::remove(uint32_t slot, uint32_t generation) noexcept {
  if (slot == 0 || slot >= shared_.config.flow_max) return;
  if (flows_[slot].installed != 0 && flows_[slot].generation == generation) forget(slot);
}

// Exact entries of the flow find out by its generation. The slot's next flow counts from zero.
void Worker::forget(uint32_t slot) noexcept {
  megaflows_.remove({slot, flows_[slot].generation});
  flows_[slot].installed = 0;
  stats_[slot] = FlowStats{};
}

}  // namespace vtep
