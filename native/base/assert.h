// base/assert.h — assertions: a broken one is a bug of ours, so the process stops there.
//
// Why:    DP_ASSERT stays on in release builds and guards set-up and boundaries; DP_DASSERT is for
//         the per-packet path and exists only in debug and sanitizer builds.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace vtep {

[[noreturn]] inline void assert_failed(const char* what, const char* file, int line) noexcept {
  fprintf(stderr, "vtep: assertion failed: %s (%s:%d)\n", what, file, line);
  abort();
}

}  // namespace vtep

#define DP_ASSERT(condition) \
  ((condition) ? (void)0 : ::vtep::assert_failed(#condition, __FILE__, __LINE__))
#ifdef NDEBUG
#define DP_DASSERT(condition) ((void)0)
#else
#define DP_DASSERT(condition) DP_ASSERT(condition)
#endif
