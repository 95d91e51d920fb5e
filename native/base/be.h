// base/be.h — big-endian integers as types, so that byte order is checked by the compiler.
//
// Why:    a header field and a number are different things; mixing them is the field's oldest bug.
// Owner:  plain values. They have the alignment of their integer: read wire bytes through load_be*.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace vtep {

constexpr uint16_t swap16(uint16_t value) noexcept { return __builtin_bswap16(value); }
constexpr uint32_t swap32(uint32_t value) noexcept { return __builtin_bswap32(value); }

constexpr uint16_t host_or_swap16(uint16_t value) noexcept {
  return std::endian::native == std::endian::little ? swap16(value) : value;
}
constexpr uint32_t host_or_swap32(uint32_t value) noexcept {
  return std::endian::native == std::endian::little ? swap32(value) : value;
}

// A 16-bit number in network byte order.
struct Be16 {
  uint16_t raw;  // as on the wire
  constexpr uint16_t host() const noexcept { return host_or_swap16(raw); }
  constexpr bool operator==(const Be16&) const noexcept = default;
};

// A 32-bit number in network byte order.
struct Be32 {
  uint32_t raw;  // as on the wire
  constexpr uint32_t host() const noexcept { return host_or_swap32(raw); }
  constexpr bool operator==(const Be32&) const noexcept = default;
};

constexpr Be16 be16(uint16_t host) noexcept { return Be16{host_or_swap16(host)}; }
constexpr Be32 be32(uint32_t host) noexcept { return Be32{host_or_swap32(host)}; }

// Reads and writes of wire bytes at any alignment. The caller has checked the bounds.
inline Be16 load_be16(const uint8_t* bytes) noexcept {
  Be16 value;
  memcpy(&value, bytes, sizeof value);
  return value;
}
inline Be32 load_be32(const uint8_t* bytes) noexcept {
  Be32 value;
  memcpy(&value, bytes, sizeof value);
  return value;
}
inline void store_be16(uint8_t* bytes, Be16 value) noexcept { memcpy(bytes, &value, sizeof value); }
inline void store_be32(uint8_t* bytes, Be32 value) noexcept { memcpy(bytes, &value, sizeof value); }

}  // namespace vtep
