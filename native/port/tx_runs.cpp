// port/tx_runs.cpp — see tx_runs.h. Whether two packets may be joined is told from their bytes.
#include "port/tx_runs.h"

#include <cstring>

#include "base/assert.h"
#include "base/be.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace vtep {
namespace {

constexpr uint32_t l3_at = eth_header_bytes;  // packets with an outer VLAN tag are not joined
constexpr uint32_t l4_v4 = l3_at + ipv4_header_bytes;
constexpr uint32_t l4_v6 = l3_at + ipv6_header_bytes;
constexpr uint32_t outer_v4 = l4_v4 + udp_header_bytes;
constexpr uint32_t outer_v6 = l4_v6 + udp_header_bytes;
constexpr uint32_t udp_bytes_max = 65535 - ipv4_header_bytes;

bool is_v6(const uint8_t* data) noexcept {
  return load_be16(data + eth_type_offset).raw == be16(eth_type_ipv6).raw;
}

// Bytes up to the UDP payload of a plain IPv4 or IPv6 packet with UDP, whose lengths agree; else 0.
uint32_t outer_bytes(const Packet& packet) noexcept {
  const uint8_t* const ip = packet.data + l3_at;
  if (packet.length <= outer_v4) return 0;
  const uint16_t type = load_be16(packet.data + eth_type_offset).host();
  uint32_t outer = 0;
  if (type == eth_type_ipv4) {
    const bool plain = ip[0] == 0x45 && ip[ipv4_proto_offset] == ip_proto_udp &&
                       load_be16(ip + ipv4_frag_offset).host() == ipv4_dont_fragment;
    if (!plain || load_be16(ip + ipv4_total_length_offset).host() + l3_at != packet.length)
      return 0;
    outer = outer_v4;
  } else if (type == eth_type_ipv6 && packet.length > outer_v6) {
    if (ip[ipv6_next_header_offset] != ip_proto_udp) return 0;
    outer = outer_v6;
  } else {
    return 0;
  }
  const uint8_t* const udp = packet.data + outer - udp_header_bytes;
  const uint32_t udp_bytes = load_be16(udp + udp_length_offset).host();
  return udp_bytes + outer - udp_header_bytes == packet.length ? outer : 0;
}

// A superpacket's checksums are made by whoever segments it; those of its packets must thus not be
// made yet (outer IPv6), or not wanted (outer IPv4: 0). Geneve and VXLAN take them either way.
bool checksum_open(const Packet& packet, uint32_t outer) noexcept {
  const Offload& offload = packet.offload;
  if (offload.gso_type != GsoType::None) return false;
  const uint32_t l4 = outer - udp_header_bytes;
  if ((offload.flags & offload_needs_checksum) != 0)
    return offload.checksum_start == l4 && offload.checksum_offset == udp_checksum_offset;
  return outer == outer_v4 && load_be16(packet.data + l4 + udp_checksum_offset).raw == 0;
}

// Whether all that a superpacket says once is the same: all but lengths, IPv4 ID and checksums.
bool same_outer(const uint8_t* a, const uint8_t* b, uint32_t outer) noexcept {
  if (is_v6(a)) {
    return memcmp(a, b, l3_at + ipv6_payload_length_offset) == 0 &&
           memcmp(a + l3_at + ipv6_next_header_offset, b + l3_at + ipv6_next_header_offset,
                  outer - 4 - l3_at - ipv6_next_header_offset) == 0;
  }
  return memcmp(a, b, l3_at + ipv4_total_length_offset) == 0 &&
         memcmp(a + l3_at + ipv4_frag_offset, b + l3_at + ipv4_frag_offset, 4) == 0 &&
         memcmp(a + l3_at + ipv4_src_offset, b + l3_at + ipv4_src_offset,
                outer - 4 - l3_at - ipv4_src_offset) == 0;
}

// Sets the lengths of `bytes` in outer headers, and leaves the UDP checksum to the device.
void write_outer(uint8_t* data, uint32_t outer, uint32_t bytes) noexcept {
  uint8_t* const ip = data + l3_at;
  uint8_t* const udp = data + outer - udp_header_bytes;
  const uint32_t udp_bytes = bytes - outer + udp_header_bytes;
  uint64_t pseudo = 0;
  if (outer == outer_v6) {
    store_be16(ip + ipv6_payload_length_offset, be16(static_cast<uint16_t>(udp_bytes)));
    pseudo = pseudo_sum_v6(ip + ipv6_src_offset, ip + ipv6_dst_offset, ip_proto_udp, udp_bytes);
  } else {
    const Be16 before = load_be16(ip + ipv4_total_length_offset);
    const Be16 after = be16(static_cast<uint16_t>(bytes - l3_at));
    const Be16 checksum = load_be16(ip + ipv4_checksum_offset);
    store_be16(ip + ipv4_total_length_offset, after);
    store_be16(ip + ipv4_checksum_offset, checksum_update(checksum, before, after));
    pseudo = pseudo_sum_v4(ip + ipv4_src_offset, ip + ipv4_dst_offset, ip_proto_udp, udp_bytes);
  }
  store_be16(udp + udp_length_offset, be16(static_cast<uint16_t>(udp_bytes)));
  store_be16(udp + udp_checksum_offset, checksum_fold(pseudo));
}

}  // namespace

bool TxRuns::joins(const TxRun& run, const Packet& packet, uint32_t payload) const noexcept {
  const Packet& first = packets_[run.first];
  return !run.closed && payload <= run.payload &&
         run.bytes + payload - run.outer <= udp_bytes_max - udp_header_bytes &&
         first.offload.flags == packet.offload.flags && is_v6(first.data) == is_v6(packet.data) &&
         same_outer(first.data, packet.data, run.outer);
}

void TxRuns::add(const Packet& packet) noexcept {
  DP_DASSERT(!full());
  const auto index = static_cast<uint8_t>(packet_count_++);
  packets_[index] = packet;
  uint32_t outer = join_ ? outer_bytes(packet) : 0;
  if (outer != 0 && !checksum_open(packet, outer)) outer = 0;
  const uint32_t payload = packet.length - outer;
  uint32_t slot = 0;
  if (outer != 0) {
    slot = packet.data[outer - udp_header_bytes + udp_src_offset + 1] % flow_slots;
    if ((slots_used_ >> slot & 1) != 0) {
      TxRun& run = runs_[by_flow_[slot]];
      if (joins(run, packet, payload)) {
        next_[run.last] = index;
        run.last = index;
        run.bytes += payload;
        run.closed = ++run.count == run_packets_max || payload < run.payload;
        return;
      }
    }
    slots_used_ |= 1u << slot;
    by_flow_[slot] = static_cast<uint8_t>(run_count_);
  }
  runs_[run_count_++] = {index,
                         index,
                         1,
                         outer == 0,
                         static_cast<uint16_t>(outer == 0 ? 0 : payload),
                         static_cast<uint16_t>(outer),
                         packet.length};
}

Packet TxRuns::whole(uint32_t at) noexcept {
  const TxRun& run = runs_[at];
  Packet packet = packets_[run.first];
  if (run.count == 1) return packet;
  write_outer(packet.data, run.outer, run.bytes);
  packet.length = run.bytes;
  packet.offload.flags = offload_needs_checksum;
  packet.offload.checksum_start = static_cast<uint16_t>(run.outer - udp_header_bytes);
  packet.offload.checksum_offset = udp_checksum_offset;
  packet.offload.gso_type = GsoType::UdpL4;
  packet.offload.gso_size = run.payload;
  return packet;
}

void TxRuns::clear() noexcept {
  packet_count_ = 0;
  run_count_ = 0;
  slots_used_ = 0;
}

}  // namespace vtep
