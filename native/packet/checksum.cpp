// packet/checksum.cpp — sums, and the checksums that senders left to us.
//
// Why:    64-bit accumulators of 32-bit words need no carry handling for 2^32 words. Headers stay
//         on the scalar path: below avx2_bytes_min the vector set-up costs more than it saves.
#include "packet/checksum.h"

#include "packet/headers.h"

namespace vtep {

namespace {

constexpr size_t avx2_bytes_min = 128;

using AddFunction = uint64_t (*)(const uint8_t*, size_t, uint64_t) noexcept;

AddFunction choose_add() noexcept {
#if defined(__x86_64__)
  if (checksum_has_avx2()) return checksum_add_avx2;
#endif
  return checksum_add_portable;
}

// Portable until the initializers of this file have run, so that it can be called at any time.
AddFunction add_long = checksum_add_portable;
[[maybe_unused]] const bool chosen = (add_long = choose_add(), true);

uint64_t load64(const uint8_t* bytes) noexcept {
  uint64_t value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

uint64_t add_halves(uint64_t sum, uint64_t word) noexcept {
  return sum + (word & 0xffffffffu) + (word >> 32);
}

}  // namespace

bool checksum_has_avx2() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2");
#else
  return false;
#endif
}

#if !defined(__x86_64__)
uint64_t checksum_add_avx2(const uint8_t* bytes, size_t count, uint64_t sum) noexcept {
  return checksum_add_portable(bytes, count, sum);
}
#endif

uint64_t checksum_add_portable(const uint8_t* bytes, size_t count, uint64_t sum) noexcept {
  uint64_t other = 0;  // two chains, so that additions overlap
  while (count >= 32) {
    sum = add_halves(add_halves(sum, load64(bytes)), load64(bytes + 8));
    other = add_halves(add_halves(other, load64(bytes + 16)), load64(bytes + 24));
    bytes += 32;
    count -= 32;
  }
  sum += other;
  while (count >= 4) {
    sum += load_be32(bytes).raw;
    bytes += 4;
    count -= 4;
  }
  if (count >= 2) {
    sum += load_be16(bytes).raw;
    bytes += 2;
    count -= 2;
  }
  if (count != 0) sum += be16(static_cast<uint16_t>(bytes[0] << 8)).raw;
  return sum;
}

uint64_t checksum_add(const uint8_t* bytes, size_t count, uint64_t sum) noexcept {
  if (count < avx2_bytes_min) return checksum_add_portable(bytes, count, sum);
  return add_long(bytes, count, sum);
}

Be16 checksum_update(Be16 checksum, const uint8_t* before, const uint8_t* after,
                     size_t count) noexcept {
  const Be16 old_sum = checksum_fold(checksum_add_portable(before, count, 0));
  const uint64_t sum =
      uint64_t{static_cast<uint16_t>(~checksum.raw)} + static_cast<uint16_t>(~old_sum.raw);
  return checksum_finish(checksum_add_portable(after, count, sum));
}

namespace {

// CRC32c of SCTP (RFC 9260 appendix A), which a Linux sender leaves to the device like the others.
uint32_t crc32c_byte(uint32_t crc, uint8_t byte) noexcept {
#if defined(__SSE4_2__)
  return __builtin_ia32_crc32qi(crc, byte);
#else
  crc ^= byte;
  for (uint32_t bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
  return crc;
#endif
}

void finish_sctp(uint8_t* start, uint32_t bytes) noexcept {
  uint8_t* field = start + sctp_checksum_offset;
  memset(field, 0, 4);
  uint32_t crc = 0xffffffffu;
  uint32_t at = 0;
#if defined(__SSE4_2__)
  for (; at + 8 <= bytes; at += 8)
    crc = static_cast<uint32_t>(__builtin_ia32_crc32di(crc, load64(start + at)));
#endif
  for (; at < bytes; ++at) crc = crc32c_byte(crc, start[at]);
  crc = ~crc;
  for (uint32_t byte = 0; byte < 4; ++byte) field[byte] = static_cast<uint8_t>(crc >> 8 * byte);
}

void clear_checksum_place(Offload& offload) noexcept {
  offload.flags = static_cast<uint8_t>(offload.flags & ~offload_needs_checksum);
  offload.checksum_start = 0;
  offload.checksum_offset = 0;
}

}  // namespace

bool finish_checksum(Packet& packet) noexcept {
  Offload& offload = packet.offload;
  if ((offload.flags & offload_needs_checksum) == 0) return true;
  if (!checksum_place_inside(packet)) return false;
  uint8_t* start = packet.data + offload.checksum_start;
  const uint32_t bytes = packet.length - offload.checksum_start;
  if (offload.checksum_offset == sctp_checksum_offset) {
    finish_sctp(start, bytes);
    clear_checksum_place(offload);
    return true;
  }
  const uint64_t sum = checksum_add(start, bytes);
  const bool udp = offload.checksum_offset == udp_checksum_offset;
  store_be16(start + offload.checksum_offset,
             udp ? checksum_finish_udp(sum) : checksum_finish(sum));
  clear_checksum_place(offload);
  return true;
}

namespace {

// The L4 part of a packet as its IP header describes it.
struct L4Part {
  uint64_t pseudo_sum = 0;
  uint32_t bytes = 0;            // L4 header and data, without Ethernet padding; 0: not to be had
  uint32_t checksum_offset = 0;  // in the L4 header; 0: neither TCP nor UDP
};

uint32_t checksum_offset_of(uint8_t proto) noexcept {
  if (proto == ip_proto_tcp) return tcp_checksum_offset;
  return proto == ip_proto_udp ? udp_checksum_offset : 0;
}

// What follows the last extension header at `l4` is not written in the IPv6 header: the caller
// says.
L4Part l4_part(const Packet& packet, uint32_t l3, uint32_t l4, uint8_t proto6) noexcept {
  L4Part part;
  const uint8_t* ip = packet.data + l3;
  if (l3 + ipv4_header_bytes > packet.length || l4 <= l3) return part;
  if (ip[0] >> 4 == 4) {
    const uint32_t end = l3 + load_be16(ip + ipv4_total_length_offset).host();
    if (end > packet.length || end <= l4) return part;
    part.bytes = end - l4;
    const uint8_t proto = ip[ipv4_proto_offset];
    part.checksum_offset = checksum_offset_of(proto);
    part.pseudo_sum = pseudo_sum_v4(ip + ipv4_src_offset, ip + ipv4_dst_offset, proto, part.bytes);
  } else if (ip[0] >> 4 == 6 && l3 + ipv6_header_bytes <= packet.length) {
    const uint32_t end = l3 + ipv6_header_bytes + load_be16(ip + ipv6_payload_length_offset).host();
    if (end > packet.length || end <= l4) return part;
    part.bytes = end - l4;
    part.checksum_offset = checksum_offset_of(proto6);
    part.pseudo_sum = pseudo_sum_v6(ip + ipv6_src_offset, ip + ipv6_dst_offset, proto6, part.bytes);
  }
  return part;
}

bool part_looks_partial(const Packet& packet, uint32_t l4, const L4Part& part) noexcept {
  if (part.checksum_offset == 0 || part.bytes < part.checksum_offset + 2) return false;
  const Be16 field = load_be16(packet.data + l4 + part.checksum_offset);
  if (!(field == checksum_fold(part.pseudo_sum))) return false;
  return !checksum_valid(checksum_add(packet.data + l4, part.bytes, part.pseudo_sum));
}

// Where the L4 header of a plain packet is; l4 == 0: not found.
struct Place {
  uint32_t l3 = 0;
  uint32_t l4 = 0;
  uint8_t proto = 0;
};

Place find_ipv4(const Packet& packet, uint32_t l3) noexcept {
  const uint8_t* ip = packet.data + l3;
  if (l3 + ipv4_header_bytes > packet.length || ip[0] >> 4 != 4) return {};
  const uint32_t header = (ip[0] & 15u) * 4;
  if (header < ipv4_header_bytes || l3 + header > packet.length) return {};
  const uint16_t frag = load_be16(ip + ipv4_frag_offset).host();
  if (frag & (ipv4_more_fragments | ipv4_frag_offset_mask)) return {};
  return {l3, l3 + header, ip[ipv4_proto_offset]};
}

Place find_ipv6(const Packet& packet, uint32_t l3) noexcept {
  const uint8_t* ip = packet.data + l3;
  if (l3 + ipv6_header_bytes > packet.length || ip[0] >> 4 != 6) return {};
  uint8_t next = ip[ipv6_next_header_offset];
  uint32_t at = l3 + ipv6_header_bytes;
  for (uint32_t hops = 0; hops < 8; ++hops) {
    if (next != ip_proto_hop_by_hop && next != ip_proto_routing && next != ip_proto_dest_opts)
      return {l3, at, next};
    if (at + 8 > packet.length) return {};
    next = packet.data[at];
    at += (packet.data[at + 1] + 1u) * 8;
  }
  return {};
}

Place find_l4(const Packet& packet) noexcept {
  uint32_t type_at = eth_type_offset;
  for (uint32_t tags = 0; tags <= 2; ++tags, type_at += vlan_tag_bytes) {
    if (type_at + 2 > packet.length) return {};
    const uint16_t type = load_be16(packet.data + type_at).host();
    if (type == eth_type_ipv4) return find_ipv4(packet, type_at + 2);
    if (type == eth_type_ipv6) return find_ipv6(packet, type_at + 2);
    if (type != eth_type_vlan && type != eth_type_qinq) return {};
  }
  return {};
}

}  // namespace

bool looks_partial(const Packet& packet, uint32_t l3, uint32_t l4) noexcept {
  if (l3 >= packet.length || l4 <= l3) return false;
  if (packet.data[l3] >> 4 != 6) return part_looks_partial(packet, l4, l4_part(packet, l3, l4, 0));
  const Place place = find_ipv6(packet, l3);
  if (place.l4 != l4) return false;
  return part_looks_partial(packet, l4, l4_part(packet, l3, l4, place.proto));
}

bool mark_if_partial(Packet& packet) noexcept {
  const Place place = find_l4(packet);
  if (place.l4 == 0) return false;
  const L4Part part = l4_part(packet, place.l3, place.l4, place.proto);
  if (!part_looks_partial(packet, place.l4, part)) return false;
  packet.offload.flags = static_cast<uint8_t>(packet.offload.flags | offload_needs_checksum);
  packet.offload.checksum_start = static_cast<uint16_t>(place.l4);
  packet.offload.checksum_offset = static_cast<uint16_t>(part.checksum_offset);
  return true;
}

}  // namespace vtep
