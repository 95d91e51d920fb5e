// datapath/coarse_drops.cpp — see coarse_drops.h.

#include "datapath/coarse_drops.h"

#include <algorithm>

namespace vtep {

using hash_detail::load_word;
using hash_detail::product;

namespace {

constexpr uint64_t counting_ns = 1'000'000'000;
constexpr uint32_t others_part = 8;  // an eighth of other answers is no scan

}  // namespace

CoarseDrops::CoarseDrops(const HashSecret& secret)
    : secret_(secret), entries_(entry_max, "coarse drops") {}

CoarseDrops::Kinds CoarseDrops::kinds_of(const FlowKey& key) const noexcept {
  const uint64_t where = uint64_t{key.in_port} << 32 | key.tunnel_id;
  const uint64_t who = uint64_t{key.vlan_tci.raw} << 16 | key.tunnel_src;
  const hash_detail::Wide sender =
      product(where + secret_.words[0], who + secret_.words[1]);
  // ARP has its sender in ip_src as well; what is no IP is known by its MAC.
  uint64_t mac = 0;
  memcpy(&mac, key.eth_src.data(), key.eth_src.size());
  const bool ip = key.ip_src.raw != 0 || has_long_key(key);
  hash_detail::Wide source = sender + product((ip ? key.ip_src.raw : mac) + secret_.words[2],
                                              uint64_t{ip} + secret_.words[3]);
  source += product(load_word(&key.ipv6_src, 0) + secret_.words[4],
                    load_word(&key.ipv6_src, 1) + secret_.words[5]);
  const auto index = [&](hash_detail::Wide sum) {
    return static_cast<uint32_t>(hash_detail::finish(sum, secret_.words[6]) % entry_max);
  };
  return {index(sender), index(source)};
}

bool CoarseDrops::some_drop(const FlowKey& key, uint64_t now_ns) const noexcept {
  const Kinds kinds = kinds_of(key);
  return now_ns < entries_[kinds.sender].until_ns || now_ns < entries_[kinds.source].until_ns;
}

void CoarseDrops::answered(const FlowKey& key, bool denied, uint64_t now_ns) noexcept {
  const Kinds kinds = kinds_of(key);
  count(entries_[kinds.sender], denied, now_ns);
  count(entries_[kinds.source], denied, now_ns);
}

void CoarseDrops::count(Entry& entry, bool denied, uint64_t now_ns) noexcept {
  if (now_ns - entry.since_ns > counting_ns) {
    entry.since_ns = now_ns;
    entry.denied = entry.others = 0;
  }
  (denied ? entry.denied : entry.others)++;
  if (entry.denied < coarse_drop_after || entry.others * others_part >= entry.denied) return;
  entry.until_ns = now_ns + coarse_drop_ns;
  until_ns_ = std::max(until_ns_, entry.until_ns);
  entry.denied = entry.others = 0;
}

}  // namespace vtep
