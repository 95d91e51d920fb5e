// datapath/coarse_drops.cpp — see coarse_drops.h.

#include "datapath/coarse_drops.h"

#include <algorithm>

namespace vtep {

using hash_detail::product;

namespace {

constexpr uint64_t counting_ns = 1'000'000'000;
constexpr uint32_t others_part = 8;  // an eighth of other answers is no scan
// Kinds of addresses, above their bits.
constexpr uint64_t of_ip = uint64_t{1} << 48;
constexpr uint64_t of_mac = uint64_t{2} << 48;

}  // namespace

CoarseDrops::CoarseDrops(const HashSecret& secret)
    : secret_(secret), entries_(entry_max, "coarse drops") {}

CoarseDrops::Who CoarseDrops::sender_of(const FlowKey& key) noexcept {
  return Who{uint64_t{key.in_port} << 32 | key.tunnel_id,
             uint64_t{key.vlan_tci.raw} << 16 | key.tunnel_src,
             0,
             {}};
}

// ARP has its sender in ip_src as well; what is no IP is known by its MAC.
CoarseDrops::Who CoarseDrops::source_of(const FlowKey& key) noexcept {
  Who who = sender_of(key);
  uint64_t mac = 0;
  memcpy(&mac, key.eth_src.data(), key.eth_src.size());
  const bool ip = key.ip_src.raw != 0 || has_long_key(key);
  who.address = ip ? of_ip | key.ip_src.raw : of_mac | mac;
  memcpy(who.ipv6, key.ipv6_src.data(), sizeof who.ipv6);
  return who;
}

// Index of its first entry.
uint32_t CoarseDrops::set_of(const Who& who) const noexcept {
  hash_detail::Wide sum =
      product(who.place + secret_.words[0], who.sender + secret_.words[1]);
  sum += product(who.address + secret_.words[2], who.ipv6[0] + secret_.words[3]);
  sum += product(who.ipv6[1] + secret_.words[4], secret_.words[5]);
  return static_cast<uint32_t>(hash_detail::finish(sum, secret_.words[6]) % (entry_max / ways)) *
         ways;
}

bool CoarseDrops::is_dropped(const Who& who, uint64_t now_ns) const noexcept {
  const uint32_t first = set_of(who);
  for (uint32_t i = first; i < first + ways; i++)
    if (entries_[i].who == who) return now_ns < entries_[i].until_ns;
  return false;
}

bool CoarseDrops::some_drop(const FlowKey& key, uint64_t now_ns) const noexcept {
  return is_dropped(sender_of(key), now_ns) || is_dropped(source_of(key), now_ns);
}

void CoarseDrops::answered(const FlowKey& key, bool denied, uint64_t now_ns) noexcept {
  count(sender_of(key), denied, now_ns);
  count(source_of(key), denied, now_ns);
}

// The entry of `who`, or one that is given up for it, begun anew; null: all of the set drop.
CoarseDrops::Entry* CoarseDrops::entry_for(const Who& who, uint64_t now_ns) noexcept {
  const uint32_t first = set_of(who);
  Entry* least = nullptr;
  for (uint32_t i = first; i < first + ways; i++) {
    Entry& entry = entries_[i];
    if (now_ns - entry.since_ns > counting_ns) {
      entry.since_ns = now_ns;
      entry.denied = entry.others = 0;
    }
    if (entry.who == who) return &entry;
    const bool drops = now_ns < entry.until_ns;
    if (!drops && (least == nullptr || entry.denied < least->denied)) least = &entry;
  }
  if (least != nullptr) *least = Entry{who, now_ns, 0, 0, 0};
  return least;
}

void CoarseDrops::count(const Who& who, bool denied, uint64_t now_ns) noexcept {
  Entry* const entry = entry_for(who, now_ns);
  if (entry == nullptr) return;
  (denied ? entry->denied : entry->others)++;
  if (entry->denied < coarse_drop_after || entry->others * others_part >= entry->denied) return;
  entry->until_ns = now_ns + coarse_drop_ns;
  until_ns_ = std::max(until_ns_, entry->until_ns);
  entry->denied = entry->others = 0;
}

}  // namespace vtep
