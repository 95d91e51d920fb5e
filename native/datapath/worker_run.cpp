// datapath/worker_run.cpp — packets whose flow is known meet its actions, those of one flow
// together.
//
// A batch is mostly runs of one flow, or one megaflow for many connections: those run where they
// lie. Where few flows alternate packet by packet, gathering each flow's packets first costs a
// copy and saves a call per packet; the order within a flow stays that of arrival.

#include "datapath/worker.h"

namespace vtep {

namespace {

// Gathering copies 170 bytes a packet: worth it when it joins at least this many runs into one.
constexpr uint32_t runs_per_flow_min = 4;

}  // namespace

void Worker::run(Batch& batch) noexcept {
  if (batch.count == 0) return;
  batch_stamp_++;
  uint32_t flow_count = 0;
  uint32_t run_count = 0;
  uint32_t last = 0;  // slot 0 is no flow
  for (uint32_t i = 0; i < batch.count; i++) {
    const uint32_t slot = batch.flows[i];
    InstalledFlow& flow = flows_[slot];
    if (flow.stamp != batch_stamp_) {
      flow.stamp = batch_stamp_;
      flow.group = flow_count++;
      flow.group_count = 0;
    }
    flow.group_count++;
    run_count += slot != last ? 1 : 0;
    last = slot;
  }
  if (run_count > runs_per_flow_min * flow_count)
    run_gathered(batch, flow_count);
  else
    run_in_place(batch);
}

void Worker::run_in_place(Batch& batch) noexcept {
  for (uint32_t first = 0; first < batch.count;) {
    const uint32_t slot = batch.flows[first];
    uint32_t end = first + 1;
    while (end < batch.count && batch.flows[end] == slot) end++;
    run_flow(slot, batch.packets + first, batch.keys + first, batch.infos + first, end - first);
    first = end;
  }
}

void Worker::run_gathered(Batch& batch, uint32_t flow_count) noexcept {
  // Where each flow's packets begin: flows are numbered in the order of their first packet.
  uint32_t begin[batch_max + 1];
  for (uint32_t i = 0; i < batch.count; i++) {
    const InstalledFlow& flow = flows_[batch.flows[i]];
    begin[flow.group + 1] = flow.group_count;
  }
  begin[0] = 0;
  for (uint32_t group = 1; group <= flow_count; group++) begin[group] += begin[group - 1];
  Batch& together = *gathered_;
  together.count = batch.count;
  for (uint32_t i = 0; i < batch.count; i++) {
    const uint32_t at = begin[flows_[batch.flows[i]].group]++;
    together.packets[at] = batch.packets[i];
    together.keys[at] = batch.keys[i];
    together.infos[at] = batch.infos[i];
    together.flows[at] = batch.flows[i];
  }
  run_in_place(together);
}

void Worker::run_flow(uint32_t slot, Packet* packets, const FlowKey* keys, PacketInfo* infos,
                      uint32_t count) noexcept {
  FlowStats& stats = stats_[slot];
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; i++) bytes += packets[i].length;
  stats.packets += count;
  stats.bytes += bytes;
  stats.used_ms = now_ns_ / 1000000;
  execute(context_, flows_[slot].program, {packets, keys, infos, count});
}

}  // namespace vtep
