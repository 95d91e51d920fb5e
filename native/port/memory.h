// port/memory.h — a port in memory, for tests and benches.
//
// Why:    a test says which packets arrive and reads which were sent, without devices or
//         privileges; a bench replays templates for ever and throws away what is sent.
// Thread: inject and collect may be called from any thread and take a lock. Looped templates are
//         set before the queue opens and never change, so replaying takes no lock; nor does a sink.
// Owner:  ports are found by their name (PortConfig::name) for as long as they live.
// Limits: kept_max packets wait for memory_port_collect(); more are counted as tx_full.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "port/port.h"

namespace vtep {

struct MemoryPacket {
  std::vector<uint8_t> bytes;  // from the Ethernet header
  Offload offload;
};

struct MemoryPortCounts {
  uint64_t received = 0;  // packets that a worker took from the port
  uint64_t sent = 0;      // packets that workers gave to the port
  uint64_t sent_bytes = 0;
  uint64_t waiting = 0;  // injected and not yet taken
};

constexpr uint32_t memory_kept_max = 65536;

// Makes `packet` arrive at the port. Throws Error ERR_PORT_NOT_FOUND without such a port, ERR_LIMIT
// when the packet is longer than packet_bytes_max or shorter than an Ethernet header.
void memory_port_inject(const std::string& name, MemoryPacket packet);
// What was sent to the port since the last call, in order.
std::vector<MemoryPacket> memory_port_collect(const std::string& name);
MemoryPortCounts memory_port_counts(const std::string& name);

// For benches, while no worker runs: the templates arrive for ever, round and round, as fast as
// they are taken but at most `burst` (1 to batch_max) at a time, and what is sent is counted and
// freed. No templates: no more arrive. Others than before only when a round has ended. Throws Error
// ERR_LIMIT for a burst outside that range.
void memory_port_loop(const std::string& name, const std::vector<MemoryPacket>& templates,
                      uint32_t burst = batch_max);
// Counts and frees what is sent instead of keeping it (`sink` true), or keeps it again.
void memory_port_sink(const std::string& name, bool sink);

struct MemoryChannel;

class MemoryPort final : public Port {
 public:
  // Throws Error ERR_DEVICE_BUSY when a memory port of this name exists.
  MemoryPort(const PortConfig& config, FramePool& pool);
  ~MemoryPort() override;

  PortStatus status() const override;
  std::unique_ptr<PortQueue> open_queue(uint32_t worker, bool receive) override;

 private:
  std::shared_ptr<MemoryChannel> channel_;
};

}  // namespace vtep
