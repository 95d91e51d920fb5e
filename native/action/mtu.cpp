// action/mtu.cpp — see mtu.h.
#include "action/mtu.h"

#include "action/rewrite.h"
#include "packet/checksum.h"

namespace vtep {

namespace {

constexpr uint8_t tcp_option_end = 0;
constexpr uint8_t tcp_option_nop = 1;
constexpr uint8_t tcp_option_mss = 2;
constexpr uint8_t tcp_option_mss_bytes = 4;
constexpr uint32_t mss_min = 216;  // 256 - 40: below, the MTU is a mistake and the MSS not the cure

// Offset of the MSS value from the TCP header's start; 0: no such option.
uint32_t find_mss(const uint8_t* tcp, uint32_t header) noexcept {
  for (uint32_t at = tcp_header_bytes; at < header && tcp[at] != tcp_option_end;) {
    if (tcp[at] == tcp_option_nop) {
      at++;
      continue;
    }
    if (at + 2 > header) return 0;
    const uint32_t bytes = tcp[at + 1];
    if (bytes < 2 || at + bytes > header) return 0;
    if (tcp[at] == tcp_option_mss) return bytes == tcp_option_mss_bytes ? at + 2 : 0;
    at += bytes;
  }
  return 0;
}

// The checksum covers 16-bit words from the header's start, so a value at an odd offset touches two
// words: it counts there with its bytes exchanged.
void patch_word(uint8_t* tcp, uint32_t offset, uint16_t value, bool partial) noexcept {
  const uint16_t before = load_be16(tcp + offset).host();
  store_be16(tcp + offset, be16(value));
  if (partial) return;
  const bool odd = (offset & 1) != 0;
  const Be16 old = be16(odd ? swap16(before) : before);
  const Be16 now = be16(odd ? swap16(value) : value);
  uint8_t* field = tcp + tcp_checksum_offset;
  store_be16(field, checksum_update(load_be16(field), old, now));
}

}  // namespace

MtuVerdict judge_mtu(const Packet& packet, const PacketInfo& info, uint32_t mtu) noexcept {
  if (l3_bytes(packet, info) <= mtu) return MtuVerdict::Fits;
  if (ip_version(packet, info) != 4) return MtuVerdict::TooBig;
  const uint8_t* ip = packet.data + info.l3;
  if ((load_be16(ip + ipv4_frag_offset).host() & ipv4_dont_fragment) != 0)
    return MtuVerdict::TooBig;
  return packet.offload.gso_type == GsoType::None ? MtuVerdict::Fragment : MtuVerdict::Segment;
}

bool clamp_mss(Packet& packet, const PacketInfo& info, uint32_t mtu) noexcept {
  const uint8_t version = ip_version(packet, info);
  if (version == 0 || info.l4 == 0 || l4_proto(packet, info) != ip_proto_tcp) return false;
  if (info.l4 + tcp_header_bytes > packet.length) return false;
  uint8_t* tcp = packet.data + info.l4;
  const uint32_t header = (tcp[tcp_data_offset] >> 4) * 4u;
  if (info.l4 + header > packet.length) return false;
  const uint32_t offset = find_mss(tcp, header);
  const uint32_t headers =
      (version == 4 ? ipv4_header_bytes : ipv6_header_bytes) + tcp_header_bytes;
  if (offset == 0 || mtu < headers + mss_min) return false;
  const uint32_t mss_max = mtu - headers;
  if (load_be16(tcp + offset).host() <= mss_max) return false;
  const bool partial = (packet.offload.flags & offload_needs_checksum) != 0 &&
                       packet.offload.checksum_start == info.l4;
  patch_word(tcp, offset, static_cast<uint16_t>(mss_max), partial);
  return true;
}

}  // namespace vtep
