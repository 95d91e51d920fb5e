// port/port.h — what a port is, and what every port must do.
//
// A port is a place where packets enter and leave the switch: an AF_PACKET socket, an AF_XDP
// socket, a TAP file, a pcap file, a piece of memory. The datapath knows only this file. A new kind
// of port is one new class and one line in port_factory.cpp.
//
// Life. The control thread constructs a port (which opens its device and may throw Error), then
// asks for one PortQueue per worker with open_queue(). From then on the worker owns the queue's
// use: rx_burst, tx_burst and flush are called by that worker's thread only. Removing a port: the
// datapath takes the queues away from the workers, waits until each has passed the end of a breath,
// and destroys the port. Destruction gives back every frame, detaches every program it attached and
// closes every descriptor.
//
// Receiving. rx_burst() fills packets[0..n) with frames taken from the worker's FrameCache (or, for
// AF_XDP, from the fill ring, whose frames came from it), n <= max. It never blocks. A queue with
// `receives() == false` is used only for sending: with several workers, a single-queue device is
// read by one of them and written by all. Each packet has frame_headroom bytes before data, data at
// the Ethernet header, offload state as the device told it, in_port set. VLAN tags that the kernel
// took out of the bytes are put back. A packet that does not fit is counted (DropReason::TooLong),
// not returned.
//
// Offload truth. Some devices lie by omission: AF_XDP on veth hands over packets whose L4 checksum
// is only the pseudo-header sum, without a flag. A port on such a device sets
// `capabilities().rx_partial_unmarked`, looks at the checksum field itself and marks the packet
// offload_needs_checksum.
//
// Sending. tx_burst() takes ownership of every packet it is given and consumes all of them: sent,
// or freed and counted. It may keep them until flush(), which is called once per breath. Packets
// agree with capabilities(): the worker has segmented and finished checksums of what the port
// cannot do, so the port passes the offload state on and adds nothing. A full device queue drops
// with TxFull after one retry.
//
// Host. Packets of a port are the switch's alone: a port on a device that the host's own stack also
// reads (AF_PACKET) keeps the stack from acting on them (ingress_guard.h). On an uplink only UDP to
// the tunnel ports of PortConfig reaches us, the host keeps everything else; udp_sink.h keeps the
// host from answering.
//
// Sleep. rx_fd() is a descriptor that polls readable when rx_burst() would return something; -1 for
// ports that must be polled (memory, pcap): their worker does not sleep while they say pending().
// Ports make no log lines: they count (PortStats) and throw at set-up.
//
// Thread. Construction, open_queue, mtu(), stats from the control thread; PortQueue from its
// worker.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/drop_reasons.h"
#include "packet/frame_pool.h"
#include "packet/packet.h"

namespace vtep {

enum class PortKind : uint32_t {
  Auto = 0,  // we choose, and say why in PortStatus
  AfPacket = 1,
  AfXdp = 2,  // zero-copy where the driver has it, else copy, else generic
  AfXdpNative = 3,
  AfXdpGeneric = 4,
  Tap = 5,
  Pcap = 6,
  Memory = 7,
};

constexpr uint32_t port_flag_uplink = 1;  // carries tunnel packets: parse opens them
constexpr uint32_t port_flag_loop = 2;    // pcap: replay for ever
constexpr uint32_t path_bytes_max = 256;

// As the control side asks for it. A plain struct: it crosses the control socket as bytes.
struct PortConfig {
  uint32_t number = 0;  // 1..port_max-1, chosen by the control side
  PortKind kind = PortKind::Auto;
  uint32_t flags = 0;                 // port_flag_*
  uint32_t mtu = 0;                   // 0: the device's own
  uint16_t vxlan_port = 4789;         // uplink: UDP port of VXLAN, host order; 0: none
  uint16_t geneve_port = 6081;        // uplink: UDP port of Geneve, host order; 0: none
  char name[32] = {};                 // for people and messages
  char device[32] = {};               // Linux netdev; TAP: its name, created if absent
  char rx_path[path_bytes_max] = {};  // pcap: file to replay, or empty
  char tx_path[path_bytes_max] = {};  // pcap: file to write, or empty
};

struct PortCapabilities {
  bool tx_checksum = false;          // takes offload_needs_checksum
  bool tx_tso = false;               // takes GsoType::TcpV4 and TcpV6
  bool tx_uso = false;               // takes GsoType::UdpL4 (kernel >= 6.2 for AF_PACKET)
  bool rx_superpackets = false;      // may hand over superpackets
  bool rx_partial_unmarked = false;  // see "Offload truth"
};

// What the control side shows of a port.
struct PortStatus {
  PortKind kind = PortKind::Auto;  // what was chosen
  uint32_t ifindex = 0;            // 0: no netdev
  uint32_t mtu = 0;                // L3 bytes
  uint32_t link_up = 0;
  std::array<uint8_t, 6> mac = {};
  char mode[32] = {};  // "af_packet", "af_xdp native copy", ...
  char why[192] = {};  // why this mode and no better one, one sentence
};

// Counters that the port itself keeps, per queue; the worker adds them to shared memory after a
// burst.
struct PortQueueStats {
  uint64_t drops[drop_reason_max] = {};  // by DropReason
  uint64_t kernel_drops = 0;
};

class PortQueue {
 public:
  virtual ~PortQueue() = default;
  virtual uint32_t rx_burst(FrameCache& frames, Packet* packets, uint32_t max) noexcept = 0;
  virtual void tx_burst(FrameCache& frames, const Packet* packets, uint32_t count) noexcept = 0;
  virtual void flush(FrameCache& frames) noexcept = 0;
  virtual bool receives() const noexcept = 0;
  virtual int rx_fd() const noexcept = 0;
  // Whether a port without rx_fd has packets waiting.
  virtual bool pending() const noexcept { return false; }
  PortQueueStats stats;  // written by the worker's thread only
};

class Port {
 public:
  explicit Port(const PortConfig& config) : config_(config) {}
  virtual ~Port() = default;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  const PortConfig& config() const noexcept { return config_; }
  const PortCapabilities& capabilities() const noexcept { return capabilities_; }
  virtual PortStatus status() const = 0;
  // The queue of worker `worker`. `receive` says whether that worker reads the device. Throws
  // Error.
  virtual std::unique_ptr<PortQueue> open_queue(uint32_t worker, bool receive) = 0;

  // Narrows an uplink to the local VTEP addresses (IPv6, or IPv4 as ::ffff:a.b.c.d). Without a
  // call, and on ports that cannot tell, tunnel packets to any address of the host arrive.
  virtual void set_endpoints(const std::vector<std::array<uint8_t, 16>>& addresses) {
    (void)addresses;
  }

  // One sentence for PortStatus::why: who chose this kind of port, and for what reason.
  void set_why(const std::string& sentence) { why_ = sentence; }

 protected:
  PortConfig config_;
  PortCapabilities capabilities_;
  std::string why_ = "asked for by the configuration";  // cut to PortStatus::why
};

// Opens the device and returns the port; Auto is resolved here. Throws Error with one of
// ERR_DEVICE_NOT_FOUND, ERR_DEVICE_BUSY, ERR_PERMISSION, ERR_XDP_UNSUPPORTED, ERR_LIMIT,
// ERR_CONFIG_INVALID (a malformed pcap file, a device of the wrong kind).
std::unique_ptr<Port> make_port(const PortConfig& config, FramePool& pool);

}  // namespace vtep
