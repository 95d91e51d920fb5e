// base/drop_reasons.h — the enum, names and help texts of drop_reasons.def.
//
// Why:    no packet disappears without a name for it; src/flow/drop-reasons.ts has the same list.
// Limits: drop_reason_max columns of the counters in the shared memory (base/limits.h).
#pragma once

#include <array>
#include <cstdint>

#include "base/limits.h"

namespace vtep {

enum class DropReason : uint16_t {
#define DROP(symbol, name, help) symbol,
#include "base/drop_reasons.def"
#undef DROP
  Count
};

constexpr uint32_t drop_reason_count = static_cast<uint32_t>(DropReason::Count);
static_assert(drop_reason_count <= drop_reason_max);

struct DropReasonText {
  const char* name;  // as in `vtepctl drops`
  const char* help;  // one sentence
};

constexpr std::array<DropReasonText, drop_reason_count> drop_reason_texts = {{
#define DROP(symbol, name, help) {#name, help},
#include "base/drop_reasons.def"
#undef DROP
}};

}  // namespace vtep
