// test/native/datapath_support.h — for tests: a datapath in manual mode, packets, a slow path.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "datapath/datapath.h"
#include "datapath/region.h"
#include "datapath/slow_path_ends.h"
#include "port/memory.h"

namespace vtep::test {

// Addresses of a test's two hosts: host n has MAC 02:00:00:00:00:0n and IP 10.0.0.n.
struct UdpFrame {
  uint8_t from = 1;
  uint8_t to = 2;
  uint16_t source_port = 1000;
  uint16_t target_port = 2000;
  uint32_t payload_bytes = 18;
};

// An Ethernet/IPv4/UDP frame with right lengths and checksums (UDP checksum: none).
std::vector<uint8_t> udp_frame(const UdpFrame& frame);
// Ethernet/IPv4/TCP with the given flags and correct checksums.
std::vector<uint8_t> tcp_frame(const UdpFrame& frame, uint8_t flags);

// What the checksum field of such a TCP frame holds when it is left to the device.
uint16_t pseudo_sum_for(const std::vector<uint8_t>& frame);

// What the fake slow path decides about an upcall.
struct Decision {
  VerdictKind kind = VerdictKind::Flow;
  std::vector<uint32_t> actions;            // Flow, Once
  DropReason reason = DropReason::AclDeny;  // Drop
};

// A slow path: numbers flows, writes slots and verdicts, as vtepd does. All workers.
class FakeSlowPath {
 public:
  explicit FakeSlowPath(Datapath& datapath);

  // Answers what waits, asking `decide` for each Upcall; followers get Retry. Returns how many
  // records it answered: at most `records_max` of each worker.
  uint32_t answer(const std::function<Decision(const UpcallRecord&)>& decide,
                  uint32_t records_max = ~0u);
  // Writes a slot with a full in_port + eth_dst + ip mask; returns its number.
  uint32_t write_flow(const FlowKey& key, const FlowMask& mask,
                      const std::vector<uint32_t>& actions);
  void command(uint32_t worker, CommandKind kind, uint32_t slot, uint32_t generation = 1);
  void packet_out(uint32_t worker, uint32_t in_port, const std::vector<uint32_t>& actions,
                  const std::vector<uint8_t>& frame);

  RegionView region() const { return region_; }
  SlowPathEnds& ends(uint32_t worker) { return ends_[worker]; }
  FlowMask mask;  // given to flows that answer() makes

 private:
  UpcallRecord* record_at(uint32_t worker, uint32_t offset);

  RegionView region_;
  uint32_t next_slot_ = 1;
  std::vector<SlowPathEnds> ends_;
};

// A mask that looks at in_port, tunnel_id, MACs and eth_type.
FlowMask layer2_mask();
// layer2_mask and addresses, protocol and ports.
FlowMask five_tuple_mask();

// Manual datapath with memory ports named after the test.
class Bench {
 public:
  explicit Bench(DatapathConfig config = manual_config());
  ~Bench();

  static DatapathConfig manual_config();
  void add_memory_port(uint32_t number, uint32_t flags = 0);
  std::string port_name(uint32_t number) const;
  void inject(uint32_t port, const std::vector<uint8_t>& frame, const Offload& offload = {});
  std::vector<MemoryPacket> collect(uint32_t port);
  // Breaths of every worker until none does anything.
  void run();

  uint64_t drops(uint32_t port, DropReason reason) const;
  uint64_t port_count(uint32_t port, PortCounter which) const;
  uint64_t worker_count(WorkerCounter which) const;

  Datapath datapath;
  FakeSlowPath slow_path;

 private:
  std::string prefix_;
  std::vector<uint32_t> ports_;
};

}  // namespace vtep::test
