// port/vnet_frame.cpp — offload state in and out of virtio_net_hdr (virtio 1.2, 5.1.6), and
// recomposition.
#include "port/vnet_frame.h"

#include <sys/utsname.h>

#include <cstdio>
#include <cstring>

#include "base/be.h"
#include "port/kernel_abi.h"

namespace vtep {
namespace {

bool gso_from_vnet(const VnetHeader& header, Offload& offload) noexcept {
  const uint8_t type = header.gso_type & static_cast<uint8_t>(~kernel::vnet_gso_ecn);
  if (type == kernel::vnet_gso_none) return true;
  if (type != kernel::vnet_gso_tcp_v4 && type != kernel::vnet_gso_tcp_v6 &&
      type != kernel::vnet_gso_udp_l4)
    return false;
  if (header.gso_size == 0) return false;
  offload.gso_type = static_cast<GsoType>(type);
  offload.gso_size = header.gso_size;
  if (header.gso_type & kernel::vnet_gso_ecn) offload.flags |= offload_tcp_ecn;
  return true;
}

}  // namespace

bool release_has_uso(const char* release) noexcept {
  unsigned major = 0;
  unsigned minor = 0;
  if (sscanf(release, "%u.%u", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 2);
}

bool kernel_has_uso() noexcept {
  utsname name;
  return ::uname(&name) == 0 && release_has_uso(name.release);
}

bool offload_from_vnet(const VnetHeader& header, uint32_t length, Offload& offload) noexcept {
  offload = Offload{};
  if (header.flags & kernel::vnet_needs_checksum) {
    if (uint32_t{header.csum_start} + header.csum_offset + 2 > length) return false;
    offload.flags |= offload_needs_checksum;
    offload.checksum_start = header.csum_start;
    offload.checksum_offset = header.csum_offset;
  } else if (header.flags & kernel::vnet_data_valid) {
    offload.flags |= offload_data_valid;
  }
  return gso_from_vnet(header, offload);
}

VnetHeader vnet_from_offload(const Packet& packet) noexcept {
  VnetHeader header = {};
  const Offload& offload = packet.offload;
  if (offload.flags & offload_needs_checksum) {
    header.flags = kernel::vnet_needs_checksum;
    header.csum_start = offload.checksum_start;
    header.csum_offset = offload.checksum_offset;
  }
  if (offload.gso_type == GsoType::None) return header;
  header.gso_type = static_cast<uint8_t>(offload.gso_type);
  header.gso_size = offload.gso_size;
  if (offload.flags & offload_tcp_ecn) header.gso_type |= kernel::vnet_gso_ecn;
  // The kernel makes this much of the packet linear: all headers, or it has to pull them one by
  // one.
  uint32_t header_bytes = offload.checksum_start + 8u;
  if (offload.gso_type != GsoType::UdpL4 && offload.checksum_start + 13u <= packet.length)
    header_bytes = offload.checksum_start + (packet.data[offload.checksum_start + 12] >> 4) * 4u;
  if (header_bytes > packet.length) header_bytes = packet.length;
  header.hdr_len = static_cast<uint16_t>(header_bytes > 0xffff ? 0xffff : header_bytes);
  return header;
}

void insert_vlan(Packet& packet, uint16_t tpid, uint16_t tci) noexcept {
  prepend(packet, vlan_tag_bytes);
  memmove(packet.data, packet.data + vlan_tag_bytes, 12);
  store_be16(packet.data + 12, be16(tpid));
  store_be16(packet.data + 14, be16(tci));
}

ScatterFrames::ScatterFrames(FramePool& pool) noexcept : pool_(pool) {
  for (uint32_t slot = 0; slot < slot_max; ++slot) {
    small_[slot] = no_frame;
    large_[slot] = no_frame;
    vectors_[slot][0] = {&headers_[slot], sizeof headers_[slot]};
    vectors_[slot][1] = {nullptr, rx_small_bytes};
    vectors_[slot][2] = {nullptr, rx_spill_bytes};
  }
}

ScatterFrames::~ScatterFrames() {
  for (uint32_t slot = 0; slot < held_; ++slot) {
    if (small_[slot] != no_frame) pool_.give(&small_[slot], 1);
    if (large_[slot] != no_frame) pool_.give(&large_[slot], 1);
  }
}

uint32_t ScatterFrames::prepare(FrameCache& frames, uint32_t wanted) noexcept {
  for (uint32_t slot = 0; slot < wanted; ++slot) {
    if (slot >= held_) held_ = slot + 1;
    if (small_[slot] == no_frame) {
      small_[slot] = frames.alloc_small();
      if (small_[slot] == no_frame) return slot;
      vectors_[slot][1].iov_base = pool_.base(small_[slot]) + rx_data_offset;
    }
    if (large_[slot] == no_frame) {
      large_[slot] = frames.alloc_large();
      if (large_[slot] == no_frame) return slot;
      vectors_[slot][2].iov_base = pool_.base(large_[slot]) + rx_spill_offset;
    }
  }
  return wanted;
}

void ScatterFrames::release(FrameCache& frames) noexcept {
  for (uint32_t slot = 0; slot < held_; ++slot) {
    if (small_[slot] != no_frame) frames.free(small_[slot]);
    if (large_[slot] != no_frame) frames.free(large_[slot]);
    small_[slot] = no_frame;
    large_[slot] = no_frame;
  }
  held_ = 0;
}

Packet ScatterFrames::take(uint32_t slot, uint32_t length, DropReason& reason) noexcept {
  Packet packet;
  if (length > packet_bytes_max) {
    reason = DropReason::TooLong;
    return packet;
  }
  if (!offload_from_vnet(headers_[slot], length, packet.offload)) {
    reason = DropReason::BadOffload;
    return packet;
  }
  FrameId& frame = length > rx_small_bytes ? large_[slot] : small_[slot];
  packet.frame = frame;
  packet.data = pool_.base(frame) + rx_data_offset;
  packet.length = length;
  if (length > rx_small_bytes)
    memcpy(packet.data, pool_.base(small_[slot]) + rx_data_offset, rx_small_bytes);
  frame = no_frame;
  return packet;
}

}  // namespace vtep
