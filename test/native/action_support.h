// test/native/action_support.h — frames built by hand, a plain reader, a world for actions.
//
// Why:    the builder and the judge share no code with native/: every checksum is added up again,
//         one 16-bit word after the other, from the bytes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "action/execute.h"
#include "action/straight.h"
#include "action/tunnel.h"
#include "flow/parse.h"
#include "packet/frame_pool.h"

namespace vtep::test {

using Bytes = std::vector<uint8_t>;

// One frame. What is not said is an IPv4 TCP segment between two ordinary hosts.
struct FrameSpec {
  bool ipv6 = false;
  uint8_t proto = 6;         // 6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6, 132 SCTP
  uint32_t payload = 100;    // bytes behind the L4 header
  uint16_t sport = 40000;    // ICMP: type
  uint16_t dport = 80;       // ICMP: code
  uint16_t vid = 0;          // a VLAN tag; 0: none
  uint16_t vid2 = 0;         // a second, inner one
  uint8_t tcp_flags = 0x10;
  uint32_t seq = 1000;
  uint16_t mss = 0;          // MSS option; 0: none
  bool mss_odd = false;      // the option begins at an even offset, its value at an odd one
  bool df = true;
  uint16_t ip_id = 7;
  uint8_t ttl = 64;
  uint8_t tos = 0;
  bool udp_zero = false;     // UDP without checksum
  Bytes ip_options;          // IPv4, a multiple of 4 bytes
  Bytes src_mac = {2, 0, 0, 0, 0, 1};
  Bytes dst_mac = {2, 0, 0, 0, 0, 2};
  Bytes src_ip;              // 4 or 16 bytes; empty: 10.0.0.1 or fd00::1
  Bytes dst_ip;
};
Bytes build(const FrameSpec& spec);
Bytes build_arp(uint16_t opcode, uint16_t vid = 0);
// A neighbour solicitation; `probe`: from ::, `option`: with a source link-layer address.
Bytes build_solicitation(bool probe, bool option);

// Reads the frame down to the innermost packet (VXLAN on UDP 4789, Geneve on 6081) and gives the
// first thing wrong with lengths or checksums, or "". `left` true: the outermost L4 checksum is the
// pseudo-header sum.
std::string judge(const Bytes& frame, bool left = false);

// Where things are in a frame.
struct View {
  uint32_t l3 = 0;
  uint32_t l4 = 0;
  uint32_t payload = 0;
  uint32_t end = 0;  // of the IP packet
  bool ipv6 = false;
  uint8_t proto = 0;
  uint16_t tags = 0;
};
View view(const Bytes& frame);
Bytes slice(const Bytes& from, uint32_t begin, uint32_t end);
uint32_t number(const Bytes& from, uint32_t at, uint32_t bytes);
// The frame inside a tunnel packet.
Bytes inner_frame(const Bytes& outer);
// Plain one's complement sum of big-endian words.
uint32_t plain_sum(const uint8_t* bytes, size_t count, uint32_t sum = 0);

Packet packet_of(FrameCache& frames, const Bytes& bytes, uint32_t in_port = 1);
Bytes bytes_of(const Packet& packet);
// Leaves the TCP or UDP checksum unfinished, as a container's stack does; gso_size 0: no GSO.
void leave_to_device(Packet& packet, uint16_t gso_size);

// Keeps what actions send, by port.
class RecordingStage : public TxStage {
 public:
  explicit RecordingStage(FrameCache& frames) : frames_(frames) {}
  ~RecordingStage() override { clear(); }
  void add_port(uint32_t port, uint8_t can);
  void remove_port(uint32_t port) { lanes_[port] = nullptr; }
  void flush();
  void clear();  // frees what was sent
  std::map<uint32_t, std::vector<Packet>> sent;

 protected:
  void drain(uint32_t port) noexcept override;

 private:
  FrameCache& frames_;
  std::map<uint32_t, std::unique_ptr<Lane>> owned_;
};

class RecordingHost : public ActionHost {
 public:
  void upcall(const Packet& packet, const FlowKey& key, const PacketInfo& info,
              UpcallReason reason) noexcept override;
  void commit_connection(const Packet& packet, const FlowKey& key, const PacketInfo& info,
                         uint16_t zone) noexcept override;
  std::vector<UpcallReason> upcalls;
  std::vector<uint16_t> zones;
};

constexpr uint32_t uplink = 9;  // number of the port that tunnels leave by
constexpr uint32_t tunnel_v4 = 1;
constexpr uint32_t tunnel_v6 = 2;
constexpr uint32_t tunnel_geneve = 3;
constexpr uint32_t tunnel_unresolved = 4;

// Ports 1, 2, 3 and the uplink; the tunnels above; a worker's context.
class World {
 public:
  explicit World(uint32_t small_frames = 2048, uint32_t large_frames = 64);
  ~World();
  // Parses `bytes` as received by `in_port` and runs the program on it. Returns what parse said.
  DropReason run(const std::vector<uint32_t>& program, const Bytes& bytes, uint32_t in_port = 1);
  // The same with a packet that is made already; `tunnel_src`: as if it came from that tunnel.
  DropReason run_packet(const std::vector<uint32_t>& program, Packet packet,
                        uint16_t tunnel_src = 0);
  // What went out of a port, as bytes; the packets stay in stage.sent.
  std::vector<Bytes> out(uint32_t port);
  uint64_t drops(DropReason reason, uint32_t in_port = 1) const;
  uint64_t total_drops() const;
  uint64_t counted(WorkerCounter counter) const;
  void uplink_takes(uint8_t can) { stage.add_port(uplink, can); }
  // Frames outside the pool and the stage: 0 unless something leaked.
  uint32_t leaked();

  FramePool pool;
  std::unique_ptr<FrameCache> frames;
  std::unique_ptr<Tables> tables;
  RecordingStage stage;
  RecordingHost host;
  std::vector<uint64_t> worker_counters;
  std::vector<uint64_t> port_drops;
  std::vector<uint64_t> port_counters;
  std::vector<MeterState> meters;
  std::vector<AnswerBuckets> answers;
  TunnelEntry entries[5];
  ExecuteContext context;
  bool may_go_straight = true;  // false: every packet is execute()'s

 private:
  uint32_t small_frames_;
  uint32_t large_frames_;
};

TunnelConfig tunnel_config(uint32_t number, Encap encap, bool ipv6);
NextHop next_hop(uint32_t mtu = 1500);

// Words of actions.
std::vector<uint32_t> output(uint32_t port);
std::vector<uint32_t> output_tunnel(uint32_t tunnel, uint32_t vni = 100, uint32_t logical = 0);
std::vector<uint32_t> output_group(uint32_t group, uint32_t vni = 100);
std::vector<uint32_t> enforce_mtu(uint32_t mtu, uint32_t tunnel = 0, uint32_t v4_source = 0);
std::vector<uint32_t> with_mac(Op op, const Bytes& mac, uint16_t arg = 0);
std::vector<uint32_t> with_address(Op op, const Bytes& address);
std::vector<uint32_t> with_arg(Op op, uint16_t arg = 0);
std::vector<uint32_t> with_word(Op op, uint32_t word);
std::vector<uint32_t> dec_ttl(uint32_t v4_source);
std::vector<uint32_t> operator+(std::vector<uint32_t> left, const std::vector<uint32_t>& right);

}  // namespace vtep::test
