// datapath/worker_rx.cpp — the first stage: from a queue's burst to batches with keys.
//
// An uplink may hand over superpackets of tunnel packets (UDP GRO); each becomes one tunnel packet
// with an inner superpacket where that is possible, else its single tunnel packets, in order, so
// that a burst can fill several batches. An access port splits what a VTEP inside a container sends
// as one superpacket.

#include <cstring>
#include <utility>

#include "datapath/worker.h"
#include "packet/gro.h"

namespace vtep {

uint32_t Worker::receive(WorkerPort& port) noexcept {
  Batch& batch = *batch_;
  const uint32_t count = port.queue->rx_burst(frames_, batch.packets, batch_max);
  if (count == 0) {
    port.empty_bursts++;
    return 0;
  }
  port.empty_bursts = 0;
  batch.count = count;
  if (count_burst(port, batch.packets, count) != 0)
    process_opened(port, batch);
  else
    process(port, batch);
  return count;
}

// Returns how many superpackets are among them.
uint64_t Worker::count_burst(const WorkerPort& port, const Packet* packets,
                             uint32_t count) noexcept {
  uint64_t bytes = 0;
  uint64_t superpackets = 0;
  for (uint32_t i = 0; i < count; i++) {
    bytes += packets[i].length;
    superpackets += packets[i].offload.gso_type != GsoType::None ? 1 : 0;
  }
  port_counter(port.number, PortCounter::RxPackets) += count;
  port_counter(port.number, PortCounter::RxBytes) += bytes;
  port_counter(port.number, PortCounter::RxSuper) += superpackets;
  return superpackets;
}

// A burst with superpackets, of which each may become many packets.
void Worker::process_opened(WorkerPort& port, Batch& batch) noexcept {
  burst_at_ = 0;
  burst_count_ = batch.count;
  memcpy(burst_, batch.packets, batch.count * sizeof burst_[0]);
  while (next_batch(port, batch) != 0) process(port, batch);
}

// Moves packets of the burst into the batch until either is exhausted; returns how many.
uint32_t Worker::next_batch(const WorkerPort& port, Batch& batch) noexcept {
  batch.count = 0;
  while (batch.count < batch_max) {
    if (split_at_ < split_count_) {
      batch.packets[batch.count++] = split_[split_at_++];
      continue;
    }
    if (burst_at_ == burst_count_) break;
    const Packet& packet = burst_[burst_at_++];
    const bool whole = packet.offload.gso_type == GsoType::None ||
                       (!port.uplink && !may_be_nested(packet.offload));
    if (whole) [[likely]] {
      batch.packets[batch.count++] = packet;
      continue;
    }
    DropReason reason = DropReason::BadSegmentation;
    split_at_ = 0;
    Packet whose;
    whose.in_port = packet.in_port;
    const auto open = port.uplink ? open_tunnel_superpacket : open_nested_superpacket;
    split_count_ = open(frames_, packet, {split_, segments_max}, reason);
    if (split_count_ == 0) drop(context_, whose, reason);
  }
  return batch.count;
}

// Builds keys.
void Worker::parse_batch(const WorkerPort& port, Batch& batch) noexcept {
  const RxContext rx{port.number, port.uplink, true,
                     shared_.tables.endpoints.load(std::memory_order_acquire)};
  const uint32_t good = parse(batch.packets, batch.count, rx, batch.keys, batch.infos);
  if (good != batch.count) take_out_bad(port, batch);
}

// Packets that may not go on are counted and taken out of the batch.
void Worker::take_out_bad(const WorkerPort& port, Batch& batch) noexcept {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < batch.count; i++) {
    const PacketInfo& info = batch.infos[i];
    EventRecord* const captured = std::exchange(batch.captured[i], nullptr);
    const bool host_has_it = port.uplink && info.outer_bytes == 0;
    if (info.drop == DropReason::None && !host_has_it) {
      batch.packets[kept] = batch.packets[i];
      batch.keys[kept] = batch.keys[i];
      batch.infos[kept] = info;
      batch.captured[kept] = captured;
      kept++;
      continue;
    }
    if (info.drop == DropReason::None) {
      frames_.free(batch.packets[i]);
      continue;
    }
    drop_known(batch.packets[i], batch.keys[i], info.drop);
    if (captured != nullptr) {
      captured->verdict = 2;
      captured->drop_reason = static_cast<uint32_t>(info.drop);
    }
  }
  batch.count = kept;
}

}  // namespace vtep
