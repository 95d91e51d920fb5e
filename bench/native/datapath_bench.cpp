// bench/native/datapath_bench.cpp — TSC cycles per packet of one worker, from memory port to memory
// port: forward, encap and decap at 1, 1000 and 10000 flows.
//
// What a good answer would be, on a core at about 2.6 GHz TSC, 60-byte frames, bursts of 256. The
// memory port copies each frame into a buffer taken from the pool (25-30, as VPP's packet generator
// does); parse 15-25, exact lookup 20-30, tunnel header 20-30, counting and lanes 20:
//   forward, 1 flow       90-120
//   encap, 1 flow        110-150   VPP: 121 with a bridge domain, OVS-DPDK: 156
//   decap, 1 flow        120-160   VPP: 161, OVS-DPDK: 282
//   10000 flows          +20 to +40: entries come from L2 and L3
// All flows hang on one megaflow, so that what is measured is the exact cache; a run in which a
// packet was asked about or dropped is an error. "cycles" is the median over the breaths.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "action/action.h"
#include "datapath/datapath.h"
#include "datapath/region.h"
#include "datapath/slow_path_ends.h"
#include "packet/checksum.h"
#include "port/memory.h"

namespace {

using namespace vtep;  // NOLINT: a bench is a file of its own

constexpr uint32_t access_port = 1;
constexpr uint32_t other_port = 2;  // another access port, or the uplink
constexpr uint32_t vni = 100;

uint64_t cycles_now() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  return 0;
#endif
}

Ipv6Bytes mapped(uint8_t last) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 172, 31, 1, last};
}

// The n-th of the flows: another UDP source port and IPv4 source address each.
std::vector<uint8_t> frame_of(uint32_t flow) {
  std::vector<uint8_t> bytes(60, 0);
  const uint8_t macs[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
  memcpy(bytes.data(), macs, sizeof macs);
  store_be16(&bytes[12], be16(0x0800));
  uint8_t* ip = &bytes[14];
  ip[0] = 0x45;
  store_be16(ip + 2, be16(46));
  ip[8] = 64;
  ip[9] = 17;
  store_be32(ip + 12, be32(0x0a000000u + flow / 1000));
  store_be32(ip + 16, be32(0x0b000001u));
  store_be16(ip + 10, checksum_finish(checksum_add(ip, 20)));
  store_be16(ip + 20, be16(static_cast<uint16_t>(1000 + flow % 1000)));
  store_be16(ip + 22, be16(2000));
  store_be16(ip + 24, be16(26));
  return bytes;
}

// A datapath whose packets come in at one port for ever and leave by another.
class Lab {
 public:
  explicit Lab(uint32_t flows) : flows_(flows) {
    static uint32_t labs = 0;
    name_ = "bench-" + std::to_string(labs++) + "-";
    DatapathConfig config;
    config.manual = 1;
    config.flow_max = 1024;
    datapath_ = std::make_unique<Datapath>(config);
    region_ = RegionView(datapath_->memory());
    ends_ = SlowPathEnds(region_, 0, datapath_->worker_doorbell(0));
  }

  void add_port(uint32_t number, uint32_t flags, std::vector<MemoryPacket> templates) {
    PortConfig config;
    config.number = number;
    config.kind = PortKind::Memory;
    config.flags = flags;
    snprintf(config.name, sizeof config.name, "%s%u", name_.c_str(), number);
    datapath_->add_port(config);
    if (!templates.empty()) memory_port_loop(config.name, std::move(templates));
    memory_port_sink(config.name, templates.empty());
  }

  // Answers the first upcall with a flow that matches on port, tunnel and MACs; followers retry.
  void answer(const std::vector<uint32_t>& actions) {
    const uint32_t waiting = ends_.take_upcalls();
    for (uint32_t at = 0; at < waiting;) {
      const RingView& ring = ends_.upcalls();
      auto& record = *reinterpret_cast<UpcallRecord*>(
          ring.bytes + ((ends_.upcall_offset() + at) & (ring.capacity - 1)));
      at += record.record_bytes;
      if (record.kind != static_cast<uint32_t>(RecordKind::Upcall)) continue;
      record.verdict_kind = static_cast<uint32_t>(VerdictKind::Retry);
      if (installed_) continue;
      FlowSlot& slot = region_.flows()[1];
      slot.key = record.key;
      memset(&slot.mask.in_port, 0xff, sizeof slot.mask.in_port);
      memset(&slot.mask.tunnel_id, 0xff, sizeof slot.mask.tunnel_id);
      memset(&slot.mask.eth_dst, 0xff, sizeof slot.mask.eth_dst);
      slot.action_words = static_cast<uint32_t>(actions.size());
      memcpy(slot.actions, actions.data(), actions.size() * sizeof(uint32_t));
      slot.generation = 1;
      slot.state = flow_live;
      record.verdict_kind = static_cast<uint32_t>(VerdictKind::Flow);
      record.verdict_flow = 1;
      record.verdict_generation = 1;
      installed_ = true;
    }
    ends_.give_verdicts(waiting);
  }

  void tunnel(uint8_t local, uint8_t remote) {
    datapath_->set_endpoints({{mapped(local), be16(4789), be16(6081)}});
    datapath_->set_networks({{vni, static_cast<uint32_t>(Encap::Vxlan)}});
    TunnelConfig config;
    config.number = 1;
    config.local = mapped(local);
    config.remote = mapped(remote);
    datapath_->set_tunnel(config);
    NextHop hop;
    hop.uplink_port = other_port;
    hop.mtu = 1500;
    datapath_->set_next_hop(1, &hop, "");
  }

  uint64_t packets_in(uint32_t port) const { return region_.port_counters(0)[port][0]; }
  uint64_t drops(uint32_t port) const {
    return region_.port_counters(0)[port][static_cast<uint32_t>(PortCounter::Drops)];
  }
  uint64_t upcalls(uint32_t port) const {
    return region_.port_counters(0)[port][static_cast<uint32_t>(PortCounter::Upcalls)];
  }
  Datapath& datapath() { return *datapath_; }
  std::string port_name(uint32_t number) const { return name_ + std::to_string(number); }

  std::vector<MemoryPacket> templates() const {
    std::vector<MemoryPacket> made;
    for (uint32_t flow = 0; flow < flows_; flow++) made.push_back({frame_of(flow), {}});
    return made;
  }

  // Breathes until every flow has its exact entry, then measures.
  void measure(benchmark::State& state, uint32_t in_port, const std::vector<uint32_t>& actions) {
    while (packets_in(in_port) < 3 * flows_ + 4096) {
      datapath_->run_once(0);
      answer(actions);
    }
    const uint64_t asked = upcalls(in_port);
    const uint64_t dropped = drops(in_port);
    uint64_t packets = 0;
    std::vector<double> rounds;
    for (auto _ : state) {
      const uint64_t before = packets_in(in_port);
      const uint64_t from = cycles_now();
      datapath_->run_once(0);
      const uint64_t cycles = cycles_now() - from;
      const uint64_t passed = packets_in(in_port) - before;
      packets += passed;
      if (passed != 0) rounds.push_back(static_cast<double>(cycles) / static_cast<double>(passed));
    }
    if (upcalls(in_port) != asked || drops(in_port) != dropped)
      state.SkipWithError("packets were asked about or dropped");
    const auto middle = rounds.begin() + static_cast<long>(rounds.size() / 2);
    std::nth_element(rounds.begin(), middle, rounds.end());
    state.counters["cycles"] = rounds.empty() ? 0 : *middle;
    state.SetItemsProcessed(static_cast<int64_t>(packets));
  }

 private:
  const uint32_t flows_;
  std::string name_;
  std::unique_ptr<Datapath> datapath_;
  RegionView region_;
  SlowPathEnds ends_;
  bool installed_ = false;
};

void forward(benchmark::State& state) {
  Lab lab(static_cast<uint32_t>(state.range(0)));
  lab.add_port(access_port, 0, lab.templates());
  lab.add_port(other_port, 0, {});
  lab.measure(state, access_port, {action_word(Op::Output), other_port});
}

std::vector<uint32_t> into_tunnel() { return {action_word(Op::OutputTunnel), 1, vni, 0}; }

void encap(benchmark::State& state) {
  Lab lab(static_cast<uint32_t>(state.range(0)));
  lab.tunnel(1, 2);
  lab.add_port(access_port, 0, lab.templates());
  lab.add_port(other_port, port_flag_uplink, {});
  lab.measure(state, access_port, into_tunnel());
}

// What another datapath sends for these flows: the decap bench's templates.
std::vector<MemoryPacket> encapsulated(uint32_t flows) {
  Lab sender(flows);
  sender.tunnel(2, 1);
  sender.add_port(access_port, 0, {});
  sender.add_port(other_port, port_flag_uplink, {});
  memory_port_sink(sender.port_name(other_port), false);
  for (const MemoryPacket& packet : sender.templates()) {
    memory_port_inject(sender.port_name(access_port), packet);
    while (sender.datapath().run_once(0)) sender.answer(into_tunnel());
    sender.answer(into_tunnel());
  }
  while (sender.datapath().run_once(0)) sender.answer(into_tunnel());
  return memory_port_collect(sender.port_name(other_port));
}

void decap(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  std::vector<MemoryPacket> outer = encapsulated(flows);
  if (outer.size() != flows) return state.SkipWithError("the sender lost packets");
  Lab lab(flows);
  lab.tunnel(1, 2);
  lab.add_port(access_port, 0, {});
  lab.add_port(other_port, port_flag_uplink, std::move(outer));
  lab.measure(state, other_port, {action_word(Op::Output), access_port});
}

BENCHMARK(forward)->Arg(1)->Arg(1000)->Arg(10000);
BENCHMARK(encap)->Arg(1)->Arg(1000)->Arg(10000);
BENCHMARK(decap)->Arg(1)->Arg(1000)->Arg(10000);

}  // namespace
