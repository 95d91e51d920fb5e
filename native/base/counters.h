// base/counters.h — enums and names of counters.def.
//
// Why:    workers count by number, people read names; one list makes both, so they cannot part.
// Limits: port_counter_max and worker_counter_max columns in the shared memory (base/limits.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/limits.h"

namespace vtep {

enum class PortCounter : uint32_t {
#define PORT_COUNTER(symbol, name, help) symbol,
#include "base/counters.def"
#undef PORT_COUNTER
  Count
};

enum class WorkerCounter : uint32_t {
#define WORKER_COUNTER(symbol, name, help) symbol,
#include "base/counters.def"
#undef WORKER_COUNTER
  Count
};

static_assert(static_cast<uint32_t>(PortCounter::Count) <= port_counter_max);
static_assert(static_cast<uint32_t>(WorkerCounter::Count) <= worker_counter_max);

struct CounterText {
  const char* name;
  const char* help;
};

constexpr std::array<CounterText, static_cast<size_t>(PortCounter::Count)> port_counter_texts = {{
#define PORT_COUNTER(symbol, name, help) {#name, help},
#include "base/counters.def"
#undef PORT_COUNTER
}};

constexpr std::array<CounterText, static_cast<size_t>(WorkerCounter::Count)>
    worker_counter_texts = {{
#define WORKER_COUNTER(symbol, name, help) {#name, help},
#include "base/counters.def"
#undef WORKER_COUNTER
}};

}  // namespace vtep
