// datapath/upcall_ring.h — packets that no flow knows, on their way to the slow path and back.
//
// Why:    the worker copies the packet into shared memory and frees its frame at once, so that a
//         slow or dead slow path can hold ring bytes, never frames. The verdict is written into
//         the record itself; records are answered and taken back in order, so four cursors are the
//         whole protocol (layout.h).
//
// The life of a record:
//
//   Who         Change                           When
//   worker      writes a record at `produced`    a packet missed every table, or an action asked
//   worker      moves `produced`, rings          end of the breath, once for all its records
//   slow path   writes verdict_* into it         in order, as fast as it can
//   slow path   moves `answered`, wakes          once per batch (giveVerdicts)
//   worker      copies, checks, executes         next breath, in order
//   worker      moves `consumed`                 after that; the bytes are free again
//
// The life of a key with an upcall under way:
//
//   Who         Change                           When
//   worker      absent to pending                its first packet missed: kind Upcall
//   worker      pending, one follower more       later packets missed: kind Follower, at most
//                                                followers_per_key_max, then UpcallPending
//   worker      pending to absent                the verdict of the Upcall record is taken back
//
// A follower's verdict is Retry: by then its flow is installed, or it becomes an upcall of its own.
// Packets that an action copies up (UpcallReason other than Miss) are pending under their key and
// reason, so that a flow with an Upcall action asks once at a time; they have no followers, and
// their verdict may install a flow or run inline actions, but never drops the packet that went on.
//
// Shares. What one asker may hold is said in upcall_shares.h.
//
// Trust. What the other process may write is copied, then checked. Sizes, places, ports and
// offloads of records are kept here, in private memory; `answered` counts only when it lies
// between consumed and produced.
//
// Restart. A new slow path goes on at `answered`; records without a verdict are asked again by
// being there.
//
// Thread: one worker. The other end is datapath/slow_path_ends.h.
// Limits: capacity bytes; pending_keys_max; followers_per_key_max; a quarter of the ring for one
//         record.
#pragma once

#include <cstdint>

#include "base/drop_reasons.h"
#include "base/limits.h"
#include "datapath/layout.h"
#include "datapath/lazy_array.h"
#include "datapath/region.h"
#include "datapath/upcall_shares.h"
#include "flow/flow_key.h"
#include "flow/parse.h"
#include "packet/packet.h"

namespace vtep {

// What the worker remembers of a record while the slow path has it.
struct Outstanding {
  uint32_t start = 0;         // cursor of its first byte
  uint32_t record_bytes = 0;  // whole record
  uint32_t packet_bytes = 0;  // of the packet in it
  uint32_t in_port = 0;       // a key field, as the next ones are
  uint32_t tunnel_id = 0;     // key fields that the packet's bytes do not tell any more
  uint32_t tunnel_port = 0;
  uint16_t tunnel_src = 0;
  uint16_t pending = 0;       // its key among the pending ones: index + 1; 0: none
  uint16_t asker = 0;         // whose share it counts against
  uint32_t outer_bytes = 0;   // PacketInfo
  Offload offload;
  uint8_t ct_state = 0;
  uint8_t outer_tos = 0;      // PacketInfo
  uint8_t copy = 0;           // 1: an action made it; the packet itself went on
  uint8_t tries = 0;          // times that this packet was answered with Retry
  uint32_t unused[4] = {};    // fills the cache line
};
static_assert(sizeof(Outstanding) == 64);

// One packet to send up.
struct UpcallPacket {
  const Packet& packet;
  const FlowKey& key;
  const PacketInfo& info;
  uint16_t reason;      // UpcallReason; 0: Miss
  uint8_t tries;        // times that it was answered with Retry before
  uint64_t now_ns;      // CLOCK_MONOTONIC
};

enum class UpcallResult : uint8_t { Asked, Follows, AlreadyAsked, Refused };

class UpcallRing {
 public:
  // Takes over where `ring` is: both cursors zero at start. `ring` outlives this.
  UpcallRing(const RingView& ring, const HashSecret& secret);
  UpcallRing(const UpcallRing&) = delete;
  UpcallRing& operator=(const UpcallRing&) = delete;

  // Copies the packet into a record that publish() will show. Refused: `why` is UpcallRingFull,
  // UpcallPortLimit, UpcallPending or UpcallTooLong. AlreadyAsked only for reasons other than Miss.
  UpcallResult fill(const UpcallPacket& upcall, DropReason& why) noexcept;
  // Shows the filled records to the slow path. True if its doorbell must be rung.
  bool publish(uint64_t now_ns) noexcept;

  // The oldest record that has its verdict: `record` points to its copy in shared memory, whose
  // bytes may change under the reader. Null: none. take_back() must follow before the next call.
  const Outstanding* answered(const UpcallRecord*& record) noexcept;
  void take_back() noexcept;
  // Shows the slow path what has been taken back.
  void release() noexcept;

  // Whether answered() would return something; for the decision to sleep.
  bool has_answers() const noexcept;
  // Whether any record waits for its verdict, or has one that was not taken yet.
  bool waits() const noexcept { return count_ != 0; }
  void set_sleeping(bool sleeping) noexcept;
  // Bytes that a port without VLANs and tunnels holds now.
  uint32_t held_bytes(uint16_t port) const noexcept { return shares_.held_bytes(port); }

 private:
  struct PendingKey {
    FlowKey key;
    uint16_t reason;     // UpcallReason
    uint16_t followers;  // records that wait behind the first
    uint16_t next;       // in its bucket or the free list: index + 1; 0: last
    uint16_t bucket;     // where it is chained
  };
  PendingKey* find_pending(uint16_t bucket, const UpcallPacket& upcall) noexcept;
  uint16_t add_pending(uint16_t bucket, const UpcallPacket& upcall) noexcept;
  void forget_pending(uint16_t number) noexcept;
  uint8_t* reserve(uint32_t bytes) noexcept;
  void remember(const UpcallPacket& upcall, uint16_t asker, UpcallCost cost,
                uint16_t pending) noexcept;
  uint32_t used() const noexcept { return produced_ - consumed_; }

  static constexpr uint32_t bucket_count = 2 * pending_keys_max;  // a power of two

  RingView ring_;
  uint32_t produced_ = 0;          // private: what publish() will store
  uint32_t published_ = 0;         // what was stored last
  uint32_t consumed_ = 0;          // private: what release() will store
  uint64_t rung_ns_ = 0;           // when the doorbell was rung last
  uint32_t first_ = 0;             // oldest of outstanding_
  uint32_t count_ = 0;             // of outstanding_ in use
  uint32_t outstanding_mask_;      // slots of outstanding_, minus one
  uint16_t free_pending_ = 0;      // head of the free list: index + 1
  uint16_t pending_used_ = 0;      // entries of pending_ ever taken
  uint32_t pending_count_ = 0;     // in use
  LazyArray<Outstanding> outstanding_;
  LazyArray<PendingKey> pending_;  // [pending_keys_max]
  LazyArray<uint16_t> buckets_;    // first of each bucket: index + 1; 0: empty
  UpcallShares shares_;
  HashSecret secret_;
};

}  // namespace vtep
