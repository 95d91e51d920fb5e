// packet/fragment.cpp — see fragment.h.
#include "packet/fragment.h"

#include <algorithm>
#include <cstring>

#include "packet/checksum.h"
#include "packet/headers.h"

namespace vtep {

namespace {

constexpr uint8_t option_end = 0;
constexpr uint8_t option_nop = 1;
constexpr uint8_t option_copied = 0x80;  // RFC 791: goes into every fragment

// Overwrites the options that belong to the first fragment only, so that all headers have one
// length.
void blank_options(uint8_t* ip, uint32_t header) noexcept {
  for (uint32_t at = ipv4_header_bytes; at < header && ip[at] != option_end;) {
    if (ip[at] == option_nop) {
      at++;
      continue;
    }
    if (at + 1 >= header) return;
    const uint32_t bytes = ip[at + 1];
    if (bytes < 2 || at + bytes > header) return;
    if ((ip[at] & option_copied) == 0) memset(ip + at, option_nop, bytes);
    at += bytes;
  }
}

struct Piece {
  uint32_t offset;  // first payload byte
  uint32_t bytes;   // of payload
  uint16_t frag;    // flags and offset field, host order
};

bool write_fragment(FrameCache& frames, const Packet& packet, FragmentPlace at, const Piece& piece,
                    Packet& made) noexcept {
  const uint32_t header = (packet.data[at.l3] & 15u) * 4;
  const uint32_t front = at.l3 + header;
  made = frames.make(front + piece.bytes);
  if (made.frame == no_frame) return false;
  made.in_port = packet.in_port;
  memcpy(made.data, packet.data, front);
  memcpy(made.data + front, packet.data + front + piece.offset, piece.bytes);
  uint8_t* ip = made.data + at.l3;
  if (piece.offset != 0) blank_options(ip, header);
  store_be16(ip + ipv4_total_length_offset, be16(static_cast<uint16_t>(header + piece.bytes)));
  store_be16(ip + ipv4_frag_offset, be16(piece.frag));
  store_be16(ip + ipv4_checksum_offset, Be16{0});
  store_be16(ip + ipv4_checksum_offset, checksum_finish(checksum_add(ip, header)));
  return true;
}

}  // namespace

uint32_t fragment_ipv4(FrameCache& frames, const Packet& packet, FragmentPlace at, PacketSpan out,
                       DropReason& reason) noexcept {
  reason = DropReason::MtuExceeded;
  if (at.l3 + ipv4_header_bytes > packet.length) return 0;
  const uint8_t* ip = packet.data + at.l3;
  const uint32_t header = (ip[0] & 15u) * 4;
  const uint32_t total = load_be16(ip + ipv4_total_length_offset).host();
  const uint16_t frag = load_be16(ip + ipv4_frag_offset).host();
  if (header < ipv4_header_bytes || total <= header || at.l3 + total > packet.length) return 0;
  if ((frag & ipv4_dont_fragment) != 0 || at.mtu < header + 8) return 0;
  const uint32_t payload = total - header;
  const uint32_t each = (at.mtu - header) & ~7u;
  uint32_t made = 0;
  for (uint32_t offset = 0; offset < payload; offset += each) {
    Piece piece{offset, std::min(each, payload - offset), 0};
    const bool last = offset + piece.bytes == payload;
    const uint32_t place = (frag & ipv4_frag_offset_mask) + offset / 8;
    const uint32_t more = last ? frag & ipv4_more_fragments : ipv4_more_fragments;
    piece.frag = static_cast<uint16_t>(place | more);
    const bool room = made < out.max && place <= ipv4_frag_offset_mask;
    if (!room || !write_fragment(frames, packet, at, piece, out.packets[made])) {
      for (uint32_t i = 0; i < made; i++) frames.free(out.packets[i]);
      if (room) reason = DropReason::NoFrames;
      return 0;
    }
    made++;
  }
  reason = DropReason::None;
  return made;
}

}  // namespace vtep
