// action/tx_stage.h — where executed packets wait for their port: one lane per device port.
//
// Why:    actions know port numbers, not ports. The worker owns the lanes, finishes the offloads
//         that a port cannot take and hands each lane to its PortQueue when full or at the breath's
//         end.
// Thread: one per worker.
// Owner:  a packet in a lane is owned by the stage.
// Limits: lane_packets per port before a flush.
#pragma once

#include <cstdint>

#include "base/limits.h"
#include "packet/gso.h"
#include "packet/packet.h"

namespace vtep {

class TxStage {
 public:
  static constexpr uint32_t lane_packets = 64;
  struct Lane {
    uint32_t count = 0;
    uint8_t can = 0;  // tx_can_* bits of the port (packet/gso.h), set when the lane is made
    bool unfinished = false;  // a packet in it has offloads left, which the port may not take
    Packet packets[lane_packets];
  };

  virtual ~TxStage() = default;
  bool has_port(uint32_t port) const noexcept { return port < port_max && lanes_[port] != nullptr; }
  // What the port takes unfinished; the caller has checked has_port().
  uint8_t can(uint32_t port) const noexcept { return lanes_[port]->can; }
  // The packet is consumed. The caller has checked has_port().
  void add(uint32_t port, const Packet& packet) noexcept {
    Lane& to = *lanes_[port];
    place(to, port) = packet;
    to.unfinished |= packet.offload.any();
    placed(to, port);
  }
  // The same in steps, for packets without offloads: the lane of a port, a place in it that the
  // caller fills, then placed().
  Lane& lane(uint32_t port) noexcept { return *lanes_[port]; }
  Packet& place(Lane& lane, uint32_t port) noexcept {
    if (lane.count == 0) active_[active_count_++] = static_cast<uint16_t>(port);
    return lane.packets[lane.count];
  }
  void placed(Lane& lane, uint32_t port) noexcept {
    if (++lane.count == lane_packets) [[unlikely]]
      drain(port);
  }

 protected:
  // Sends what is in the lane: sets its count to 0 and takes the port off the active list.
  virtual void drain(uint32_t port) noexcept = 0;

  Lane* lanes_[port_max] = {};        // null: no such port
  uint16_t active_[port_max] = {};    // ports with a non-empty lane
  uint32_t active_count_ = 0;
};

}  // namespace vtep
