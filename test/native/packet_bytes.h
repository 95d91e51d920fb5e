// test/native/packet_bytes.h — builds packets as bytes, layer by layer, for the native tests.
//
// Why:    tests say what is on the wire, independently of the code that parses it: offsets are not
//         shared with native/packet/headers.h, and checksums come from the naive sum below.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "flow/flow_key.h"
#include "packet/packet.h"

namespace vtep::bytes {

using Bytes = std::vector<uint8_t>;

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Bytes number16(uint32_t value) {
  return {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
}
inline Bytes number32(uint32_t value) { return number16(value >> 16) + number16(value & 0xffff); }

// The one's complement sum as RFC 1071 writes it, two bytes at a time.
inline uint16_t naive_sum(const Bytes& data, uint32_t sum = 0) {
  for (size_t i = 0; i < data.size(); i += 2)
    sum += data[i] << 8 | (i + 1 < data.size() ? data[i + 1] : 0);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}
inline uint16_t naive_checksum(const Bytes& data) {
  return static_cast<uint16_t>(~naive_sum(data));
}
inline void patch16(Bytes& data, size_t at, uint32_t value) {
  data.at(at) = static_cast<uint8_t>(value >> 8);
  data.at(at + 1) = static_cast<uint8_t>(value);
}

inline const Bytes mac_a = {0x02, 0, 0, 0, 0, 0x0a};
inline const Bytes mac_b = {0x02, 0, 0, 0, 0, 0x0b};
constexpr uint32_t ip_a = 0x0a000001;  // 10.0.0.1
constexpr uint32_t ip_b = 0x0a000002;

// 2001:db8::last
inline Bytes ip6(uint8_t last) {
  Bytes address(16, 0);
  address[0] = 0x20, address[1] = 0x01, address[2] = 0x0d, address[3] = 0xb8, address[15] = last;
  return address;
}
inline Ipv6Bytes address6(const Bytes& bytes) {
  Ipv6Bytes address;
  std::copy(bytes.begin(), bytes.end(), address.begin());
  return address;
}
inline Ipv6Bytes address4(uint32_t host) {
  return address6(Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff} + number32(host));
}

// From a to b unless said otherwise.
inline Bytes eth(uint16_t type, const Bytes& payload) {
  return mac_b + mac_a + number16(type) + payload;
}
inline Bytes vlan(uint16_t tci, uint16_t type, const Bytes& payload) {
  return number16(tci) + number16(type) + payload;
}

struct Ip4 {
  uint8_t proto = 17;
  uint32_t src = ip_a;
  uint32_t dst = ip_b;
  uint8_t tos = 0;
  uint8_t ttl = 64;
  uint16_t frag = 0;   // flags and offset, as on the wire
  Bytes options = {};  // multiple of 4 bytes
  int length_error = 0;
  uint16_t checksum_error = 0;
};
inline Bytes ipv4(const Ip4& ip, const Bytes& payload) {
  const size_t header = 20 + ip.options.size();
  const int total = static_cast<int>(header + payload.size()) + ip.length_error;
  Bytes bytes = Bytes{static_cast<uint8_t>(0x40 | header / 4), ip.tos} +
                number16(static_cast<uint32_t>(total)) + number16(0x1234) + number16(ip.frag) +
                Bytes{ip.ttl, ip.proto, 0, 0} + number32(ip.src) + number32(ip.dst) + ip.options;
  patch16(bytes, 10, naive_checksum(bytes) ^ ip.checksum_error);
  return bytes + payload;
}

struct Ip6 {
  uint8_t next = 17;
  Bytes src = ip6(1);
  Bytes dst = ip6(2);
  uint8_t traffic_class = 0;
  uint8_t hop_limit = 64;
  int length_error = 0;
};
inline Bytes ipv6(const Ip6& ip, const Bytes& payload) {
  return Bytes{static_cast<uint8_t>(0x60 | ip.traffic_class >> 4),
               static_cast<uint8_t>(ip.traffic_class << 4), 0, 0} +
         number16(static_cast<uint32_t>(static_cast<int>(payload.size()) + ip.length_error)) +
         Bytes{ip.next, ip.hop_limit} + ip.src + ip.dst + payload;
}
// An extension header of the common shape: next header, length, padding.
inline Bytes extension(uint8_t next, uint8_t extra_words) {
  Bytes bytes(8u + extra_words * 8u, 0);
  bytes[0] = next;
  bytes[1] = extra_words;
  return bytes;
}
inline Bytes fragment6(uint8_t next, uint16_t place) {
  return Bytes{next, 0} + number16(place) + number32(0x55aa);
}

inline Bytes udp(uint16_t src, uint16_t dst, const Bytes& payload, int length_error = 0) {
  return number16(src) + number16(dst) +
         number16(static_cast<uint32_t>(static_cast<int>(8 + payload.size()) + length_error)) +
         number16(0) + payload;
}
inline Bytes tcp(uint16_t src, uint16_t dst, uint8_t flags, const Bytes& payload = {},
                 uint8_t header_words = 5) {
  Bytes bytes = number16(src) + number16(dst) + number32(1) + number32(2) +
                Bytes{static_cast<uint8_t>(header_words << 4), flags} + number16(1000) +
                number32(0);
  return bytes + payload;
}
inline Bytes sctp(uint16_t src, uint16_t dst) {
  return number16(src) + number16(dst) + number32(7) + number32(0);
}
inline Bytes icmp(uint8_t type, uint8_t code, uint32_t rest, const Bytes& payload = {}) {
  return Bytes{type, code, 0, 0} + number32(rest) + payload;
}
inline Bytes arp(uint16_t opcode) {
  return number16(1) + number16(0x0800) + Bytes{6, 4} + number16(opcode) + mac_a + number32(ip_a) +
         Bytes(6, 0) + number32(ip_b);
}
// Neighbour solicitation or advertisement for ip6(9), with a link-layer address option.
inline Bytes nd(uint8_t type, uint8_t option, const Bytes& mac) {
  return Bytes{type, 0, 0, 0} + number32(0) + ip6(9) + Bytes{option, 1} + mac;
}

// Fills the UDP checksum of a datagram that is going into `ip`.
inline Bytes with_udp_checksum(const Ip4& ip, Bytes datagram) {
  const Bytes pseudo = number32(ip.src) + number32(ip.dst) + number16(17) +
                       number16(static_cast<uint32_t>(datagram.size()));
  patch16(datagram, 6, 0);
  patch16(datagram, 6, naive_checksum(pseudo + datagram));
  return datagram;
}
inline Bytes with_udp_checksum(const Ip6& ip, Bytes datagram) {
  const Bytes pseudo =
      ip.src + ip.dst + number32(static_cast<uint32_t>(datagram.size())) + number32(17);
  patch16(datagram, 6, 0);
  patch16(datagram, 6, naive_checksum(pseudo + datagram));
  return datagram;
}

inline Bytes vxlan(uint32_t vni, const Bytes& inner, uint8_t flags = 0x08) {
  return Bytes{flags, 0, 0, 0} + number32(vni << 8) + inner;
}
struct Gnv {
  uint32_t vni = 0;
  Bytes options = {};
  uint8_t flags = 0;
  uint16_t protocol = 0x6558;
  uint8_t version = 0;
  int option_words_error = 0;
};
inline Bytes geneve(const Gnv& header, const Bytes& inner) {
  const int words = static_cast<int>(header.options.size() / 4) + header.option_words_error;
  return Bytes{static_cast<uint8_t>(header.version << 6 | words), header.flags} +
         number16(header.protocol) + number32(header.vni << 8) + header.options + inner;
}
inline Bytes geneve_option(uint16_t option_class, uint8_t type, const Bytes& data) {
  return number16(option_class) + Bytes{type, static_cast<uint8_t>(data.size() / 4)} + data;
}

// A packet whose bytes are a vector of exactly its length: a sanitizer sees any read behind them.
inline Packet packet_of(Bytes& bytes) {
  Packet packet;
  packet.data = bytes.data();
  packet.length = static_cast<uint32_t>(bytes.size());
  return packet;
}

}  // namespace vtep::bytes
