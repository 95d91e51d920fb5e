// base/limits.h — every limit of the data path, with its reason. TypeScript mirrors them in
// src/datapath/layout.ts, and attach compares the two.
#pragma once

#include <cstdint>

namespace vtep {

constexpr uint32_t batch_max = 256;           // packets a worker takes from one queue per breath
constexpr uint32_t worker_max = 16;           // threads of one datapath
constexpr uint32_t port_max = 1024;           // device ports; numbers are 1..port_max-1, 0 is none
constexpr uint32_t tunnel_max = 4096;         // remote VTEPs; numbers 1..tunnel_max-1, 0 is none
constexpr uint32_t group_max = 8192;          // replication groups; numbers 1..group_max-1
constexpr uint32_t group_member_max = 4096;   // one member per remote VTEP and local port
constexpr uint32_t meter_max = 4096;          // numbers 1..meter_max-1
constexpr uint32_t endpoint_max = 8;          // local VTEP addresses
constexpr uint32_t flow_max_default = 65536;  // megaflows; slots are 512 bytes, touched on use only
constexpr uint32_t drop_reason_max = 96;      // columns of the per-port drop counters
constexpr uint32_t port_counter_max = 16;     // columns of the per-port counters
constexpr uint32_t worker_counter_max = 64;   // columns of the per-worker counters
constexpr uint32_t device_name_max = 16;      // IFNAMSIZ, with its NUL

constexpr uint32_t cache_line_bytes = 64;
// Small frames are UMEM chunks: 2048 holds headroom + a 1518-byte frame + an outer header.
constexpr uint32_t small_frame_bytes = 2048;
// Room before the packet: outer Ethernet+VLAN 18, IPv6 40, UDP 8, Geneve 8 + 64 of options = 138.
constexpr uint32_t frame_headroom = 192;
// A virtio superpacket is at most 65535 bytes of IP behind 18 bytes of Ethernet.
constexpr uint32_t large_frame_bytes = 72 * 1024;
constexpr uint32_t packet_bytes_max = 65535 + 18;
constexpr uint32_t outer_header_max = 128;  // one prebuilt outer header, padded

constexpr uint32_t action_words_max = 64;        // a flow's action program
constexpr uint32_t inline_action_words_max = 18;  // a one-shot verdict inside an upcall record
constexpr uint32_t ring_bytes_default = 4u << 20;  // one upcall ring; > 32 superpackets
constexpr uint32_t command_ring_bytes = 1u << 20;
constexpr uint32_t event_ring_bytes = 1u << 20;
constexpr uint32_t pending_keys_max = 16384;    // keys with an upcall under way, per worker
// Packets of one key that may wait for its verdict: four superpackets of UDP, split into 64 each.
// At 1500 bytes they fill 0.4 MiB of the ring, less than the quarter that one port may hold.
constexpr uint32_t followers_per_key_max = 256;
// Records of one asker (upcall_shares.h) that may wait for their answers, alone and while others
// ask as well: some milliseconds of a busy slow path, and a fifth of one.
constexpr uint32_t upcall_alone_max = 1024;
constexpr uint32_t upcall_competing_max = 64;
constexpr uint32_t upcall_port_rate = 20000;     // records a second of one asker beyond those
constexpr uint32_t upcall_port_burst = 4096;     // of them at once
constexpr uint32_t asker_max = 4096;             // port_max ports, and the others by hash
// Answers that the data path makes itself for one asker: ARP, ND, echo and router advertisements,
// with room for a trunk full of hosts that start together; and ICMP errors with TCP resets, with
// room for a traceroute or a path MTU of many connections (RFC 1812 section 4.3.2.8).
constexpr uint32_t reply_port_rate = 10000;      // a second
constexpr uint32_t reply_port_burst = 1000;
constexpr uint32_t icmp_error_port_rate = 1000;  // a second
constexpr uint32_t icmp_error_port_burst = 100;
// Denials within a second, and almost nothing else, after which questions are not asked for a
// while: a scan then costs the slow path some ten thousand answers a second.
constexpr uint32_t coarse_drop_after = 1024;
constexpr uint64_t coarse_drop_ns = 100'000'000;
constexpr uint32_t subtable_max = 128;          // distinct megaflow masks per worker

}  // namespace vtep
