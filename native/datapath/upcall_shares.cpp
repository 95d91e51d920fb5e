// datapath/upcall_shares.cpp — see upcall_shares.h.

#include "datapath/upcall_shares.h"

#include <algorithm>

namespace vtep {

namespace {

// Who has asked within this time competes.
constexpr uint64_t competing_ns = 100'000'000;
constexpr uint64_t token_ns = 1'000'000'000 / upcall_port_rate;

}  // namespace

UpcallShares::UpcallShares(const HashSecret& secret)
    : secret_(secret), shares_(asker_max, "upcall shares") {}

bool UpcallShares::admit(uint16_t asker, UpcallCost record, UpcallCost free,
                         uint64_t now_ns) noexcept {
  Share& share = shares_[asker];
  const uint32_t allowance = competes(asker, now_ns) ? upcall_competing_max : upcall_alone_max;
  if (share.held_bytes != 0 && share.held_bytes + record.bytes > free.bytes / 2) return false;
  if (share.held_keys != 0 && share.held_keys + record.keys > free.keys / 2) return false;
  return share.held_records < allowance || spend_token(share, now_ns);
}

// Whether anybody else has asked lately; and the asker has, from now on.
bool UpcallShares::competes(uint16_t asker, uint64_t now_ns) noexcept {
  if (asker != last_asker_) {
    other_asker_ = last_asker_;
    other_ns_ = last_ns_;
    last_asker_ = asker;
  }
  last_ns_ = now_ns;
  return other_asker_ != asker && other_ns_ != 0 && now_ns - other_ns_ < competing_ns;
}

bool UpcallShares::spend_token(Share& share, uint64_t now_ns) const noexcept {
  const uint64_t earned = (now_ns - share.refilled_ns) / token_ns;
  if (earned >= share.spent) {
    share.spent = 0;
    share.refilled_ns = now_ns;
  } else {
    share.spent -= static_cast<uint32_t>(earned);
    share.refilled_ns += earned * token_ns;
  }
  if (share.spent >= upcall_port_burst) return false;
  ++share.spent;
  return true;
}

void UpcallShares::take(uint16_t asker, UpcallCost record) noexcept {
  Share& share = shares_[asker];
  share.held_bytes += record.bytes;
  share.held_keys += record.keys;
  share.held_records++;
}

void UpcallShares::give_back(uint16_t asker, UpcallCost record) noexcept {
  Share& share = shares_[asker];
  share.held_bytes -= record.bytes;
  share.held_keys -= record.keys;
  share.held_records--;
}

}  // namespace vtep
