// datapath/worker_tx.cpp — the last stage: lanes are finished for their port and sent.
//
// What the port cannot take (checksums, superpackets) is finished here, once, on the way out.

#include "datapath/worker.h"
#include "packet/gso.h"

namespace vtep {

void Worker::drain(uint32_t number) noexcept {
  WorkerPort& port = *by_number_[number];
  Lane& lane = port.lane;
  if (lane.unfinished) [[unlikely]]
    drain_unfinished(port);
  else
    send(port, lane.packets, lane.count);
  lane.count = 0;
  lane.unfinished = false;
  for (uint32_t i = 0; i < active_count_; i++) {
    if (active_[i] != number) continue;
    active_[i] = active_[--active_count_];
    break;
  }
}

void Worker::drain_unfinished(WorkerPort& port) noexcept {
  const Lane& lane = port.lane;
  uint32_t ready = 0;
  Finished counts;
  for (uint32_t i = 0; i < lane.count; i++) {
    const Packet& packet = lane.packets[i];
    if (port_takes(lane.can, packet.offload)) {
      finished_[ready++] = packet;
    } else {
      Packet whose;
      whose.in_port = packet.in_port;
      const uint32_t made = finish_tx(frames_, lane.can, packet,
                                      {finished_ + ready, segments_max}, counts);
      if (made == 0) drop(context_, whose, counts.reason);
      ready += made;
    }
    if (ready >= batch_max) {
      send(port, finished_, ready);
      ready = 0;
    }
  }
  if (ready != 0) send(port, finished_, ready);
  port_counter(port.number, PortCounter::TxSegments) += counts.segments;
  port_counter(port.number, PortCounter::Checksums) += counts.checksums;
}

void Worker::drain_all() noexcept {
  while (active_count_ != 0) drain(active_[active_count_ - 1]);
}

void Worker::send(WorkerPort& port, const Packet* packets, uint32_t count) noexcept {
  uint64_t bytes = 0;
  uint64_t superpackets = 0;
  for (uint32_t i = 0; i < count; i++) {
    bytes += packets[i].length;
    superpackets += packets[i].offload.gso_type != GsoType::None ? 1 : 0;
  }
  port_counter(port.number, PortCounter::TxPackets) += count;
  port_counter(port.number, PortCounter::TxBytes) += bytes;
  port_counter(port.number, PortCounter::TxSuper) += superpackets;
  if (shared_.capture.on(port.number)) [[unlikely]]
    capture_tx(port.number, packets, count);
  port.queue->tx_burst(frames_, packets, count);
  if (port.flush) return;
  port.flush = true;
  touched_.push_back(static_cast<uint16_t>(port.number));  // room was reserved for every port
}

void Worker::flush_ports() noexcept {
  for (const uint16_t number : touched_) {
    WorkerPort& port = *by_number_[number];
    port.queue->flush(frames_);
    port.flush = false;
  }
  touched_.clear();
}

}  // namespace vtep
