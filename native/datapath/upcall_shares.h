// datapath/upcall_shares.h — how much of an upcall ring each asker may hold.
//
// Why:    a container that scans makes a new flow of every packet. Its questions must neither fill
//         the ring nor stand in front of everybody else's. Askers: flow/asker.h.
//
// An asker may hold
//   - half as many bytes, and half as many keys, as are free (dynamic threshold): one asker alone
//     fills a third, two a quarter each, and a newcomer always finds room;
//   - upcall_alone_max records, or while others ask as well upcall_competing_max. The ring is
//     answered in order, so those who hold the same number are answered at the same rate, whatever
//     the rate is, and who asks less than that waits behind few;
//   - beyond that, one record for each of its tokens, upcall_port_rate a second and at most
//     upcall_port_burst: a thousand clients that come back at once are no scan.
// Thread: one worker.
#pragma once

#include <cstdint>

#include "base/limits.h"
#include "datapath/lazy_array.h"
#include "flow/asker.h"
#include "flow/flow_key.h"
#include "flow/hash.h"

namespace vtep {

// What one record takes of a ring.
struct UpcallCost {
  uint32_t bytes;
  uint32_t keys;  // 1: its key is not under way yet
};

class UpcallShares {
 public:
  explicit UpcallShares(const HashSecret& secret);

  uint16_t asker_of(const FlowKey& key) const noexcept { return vtep::asker_of(key, secret_); }
  // Whether the asker may hold a record more, when so much is `free`. May cost it a token.
  bool admit(uint16_t asker, UpcallCost record, UpcallCost free, uint64_t now_ns) noexcept;
  void take(uint16_t asker, UpcallCost record) noexcept;
  void give_back(uint16_t asker, UpcallCost record) noexcept;

  uint32_t held_bytes(uint16_t asker) const noexcept { return shares_[asker].held_bytes; }

 private:
  struct Share {
    uint32_t held_bytes;   // of records not yet taken back
    uint32_t held_keys;    // likewise
    uint32_t held_records;  // likewise
    uint32_t spent;        // tokens
    uint64_t refilled_ns;  // when tokens were counted last
  };

  bool competes(uint16_t asker, uint64_t now_ns) noexcept;
  bool spend_token(Share& share, uint64_t now_ns) const noexcept;

  HashSecret secret_;
  LazyArray<Share> shares_;  // [asker_max]
  uint16_t last_asker_ = 0;   // who asked last, and when; who else did before, and when
  uint16_t other_asker_ = 0;
  uint64_t last_ns_ = 0;
  uint64_t other_ns_ = 0;
};

}  // namespace vtep
