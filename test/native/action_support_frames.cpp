// test/native/action_support_frames.cpp — the builder and the judge of frames.
#include <gtest/gtest.h>

#include <cstring>

#include "test/native/action_support.h"

namespace vtep::test {

namespace {

void put(Bytes& to, uint32_t value, uint32_t bytes) {
  for (uint32_t i = bytes; i-- > 0;) to.push_back(static_cast<uint8_t>(value >> (8 * i)));
}
void put(Bytes& to, const Bytes& bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }
void set16(Bytes& in, uint32_t at, uint32_t value) {
  in[at] = static_cast<uint8_t>(value >> 8);
  in[at + 1] = static_cast<uint8_t>(value);
}

uint32_t fold(uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

Bytes ip_of(const FrameSpec& spec, bool source) {
  const Bytes& given = source ? spec.src_ip : spec.dst_ip;
  if (!given.empty()) return given;
  const uint8_t last = source ? 1 : 2;
  if (!spec.ipv6) return {10, 0, 0, last};
  return {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last};
}

// CRC32c, bit by bit (RFC 9260 appendix A).
uint32_t crc32c(const Bytes& bytes) {
  uint32_t crc = ~0u;
  for (uint8_t byte : bytes) {
    crc ^= byte;
    for (int i = 0; i < 8; i++) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

Bytes tcp_options(const FrameSpec& spec) {
  if (spec.mss == 0) return {};
  const uint8_t high = static_cast<uint8_t>(spec.mss >> 8);
  const uint8_t low = static_cast<uint8_t>(spec.mss);
  if (spec.mss_odd) return {1, 2, 4, high, low, 1, 1, 1};
  return {2, 4, high, low};
}

Bytes l4_of(const FrameSpec& spec) {
  Bytes l4;
  if (spec.proto == 1 || spec.proto == 58) {
    put(l4, spec.sport, 1);
    put(l4, spec.dport, 1);
    put(l4, 0, 2);
    put(l4, 0x12340001, 4);
  } else {
    put(l4, spec.sport, 2);
    put(l4, spec.dport, 2);
  }
  if (spec.proto == 6) {
    const Bytes options = tcp_options(spec);
    put(l4, spec.seq, 4);
    put(l4, 5555, 4);
    put(l4, static_cast<uint32_t>(5 + options.size() / 4) << 4, 1);
    put(l4, spec.tcp_flags, 1);
    put(l4, 501, 2);
    put(l4, 0, 4);
    put(l4, options);
  } else if (spec.proto == 17) {
    put(l4, 8 + spec.payload, 2);
    put(l4, 0, 2);
  } else if (spec.proto == 132) {
    put(l4, 0xabcdef01, 4);
    put(l4, 0, 4);
  }
  for (uint32_t i = 0; i < spec.payload; i++) l4.push_back(static_cast<uint8_t>(i * 7 + i / 256));
  return l4;
}

uint32_t checksum_place(uint8_t proto) {
  switch (proto) {
    case 6: return 16;
    case 17: return 6;
    default: return 2;
  }
}

void finish_l4(const FrameSpec& spec, Bytes& l4) {
  if (spec.proto == 132) {
    const uint32_t crc = crc32c(l4);
    for (uint32_t i = 0; i < 4; i++) l4[8 + i] = static_cast<uint8_t>(crc >> (8 * i));
    return;
  }
  if (spec.proto == 17 && spec.udp_zero) return;
  uint32_t sum = 0;
  if (spec.proto != 1) {
    const Bytes src = ip_of(spec, true);
    const Bytes dst = ip_of(spec, false);
    sum = plain_sum(src.data(), src.size());
    sum = plain_sum(dst.data(), dst.size(), sum) + spec.proto + static_cast<uint32_t>(l4.size());
  }
  const uint32_t checksum = ~fold(plain_sum(l4.data(), l4.size(), fold(sum))) & 0xffff;
  set16(l4, checksum_place(spec.proto), checksum == 0 && spec.proto == 17 ? 0xffff : checksum);
}

void put_ip(Bytes& frame, const FrameSpec& spec, uint32_t l4_bytes) {
  if (spec.ipv6) {
    put(frame, 0x60000000u | static_cast<uint32_t>(spec.tos) << 20, 4);
    put(frame, l4_bytes, 2);
    put(frame, spec.proto, 1);
    put(frame, spec.ttl, 1);
  } else {
    const uint32_t at = static_cast<uint32_t>(frame.size());
    const uint32_t header = 20 + static_cast<uint32_t>(spec.ip_options.size());
    put(frame, 0x40 | header / 4, 1);
    put(frame, spec.tos, 1);
    put(frame, header + l4_bytes, 2);
    put(frame, spec.ip_id, 2);
    put(frame, spec.df ? 0x4000 : 0, 2);
    put(frame, spec.ttl, 1);
    put(frame, spec.proto, 1);
    put(frame, 0, 2);
    put(frame, ip_of(spec, true));
    put(frame, ip_of(spec, false));
    put(frame, spec.ip_options);
    set16(frame, at + 10, ~fold(plain_sum(&frame[at], header)) & 0xffff);
    return;
  }
  put(frame, ip_of(spec, true));
  put(frame, ip_of(spec, false));
}

void put_ethernet(Bytes& frame, const FrameSpec& spec, uint32_t type) {
  put(frame, spec.dst_mac);
  put(frame, spec.src_mac);
  if (spec.vid != 0) put(frame, (spec.vid2 != 0 ? 0x88a80000u : 0x81000000u) | spec.vid, 4);
  if (spec.vid2 != 0) put(frame, 0x81000000u | spec.vid2, 4);
  put(frame, type, 2);
}

std::string judge_l4(const Bytes& frame, const View& at, bool left) {
  const uint32_t bytes = at.end - at.l4;
  const uint8_t* l4 = frame.data() + at.l4;
  if (at.proto == 132) {
    Bytes zeroed = slice(frame, at.l4, at.end);
    const Bytes stored = slice(zeroed, 8, 12);
    memset(&zeroed[8], 0, 4);
    const uint32_t crc = crc32c(zeroed);
    for (uint32_t i = 0; i < 4; i++)
      if (stored[i] != static_cast<uint8_t>(crc >> (8 * i))) return "SCTP CRC";
    return "";
  }
  if (at.proto != 6 && at.proto != 17 && at.proto != 1 && at.proto != 58) return "";
  if (at.proto == 17 && number(frame, at.l4 + 4, 2) != bytes) return "UDP length";
  if (at.proto == 17 && number(frame, at.l4 + 6, 2) == 0) return at.ipv6 ? "UDP6 zero" : "";
  const uint32_t source = at.l3 + (at.ipv6 ? 8 : 12);
  uint32_t sum = at.proto == 1 ? 0
                               : plain_sum(frame.data() + source, at.ipv6 ? 32 : 8) + at.proto +
                                     (bytes & 0xffff) + (bytes >> 16);
  if (left) {
    const uint32_t field = number(frame, at.l4 + checksum_place(at.proto), 2);
    return fold(sum) == fold(field) ? "" : "pseudo-header sum";
  }
  return fold(plain_sum(l4, bytes, fold(sum))) == 0xffff ? "" : "L4 checksum";
}

}  // namespace

uint32_t plain_sum(const uint8_t* bytes, size_t count, uint32_t sum) {
  for (size_t i = 0; i < count; i += 2)
    sum = fold(sum + (bytes[i] << 8 | (i + 1 < count ? bytes[i + 1] : 0)));
  return sum;
}

Bytes slice(const Bytes& from, uint32_t begin, uint32_t end) {
  return Bytes(from.begin() + begin, from.begin() + end);
}

uint32_t number(const Bytes& from, uint32_t at, uint32_t bytes) {
  uint32_t value = 0;
  for (uint32_t i = 0; i < bytes; i++) value = value << 8 | from.at(at + i);
  return value;
}

Bytes build(const FrameSpec& spec) {
  Bytes l4 = l4_of(spec);
  finish_l4(spec, l4);
  Bytes frame;
  put_ethernet(frame, spec, spec.ipv6 ? 0x86dd : 0x0800);
  put_ip(frame, spec, static_cast<uint32_t>(l4.size()));
  put(frame, l4);
  return frame;
}

Bytes build_arp(uint16_t opcode, uint16_t vid) {
  FrameSpec spec;
  spec.vid = vid;
  spec.dst_mac = Bytes(6, 0xff);
  Bytes frame;
  put_ethernet(frame, spec, 0x0806);
  put(frame, 0x00010800, 4);
  put(frame, 0x0604, 2);
  put(frame, opcode, 2);
  put(frame, spec.src_mac);
  put(frame, {10, 0, 0, 1});
  put(frame, Bytes(6, 0));
  put(frame, {10, 0, 0, 2});
  return frame;
}

Bytes build_solicitation(bool probe, bool option) {
  const Bytes target = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
  FrameSpec spec;
  spec.ipv6 = true;
  spec.proto = 58;
  spec.ttl = 255;
  spec.dst_mac = {0x33, 0x33, 0xff, 0, 0, 2};
  if (probe) spec.src_ip = Bytes(16, 0);
  spec.dst_ip = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 2};
  Bytes l4;
  put(l4, 135, 1);
  put(l4, 0, 3);
  put(l4, 0, 4);
  put(l4, target);
  if (option) {
    put(l4, {1, 1});
    put(l4, spec.src_mac);
  }
  finish_l4(spec, l4);
  Bytes frame;
  put_ethernet(frame, spec, 0x86dd);
  put_ip(frame, spec, static_cast<uint32_t>(l4.size()));
  put(frame, l4);
  return frame;
}

// Such a packet has no L4 header, and may be shorter than one.
static bool later_fragment(const Bytes& frame, const View& at) {
  return !at.ipv6 && (number(frame, at.l3 + 6, 2) & 0x1fff) != 0;
}

View view(const Bytes& frame) {
  View at;
  uint32_t type_at = 12;
  uint32_t type = number(frame, type_at, 2);
  for (; type == 0x8100 || type == 0x88a8; at.tags++) {
    type_at += 4;
    type = number(frame, type_at, 2);
  }
  at.l3 = type_at + 2;
  if (type == 0x0800) {
    at.l4 = at.l3 + (frame.at(at.l3) & 15) * 4;
    at.proto = frame.at(at.l3 + 9);
    at.end = at.l3 + number(frame, at.l3 + 2, 2);
  } else if (type == 0x86dd) {
    at.ipv6 = true;
    at.l4 = at.l3 + 40;
    at.proto = frame.at(at.l3 + 6);
    at.end = at.l4 + number(frame, at.l3 + 4, 2);
  } else {
    return at;
  }
  at.payload = at.l4 + 8;
  if (later_fragment(frame, at)) {
    at.payload = at.l4;
    return at;
  }
  if (at.proto == 6) at.payload = at.l4 + (frame.at(at.l4 + 12) >> 4) * 4;
  if (at.proto == 132) at.payload = at.l4 + 12;
  return at;
}

Bytes inner_frame(const Bytes& outer) {
  const View at = view(outer);
  uint32_t inner = at.l4 + 16;
  if (number(outer, at.l4 + 2, 2) == 6081) inner += (outer.at(at.l4 + 8) & 0x3f) * 4;
  return slice(outer, inner, at.end);
}

std::string judge(const Bytes& frame, bool left) {
  const View at = view(frame);
  if (at.l4 == 0) return "";
  if (at.end > frame.size()) return "IP length";
  uint32_t frag = 0;
  if (!at.ipv6) {
    if (plain_sum(frame.data() + at.l3, at.l4 - at.l3) != 0xffff) return "IPv4 checksum";
    frag = number(frame, at.l3 + 6, 2) & 0x3fff;
  }
  if (frag != 0) return "";
  const std::string wrong = judge_l4(frame, at, left);
  if (!wrong.empty()) return wrong;
  const uint32_t port = at.proto == 17 ? number(frame, at.l4 + 2, 2) : 0;
  if (port != 4789 && port != 6081) return "";
  const std::string inner = judge(inner_frame(frame));
  return inner.empty() ? "" : "inner " + inner;
}

}  // namespace vtep::test
