// packet/packet.h — a packet: a view into a frame, its length and its offload state.
//
// Why:    packets move by value in batches; a frame has one owner at a time: the port's ring, the
//         batch, or the free list. Whoever holds the Packet transmits, hands over or frees it.
// Thread: a packet belongs to one worker from rx to tx.
// Limits: packet_bytes_max; frames come in two sizes (base/limits.h).
#pragma once

#include <cstdint>

#include "base/limits.h"

namespace vtep {

// Number of a frame in the pool; the top bit tells the size.
struct FrameId {
  static constexpr uint32_t large_bit = 0x80000000u;
  uint32_t raw;
  constexpr bool large() const noexcept { return (raw & large_bit) != 0; }
  constexpr uint32_t index() const noexcept { return raw & ~large_bit; }
  constexpr bool operator==(const FrameId&) const noexcept = default;
};
constexpr FrameId no_frame{0x7fffffffu};

// As in virtio_net_hdr (virtio 1.2, 5.1.6): what the sender left to us, and what it promises.
enum class GsoType : uint8_t { None = 0, TcpV4 = 1, TcpV6 = 4, UdpL4 = 5 };

constexpr uint8_t offload_needs_checksum = 1;  // the field holds the pseudo-header sum only
constexpr uint8_t offload_data_valid = 2;      // the device vouches for the L4 checksum
constexpr uint8_t offload_tcp_ecn = 4;         // GSO of a TCP segment with CWR (virtio: GSO_ECN)

// Offsets count from Packet::data. They move with it: prepend() and trim_front() adjust them.
struct Offload {
  uint8_t flags = 0;               // offload_* bits
  GsoType gso_type = GsoType::None;
  uint16_t gso_size = 0;           // payload bytes per segment; 0 when GsoType::None
  uint16_t checksum_start = 0;     // valid with offload_needs_checksum
  uint16_t checksum_offset = 0;    // from checksum_start to the 16-bit field

  constexpr bool any() const noexcept {
    return ((flags & offload_needs_checksum) | static_cast<uint8_t>(gso_type)) != 0;
  }
  constexpr bool operator==(const Offload&) const noexcept = default;
};
static_assert(sizeof(Offload) == 8);

struct Packet {
  uint8_t* data = nullptr;   // first byte of the Ethernet header
  uint32_t length = 0;       // bytes from data
  FrameId frame = no_frame;  // who owns the bytes
  Offload offload;           // what is left to do
  uint32_t in_port = 0;      // device port it came in by; 0 for packets that we made
  uint32_t unused = 0;       // keeps the size at half a cache line
};
static_assert(sizeof(Packet) == 32);

}  // namespace vtep
