// packet/checksum.h — the Internet checksum: whole, by parts, incremental, and left for later.
//
// Why:    sums are kept as 64-bit numbers of native 16-bit words: addition commutes with byte
//         order (RFC 1071 section 2 B), so nothing is swapped, and parts can be added in any order
//         as long as each begins at an even offset of the summed data.
// Source: RFC 1071, RFC 1624 (eqn. 3), RFC 768, RFC 8200 section 8.1, virtio 1.2 section 5.1.6.
// Thread: pure. The AVX2 variant is chosen once, before main().
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/be.h"
#include "packet/packet.h"

namespace vtep {

// `sum` plus the one's complement sum of bytes[0..count), an odd last byte padded with zero. Any
// alignment; count up to 2^31. Sums of up to 2^16 calls may be added without overflow.
uint64_t checksum_add(const uint8_t* bytes, size_t count, uint64_t sum = 0) noexcept;
// The same without SIMD, and with AVX2 (only where checksum_has_avx2()); for tests and benches.
uint64_t checksum_add_portable(const uint8_t* bytes, size_t count, uint64_t sum) noexcept;
uint64_t checksum_add_avx2(const uint8_t* bytes, size_t count, uint64_t sum) noexcept;
bool checksum_has_avx2() noexcept;

// 16-bit one's complement sum, as it stands in memory; not complemented.
constexpr Be16 checksum_fold(uint64_t sum) noexcept {
  sum = (sum & 0xffffffffu) + (sum >> 32);
  sum = (sum & 0xffffffffu) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return Be16{static_cast<uint16_t>(sum)};
}
// What goes into a checksum field: the complement of the sum.
constexpr Be16 checksum_finish(uint64_t sum) noexcept {
  return Be16{static_cast<uint16_t>(~checksum_fold(sum).raw)};
}
// Likewise for UDP, where zero means "none" and is sent as 0xffff (RFC 768).
constexpr Be16 checksum_finish_udp(uint64_t sum) noexcept {
  const Be16 checksum = checksum_finish(sum);
  return checksum.raw == 0 ? Be16{0xffff} : checksum;
}
// Whether data that includes its checksum field (and pseudo header) sums to all ones.
constexpr bool checksum_valid(uint64_t sum) noexcept { return checksum_fold(sum).raw == 0xffff; }

// Sums of the pseudo headers. `length` is that of the L4 header and its data, in bytes, host order.
// Addresses are wire bytes: 4 each, or 16 each.
inline uint64_t pseudo_sum_v4(const uint8_t* src, const uint8_t* dst, uint8_t proto,
                              uint32_t length) noexcept {
  return uint64_t{load_be32(src).raw} + load_be32(dst).raw + be32(proto).raw + be32(length).raw;
}
inline uint64_t pseudo_sum_v6(const uint8_t* src, const uint8_t* dst, uint8_t proto,
                              uint32_t length) noexcept {
  uint64_t sum = uint64_t{be32(proto).raw} + be32(length).raw;
  for (uint32_t word = 0; word < 16; word += 4)
    sum += uint64_t{load_be32(src + word).raw} + load_be32(dst + word).raw;
  return sum;
}

// A 16-bit or 32-bit word of the summed data changes from `before` to `after` (RFC 1624 eqn. 3).
// The word must sit at an even offset. A UDP checksum of zero must not be updated at all.
constexpr Be16 checksum_update(Be16 checksum, Be16 before, Be16 after) noexcept {
  return checksum_finish(uint64_t{static_cast<uint16_t>(~checksum.raw)} +
                         static_cast<uint16_t>(~before.raw) + after.raw);
}
constexpr Be16 checksum_update(Be16 checksum, Be32 before, Be32 after) noexcept {
  return checksum_finish(uint64_t{static_cast<uint16_t>(~checksum.raw)} +
                         static_cast<uint32_t>(~before.raw) + after.raw);
}
// `count` bytes (even, at an even offset) change; used for addresses and MACs.
Be16 checksum_update(Be16 checksum, const uint8_t* before, const uint8_t* after,
                     size_t count) noexcept;

// Where SCTP has its 32-bit CRC32c; all Internet checksums are elsewhere and 16 bits wide.
constexpr uint32_t sctp_checksum_offset = 8;

// Whether the offload state names bytes inside the packet: what finish_checksum() needs.
constexpr bool checksum_place_inside(const Packet& packet) noexcept {
  const Offload& offload = packet.offload;
  const uint32_t width = offload.checksum_offset == sctp_checksum_offset ? 4 : 2;
  return uint32_t{offload.checksum_start} + offload.checksum_offset + width <= packet.length;
}
// Completes a checksum that was left to us (offload_needs_checksum) and clears the flag; a UDP
// result of zero becomes 0xffff, at SCTP's place it is a CRC32c. Sums from checksum_start to the
// packet's end, as a device would. False when the place is outside the packet; then nothing has
// changed. Without the flag: true.
bool finish_checksum(Packet& packet) noexcept;

// Whether the TCP or UDP checksum field of the packet holds only the pseudo-header sum, which is
// how a sender leaves it to a device. `l3` and `l4` are offsets of its (unfragmented) IP and L4
// headers, bounds checked here. A complete checksum that happens to have that value is told apart
// by verifying it.
bool looks_partial(const Packet& packet, uint32_t l3, uint32_t l4) noexcept;
// Finds the headers of a plain packet (VLAN tags, IPv4 options and IPv6 hop-by-hop, routing and
// destination options allowed), and sets offload_needs_checksum with its place if looks_partial().
// True if it did.
bool mark_if_partial(Packet& packet) noexcept;

}  // namespace vtep
