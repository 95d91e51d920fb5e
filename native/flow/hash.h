// flow/hash.h — the keyed hash of flow keys, and the entropy of outer UDP source ports.
//
// Why:    tenants choose their 5-tuples, so a hash that they can compute is a way to stall a
// worker.
//         CRC32C does not help, keyed or not: it is linear, so two keys that collide under one seed
//         collide under all. This is NH (the universal hash inside UMAC and UMASH): sums of
//         64x64-bit products of key words plus secret words. Two keys chosen without the secret
//         collide with a probability of about 2^-64, whatever they are. It is also fast: three
//         independent multiplications for an IPv4 key, five for IPv6, on any 64-bit CPU.
// Source: Black et al., "UMAC: Fast and Secure Message Authentication" (CRYPTO 1999).
// Thread: pure. One secret per process, drawn from the kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "flow/flow_key.h"

namespace vtep {

// Secret words of the hash. random() for the data path, from_seed() for repeatable tests.
struct HashSecret {
  static constexpr uint32_t word_count = 16;
  uint64_t words[word_count];

  // From getrandom(2); aborts when the kernel has none to give.
  static HashSecret random() noexcept;
  static HashSecret from_seed(uint64_t seed) noexcept;
};

namespace hash_detail {

__extension__ using Wide = unsigned __int128;

inline uint64_t load_word(const void* bytes, uint32_t index) noexcept {
  uint64_t word;
  memcpy(&word, static_cast<const uint8_t*>(bytes) + 8 * index, sizeof word);
  return word;
}

inline Wide product(uint64_t a, uint64_t b) noexcept { return Wide{a} * b; }

// Spreads all bits of the sum over all bits of the result.
inline uint64_t finish(Wide sum, uint64_t secret) noexcept {
  const uint64_t folded = static_cast<uint64_t>(sum) ^ static_cast<uint64_t>(sum >> 64);
  const Wide mixed = product(folded ^ secret, 0x9e3779b97f4a7c15ull);
  return static_cast<uint64_t>(mixed) ^ static_cast<uint64_t>(mixed >> 64);
}

template <uint32_t pairs>
inline uint64_t hash_pairs(const void* bytes, const HashSecret& secret) noexcept {
  Wide sum = 0;
  for (uint32_t pair = 0; pair < pairs; ++pair) {
    sum += product(load_word(bytes, 2 * pair) + secret.words[2 * pair],
                   load_word(bytes, 2 * pair + 1) + secret.words[2 * pair + 1]);
  }
  return finish(sum, secret.words[HashSecret::word_count - 1]);
}

}  // namespace hash_detail

// Whether the key holds more than exact_key_bytes_v4 bytes (ARP and ND contents aside).
inline bool has_long_key(const FlowKey& key) noexcept { return key.eth_type == be16(0x86dd); }

// Hash of what the exact cache compares: 48 bytes, or 80 of an IPv6 key. All 64 bits are good.
inline uint64_t hash_exact_key(const FlowKey& key, const HashSecret& secret) noexcept {
  if (has_long_key(key)) [[unlikely]]
    return hash_detail::hash_pairs<5>(&key, secret);
  return hash_detail::hash_pairs<3>(&key, secret);
}

// Hash of a whole key, ARP and ND contents included: for keys with an upcall under way.
inline uint64_t hash_whole_key(const FlowKey& key, const HashSecret& secret) noexcept {
  return hash_detail::hash_pairs<7>(&key, secret);
}

// Entropy of fragments: those behind the first have no ports, so ports do not count in any of them.
inline uint64_t fragment_entropy(const FlowKey& key, const HashSecret& secret) noexcept {
  FlowKey plain = key;
  plain.ip_frag = frag_none;
  plain.ct_state = 0;
  plain.tp_src = plain.tp_dst = Be16{};
  return hash_exact_key(plain, secret);
}

// 64 bits for the outer UDP source port and ECMP: the same for all packets of one direction of a
// connection that come in by one port, whatever the tables know of it (ct_state does not count).
// push_tunnel() takes 14 bits. For all but fragments it is the hash that the exact cache has
// computed already.
inline uint64_t flow_entropy(const FlowKey& key, const HashSecret& secret) noexcept {
  if (key.ip_frag != frag_none) return fragment_entropy(key, secret);
  FlowKey untracked = key;
  untracked.ct_state = 0;
  return hash_exact_key(untracked, secret);
}
inline uint64_t flow_entropy(const FlowKey& key, const HashSecret& secret,
                             uint64_t exact_hash) noexcept {
  return key.ip_frag == frag_none ? exact_hash : fragment_entropy(key, secret);
}

// 14 bits for a source port of 49152 + n (RFC 7348 section 5).
constexpr uint16_t entropy_port(uint64_t entropy) noexcept {
  return static_cast<uint16_t>(0xc000 | (entropy & 0x3fff));
}

}  // namespace vtep
