// test/fuzz/execute_fuzz.cpp — random packets through random valid programs: no leak, no overrun.
//
// The first bytes choose the program, the offload state and whether the packet came from a tunnel;
// the rest is the frame. Frames of the pool lie side by side, so the packet is placed at the very
// end of its frame: what reads or writes behind it leaves the pool's memory sooner or later and is
// checked here.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "action/execute.h"
#include "action/straight.h"
#include "action/tunnel.h"
#include "base/assert.h"
#include "packet/gro.h"
#include "packet/gso.h"

namespace vtep {
namespace {

constexpr uint32_t uplink = 9;

class Sink : public TxStage {
 public:
  explicit Sink(FrameCache& frames) : frames_(frames) {
    for (const uint32_t port : {1u, 2u, uplink}) lanes_[port] = &owned_[port];
  }
  void can(uint8_t bits) {
    for (Lane& lane : owned_) lane.can = bits;
  }
  void flush() {
    while (active_count_ > 0) drain(active_[0]);
  }

 protected:
  void drain(uint32_t port) noexcept override {
    Lane& lane = *lanes_[port];
    for (uint32_t i = 0; i < lane.count; i++) finish(lane.packets[i]);
    lane.count = 0;
    for (uint32_t i = 0; i < active_count_; i++)
      if (active_[i] == port) active_[i] = active_[--active_count_];
  }

 private:
  void finish(const Packet& packet) noexcept {
    DropReason reason = DropReason::None;
    Finished finished;
    if (packet.offload.gso_type == GsoType::UdpL4) {
      const PacketSpan out{out_, segments_max};
      const uint32_t opened = open_tunnel_superpacket(frames_, packet, out, reason);
      for (uint32_t i = 0; i < opened; i++) frames_.free(out_[i]);
      return;
    }
    const uint32_t made = finish_tx(frames_, 0, packet, {out_, segments_max}, finished);
    for (uint32_t i = 0; i < made; i++) frames_.free(out_[i]);
  }

  FrameCache& frames_;
  Lane owned_[uplink + 1];
  Packet out_[segments_max];
};

class Host : public ActionHost {
 public:
  void upcall(const Packet&, const FlowKey&, const PacketInfo&, UpcallReason) noexcept override {}
  void commit_connection(const Packet&, const FlowKey&, const PacketInfo&,
                         uint16_t) noexcept override {}
};

// Everything that outlives one input.
struct World {
  FramePool pool{{2048, 32, false}};
  FrameCache frames{pool};
  Tables tables;
  Sink sink{frames};
  Host host;
  uint64_t worker_counters[worker_counter_max] = {};
  uint64_t drops[port_max][drop_reason_max] = {};
  uint64_t counters[port_max][port_counter_max] = {};
  MeterState meters[meter_max] = {};
  AnswerBuckets answers[asker_max] = {};
  TunnelEntry tunnels[4];
  Group group;
  MeterConfig meter{1000000, 10000, false};

  World() {
    NextHop hop;
    hop.uplink_port = uplink;
    hop.mtu = 1500;
    for (uint32_t i = 1; i < 4; i++) {
      TunnelConfig config;
      config.number = i;
      config.encap = i == 3 ? Encap::Geneve : Encap::Vxlan;
      config.remote[0] = i == 2 ? 0xfd : 0;
      config.remote[10] = config.remote[11] = i == 2 ? 0 : 0xff;
      tunnels[i] = build_tunnel(config, &hop);
      tables.tunnels[i] = &tunnels[i];
    }
    using Kind = GroupMember::Kind;
    group.members = {{Kind::Port, 1, 0}, {Kind::Port, 2, 7}, {Kind::Tunnel, 2, 0}};
    tables.groups[1] = &group;
    tables.meters[1] = &meter;
  }
};

// Takes numbers off the input's front; zeroes when it is exhausted.
struct Input {
  const uint8_t* at;
  size_t left;
  uint32_t take(uint32_t bytes) {
    uint32_t value = 0;
    for (; bytes > 0 && left > 0; bytes--, at++, left--) value = value << 8 | *at;
    return value;
  }
};

// Numbers that name something that exists, mostly.
void operands(Input& input, Op op, uint32_t* words) {
  for (uint32_t i = 1; i < op_words[static_cast<uint32_t>(op)]; i++) words[i] = input.take(2);
  switch (op) {
    case Op::Output:
    case Op::Mirror: words[1] = 1 + words[1] % 3; break;
    case Op::Sample: words[2] = 1 + words[2] % 3; break;
    case Op::OutputTunnel: words[1] = 1 + words[1] % 4; break;
    case Op::OutputGroup: words[1] = 1 + words[1] % 2; break;
    case Op::Meter: words[1] = 1 + words[1] % 2; break;
    case Op::EnforceMtu: words[2] %= 5; break;
    case Op::Unreachable: words[0] &= 0xff03ffffu; break;
    default: break;
  }
}

void make_program(Input& input, ActionProgram& program) {
  const uint32_t actions = input.take(1) % 8;
  for (uint32_t i = 0; i < actions; i++) {
    const Op op = static_cast<Op>(1 + input.take(1) % (static_cast<uint32_t>(Op::Count) - 1));
    const uint32_t length = op_words[static_cast<uint32_t>(op)];
    if (program.count + length > action_words_max) return;
    uint32_t* words = program.words + program.count;
    words[0] = action_word(op, static_cast<uint16_t>(input.take(1) % 64));
    operands(input, op, words);
    if (validate(words, length)) program.count += length;
  }
}

// Makes most inputs a packet that parse() lets through: random bytes seldom have the right lengths.
void stamp_headers(Packet& packet, uint32_t shape) {
  static constexpr uint8_t protos[] = {6, 17, 1, 58, 132, 44, 6, 17};
  const uint8_t proto = protos[shape >> 2 & 7];
  uint8_t* ip = packet.data + 14;
  const uint16_t bytes = static_cast<uint16_t>(packet.length - 14);
  if ((shape & 3) == 1 && bytes >= 20) {
    store_be16(ip - 2, be16(0x0800));
    ip[0] = 0x45;
    store_be16(ip + 2, be16(bytes));
    if ((shape & 0x20) != 0) store_be16(ip + 6, Be16{0});
    ip[9] = proto;
    if (proto == 17 && bytes >= 28) store_be16(ip + 24, be16(static_cast<uint16_t>(bytes - 20)));
  } else if ((shape & 3) == 2 && bytes >= 40) {
    store_be16(ip - 2, be16(0x86dd));
    ip[0] = 0x60;
    store_be16(ip + 4, be16(static_cast<uint16_t>(bytes - 40)));
    ip[6] = proto;
    if (proto == 17 && bytes >= 48) store_be16(ip + 44, be16(static_cast<uint16_t>(bytes - 40)));
  }
}

Packet make_packet(World& world, Input& input) {
  Offload offload;
  offload.flags = static_cast<uint8_t>(input.take(1) & 7);
  static constexpr GsoType types[] = {GsoType::None, GsoType::TcpV4, GsoType::TcpV6,
                                      GsoType::UdpL4};
  offload.gso_type = types[input.take(1) & 3];
  offload.gso_size = static_cast<uint16_t>(input.take(2));
  offload.checksum_start = static_cast<uint16_t>(input.take(2));
  offload.checksum_offset = static_cast<uint16_t>(input.take(1));
  const uint32_t shape = input.take(1);
  const uint32_t length = static_cast<uint32_t>(input.left < 1800 ? input.left : 1800);
  Packet packet = world.frames.make(length);
  DP_ASSERT(packet.frame != no_frame);
  packet.data = world.pool.base(packet.frame) + FramePool::capacity(packet.frame) - length;
  memcpy(packet.data, input.at, length);
  if (length >= 14) stamp_headers(packet, shape);
  // Some of them say what a container's stack would, so that parse() believes them.
  if ((shape & 0xc0) == 0xc0 && (offload.flags & offload_needs_checksum) != 0) {
    const bool tcp = (shape >> 2 & 7) == 0 || (shape >> 2 & 7) == 6;
    offload.checksum_start = (shape & 3) == 1 ? 34 : 54;
    offload.checksum_offset = tcp ? 16 : 6;
  }
  packet.offload = offload;
  packet.in_port = 1;
  return packet;
}

void run_one(World& world, Input input) {
  static ExecuteContext context{world.frames, world.tables, world.sink, world.host,
                                world.worker_counters, world.drops, world.counters,
                                world.meters, world.answers, 1000000000};
  context.now_ns += 1000000;
  world.sink.can(static_cast<uint8_t>(input.take(1) & 7));
  const uint32_t tunnel = input.take(1) % 4;
  ActionProgram program;
  make_program(input, program);
  DP_ASSERT(validate(program.words, program.count));
  Packet packet = make_packet(world, input);
  FlowKey key;
  PacketInfo info;
  parse(&packet, 1, RxContext{1, false, false, nullptr}, &key, &info);
  if (info.drop != DropReason::None) return world.frames.free(packet);
  key.tunnel_src = static_cast<uint16_t>(tunnel);
  const uint64_t entropy = flow_entropy(key, context.entropy_secret);
  const FlowRun run{&packet, &key, &info, &entropy, 1};
  if (go_straight(context, straight_way(context, program), run) == 0)
    execute(context, program, packet, key, info);
  world.sink.flush();
}

// Frames that nobody holds: the cache's and the pool's.
uint32_t count_free(World& world) {
  static FrameId held[4096];
  uint32_t count = 0;
  for (FrameId id = world.frames.alloc_small(); id != no_frame; id = world.frames.alloc_small())
    held[count++] = id;
  for (FrameId id = world.frames.alloc_large(); id != no_frame; id = world.frames.alloc_large())
    held[count++] = id;
  for (uint32_t i = 0; i < count; i++) world.frames.free(held[i]);
  return count;
}

}  // namespace
}  // namespace vtep

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto world = std::make_unique<vtep::World>();
  static const uint32_t all = vtep::count_free(*world);
  static uint32_t inputs = 0;
  vtep::run_one(*world, vtep::Input{data, size});
  if (++inputs % 64 == 0 && vtep::count_free(*world) != all) abort();
  return 0;
}
