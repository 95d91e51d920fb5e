// port/tx_runs.h — packets that wait to be sent, tunnel packets of one outer flow joined into runs.
//
// Why:    a run of tunnel packets of one size to one VTEP leaves as one UDP_L4 superpacket
//         (UDP_SEGMENT): the underlay's stack, and a peer that takes superpackets, are passed once
//         instead of once a packet. Nothing waits for it: only packets of one breath are joined.
//         Packets are not moved; a message to the kernel gathers their bytes.
// Source: virtio 1.2 section 5.1.6 (VIRTIO_NET_HDR_GSO_UDP_L4); Linux, Documentation of
// UDP_SEGMENT;
//         RFC 6864: with DF the IPv4 ID means nothing, so that packets without DF are not joined.
// Thread: one queue's, and thus one worker's.
// Owner:  packets added are ours until clear(); their frames are freed by the caller.
// Limits: packets_max until clear(); run_packets_max and 64 KiB a run.
#pragma once

#include <cstdint>

#include "packet/packet.h"

namespace vtep {

// One message for the kernel: a packet as it is, or several that become one superpacket.
struct TxRun {
  uint8_t first = 0;  // index of the first packet
  uint8_t last = 0;
  uint8_t count = 0;     // packets
  bool closed = true;    // takes no more packets
  uint16_t payload = 0;  // UDP payload bytes of each packet but the last
  uint16_t outer = 0;    // bytes up to the UDP payload: what a superpacket has once
  uint32_t bytes = 0;    // of all packets, the outer headers of the first alone
};

class TxRuns {
 public:
  static constexpr uint32_t packets_max = 128;
  static constexpr uint32_t run_packets_max = 64;  // UDP_MAX_SEGMENTS of Linux before 6.9

  // `join` false: every packet is a run of its own.
  explicit TxRuns(bool join) noexcept : join_(join) {}

  // The caller has checked full(). Order is kept within an outer flow, not between flows.
  void add(const Packet& packet) noexcept;
  bool full() const noexcept { return packet_count_ == packets_max; }
  uint32_t packet_count() const noexcept { return packet_count_; }
  uint32_t count() const noexcept { return run_count_; }
  const TxRun& run(uint32_t at) const noexcept { return runs_[at]; }
  const Packet& packet(uint32_t at) const noexcept { return packets_[at]; }
  // The packet behind `at` in its run.
  uint32_t next(uint32_t at) const noexcept { return next_[at]; }
  // What the kernel is told of a run: the first packet with the length and offload state of the
  // whole. Writes the outer lengths and checksums of a run of several into the first packet.
  Packet whole(uint32_t at) noexcept;
  void clear() noexcept;

 private:
  static constexpr uint32_t flow_slots = 32;  // outer flows that may be joined side by side
  static constexpr uint8_t no_run = 0xff;

  bool joins(const TxRun& run, const Packet& packet, uint32_t payload) const noexcept;

  const bool join_;
  uint32_t packet_count_ = 0;
  uint32_t run_count_ = 0;
  uint32_t slots_used_ = 0;  // bits of by_flow_ that hold a run
  Packet packets_[packets_max];
  uint8_t next_[packets_max] = {};
  TxRun runs_[packets_max];
  uint8_t by_flow_[flow_slots] = {};  // the last run of a flow, by its UDP source port
};

}  // namespace vtep
