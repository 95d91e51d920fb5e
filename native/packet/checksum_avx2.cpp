// packet/checksum_avx2.cpp — checksum_add with AVX2; built with -mavx2, called after a CPU check.
//
// Why:    32-bit words are widened into 64-bit lanes by a mask and a shift, so no carry is lost;
//         four accumulators hide the latency of the additions.
#if defined(__x86_64__)
#include "packet/checksum.h"

#include <immintrin.h>

namespace vtep {

namespace {

__m256i load(const uint8_t* bytes) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}

}  // namespace

uint64_t checksum_add_avx2(const uint8_t* bytes, size_t count, uint64_t sum) noexcept {
  const __m256i low_half = _mm256_set1_epi64x(0xffffffff);
  __m256i a = _mm256_setzero_si256();
  __m256i b = a, c = a, d = a;
  while (count >= 64) {
    const __m256i x = load(bytes);
    const __m256i y = load(bytes + 32);
    a = _mm256_add_epi64(a, _mm256_and_si256(x, low_half));
    b = _mm256_add_epi64(b, _mm256_srli_epi64(x, 32));
    c = _mm256_add_epi64(c, _mm256_and_si256(y, low_half));
    d = _mm256_add_epi64(d, _mm256_srli_epi64(y, 32));
    bytes += 64;
    count -= 64;
  }
  alignas(32) uint64_t lanes[4];
  const __m256i all = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), all);
  // Lane sums are below 2^32 * words, far from overflow; the caller folds.
  return checksum_add_portable(bytes, count, sum + lanes[0] + lanes[1] + lanes[2] + lanes[3]);
}

}  // namespace vtep
#endif
