// datapath/worker_capture.cpp — copies of packets for the operator, with what became of them.
//
// Only captured ports pay: their packets run one by one, and the verdict is read off the counters
// that the actions moved.

#include <utility>

#include "datapath/worker.h"

namespace vtep {

namespace {

// EventRecord::verdict; 0 is forwarded, 1 to the slow path.
constexpr uint32_t dropped = 2;
constexpr uint32_t answered = 3;

// First port that a program sends to: the packet's way out, as far as a capture shows it.
uint32_t first_output(const ActionProgram& program, const Tables& tables) noexcept {
  for (uint32_t at = 0; at < program.count; at += action_length(program.words[at])) {
    const Op op = action_op(program.words[at]);
    if (op == Op::Output) return program.words[at + 1];
    if (op != Op::OutputTunnel) continue;
    const TunnelEntry* tunnel = tables.tunnel(program.words[at + 1]);
    return tunnel == nullptr ? 0 : tunnel->uplink_port;
  }
  return 0;
}

}  // namespace

void Worker::capture_rx(const WorkerPort& port, Batch& batch) noexcept {
  for (uint32_t i = 0; i < batch.count; i++) {
    batch.captured[i] = events_.add(EventKind::CaptureRx, port.number, batch.packets[i]);
    if (batch.captured[i] == nullptr) counter(WorkerCounter::EventsLost)++;
  }
}

void Worker::run_captured(Batch& batch) noexcept {
  for (uint32_t i = 0; i < batch.count; i++) {
    EventRecord* const event = std::exchange(batch.captured[i], nullptr);
    uint64_t before[drop_reason_max];
    const DropRow& drops = port_drops_[batch.packets[i].in_port];
    for (uint32_t reason = 0; reason < drop_reason_count; reason++) before[reason] = drops[reason];
    const uint64_t replies = counter(WorkerCounter::ArpReplies);
    const uint32_t slot = batch.flows[i];
    run_flow(slot, batch.packets[i], batch.keys[i], batch.infos[i]);
    if (event == nullptr) continue;
    event->flow = slot;
    event->other_port = first_output(flows_[slot].program, shared_.tables);
    if (counter(WorkerCounter::ArpReplies) != replies) event->verdict = answered;
    for (uint32_t reason = 0; reason < drop_reason_count; reason++) {
      if (drops[reason] == before[reason]) continue;
      event->verdict = dropped;
      event->drop_reason = reason;
    }
  }
}

void Worker::capture_tx(uint32_t port, const Packet* packets, uint32_t count) noexcept {
  for (uint32_t i = 0; i < count; i++) {
    EventRecord* event = events_.add(EventKind::CaptureTx, port, packets[i]);
    if (event == nullptr)
      counter(WorkerCounter::EventsLost)++;
    else
      event->other_port = packets[i].in_port;
  }
}

}  // namespace vtep
