// test/native/action_support.cpp — a small world to run actions in.
#include "test/native/action_support.h"

#include <gtest/gtest.h>

#include <cstring>

#include "packet/gso.h"

namespace vtep::test {

Packet packet_of(FrameCache& frames, const Bytes& bytes, uint32_t in_port) {
  Packet packet = frames.make(static_cast<uint32_t>(bytes.size()));
  if (packet.frame == no_frame) return packet;
  memcpy(packet.data, bytes.data(), bytes.size());
  packet.in_port = in_port;
  return packet;
}

Bytes bytes_of(const Packet& packet) { return Bytes(packet.data, packet.data + packet.length); }

void leave_to_device(Packet& packet, uint16_t gso_size) {
  const Bytes frame = bytes_of(packet);
  const View at = view(frame);
  const uint32_t place = at.proto == 6 ? 16 : 6;
  const uint32_t bytes = at.end - at.l4;
  const uint32_t sum = plain_sum(frame.data() + at.l3 + (at.ipv6 ? 8 : 12), at.ipv6 ? 32 : 8);
  uint32_t field = sum + at.proto + bytes;
  while (field >> 16 != 0) field = (field & 0xffff) + (field >> 16);
  packet.data[at.l4 + place] = static_cast<uint8_t>(field >> 8);
  packet.data[at.l4 + place + 1] = static_cast<uint8_t>(field);
  packet.offload.flags = offload_needs_checksum;
  packet.offload.checksum_start = static_cast<uint16_t>(at.l4);
  packet.offload.checksum_offset = static_cast<uint16_t>(place);
  packet.offload.gso_size = gso_size;
  if (gso_size == 0) return;
  packet.offload.gso_type = at.proto == 17 ? GsoType::UdpL4
                            : at.ipv6      ? GsoType::TcpV6
                                           : GsoType::TcpV4;
}

void RecordingStage::add_port(uint32_t port, uint8_t can) {
  if (!owned_[port]) owned_[port] = std::make_unique<Lane>();
  owned_[port]->can = can;
  lanes_[port] = owned_[port].get();
}

void RecordingStage::drain(uint32_t port) noexcept {
  Lane& lane = *lanes_[port];
  for (uint32_t i = 0; i < lane.count; i++) sent[port].push_back(lane.packets[i]);
  lane.count = 0;
  for (uint32_t i = 0; i < active_count_; i++) {
    if (active_[i] != port) continue;
    active_[i] = active_[--active_count_];
    break;
  }
}

void RecordingStage::flush() {
  while (active_count_ > 0) drain(active_[0]);
}

void RecordingStage::clear() {
  flush();
  for (auto& [port, packets] : sent)
    for (const Packet& packet : packets) frames_.free(packet);
  sent.clear();
}

void RecordingHost::upcall(const Packet&, const FlowKey&, const PacketInfo&,
                           UpcallReason reason) noexcept {
  upcalls.push_back(reason);
}

void RecordingHost::commit_connection(const Packet&, const FlowKey&, const PacketInfo&,
                                      uint16_t zone) noexcept {
  zones.push_back(zone);
}

TunnelConfig tunnel_config(uint32_t number, Encap encap, bool ipv6) {
  TunnelConfig config;
  config.number = number;
  config.encap = encap;
  config.udp_port = encap == Encap::Vxlan ? vxlan_port_default : geneve_port_default;
  if (ipv6) {
    config.local = {0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    config.remote = {0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
  } else {
    config.local = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 172, 31, 1, 1};
    config.remote = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 172, 31, 1, 2};
  }
  return config;
}

NextHop next_hop(uint32_t mtu) {
  NextHop hop;
  hop.source_mac = {2, 1, 1, 1, 1, 1};
  hop.target_mac = {2, 1, 1, 1, 1, 2};
  hop.uplink_port = uplink;
  hop.mtu = mtu;
  return hop;
}

World::World(uint32_t small_frames, uint32_t large_frames)
    : pool({small_frames, large_frames, false}),
      frames(std::make_unique<FrameCache>(pool)),
      tables(std::make_unique<Tables>()),
      stage(*frames),
      worker_counters(worker_counter_max),
      port_drops(port_max * drop_reason_max),
      port_counters(port_max * port_counter_max),
      meters(meter_max),
      answers(asker_max),
      context{*frames,
              *tables,
              stage,
              host,
              worker_counters.data(),
              reinterpret_cast<uint64_t(*)[drop_reason_max]>(port_drops.data()),
              reinterpret_cast<uint64_t(*)[port_counter_max]>(port_counters.data()),
              meters.data(),
              answers.data(),
              1000000000},
      small_frames_(pool.free_count(false)),
      large_frames_(pool.free_count(true)) {
  const NextHop hop = next_hop();
  entries[tunnel_v4] = build_tunnel(tunnel_config(tunnel_v4, Encap::Vxlan, false), &hop);
  entries[tunnel_v6] = build_tunnel(tunnel_config(tunnel_v6, Encap::Vxlan, true), &hop);
  entries[tunnel_geneve] = build_tunnel(tunnel_config(tunnel_geneve, Encap::Geneve, false), &hop);
  entries[tunnel_unresolved] =
      build_tunnel(tunnel_config(tunnel_unresolved, Encap::Vxlan, false), nullptr);
  for (uint32_t i = 1; i < 5; i++) tables->tunnels[i] = &entries[i];
  for (uint32_t port : {1u, 2u, 3u, uplink}) stage.add_port(port, 0);
}

World::~World() { stage.clear(); }

DropReason World::run(const std::vector<uint32_t>& program, const Bytes& bytes, uint32_t in_port) {
  return run_packet(program, packet_of(*frames, bytes, in_port));
}

DropReason World::run_packet(const std::vector<uint32_t>& program, Packet packet,
                             uint16_t tunnel_src) {
  EXPECT_TRUE(validate(program.data(), static_cast<uint32_t>(program.size())));
  ActionProgram actions;
  actions.count = static_cast<uint32_t>(program.size());
  std::copy(program.begin(), program.end(), actions.words);
  FlowKey key;
  PacketInfo info;
  parse(&packet, 1, RxContext{packet.in_port, false, true, nullptr}, &key, &info);
  if (info.drop != DropReason::None) {
    frames->free(packet);
    return info.drop;
  }
  key.tunnel_src = tunnel_src;
  key.tunnel_id = tunnel_src != 0 ? 100 : 0;
  const uint64_t entropy = flow_entropy(key, context.entropy_secret);
  const StraightWay way = may_go_straight ? straight_way(context, actions) : StraightWay{};
  if (go_straight(context, way, {&packet, &key, &info, &entropy, 1}) == 0)
    execute(context, actions, packet, key, info);
  stage.flush();
  return DropReason::None;
}

std::vector<Bytes> World::out(uint32_t port) {
  std::vector<Bytes> all;
  for (const Packet& packet : stage.sent[port]) all.push_back(bytes_of(packet));
  return all;
}

uint64_t World::drops(DropReason reason, uint32_t in_port) const {
  return context.port_drops[in_port][static_cast<uint32_t>(reason)];
}

uint64_t World::total_drops() const {
  uint64_t total = 0;
  for (uint64_t count : port_drops) total += count;
  return total;
}

uint64_t World::counted(WorkerCounter counter) const {
  return worker_counters[static_cast<uint32_t>(counter)];
}

uint32_t World::leaked() {
  stage.clear();
  frames->~FrameCache();
  const uint32_t lost =
      small_frames_ - pool.free_count(false) + large_frames_ - pool.free_count(true);
  new (frames.get()) FrameCache(pool);
  return lost;
}

std::vector<uint32_t> output(uint32_t port) { return {action_word(Op::Output), port}; }
std::vector<uint32_t> output_tunnel(uint32_t tunnel, uint32_t vni, uint32_t logical) {
  return {action_word(Op::OutputTunnel), tunnel, vni, logical};
}
std::vector<uint32_t> output_group(uint32_t group, uint32_t vni) {
  return {action_word(Op::OutputGroup), group, vni, 0};
}
std::vector<uint32_t> enforce_mtu(uint32_t mtu, uint32_t tunnel, uint32_t v4_source) {
  return {action_word(Op::EnforceMtu), mtu, tunnel, be32(v4_source).raw, 0, 0, 0, 0};
}
std::vector<uint32_t> with_mac(Op op, const Bytes& mac, uint16_t arg) {
  std::vector<uint32_t> words = {action_word(op, arg), 0, 0};
  memcpy(&words[1], mac.data(), 6);
  return words;
}
std::vector<uint32_t> with_address(Op op, const Bytes& address) {
  std::vector<uint32_t> words(1 + address.size() / 4);
  words[0] = action_word(op);
  memcpy(&words[1], address.data(), address.size());
  return words;
}
std::vector<uint32_t> with_arg(Op op, uint16_t arg) { return {action_word(op, arg)}; }
std::vector<uint32_t> with_word(Op op, uint32_t word) { return {action_word(op), word}; }
std::vector<uint32_t> dec_ttl(uint32_t v4_source) {
  return {action_word(Op::DecTtl), be32(v4_source).raw, 0, 0, 0, 0};
}
std::vector<uint32_t> operator+(std::vector<uint32_t> left, const std::vector<uint32_t>& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

}  // namespace vtep::test
