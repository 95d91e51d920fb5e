// test/native/datapath_support.cpp — see datapath_support.h.

#include "test/native/datapath_support.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "packet/checksum.h"
#include "packet/headers.h"

namespace vtep::test {

namespace {

void put_ethernet_ipv4(std::vector<uint8_t>& bytes, const UdpFrame& frame, uint8_t proto) {
  const uint8_t macs[12] = {2, 0, 0, 0, 0, frame.to, 2, 0, 0, 0, 0, frame.from};
  memcpy(bytes.data(), macs, sizeof macs);
  store_be16(&bytes[12], be16(0x0800));
  uint8_t* ip = &bytes[14];
  ip[0] = 0x45;
  store_be16(ip + 2, be16(static_cast<uint16_t>(bytes.size() - 14)));
  ip[8] = 64;
  ip[9] = proto;
  store_be32(ip + 12, be32(0x0a000000u + frame.from));
  store_be32(ip + 16, be32(0x0a000000u + frame.to));
  store_be16(ip + 10, checksum_finish(checksum_add(ip, 20)));
  store_be16(&bytes[34], be16(frame.source_port));
  store_be16(&bytes[36], be16(frame.target_port));
}

template <typename T>
void all_ones(T& field) {
  memset(&field, 0xff, sizeof field);
}

}  // namespace

std::vector<uint8_t> udp_frame(const UdpFrame& frame) {
  std::vector<uint8_t> bytes(14 + 20 + 8 + frame.payload_bytes, 0x55);
  memset(bytes.data(), 0, 42);
  put_ethernet_ipv4(bytes, frame, 17);
  store_be16(&bytes[38], be16(static_cast<uint16_t>(8 + frame.payload_bytes)));
  return bytes;
}

std::vector<uint8_t> tcp_frame(const UdpFrame& frame, uint8_t flags) {
  std::vector<uint8_t> bytes(14 + 20 + 20 + frame.payload_bytes, 0x55);
  memset(bytes.data(), 0, 54);
  put_ethernet_ipv4(bytes, frame, 6);
  uint8_t* tcp = &bytes[34];
  tcp[12] = 0x50;
  tcp[13] = flags;
  const auto length = static_cast<uint32_t>(bytes.size() - 34);
  const uint64_t pseudo = pseudo_sum_v4(&bytes[26], &bytes[30], 6, length);
  store_be16(tcp + 16, checksum_finish(checksum_add(tcp, length, pseudo)));
  return bytes;
}

uint16_t pseudo_sum_for(const std::vector<uint8_t>& frame) {
  const auto length = static_cast<uint32_t>(frame.size() - 34);
  return checksum_fold(pseudo_sum_v4(&frame[26], &frame[30], 6, length)).host();
}

FlowMask layer2_mask() {
  FlowMask mask{};
  all_ones(mask.in_port);
  all_ones(mask.tunnel_id);
  all_ones(mask.eth_dst);
  all_ones(mask.eth_src);
  all_ones(mask.eth_type);
  return mask;
}

FlowMask five_tuple_mask() {
  FlowMask mask = layer2_mask();
  all_ones(mask.ip_src);
  all_ones(mask.ip_dst);
  all_ones(mask.ip_proto);
  all_ones(mask.ip_frag);
  all_ones(mask.tp_src);
  all_ones(mask.tp_dst);
  return mask;
}

FakeSlowPath::FakeSlowPath(Datapath& datapath)
    : mask(layer2_mask()), region_(datapath.memory()) {
  for (uint32_t worker = 0; worker < datapath.worker_count(); worker++)
    ends_.emplace_back(region_, worker, datapath.worker_doorbell(worker));
}

UpcallRecord* FakeSlowPath::record_at(uint32_t worker, uint32_t offset) {
  const RingView& ring = ends_[worker].upcalls();
  return reinterpret_cast<UpcallRecord*>(ring.bytes + (offset & (ring.capacity - 1)));
}

uint32_t FakeSlowPath::answer(const std::function<Decision(const UpcallRecord&)>& decide,
                              uint32_t records_max) {
  uint32_t answered = 0;
  for (uint32_t worker = 0; worker < ends_.size(); worker++) {
    const uint32_t answered_most =
        records_max < ~0u - answered ? answered + records_max : ~0u;
    const uint32_t waiting = ends_[worker].take_upcalls();
    const uint32_t start = ends_[worker].upcall_offset();
    uint32_t at = 0;
    while (at < waiting && answered < answered_most) {
      UpcallRecord& record = *record_at(worker, start + at);
      at += record.record_bytes;
      if (record.kind == static_cast<uint32_t>(RecordKind::Pad)) continue;
      answered++;
      if (record.kind == static_cast<uint32_t>(RecordKind::Follower)) {
        record.verdict_kind = static_cast<uint32_t>(VerdictKind::Retry);
        continue;
      }
      const Decision decision = decide(record);
      record.verdict_kind = static_cast<uint32_t>(decision.kind);
      record.verdict_reason = static_cast<uint32_t>(decision.reason);
      if (decision.kind == VerdictKind::Flow) {
        record.verdict_flow = write_flow(record.key, mask, decision.actions);
        record.verdict_generation = 1;
      }
      record.inline_count = static_cast<uint32_t>(decision.actions.size());
      if (decision.actions.size() <= inline_action_words_max)
        std::copy(decision.actions.begin(), decision.actions.end(), record.inline_actions);
    }
    ends_[worker].give_verdicts(at);
  }
  return answered;
}

uint32_t FakeSlowPath::write_flow(const FlowKey& key, const FlowMask& flow_mask,
                                  const std::vector<uint32_t>& actions) {
  FlowSlot& slot = region_.flows()[next_slot_];
  slot.key = key;
  slot.mask = flow_mask;
  slot.generation = 1;
  slot.action_words = static_cast<uint32_t>(actions.size());
  std::copy(actions.begin(), actions.end(), slot.actions);
  slot.state = flow_live;
  return next_slot_++;
}

void FakeSlowPath::command(uint32_t worker, CommandKind kind, uint32_t slot, uint32_t generation) {
  CommandRecord record{};
  record.record_bytes = sizeof record;
  record.kind = static_cast<uint32_t>(kind);
  record.slot = slot;
  record.generation = generation;
  memcpy(ends_[worker].commands().bytes + ends_[worker].command_offset(), &record, sizeof record);
  ends_[worker].give_commands(sizeof record);
}

void FakeSlowPath::packet_out(uint32_t worker, uint32_t in_port,
                              const std::vector<uint32_t>& actions,
                              const std::vector<uint8_t>& frame) {
  CommandRecord record{};
  const auto action_bytes = static_cast<uint32_t>((actions.size() * 4 + 63) & ~size_t{63});
  const size_t frame_bytes = (frame.size() + 63) & ~size_t{63};
  const auto bytes = static_cast<uint32_t>(sizeof record + action_bytes + frame_bytes);
  record.record_bytes = bytes;
  record.kind = static_cast<uint32_t>(CommandKind::PacketOut);
  record.in_port = in_port;
  record.action_words = static_cast<uint32_t>(actions.size());
  record.packet_bytes = static_cast<uint32_t>(frame.size());
  uint8_t* place = ends_[worker].commands().bytes + ends_[worker].command_offset();
  memcpy(place, &record, sizeof record);
  if (!actions.empty()) memcpy(place + sizeof record, actions.data(), actions.size() * 4);
  if (!frame.empty()) memcpy(place + sizeof record + action_bytes, frame.data(), frame.size());
  ends_[worker].give_commands(bytes);
}

DatapathConfig Bench::manual_config() {
  DatapathConfig config;
  config.manual = 1;
  config.flow_max = 1024;
  config.exact_max = 1024;
  config.connection_max = 1024;
  config.small_frames = 4096;
  config.large_frames = 32;
  config.upcall_ring_bytes = 1u << 20;
  return config;
}

Bench::Bench(DatapathConfig config) : datapath(config), slow_path(datapath) {
  static uint32_t benches = 0;
  prefix_ = "bench" + std::to_string(getpid()) + "-" + std::to_string(benches++) + "-";
}

Bench::~Bench() = default;

std::string Bench::port_name(uint32_t number) const { return prefix_ + std::to_string(number); }

void Bench::add_memory_port(uint32_t number, uint32_t flags) {
  PortConfig config;
  config.number = number;
  config.kind = PortKind::Memory;
  config.flags = flags;
  snprintf(config.name, sizeof config.name, "%s", port_name(number).c_str());
  datapath.add_port(config);
}

void Bench::inject(uint32_t port, const std::vector<uint8_t>& frame, const Offload& offload) {
  memory_port_inject(port_name(port), {frame, offload});
}

std::vector<MemoryPacket> Bench::collect(uint32_t port) {
  return memory_port_collect(port_name(port));
}

void Bench::run() {
  bool worked = true;
  while (worked) {
    worked = false;
    for (uint32_t worker = 0; worker < datapath.worker_count(); worker++)
      worked |= datapath.run_once(worker);
  }
}

// Workers count with plain stores, and readers accept an old value (layout.h).
#define READS_COUNTERS __attribute__((no_sanitize("thread")))

READS_COUNTERS uint64_t Bench::drops(uint32_t port, DropReason reason) const {
  uint64_t sum = 0;
  for (uint32_t worker = 0; worker < datapath.worker_count(); worker++)
    sum += slow_path.region().port_drops(worker)[port][static_cast<uint32_t>(reason)];
  return sum;
}

READS_COUNTERS uint64_t Bench::port_count(uint32_t port, PortCounter which) const {
  uint64_t sum = 0;
  for (uint32_t worker = 0; worker < datapath.worker_count(); worker++)
    sum += slow_path.region().port_counters(worker)[port][static_cast<uint32_t>(which)];
  return sum;
}

READS_COUNTERS uint64_t Bench::worker_count(WorkerCounter which) const {
  uint64_t sum = 0;
  for (uint32_t worker = 0; worker < datapath.worker_count(); worker++)
    sum += slow_path.region().worker_counters(worker)[static_cast<uint32_t>(which)];
  return sum;
}

}  // namespace vtep::test
