// bench/native/lab.cpp — ports, tunnels and a slow path of two answers.

#include "bench/native/lab.h"

#include <atomic>
#include <cstring>

#include "action/action.h"
#include "port/memory.h"

namespace vtep::bench {

namespace {

constexpr uint16_t zone = 1;
constexpr uint32_t flow_max = 1024;
constexpr uint32_t table_min = 65536;  // the defaults of DatapathConfig
constexpr uint32_t underlay_mtu = 1500;

uint32_t power_of_two(uint32_t at_least) {
  uint32_t count = table_min;
  while (count < at_least) count *= 2;
  return count;
}

Ipv6Bytes mapped(uint8_t last) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 172, 31, 1, last};
}

std::string next_name() {
  static std::atomic<uint32_t> labs = 0;
  return "bench-" + std::to_string(labs++) + "-";
}

uint32_t access_port(uint32_t worker) { return 1 + 2 * worker; }
uint32_t uplink_port(uint32_t worker) { return 2 + 2 * worker; }

enum class Decision : uint32_t { Pass = 0, Commit = 1, PassBack = 2 };
constexpr uint32_t decision_count = 3;

// Slots of a worker's flows in the flow store; 0 is none.
uint32_t slot_of(uint32_t worker, Decision decision) {
  return 1 + decision_count * worker + static_cast<uint32_t>(decision);
}

DatapathConfig datapath_config(const LabConfig& config) {
  DatapathConfig wanted;
  wanted.manual = 1;
  wanted.worker_count = config.workers;
  wanted.flow_max = flow_max;
  const uint32_t each = (config.flows + config.workers - 1) / config.workers;
  wanted.connection_max = power_of_two(config.connections != 0 ? config.connections : each);
  // A connection has an entry for each of its directions.
  wanted.exact_max = config.stateful ? 2 * wanted.connection_max : power_of_two(each);
  return wanted;
}

std::vector<std::vector<MemoryPacket>> deal(const std::vector<Frame>& frames, uint32_t workers) {
  std::vector<std::vector<MemoryPacket>> hands(workers);
  for (size_t i = 0; i < frames.size(); i++) hands[i % workers].push_back({frames[i], {}});
  return hands;
}

}  // namespace

Lab::Lab(const LabConfig& config)
    : config_(config),
      name_(next_name()),
      datapath_(std::make_unique<Datapath>(datapath_config(config))),
      region_(datapath_->memory()) {
  datapath_->set_endpoints({{mapped(1), be16(4789), be16(6081)}});
  datapath_->set_networks({{input_vni, static_cast<uint32_t>(Encap::Vxlan)}});
  // A port is read by the worker that has the fewest: worker w gets the w-th of each kind.
  for (uint32_t w = 0; w < config_.workers; w++) add_port(access_port(w), 0);
  for (uint32_t w = 0; w < config_.workers; w++) add_port(uplink_port(w), port_flag_uplink);
  for (uint32_t w = 0; w < config_.workers; w++) {
    ends_.emplace_back(region_, w, datapath_->worker_doorbell(w));
    add_tunnel(w);
    if (config_.stateful) datapath_->set_zone(access_port(w), 0, zone);
  }
  if (config_.stateful) datapath_->set_zone(0, input_vni, zone);
}

void Lab::replay(const std::vector<Frame>& frames) { arrive(frames, false); }
void Lab::replay_back(const std::vector<Frame>& frames) { arrive(frames, true); }

void Lab::arrive(const std::vector<Frame>& frames, bool back) {
  std::vector<std::vector<MemoryPacket>> hands = deal(frames, config_.workers);
  for (uint32_t w = 0; w < config_.workers; w++) {
    const std::string forth = port_name(in_port(w));
    const std::string other = port_name(out_port(w));
    memory_port_loop(back ? forth : other, {});
    memory_port_loop(back ? other : forth, hands[w], config_.burst);
  }
}

void Lab::add_port(uint32_t number, uint32_t flags) {
  PortConfig config;
  config.number = number;
  config.kind = PortKind::Memory;
  config.flags = flags;
  snprintf(config.name, sizeof config.name, "%s", port_name(number).c_str());
  datapath_->add_port(config);
  memory_port_sink(config.name, true);
}

void Lab::add_tunnel(uint32_t worker) {
  TunnelConfig config;
  config.number = worker + 1;
  config.local = mapped(1);
  config.remote = mapped(2);
  datapath_->set_tunnel(config);
  NextHop hop;
  hop.uplink_port = uplink_port(worker);
  hop.mtu = underlay_mtu;
  datapath_->set_next_hop(config.number, &hop, "");
}

uint32_t Lab::in_port(uint32_t worker) const {
  return config_.decap ? uplink_port(worker) : access_port(worker);
}
uint32_t Lab::out_port(uint32_t worker) const {
  return config_.decap ? access_port(worker) : uplink_port(worker);
}

void Lab::breathe(uint32_t worker) {
  datapath_->run_once(worker);
  if (ends_[worker].take_upcalls() != 0) answer(worker);
}

void Lab::answer(uint32_t worker) {
  const uint32_t waiting = ends_[worker].take_upcalls();
  const RingView& ring = ends_[worker].upcalls();
  for (uint32_t at = 0; at < waiting;) {
    auto& record = *reinterpret_cast<UpcallRecord*>(ring.at(ends_[worker].upcall_offset() + at));
    at += record.record_bytes;
    if (record.kind == static_cast<uint32_t>(RecordKind::Upcall)) decide(worker, record);
    if (record.kind == static_cast<uint32_t>(RecordKind::Follower))
      record.verdict_kind = static_cast<uint32_t>(VerdictKind::Retry);
  }
  ends_[worker].give_verdicts(waiting);
}

void Lab::decide(uint32_t worker, UpcallRecord& record) {
  Decision decision = Decision::Pass;
  if ((record.key.ct_state & ct_new) != 0) decision = Decision::Commit;
  if ((record.key.ct_state & ct_rpl) != 0) decision = Decision::PassBack;
  const uint32_t slot = slot_of(worker, decision);
  if (region_.flows()[slot].state == flow_live) {
    record.verdict_kind = static_cast<uint32_t>(VerdictKind::Retry);
    return;
  }
  install(worker, slot, record.key);
  record.verdict_kind = static_cast<uint32_t>(VerdictKind::Flow);
  record.verdict_flow = slot;
  record.verdict_generation = region_.flows()[slot].generation;
}

void Lab::install(uint32_t worker, uint32_t slot, const FlowKey& key) {
  FlowSlot& flow = region_.flows()[slot];
  flow.key = key;
  memset(&flow.mask.in_port, 0xff, sizeof flow.mask.in_port);
  memset(&flow.mask.tunnel_id, 0xff, sizeof flow.mask.tunnel_id);
  memset(&flow.mask.eth_type, 0xff, sizeof flow.mask.eth_type);
  memset(&flow.mask.eth_dst, 0xff, sizeof flow.mask.eth_dst);
  memset(&flow.mask.ip_proto, 0xff, sizeof flow.mask.ip_proto);
  const bool back = (key.ct_state & ct_rpl) != 0;
  if (back)
    memset(&flow.mask.tp_src, 0xff, sizeof flow.mask.tp_src);
  else
    memset(&flow.mask.tp_dst, 0xff, sizeof flow.mask.tp_dst);
  memset(&flow.mask.ct_state, 0xff, sizeof flow.mask.ct_state);
  std::vector<uint32_t> actions;
  if ((key.ct_state & ct_new) != 0) actions = {action_word(Op::CtCommit), zone};
  if (key.in_port == uplink_port(worker))
    actions.insert(actions.end(), {action_word(Op::Output), access_port(worker)});
  else
    actions.insert(actions.end(), {action_word(Op::OutputTunnel), worker + 1, input_vni, 0});
  memcpy(flow.actions, actions.data(), actions.size() * sizeof(uint32_t));
  flow.action_words = static_cast<uint32_t>(actions.size());
  flow.generation++;
  flow.state = flow_live;
}

uint64_t Lab::port_counters(uint32_t worker, PortCounter which) const {
  const PortCounterRow* ports = region_.port_counters(worker);
  const auto column = static_cast<uint32_t>(which);
  return ports[access_port(worker)][column] + ports[uplink_port(worker)][column];
}
uint64_t Lab::received(uint32_t worker) const {
  return port_counters(worker, PortCounter::RxPackets);
}
uint64_t Lab::sent(uint32_t worker) const { return port_counters(worker, PortCounter::TxPackets); }
uint64_t Lab::asked(uint32_t worker) const { return port_counters(worker, PortCounter::Upcalls); }
uint64_t Lab::dropped(uint32_t worker) const { return port_counters(worker, PortCounter::Drops); }

}  // namespace vtep::bench
