// bench/native/colliding.cpp — the null space of CRC32C over the bits of a source.

#include "bench/native/colliding.h"

#include <bit>
#include <stdexcept>
#include <utility>

namespace vtep::bench {

namespace {

constexpr uint32_t source_bits = 48;         // address and port
constexpr uint32_t polynomial = 0x82f63b78;  // of CRC32C (Castagnoli), reflected
constexpr uint16_t first_port = 1024;

// CRC32C without its constants, so that it is linear: crc(a ^ b) == crc(a) ^ crc(b). `source` is
// address << 16 | port; what does not change (destination, destination port) is zero.
uint32_t linear_crc(uint64_t source) {
  const auto address = static_cast<uint32_t>(source >> 16);
  const auto port = static_cast<uint16_t>(source);
  uint8_t bytes[12] = {};
  for (uint32_t i = 0; i < 4; i++) bytes[i] = static_cast<uint8_t>(address >> (24 - 8 * i));
  bytes[8] = static_cast<uint8_t>(port >> 8);
  bytes[9] = static_cast<uint8_t>(port);
  uint32_t crc = 0;
  for (const uint8_t byte : bytes) {
    crc ^= byte;
    for (uint32_t bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? crc >> 1 ^ polynomial : crc >> 1;
  }
  return crc;
}

// Independent sources of CRC zero, by elimination: each row is a source and its CRC.
std::vector<uint64_t> null_space() {
  std::vector<std::pair<uint64_t, uint32_t>> rows;
  for (uint32_t bit = 0; bit < source_bits; bit++) {
    const uint64_t source = uint64_t{1} << bit;
    rows.emplace_back(source, linear_crc(source));
  }
  std::vector<uint64_t> found;
  for (size_t at = 0; at < rows.size(); at++) {
    const auto [source, crc] = rows[at];
    if (crc == 0) {
      found.push_back(source);
      continue;
    }
    const uint32_t pivot = std::bit_floor(crc);
    for (size_t below = at + 1; below < rows.size(); below++) {
      if ((rows[below].second & pivot) == 0) continue;
      rows[below].first ^= source;
      rows[below].second ^= crc;
    }
  }
  return found;
}

// What a host may send from: not 0/8, 127/8, multicast or above; not a well-known port.
bool plausible(const Source& source) {
  const uint32_t net = source.address >> 24;
  return net != 0 && net != 127 && net < 224 && source.port >= first_port;
}

}  // namespace

std::vector<Source> colliding_sources(uint32_t count) {
  const std::vector<uint64_t> basis = null_space();
  std::vector<Source> sources;
  for (uint64_t number = 1; number >> basis.size() == 0 && sources.size() < count; number++) {
    uint64_t bits = 0;
    for (size_t at = 0; at < basis.size(); at++)
      if ((number >> at & 1) != 0) bits ^= basis[at];
    const Source source{static_cast<uint32_t>(bits >> 16), static_cast<uint16_t>(bits)};
    if (plausible(source)) sources.push_back(source);
  }
  if (sources.size() < count)
    throw std::runtime_error("there are only " + std::to_string(sources.size()) +
                             " sources that collide");
  return sources;
}

}  // namespace vtep::bench
