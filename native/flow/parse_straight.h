// flow/parse_straight.h — the straight road of parse(): untagged IPv4 without options or fragments,
// TCP or UDP, in a few vector moves.
//
// Why:    nearly every packet is this one. Its key is a shuffle of two loads, its checks are masks
//         and comparisons, and anything unusual (errors too) is left, untouched, to the steps of
//         parse_steps.h, which know the names of all flaws. Both give the same key and facts for
//         what both take (test/native/parse_test.cpp).
// Thread: pure. For parse.cpp and parse_tunnel.cpp only.
#pragma once

#include <cstdint>
#include <cstring>

#include "flow/flow_key.h"
#include "flow/parse.h"
#include "flow/parse_steps.h"
#include "packet/checksum.h"
#include "packet/headers.h"

#if defined(__SSSE3__)
#include <tmmintrin.h>
#endif

namespace vtep::parse_steps {

constexpr uint32_t straight_l3 = eth_header_bytes;
constexpr uint32_t straight_l4 = eth_header_bytes + ipv4_header_bytes;
constexpr uint32_t straight_bytes_min = straight_l4 + udp_header_bytes;

inline uint64_t load_native64(const uint8_t* bytes) noexcept {
  uint64_t value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

// EtherType IPv4, version 4, header of 20 bytes, no fragment. `frame` has 34 bytes or more.
inline bool is_plain_ipv4(const uint8_t* frame) noexcept {
  const bool type = load_be16(frame + eth_type_offset) == be16(eth_type_ipv4);
  const Be16 frag = load_be16(frame + straight_l3 + ipv4_frag_offset);
  const uint16_t fragmented = be16(ipv4_more_fragments | ipv4_frag_offset_mask).raw;
  return type & (frame[straight_l3] == 0x45) & ((frag.raw & fragmented) == 0);
}

// Of an IPv4 header of 20 bytes.
inline bool plain_ipv4_checksum_valid(const uint8_t* ip) noexcept {
  const uint64_t a = load_native64(ip);
  const uint64_t b = load_native64(ip + 8);
  return checksum_valid((a & 0xffffffffu) + (a >> 32) + (b & 0xffffffffu) + (b >> 32) +
                        load_be32(ip + 16).raw);
}

// What a key holds beside the frame's own fields.
struct Ingress {
  uint32_t in_port = 0;
  uint32_t tunnel_id = 0;
  uint32_t tunnel_port = 0;
  uint16_t tunnel_src = 0;
};

// The whole key of a straight frame, which has at least straight_bytes_min bytes.
inline void put_straight_key(const uint8_t* frame, const Ingress& from, FlowKey& key) noexcept {
#if defined(__SSSE3__)
  static_assert(offsetof(FlowKey, eth_dst) == 16 && offsetof(FlowKey, ip_proto) == 22 &&
                offsetof(FlowKey, eth_src) == 24 && offsetof(FlowKey, tp_src) == 32 &&
                offsetof(FlowKey, tunnel_port) == 36 && offsetof(FlowKey, ip_src) == 40);
  constexpr uint32_t rest = straight_l3 + ipv4_ttl_offset;  // TTL, protocol, checksum, addresses…
  const __m128i ethernet = _mm_loadu_si128(reinterpret_cast<const __m128i*>(frame));
  const __m128i behind = _mm_loadu_si128(reinterpret_cast<const __m128i*>(frame + rest));
  const __m128i macs = _mm_shuffle_epi8(
      ethernet, _mm_setr_epi8(0, 1, 2, 3, 4, 5, -1, -1, 6, 7, 8, 9, 10, 11, -1, -1));
  const __m128i proto = _mm_shuffle_epi8(
      behind, _mm_setr_epi8(-1, -1, -1, -1, -1, -1, 1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
  const __m128i tuple = _mm_shuffle_epi8(
      behind, _mm_setr_epi8(12, 13, 14, 15, -1, -1, -1, -1, 4, 5, 6, 7, 8, 9, 10, 11));
  const __m128i ingress = _mm_setr_epi32(
      static_cast<int>(from.in_port), static_cast<int>(from.tunnel_id),
      static_cast<int>(from.tunnel_src | uint32_t{be16(eth_type_ipv4).raw} << 16), 0);
  const __m128i tunnel_port = _mm_setr_epi32(0, static_cast<int>(from.tunnel_port), 0, 0);
  __m128i* out = reinterpret_cast<__m128i*>(&key);
  _mm_storeu_si128(out, ingress);
  _mm_storeu_si128(out + 1, _mm_or_si128(macs, proto));
  _mm_storeu_si128(out + 2, _mm_or_si128(tuple, tunnel_port));
  for (uint32_t i = 3; i < sizeof key / sizeof *out; ++i)
    _mm_storeu_si128(out + i, _mm_setzero_si128());
#else
  const uint8_t* ip = frame + straight_l3;
  memset(static_cast<void*>(&key), 0, sizeof key);
  key.in_port = from.in_port;
  key.tunnel_id = from.tunnel_id;
  key.tunnel_src = from.tunnel_src;
  key.tunnel_port = from.tunnel_port;
  key.eth_type = be16(eth_type_ipv4);
  memcpy(key.eth_dst.data(), frame + eth_dst_offset, 6);
  memcpy(key.eth_src.data(), frame + eth_src_offset, 6);
  key.ip_proto = ip[ipv4_proto_offset];
  key.ip_src = load_be32(ip + ipv4_src_offset);
  key.ip_dst = load_be32(ip + ipv4_dst_offset);
  key.tp_src = load_be16(frame + straight_l4);
  key.tp_dst = load_be16(frame + straight_l4 + 2);
#endif
}

// Header bytes of TCP or UDP with `room` bytes for it, at least 8; 0: another protocol, or a flaw.
inline uint32_t straight_l4_bytes(uint8_t proto, const uint8_t* l4, uint32_t room) noexcept {
  if (proto == ip_proto_udp) {
    const uint32_t length = load_be16(l4 + udp_length_offset).host();
    return (length >= udp_header_bytes) & (length <= room) ? udp_header_bytes : 0;
  }
  if (proto != ip_proto_tcp || room < tcp_header_bytes) return 0;
  const uint32_t bytes = (l4[tcp_data_offset] >> 4) * 4u;
  return (bytes >= tcp_header_bytes) & (bytes <= room) ? bytes : 0;
}

// Fills key and info, or returns false and has written nothing.
inline bool parse_straight(const Step& step, const Ingress& from) noexcept {
  const uint8_t* frame = step.data;
  PacketInfo& info = step.info;
  if (step.length < straight_bytes_min || !is_plain_ipv4(frame)) return false;
  const uint8_t* ip = frame + straight_l3;
  const uint32_t total = load_be16(ip + ipv4_total_length_offset).host();
  if (total < ipv4_header_bytes + udp_header_bytes || total > step.length - straight_l3)
    return false;
  if (step.verify_checksums && !plain_ipv4_checksum_valid(ip)) return false;
  const uint8_t proto = ip[ipv4_proto_offset];
  const uint8_t* l4 = frame + straight_l4;
  const uint32_t l4_bytes = straight_l4_bytes(proto, l4, total - ipv4_header_bytes);
  if (l4_bytes == 0) return false;
  put_straight_key(frame, from, step.key);
  info.l3 = straight_l3;
  info.l4 = straight_l4;
  info.payload = static_cast<uint16_t>(straight_l4 + l4_bytes);
  info.tcp_flags = proto == ip_proto_tcp ? l4[tcp_flags_offset] : uint8_t{0};
  info.ip_tos = ip[ipv4_tos_offset];
  info.ip_ttl = ip[ipv4_ttl_offset];
  info.outer_tos = 0;
  info.drop = DropReason::None;
  info.outer_bytes = 0;
  return true;
}

}  // namespace vtep::parse_steps
