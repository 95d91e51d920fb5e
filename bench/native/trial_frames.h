// bench/native/trial_frames.h — the frames of a trial: how they are made, and what is read of them.
//
// Why:    a frame says which trial and direction it is of, its number and when it was sent, so that
//         whatever arrives can be told from everything else and is counted exactly.
//
//         Ethernet | IPv4 or IPv6 | UDP | run (4) | number (6) | sent (8) | zeros
//
//         Numbers are big endian; `sent` is CLOCK_REALTIME in nanoseconds, the clock of the
//         kernel's receive stamps. 18 bytes are what an IPv4 frame of 64 bytes has room for.
// Source: RFC 2544 section 9 (sizes count the FCS, which is never in memory) and appendix C.2.6
//         (UDP, a TTL above what a device takes away); RFC 768, RFC 791, RFC 8200.
// Limits: flow_max flows: ports_each source ports at each of ports_from .. ports_to.
#pragma once

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/be.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace vtep::bench {

constexpr uint32_t fcs_bytes = 4;
constexpr uint32_t stamp_bytes = 18;
constexpr uint32_t trial_header_max =
    eth_header_bytes + ipv6_header_bytes + udp_header_bytes + stamp_bytes;
constexpr uint32_t source_port_from = 10'000;
constexpr uint32_t ports_each = 50'000;
constexpr uint16_t ports_from = 49'184;  // 0xc020, of RFC 2544's test frames
constexpr uint32_t flow_max = 1'000'000;
constexpr uint16_t ports_to = ports_from + flow_max / ports_each - 1;
constexpr uint8_t trial_ttl = 64;

// One end: where frames come from and whom they are for. Addresses are wire bytes.
struct Station {
  std::array<uint8_t, 6> mac = {};
  std::array<uint8_t, 6> next_hop = {};  // of frames that it sends
  std::vector<uint8_t> ip;               // 4 or 16 bytes
};

// Throw std::runtime_error with what the text should have been.
inline std::array<uint8_t, 6> mac_of(const std::string& text) {
  unsigned parts[6];
  char rest = 0;
  if (sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%c", &parts[0], &parts[1], &parts[2], &parts[3],
             &parts[4], &parts[5], &rest) != 6)
    throw std::runtime_error("'" + text + "' is no MAC address (02:00:00:00:00:01)");
  std::array<uint8_t, 6> mac;
  for (size_t at = 0; at < mac.size(); at++) mac[at] = static_cast<uint8_t>(parts[at]);
  return mac;
}
inline std::vector<uint8_t> ip_of(const std::string& text) {
  std::vector<uint8_t> bytes(16);
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return bytes;
  bytes.resize(4);
  if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return bytes;
  throw std::runtime_error("'" + text + "' is no IPv4 or IPv6 address");
}

// What a frame says of itself.
struct Stamp {
  uint32_t run = 0;
  uint64_t number = 0;
  uint64_t sent_ns = 0;
};

inline void write_stamp(uint8_t* at, const Stamp& stamp) noexcept {
  store_be32(at, be32(stamp.run));
  store_be16(at + 4, be16(static_cast<uint16_t>(stamp.number >> 32)));
  store_be32(at + 6, be32(static_cast<uint32_t>(stamp.number)));
  store_be32(at + 10, be32(static_cast<uint32_t>(stamp.sent_ns >> 32)));
  store_be32(at + 14, be32(static_cast<uint32_t>(stamp.sent_ns)));
}
inline Stamp read_stamp(const uint8_t* at) noexcept {
  return {load_be32(at).host(),
          (uint64_t{load_be16(at + 4).host()} << 32) | load_be32(at + 6).host(),
          (uint64_t{load_be32(at + 10).host()} << 32) | load_be32(at + 14).host()};
}

// Makes the frames of one direction; sizes follow each other in a fixed order that repeats.
class FrameMaker {
 public:
  // `sizes`: bytes with FCS, at least one. Throws std::runtime_error when one has no room.
  FrameMaker(const Station& from, const Station& to, const std::vector<uint32_t>& sizes,
             uint32_t flows)
      : flows_(flows), v6_(from.ip.size() == 16) {
    if (from.ip.size() != to.ip.size())
      throw std::runtime_error("one end has an IPv4 address and the other an IPv6 address");
    for (const uint32_t size : sizes) shapes_.push_back(shape(from, to, size));
  }

  // Headers with the stamp: what write() fills; the rest of a frame is zeros.
  uint32_t header_bytes() const noexcept { return stamp_at() + stamp_bytes; }
  // Whole frame without FCS.
  uint32_t bytes(uint64_t number) const noexcept { return shapes_[number % shapes_.size()].bytes; }

  void write(uint8_t* frame, const Stamp& stamp) const noexcept {
    const Shape& made = shapes_[stamp.number % shapes_.size()];
    memcpy(frame, made.header.data(), stamp_at());
    const auto flow = static_cast<uint32_t>(stamp.number % flows_);
    uint8_t* udp = frame + stamp_at() - udp_header_bytes;
    store_be16(udp, be16(static_cast<uint16_t>(source_port_from + flow % ports_each)));
    store_be16(udp + udp_dst_offset, be16(static_cast<uint16_t>(ports_from + flow / ports_each)));
    uint8_t* payload = udp + udp_header_bytes;
    write_stamp(payload, stamp);
    uint64_t sum = made.sum + load_be32(udp).raw;
    for (uint32_t at = 0; at < 16; at += 4) sum += load_be32(payload + at).raw;
    sum += load_be16(payload + 16).raw;
    store_be16(udp + udp_checksum_offset, checksum_finish_udp(sum));
  }

 private:
  struct Shape {
    uint32_t bytes = 0;
    uint64_t sum = 0;  // pseudo header and UDP length
    std::array<uint8_t, trial_header_max> header = {};
  };

  uint32_t ip_bytes() const noexcept { return v6_ ? ipv6_header_bytes : ipv4_header_bytes; }
  uint32_t stamp_at() const noexcept { return eth_header_bytes + ip_bytes() + udp_header_bytes; }

  Shape shape(const Station& from, const Station& to, uint32_t size) const {
    const uint32_t least = header_bytes() + fcs_bytes;
    if (size < least)
      throw std::runtime_error("a frame of " + std::to_string(size) +
                               " bytes has no room for its number and time: with these " +
                               "addresses the smallest has " + std::to_string(least));
    Shape made;
    made.bytes = size - fcs_bytes;
    uint8_t* frame = made.header.data();
    memcpy(frame + eth_dst_offset, from.next_hop.data(), 6);
    memcpy(frame + eth_src_offset, from.mac.data(), 6);
    store_be16(frame + eth_type_offset, be16(v6_ ? eth_type_ipv6 : eth_type_ipv4));
    uint8_t* ip = frame + eth_header_bytes;
    const uint32_t length = made.bytes - eth_header_bytes - ip_bytes();  // of UDP
    const auto length16 = static_cast<uint16_t>(length);
    if (v6_) {
      ip[0] = 0x60;
      store_be16(ip + ipv6_payload_length_offset, be16(length16));
      ip[ipv6_next_header_offset] = ip_proto_udp;
      ip[ipv6_hop_limit_offset] = trial_ttl;
      memcpy(ip + ipv6_src_offset, from.ip.data(), 16);
      memcpy(ip + ipv6_dst_offset, to.ip.data(), 16);
      made.sum = pseudo_sum_v6(from.ip.data(), to.ip.data(), ip_proto_udp, length);
    } else {
      ip[0] = 0x45;
      store_be16(ip + ipv4_total_length_offset,
                 be16(static_cast<uint16_t>(length + ipv4_header_bytes)));
      store_be16(ip + ipv4_frag_offset, be16(ipv4_dont_fragment));
      ip[ipv4_ttl_offset] = trial_ttl;
      ip[ipv4_proto_offset] = ip_proto_udp;
      memcpy(ip + ipv4_src_offset, from.ip.data(), 4);
      memcpy(ip + ipv4_dst_offset, to.ip.data(), 4);
      store_be16(ip + ipv4_checksum_offset, checksum_finish(checksum_add(ip, ipv4_header_bytes)));
      made.sum = pseudo_sum_v4(from.ip.data(), to.ip.data(), ip_proto_udp, length);
    }
    store_be16(ip + ip_bytes() + udp_length_offset, be16(length16));
    made.sum += be16(length16).raw;
    return made;
  }

  const uint32_t flows_;
  const bool v6_;
  std::vector<Shape> shapes_;
};

// A frame of ours as it came in.
struct ReadFrame {
  Stamp stamp;
  uint8_t ttl = 0;
};

// Reads one; false when it is not of this kind. `captured` bytes are there.
inline bool read_frame(const uint8_t* frame, uint32_t captured, ReadFrame& read) noexcept {
  if (captured < eth_header_bytes) return false;
  const uint16_t type = load_be16(frame + eth_type_offset).host();
  const bool v6 = type == eth_type_ipv6;
  if (!v6 && type != eth_type_ipv4) return false;
  const uint32_t ip_bytes = v6 ? ipv6_header_bytes : ipv4_header_bytes;
  const uint32_t stamp_at = eth_header_bytes + ip_bytes + udp_header_bytes;
  if (captured < stamp_at + stamp_bytes) return false;
  const uint8_t* ip = frame + eth_header_bytes;
  if (v6 ? ip[ipv6_next_header_offset] != ip_proto_udp
         : ip[0] != 0x45 || ip[ipv4_proto_offset] != ip_proto_udp)
    return false;
  const uint16_t port = load_be16(frame + stamp_at - udp_header_bytes + udp_dst_offset).host();
  if (port < ports_from || port > ports_to) return false;
  read.ttl = v6 ? ip[ipv6_hop_limit_offset] : ip[ipv4_ttl_offset];
  read.stamp = read_stamp(frame + stamp_at);
  return true;
}

}  // namespace vtep::bench
