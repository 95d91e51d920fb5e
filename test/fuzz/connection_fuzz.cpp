// test/fuzz/connection_fuzz.cpp — any sequence of packets, times and removals: the table stays
// whole.
//
// The input is a list of steps: one byte of what to do, one of time, two of length, then a frame,
// which is copied to a heap buffer of exactly its size.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "flow/connection_table.h"

namespace {

using namespace vtep;  // NOLINT: a fuzzer is a file of its own

constexpr uint32_t connection_max = 8;

void require(bool holds) {
  if (!holds) abort();
}

struct Sink final : ConnectionSink {
  void removed(uint32_t, const Connection& connection) noexcept override {
    require(connection.ip_proto != 0);
    ++count;
  }
  uint64_t count = 0;
};

struct Step {
  uint8_t what;
  uint8_t time;
  uint16_t length;
};

void packet_step(ConnectionTable& table, const Step& step, const uint8_t* bytes, uint64_t now_ms) {
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[step.length]);
  memcpy(copy.get(), bytes, step.length);
  Packet packet;
  packet.data = copy.get();
  packet.length = step.length;
  FlowKey key;
  PacketInfo info;
  parse(&packet, 1, RxContext{1, false, false, nullptr}, &key, &info);
  if (info.drop != DropReason::None) return;
  const uint16_t zone = 1 + (step.what >> 7);
  const ConnectionPacket seen{key, info, packet.data, packet.length, zone};
  const Tracked tracked = table.track(seen, now_ms);
  require(tracked.connection == 0 || table.at(tracked.connection, tracked.generation) != nullptr);
  if ((tracked.ct_state & ct_new) == 0 || (step.what & 1) == 0) return;
  const uint32_t number = table.commit(seen, now_ms);
  require(number != 0);
  const Tracked again = table.track(seen, now_ms);
  require(again.connection == number && (again.ct_state & ct_new) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const size_t bytes = (ConnectionTable::bytes_needed(connection_max) + 63) & ~size_t{63};
  const std::unique_ptr<std::byte, decltype(&free)> memory(
      static_cast<std::byte*>(aligned_alloc(64, bytes)), &free);
  memset(memory.get(), 0, bytes);
  Sink sink;
  ConnectionTable table({memory.get(), bytes}, {connection_max, true}, HashSecret::from_seed(1),
                        &sink);
  uint64_t now_ms = 0xfffff000;  // the low 32 bits wrap on the way
  while (size >= sizeof(Step)) {
    Step step;
    memcpy(&step, data, sizeof step);
    data += sizeof step, size -= sizeof step;
    now_ms += uint64_t{step.time} * step.time * 7;
    if (step.what & 2) {
      table.sweep(step.what >> 4, now_ms);
      continue;
    }
    step.length = static_cast<uint16_t>(step.length & 0x1ff);
    if (step.length > size) break;
    packet_step(table, step, data, now_ms);
    data += step.length, size -= step.length;
    require(table.size() <= connection_max);
    require(table.committed() == table.size() + sink.count);
  }
  return 0;
}
