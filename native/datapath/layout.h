// datapath/layout.h — the memory that vtepd and the datapath share, to the byte.
//
// Why:    one memfd, mapped by both processes, holds the rings, the flow store and the statistics,
//         so that a new vtepd reads back what is installed without asking, and no upcall costs a
//         call. src/datapath/layout.ts mirrors this file; attach compares layout_words() with it.
// Thread: who may write is said at each part; cursors are atomics with release/acquire.
// Limits: base/limits.h. Memory is touched on use only.
//
//   The region                                   who writes
//   0        RegionHeader (4096 bytes)           datapath, once
//   flows    FlowSlot[flow_max]                  TypeScript
//   stats    FlowStats[worker][flow_max]         worker
//   counters uint64[worker][worker_counter_max]  worker
//   ports    uint64[worker][port_max][port_counter_max]   worker
//   drops    uint64[worker][port_max][drop_reason_max]    worker
//   rings    per worker: upcall, command, event: RingHeader + bytes
//
// Flow store. TypeScript numbers flows: it owns FlowSlot[1..flow_max-1] (0 is "none"). It writes
// key, mask and actions, then sets `state` to flow_live, then names slot and generation in a
// verdict or command. A worker copies the slot's content into its own tables when it installs, so
// later writes to the slot do not change what it does. To remove: a RemoveFlow command to every
// worker; once each has consumed that record, TypeScript sets `state` to flow_free and may use the
// slot again with generation + 1. A worker ignores a slot whose generation differs from the one it
// was told (counts BadVerdict). A new vtepd takes every flow_live slot over.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/limits.h"
#include "flow/connection.h"
#include "flow/flow_key.h"
#include "flow/flow_stats.h"

namespace vtep {

constexpr uint32_t layout_magic = 0x50455456;  // "VTEP"
constexpr uint32_t layout_version = 4;

struct RegionHeader {
  uint32_t magic;
  uint32_t version;
  uint64_t bytes;             // of the whole region
  uint32_t worker_count;
  uint32_t flow_max;
  uint32_t upcall_ring_bytes;  // capacity of each ring, a power of two
  uint32_t command_ring_bytes;
  uint32_t event_ring_bytes;
  uint32_t datapath_pid;
  uint64_t started_ns;        // CLOCK_MONOTONIC at start: tells a new datapath from the old one
  uint64_t flows_offset;      // bytes from the region's start, each 4096-aligned
  uint64_t stats_offset;
  uint64_t counters_offset;
  uint64_t ports_offset;
  uint64_t drops_offset;
  uint64_t rings_offset;      // worker w: rings_offset + w * ring_stride
  uint64_t ring_stride;       // upcall, command, event ring behind each other, each with its header
};
static_assert(sizeof(RegionHeader) <= 4096);

constexpr uint32_t flow_free = 0;
constexpr uint32_t flow_live = 1;

struct FlowSlot {
  uint32_t state;         // 0: flow_free or flow_live, written last
  uint32_t generation;    // 4: grows by one each time the slot is used
  uint32_t action_words;  // 8: words of `actions` in use
  uint32_t decision;      // 12: TypeScript's id of the decision behind the flow
  uint64_t created_ms;    // 16: CLOCK_MONOTONIC
  uint64_t spare;         // 24
  FlowKey key;            // 32
  FlowMask mask;          // 144
  uint32_t actions[action_words_max];  // 256
};
static_assert(sizeof(FlowSlot) == 512);

// A ring: header, then capacity bytes. Cursors count bytes since the start, modulo 2^32; records
// are multiples of 64 bytes and never wrap: a pad record (RecordKind::Pad) fills the end. Each
// cursor has its own cache line.
struct alignas(cache_line_bytes) RingCursor {
  std::atomic<uint32_t> value;
  uint32_t pad[15];
};
struct RingHeader {
  RingCursor produced;   // upcall, event: worker; command: TypeScript
  RingCursor answered;   // upcall: TypeScript has written the verdicts up to here; unused in others
  RingCursor consumed;   // upcall: worker has executed so far; command: worker; event: TypeScript
  RingCursor sleeping;   // 1: the worker sleeps and wants its doorbell rung after a hand-over
};
static_assert(sizeof(RingHeader) == 256);

enum class RecordKind : uint32_t { Pad = 0, Upcall = 1, Follower = 2 };

// What TypeScript decided of an upcall, written into the record itself.
enum class VerdictKind : uint32_t {
  None = 0,     // drop with NoVerdict
  Flow = 1,     // install verdict_flow, then run the packet through it
  Once = 2,     // run inline_actions on this packet only
  Retry = 3,    // look the packet up again (followers, or a flow that exists already)
  Drop = 4,     // drop with verdict_reason
};

// 256 bytes, then the packet, then padding to 64.
struct UpcallRecord {
  uint32_t record_bytes;     // 0: whole record, multiple of 64
  uint32_t kind;             // 4: RecordKind
  uint32_t reason;           // 8: UpcallReason
  uint32_t packet_bytes;     // 12
  uint64_t rx_ns;            // 16: CLOCK_MONOTONIC
  uint32_t in_port;          // 24
  uint32_t outer_bytes;      // 28: PacketInfo
  uint8_t offload[8];        // 32: Offload
  uint16_t l3;               // 40: PacketInfo
  uint16_t l4;               // 42
  uint16_t payload;          // 44
  uint8_t tcp_flags;         // 46
  uint8_t ip_tos;            // 47
  uint8_t ip_ttl;            // 48
  uint8_t outer_tos;         // 49
  uint16_t spare1;           // 50
  uint32_t verdict_kind;     // 52: VerdictKind, by TypeScript
  uint32_t verdict_flow;     // 56: slot, by TypeScript
  uint32_t verdict_generation;  // 60
  FlowKey key;               // 64
  uint32_t verdict_reason;   // 176: DropReason, by TypeScript
  uint32_t inline_count;     // 180: words of inline_actions
  uint32_t inline_actions[inline_action_words_max];  // 184, by TypeScript
};
static_assert(sizeof(UpcallRecord) == 256);

enum class CommandKind : uint32_t {
  Pad = 0,
  InstallFlow = 1,   // slot, generation
  RemoveFlow = 2,    // slot, generation
  PacketOut = 3,     // in_port, actions, packet: runs the actions on the packet
  FlushExact = 4,    // forget every exact entry (megaflows stay)
  Barrier = 5,       // nothing: its consumption tells that all before it is done
  ListEntries = 6,   // slot: first place of the exact cache; generation: how many; token. Answered
                     // by Entry events of those that match, and a Listed
  MarkConnection = 7,  // slot, generation: of the connection; mark, mark_ms
  ReportEnds = 8,    // slot: 1: exact entries are told of by EntryEnd events, after idle_ms without
                     // a packet and each active_ms of life; 0: they are not
  SetTimeouts = 9,   // ConnectionTimeouts behind it are in force, for connections that live as well
};

// 64 bytes; PacketOut: then action words (padded to 64 bytes), then the packet, padded to 64.
// ListEntries: then, as the packet, the FlowKey and FlowMask that entries must match. SetTimeouts:
// then, as the packet, a ConnectionTimeouts.
struct CommandRecord {
  uint32_t record_bytes;  // 0: whole record, multiple of 64
  uint32_t kind;          // 4: CommandKind
  uint32_t slot;          // 8
  uint32_t generation;    // 12
  uint32_t in_port;       // 16: counted against, never sent back to by groups
  uint32_t action_words;  // 20
  uint32_t packet_bytes;  // 24
  uint32_t token;         // 28: ListEntries: given back in its events
  uint32_t mark;          // 32: MarkConnection: bits for ct_state, ct_kept or 0
  uint32_t mark_ms;       // 36: how long they stay; 0: as long as the connection
  uint32_t idle_ms;       // 40: ReportEnds
  uint32_t active_ms;     // 44: ReportEnds
  uint32_t spare[4];      // 48
};
static_assert(sizeof(CommandRecord) == 64);

enum class EventKind : uint32_t {
  Pad = 0,
  CaptureRx = 1,   // a packet as it came in by `port` (before a tunnel is opened)
  CaptureTx = 2,   // a packet as it leaves by `port` (after encapsulation)
  Drop = 3,        // a dropped packet, a second apart for one port and reason: FlowKey, packet
  Entry = 4,       // an exact entry, as ListEntries asked: EntryReport
  EntryEnd = 5,    // what an exact entry has carried since it was told of last: EntryReport
  Listed = 6,      // ListEntries is done; flow: the place to go on at, 0: that was all
};

// 64 bytes, then the packet (cut to capture_bytes_max) or what the kind says, padded to 64.
struct EventRecord {
  uint32_t record_bytes;   // 0: whole record, multiple of 64
  uint32_t kind;           // 4: EventKind
  uint64_t time_ns;        // 8: CLOCK_REALTIME
  uint32_t port;           // 16
  uint32_t packet_bytes;   // 20: bytes that follow
  uint32_t original_bytes;  // 24: bytes that the packet had
  uint32_t flow;           // 28: slot that decided, 0: none
  uint32_t verdict;        // 32: 0 forwarded, 1 to the slow path, 2 dropped, 3 answered
  uint32_t drop_reason;    // 36
  uint32_t other_port;     // 40: Rx: first output port; Tx: in_port
  uint32_t generation;     // 44: Drop: of the flow
  uint32_t token;          // 48: Entry, Listed
  uint32_t spare[3];       // 52
};
static_assert(sizeof(EventRecord) == 64);
constexpr uint32_t capture_bytes_max = 2048;
constexpr uint32_t drop_sample_bytes_max = 256;

// One direction of one connection, as the exact cache has or had it.
struct EntryReport {
  FlowKey key;                     // 0: with ct_state as packets of it would have it now
  uint64_t packets;                // 112: since it was made; EntryEnd: since it was told of last
  uint64_t bytes;                  // 120: likewise
  uint32_t flow;                   // 128: slot; 0: none any more
  uint32_t generation;             // 132: of the flow, low 24 bits
  uint32_t decision;               // 136: of the flow, when the entry was made from it
  uint32_t connection;             // 140: number; 0: none
  uint32_t connection_generation;  // 144
  uint32_t connection_state;       // 148: ConnectionState
  uint32_t age_ms;                 // 152: since it was made; EntryEnd: since what is told began
  uint32_t idle_ms;                // 156: since it was last seen used, by the sweep
  uint32_t why;                    // 160: EntryEnd: FlowEnd
  uint32_t spare;                  // 164
};
static_assert(sizeof(EntryReport) == 168);

}  // namespace vtep
