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
  void forget_entries(const Connection& connection) noexcept override {
    require(connection.tuple.zone() != 0);
    ++count;
  }
  uint64_t count = 0;
};

struct Step {
  uint8_t what;
  uint8_t time;
  uint16_t length;
};

// Returns how many connections it made.
uint32_t packet_step(ConnectionTable& table, const Step& step, const uint8_t* bytes,
                     uint64_t now_ms) {
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[step.length]);
  memcpy(copy.get(), bytes, step.length);
  Packet packet;
  packet.data = copy.get();
  packet.length = step.length;
  FlowKey key;
  PacketInfo info;
  parse(&packet, 1, RxContext{1, false, false, nullptr}, &key, &info);
  if (info.drop != DropReason::None) return 0;
  const uint16_t zone = 1 + (step.what >> 7);
  const ConnectionPacket seen{&key, &info, packet.data, packet.length, zone};
  Tracked tracked;
  table.track(&seen, 1, now_ms, &tracked);
  require(tracked.connection == 0 || table.at(tracked.connection, tracked.generation) != nullptr);
  if ((tracked.ct_state & ct_new) == 0 || (step.what & 1) == 0) return 0;
  const Committed committed = table.commit(seen, now_ms);
  require(committed.made && committed.number != 0);
  Tracked again;
  table.track(&seen, 1, now_ms, &again);
  require(again.connection == committed.number && (again.ct_state & ct_new) == 0);
  return 1;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ConnectionConfig config{connection_max};
  const size_t bytes = (ConnectionTable::bytes_needed(config) + 63) & ~size_t{63};
  const std::unique_ptr<std::byte, decltype(&free)> memory(
      static_cast<std::byte*>(aligned_alloc(64, bytes)), &free);
  memset(memory.get(), 0, bytes);
  Sink sink;
  ConnectionTable table({memory.get(), bytes}, config, HashSecret::from_seed(1), &sink);
  uint64_t made = 0;
  uint64_t now_ms = 0xfffff000;  // the low 32 bits wrap on the way
  while (size >= sizeof(Step)) {
    Step step;
    memcpy(&step, data, sizeof step);
    data += sizeof step, size -= sizeof step;
    now_ms += uint64_t{step.time} * step.time * 7;
    if (step.what & 2) {
      table.sweep(0, step.what >> 4, now_ms);
      continue;
    }
    step.length = static_cast<uint16_t>(step.length & 0x1ff);
    if (step.length > size) break;
    made += packet_step(table, step, data, now_ms);
    data += step.length, size -= step.length;
    require(table.size() <= connection_max);
    require(made == table.size() + sink.count);
  }
  return 0;
}
