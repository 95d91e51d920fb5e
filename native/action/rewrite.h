// action/rewrite.h — changes header fields in place and keeps every checksum right.
//
// Why:    checksums are updated by the difference (RFC 1624), so the cost does not grow with the
//         packet, and a checksum that was wrong stays wrong. With offload_needs_checksum the L4
//         field holds the plain pseudo-header sum: addresses are added to it, ports are not part of
//         it.
// Source: RFC 1624, RFC 768 (zero UDP checksum), RFC 9260 (CRC32c), IEEE 802.1Q.
// Thread: pure. Packets are owned by the caller and their bytes shared with nobody.
#pragma once

#include <cstdint>

#include "base/be.h"
#include "flow/flow_key.h"
#include "flow/parse.h"
#include "packet/frame_pool.h"
#include "packet/packet.h"

namespace vtep {

// All take effect only on packets that have the field; others are left as they are. `info` gives
// the offsets, and is kept right when they move.
void set_eth_src(Packet& packet, const MacBytes& mac) noexcept;
void set_eth_dst(Packet& packet, const MacBytes& mac) noexcept;

// An 802.1Q tag, outermost, PCP 0. False: no headroom. `vid` in host order, 1..4094.
bool push_vlan(const FramePool& pool, Packet& packet, PacketInfo& info, uint16_t vid) noexcept;
// Takes the outermost tag off; an untagged packet is left as it is.
void pop_vlan(Packet& packet, PacketInfo& info) noexcept;

// Addresses as on the wire: 4 bytes on IPv4 packets, 16 on IPv6 packets.
void set_ip_src(Packet& packet, const PacketInfo& info, const uint8_t* address,
                uint32_t bytes) noexcept;
void set_ip_dst(Packet& packet, const PacketInfo& info, const uint8_t* address,
                uint32_t bytes) noexcept;
// Ports of TCP, UDP and SCTP.
void set_tp_src(Packet& packet, const PacketInfo& info, Be16 port) noexcept;
void set_tp_dst(Packet& packet, const PacketInfo& info, Be16 port) noexcept;
// DSCP 0..63; the ECN bits stay.
void set_dscp(Packet& packet, PacketInfo& info, uint8_t dscp) noexcept;
// One off the TTL or hop limit. False when it is 0 or 1 already: the packet must not be forwarded.
bool dec_ttl(Packet& packet, PacketInfo& info) noexcept;
void set_ttl(Packet& packet, PacketInfo& info, uint8_t ttl) noexcept;

// Version of the IP header at info.l3: 4, 6, or 0 for anything else (ARP included).
uint8_t ip_version(const Packet& packet, const PacketInfo& info) noexcept;
// Protocol of the header at info.l4 (behind IPv6 extension headers); only with info.l4 != 0.
uint8_t l4_proto(const Packet& packet, const PacketInfo& info) noexcept;

}  // namespace vtep
