// test/fuzz/shared_memory_fuzz.cpp — the other process writes whatever it likes into the shared
// memory, between any two breaths: a worker neither crashes nor goes astray.
//
// The input is a list of steps. Each begins with one byte of what to do and one of how; then what
// the step takes. Sanitizers watch; a breath that does not end is found by libFuzzer's timeout.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "action/action.h"
#include "datapath/datapath.h"
#include "datapath/region.h"
#include "datapath/slow_path_ends.h"
#include "port/memory.h"

namespace {

using namespace vtep;  // NOLINT: a fuzzer is a file of its own

constexpr uint32_t access_ports = 2;
constexpr uint32_t uplink = 3;
constexpr uint32_t breaths_per_step = 3;
constexpr uint32_t slots_reached = 16;

// Reads the input; past its end everything is zero.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool done() const { return size_ == 0; }
  template <typename T>
  T get() {
    T value{};
    const std::vector<uint8_t> bytes = take(sizeof value);
    if (!bytes.empty()) memcpy(static_cast<void*>(&value), bytes.data(), bytes.size());
    return value;
  }
  std::vector<uint8_t> take(size_t count) {
    count = std::min(count, size_);
    std::vector<uint8_t> bytes(data_, data_ + count);
    data_ += count, size_ -= count;
    return bytes;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

std::string port_name(uint32_t number) { return "fuzz" + std::to_string(number); }

// Frames that parse, to begin with: IPv4 TCP SYN and UDP, ARP request, IPv6 neighbour solicitation.
std::vector<uint8_t> frame_of(uint8_t kind) {
  std::vector<uint8_t> frame(100, 0);
  const auto put = [&frame](size_t at, std::initializer_list<uint8_t> bytes) {
    std::copy(bytes.begin(), bytes.end(), frame.begin() + static_cast<ptrdiff_t>(at));
  };
  put(0, {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1});
  switch (kind % 4) {
    case 0:
      put(12, {8, 0, 0x45, 0, 0, 86, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2});
      put(34, {3, 232, 7, 208, 0, 0, 0, 0, 0, 0, 0, 0, 0x60, 2, 16, 0, 0, 0, 0, 0, 2, 4, 5, 180});
      break;
    case 1:
      put(12, {8, 0, 0x45, 0, 0, 86, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2});
      put(34, {3, 232, 7, 208, 0, 66, 0, 0});
      break;
    case 2:
      put(12, {8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1});
      put(38, {10, 0, 0, 2});
      break;
    default:
      put(12, {0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255, 0xfe, 0x80});
      put(38, {0xff, 2});
      put(54, {135, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0x80});
      frame.resize(78);
  }
  return frame;
}

// Action words that are mostly right.
std::vector<uint32_t> program_of(Input& input, uint32_t words_max) {
  std::vector<uint32_t> words;
  for (uint32_t left = input.get<uint8_t>() % 6; left > 0; left--) {
    const auto op = static_cast<Op>(input.get<uint8_t>() % static_cast<uint32_t>(Op::Count));
    const uint32_t head = action_word(op, input.get<uint8_t>());
    if (words.size() + action_length(head) > words_max) break;
    words.push_back(head);
    for (uint32_t i = 1; i < action_length(head); i++) words.push_back(input.get<uint8_t>() % 5);
  }
  return words;
}

void copy_words(uint32_t* to, const std::vector<uint32_t>& words) {
  if (!words.empty()) memcpy(to, words.data(), words.size() * sizeof(uint32_t));
}

// A datapath with two access ports, an uplink and a tunnel through it.
class Host {
 public:
  Host() : datapath_(config()), region_(datapath_.memory()), ends_(region_, 0, -1) {
    for (uint32_t number = 1; number <= uplink; number++) {
      PortConfig port;
      port.number = number;
      port.kind = PortKind::Memory;
      port.flags = number == uplink ? port_flag_uplink : 0;
      snprintf(port.name, sizeof port.name, "%s", port_name(number).c_str());
      datapath_.add_port(port);
    }
    TunnelConfig tunnel;
    tunnel.number = 1;
    tunnel.local = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 172, 31, 1, 1};
    tunnel.remote = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 172, 31, 1, 2};
    datapath_.set_tunnel(tunnel);
    NextHop hop;
    hop.uplink_port = uplink;
    hop.mtu = 1500;
    datapath_.set_next_hop(1, &hop, "");
    datapath_.set_groups(
        {{1, {{GroupMember::Kind::Port, 2, 0}, {GroupMember::Kind::Tunnel, 1, 0}}}});
    datapath_.set_meter(1, {1000000, 1000000, false});
    datapath_.set_zone(1, 0, 1);
  }

  void breathe() {
    for (uint32_t i = 0; i < breaths_per_step; i++) datapath_.run_once(0);
    for (uint32_t number = 1; number <= uplink; number++) memory_port_collect(port_name(number));
  }
  void inject(Input& input, uint8_t how) {
    MemoryPacket packet;
    packet.offload.flags = how >> 4 & 7;
    packet.offload.gso_type = how & 0x80 ? GsoType::TcpV4 : GsoType::None;
    packet.offload.gso_size = how & 0x80 ? 200 : 0;
    packet.offload.checksum_start = 34;
    packet.offload.checksum_offset = 16;
    packet.bytes = frame_of(how >> 1);
    const uint32_t place = input.get<uint8_t>() % packet.bytes.size();
    const std::vector<uint8_t> over = input.take(input.get<uint8_t>());
    if (place + over.size() > packet.bytes.size()) packet.bytes.resize(place + over.size());
    std::copy(over.begin(), over.end(), packet.bytes.begin() + place);
    memory_port_inject(port_name(1 + how % access_ports), std::move(packet));
  }
  // Bytes anywhere behind the header, or in the header itself.
  void scribble(Input& input) {
    const uint64_t place = input.get<uint32_t>() % region_.header().bytes;
    write(datapath_.memory() + place, input.take(input.get<uint8_t>()));
  }
  void scribble_slot(Input& input, uint8_t how) {
    auto* slot = reinterpret_cast<uint8_t*>(&region_.flows()[how % slots_reached]);
    const uint32_t place = input.get<uint16_t>() % sizeof(FlowSlot);
    write(slot + place, input.take(input.get<uint8_t>() % (sizeof(FlowSlot) - place)));
  }
  // A slot whose head is right and whose actions are the input's.
  void make_slot(Input& input, uint8_t how) {
    FlowSlot& slot = region_.flows()[how % slots_reached];
    const std::vector<uint32_t> words = program_of(input, action_words_max);
    slot.state = flow_live;
    slot.generation = 1;
    slot.action_words = static_cast<uint32_t>(words.size());
    copy_words(slot.actions, words);
  }
  void set_cursor(Input& input, uint8_t how) {
    RingHeader* headers[] = {ends_.upcalls().header, ends_.commands().header,
                             ends_.events().header};
    RingHeader& header = *headers[how % 3];
    RingCursor* cursors[] = {&header.produced, &header.answered, &header.consumed,
                             &header.sleeping};
    RingCursor& cursor = *cursors[how / 3 % 4];
    const auto change = input.get<uint32_t>();
    const bool near = (how & 0x80) != 0;
    cursor.value.store(near ? cursor.value.load() + change % 1024 * 64 : change);
  }
  // Verdicts for all that waits, their bytes from the input.
  void answer(Input& input) {
    const uint32_t waiting = ends_.take_upcalls();
    const uint32_t start = ends_.upcall_offset();
    const RingView& ring = ends_.upcalls();
    for (uint32_t at = 0; at + sizeof(UpcallRecord) <= waiting;) {
      uint8_t* place = ring.at(start + at);
      const bool aligned = reinterpret_cast<uintptr_t>(place) % alignof(UpcallRecord) == 0;
      if (!aligned || place + sizeof(UpcallRecord) > ring.bytes + ring.capacity) break;
      auto* record = reinterpret_cast<UpcallRecord*>(place);
      record->verdict_kind = input.get<uint8_t>() % 6;
      record->verdict_flow = input.get<uint8_t>() % slots_reached;
      record->verdict_generation = 1;
      record->verdict_reason = input.get<uint8_t>();
      const std::vector<uint32_t> words = program_of(input, inline_action_words_max);
      record->inline_count = static_cast<uint32_t>(words.size());
      copy_words(record->inline_actions, words);
      at += std::max(record->record_bytes, 64u);
    }
    ends_.give_verdicts(waiting);
  }
  // One command record, half of its fields the input's.
  void command(Input& input, uint8_t how) {
    CommandRecord record{};
    record.kind = how % 7;
    record.slot = input.get<uint8_t>() % slots_reached;
    record.generation = 1;
    record.in_port = input.get<uint8_t>();
    const std::vector<uint32_t> words = program_of(input, action_words_max);
    const std::vector<uint8_t> frame = frame_of(how >> 4);
    record.action_words = static_cast<uint32_t>(words.size()) + input.get<uint8_t>() / 250;
    record.packet_bytes = static_cast<uint32_t>(frame.size()) + input.get<uint8_t>() / 64;
    std::vector<uint8_t> rest((words.size() * 4 + 63) & ~size_t{63});
    if (!words.empty()) memcpy(rest.data(), words.data(), words.size() * 4);
    rest.insert(rest.end(), frame.begin(), frame.end());
    record.record_bytes = static_cast<uint32_t>((sizeof record + rest.size() + 63) & ~size_t{63});
    const RingView& ring = ends_.commands();
    uint8_t* place = ring.at(ends_.command_offset());
    if (place + record.record_bytes > ring.bytes + ring.capacity) return;
    if ((how & 0x80) != 0) record.record_bytes = input.get<uint32_t>();
    memcpy(place, &record, sizeof record);
    write(place + sizeof record, rest);
    ends_.give_commands((sizeof record + static_cast<uint32_t>(rest.size()) + 63) & ~63u);
  }

 private:
  static DatapathConfig config() {
    DatapathConfig config;
    config.manual = 1;
    config.flow_max = 64;
    config.exact_max = 64;
    config.connection_max = 64;
    config.small_frames = 512;
    config.large_frames = 8;
    config.upcall_ring_bytes = 64 * 1024;
    return config;
  }
  // Whatever would go past the region's end is left out.
  void write(uint8_t* place, const std::vector<uint8_t>& bytes) {
    const auto room = static_cast<size_t>(datapath_.memory() + region_.header().bytes - place);
    if (!bytes.empty()) memcpy(place, bytes.data(), std::min(bytes.size(), room));
  }

  Datapath datapath_;
  RegionView region_;  // knows the header as it was
  SlowPathEnds ends_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Host host;
  Input input(data, size);
  while (!input.done()) {
    const auto what = input.get<uint8_t>();
    const auto how = input.get<uint8_t>();
    switch (what % 8) {
      case 0:
      case 1:
        host.inject(input, how);
        break;
      case 2:
        host.scribble(input);
        break;
      case 3:
        host.scribble_slot(input, how);
        break;
      case 4:
        host.make_slot(input, how);
        break;
      case 5:
        host.set_cursor(input, how);
        break;
      case 6:
        host.answer(input);
        break;
      default:
        host.command(input, how);
        break;
    }
    host.breathe();
  }
  return 0;
}
