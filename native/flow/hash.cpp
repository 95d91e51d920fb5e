// flow/hash.cpp — where the secret of the hash comes from.
//
// Why:    apart from hash.h so that the hot header includes no system header.
#include "flow/hash.h"

#include <sys/random.h>

#include "base/assert.h"

namespace vtep {

HashSecret HashSecret::random() noexcept {
  HashSecret secret;
  // Up to 256 bytes come whole or not at all (getrandom(2)).
  static_assert(sizeof secret <= 256);
  DP_ASSERT(getrandom(&secret, sizeof secret, 0) == static_cast<ssize_t>(sizeof secret));
  return secret;
}

// splitmix64, so that neighbouring seeds have nothing in common.
HashSecret HashSecret::from_seed(uint64_t seed) noexcept {
  HashSecret secret;
  for (uint64_t& word : secret.words) {
    seed += 0x9e3779b97f4a7c15ull;
    uint64_t mixed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
    word = mixed ^ mixed >> 31;
  }
  return secret;
}

}  // namespace vtep
