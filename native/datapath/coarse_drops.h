// datapath/coarse_drops.h — under a scan: questions that are not asked, because their like were
// answered with drops.
//
// Why:    a fair share of the slow path is still much to give to a scan, most of which is denied. A
//         thousand denials in a second with hardly anything else bring a coarse entry: for a while
//         no question of its kind is asked. It is coarse, so it only stands for questions: packets
//         of known flows and connections pass as before. There are two kinds: all that a port (or
//         VLAN of a trunk, or network of a remote VTEP) sends, and what one source address of it
//         does, so that a scanner behind an uplink or a trunk is told from its neighbours.
//
//   Who      Change                    When
//   worker   counting                  answers come: denied, or anything else
//   worker   counting to dropping      coarse_drop_after denials within a second, and less than an
//                                      eighth of that many other answers
//   worker   dropping to counting      coarse_drop_ns later
//
// Thread: one worker.
// Limits: entry_max entries, in sets of `ways` found by a keyed hash and told apart by all that
//         they are. In a full set the one with the fewest denials goes, and none that drops: a
//         scanner with ever new addresses throws out its own, and nobody answers for another.
#pragma once

#include <cstdint>

#include "base/limits.h"
#include "datapath/lazy_array.h"
#include "flow/flow_key.h"
#include "flow/hash.h"

namespace vtep {

class CoarseDrops {
 public:
  explicit CoarseDrops(const HashSecret& secret);

  // Whether a question about this packet is not to be asked now.
  bool drops(const FlowKey& key, uint64_t now_ns) const noexcept {
    return now_ns < until_ns_ && some_drop(key, now_ns);
  }
  // A question was answered.
  void answered(const FlowKey& key, bool denied, uint64_t now_ns) noexcept;

 private:
  static constexpr uint32_t entry_max = 8192;
  static constexpr uint32_t ways = 4;

  // Whose questions an entry is about.
  struct Who {
    uint64_t place;    // in_port and VNI
    uint64_t sender;   // VLAN and remote VTEP
    uint64_t address;  // 0: all that the sender sends; else a kind of address with its bits
    uint64_t ipv6[2];  // of an IPv6 source
    bool operator==(const Who& other) const noexcept = default;
  };
  struct Entry {
    Who who;
    uint64_t since_ns;  // when it began to count
    uint64_t until_ns;  // how long it drops
    uint32_t denied;    // answers
    uint32_t others;    // answers
  };
  static_assert(sizeof(Entry) == cache_line_bytes);

  static Who sender_of(const FlowKey& key) noexcept;
  static Who source_of(const FlowKey& key) noexcept;
  uint32_t set_of(const Who& who) const noexcept;
  bool some_drop(const FlowKey& key, uint64_t now_ns) const noexcept;
  bool is_dropped(const Who& who, uint64_t now_ns) const noexcept;
  Entry* entry_for(const Who& who, uint64_t now_ns) noexcept;
  void count(const Who& who, bool denied, uint64_t now_ns) noexcept;

  HashSecret secret_;
  LazyArray<Entry> entries_;
  uint64_t until_ns_ = 0;  // when the last entry ends to drop
};

}  // namespace vtep
