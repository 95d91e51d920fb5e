// port/pcap.h — a port of files: it replays one capture and records what is sent into another.
//
// Why:    any capture from the wild becomes a test, and any experiment leaves a file for Wireshark.
// Thread: one worker replays. Every queue records through a buffer of its own; the file is opened
//         for appending and gets whole records per write.
// Limits: the replayed file is kept in memory, at most 1 GiB. A record file that exists is
//         replaced.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "port/pcap_file.h"
#include "port/port.h"

namespace vtep {

// What the queues of one port share.
struct PcapFiles {
  std::vector<uint8_t> replay;             // the bytes of the replayed file
  std::vector<PcapRecord> records;         // its packets
  Fd record;                               // not open: what is sent is counted and thrown away
  std::atomic<bool> record_failed{false};  // a write was cut short (disk full): the file ends there
};

class PcapPort final : public Port {
 public:
  // Throws Error when a file cannot be opened or makes no sense.
  PcapPort(const PortConfig& config, FramePool& pool);

  PortStatus status() const override;
  std::unique_ptr<PortQueue> open_queue(uint32_t worker, bool receive) override;

 private:
  std::shared_ptr<PcapFiles> files_;
};

}  // namespace vtep
