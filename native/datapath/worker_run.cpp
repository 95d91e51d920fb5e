// datapath/worker_run.cpp — packets whose flow is known meet its actions, in arrival order.
//
// Nearly every packet goes straight (action/straight.h): what its flow's program comes to is worked
// out once per batch and kept with the flow. Statistics are settled once per run of packets of one
// flow, which may be one megaflow of many connections.

#include "datapath/worker.h"

namespace vtep {

void Worker::run(Batch& batch) noexcept {
  batch_stamp_++;
  for (uint32_t i = 0; i < batch.count;) {
    const uint32_t slot = batch.flows[i];
    InstalledFlow& flow = flows_[slot];
    if (flow.stamp != batch_stamp_) {
      flow.stamp = batch_stamp_;
      flow.way = straight_way(context_, flow.program);
    }
    const uint32_t first = i;
    uint64_t bytes = 0;
    for (; i < batch.count && batch.flows[i] == slot; i++) bytes += batch.packets[i].length;
    count_flow(slot, i - first, bytes);
    for (uint32_t next = first; next < i; next++) {
      next += go_straight(context_, flow.way,
                          {batch.packets + next, batch.keys + next, batch.infos + next,
                           batch.hashes + next, i - next});
      if (next < i)
        execute(context_, flow.program, batch.packets[next], batch.keys[next], batch.infos[next]);
    }
  }
}

void Worker::run_flow(uint32_t slot, const Packet& packet, const FlowKey& key,
                      const PacketInfo& info) noexcept {
  count_flow(slot, 1, packet.length);
  execute(context_, flows_[slot].program, packet, key, info);
}

void Worker::count_flow(uint32_t slot, uint32_t packets, uint64_t bytes) noexcept {
  FlowStats& stats = stats_[slot];
  stats.packets += packets;
  stats.bytes += bytes;
  stats.used_ms = now_ns_ / 1000000;
}

}  // namespace vtep
