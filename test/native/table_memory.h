// test/native/table_memory.h — zeroed, aligned memory for the tables of native/flow, and random
// keys.
//
// Why:    the tables own no memory; in the data path it comes from mmap, here from the heap, where
// a
//         sanitizer sees what is touched outside.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <span>

#include "base/limits.h"
#include "flow/flow_key.h"

namespace vtep {

class TableMemory {
 public:
  explicit TableMemory(size_t bytes)
      : bytes_(bytes),
        memory_(static_cast<std::byte*>(std::aligned_alloc(
                    cache_line_bytes, (bytes + cache_line_bytes - 1) & ~size_t{63})),
                &std::free) {
    memset(memory_.get(), 0, bytes);
  }
  std::span<std::byte> span() { return {memory_.get(), bytes_}; }

 private:
  size_t bytes_;
  std::unique_ptr<std::byte, decltype(&std::free)> memory_;
};

// A key as parse() makes them, IPv6 if asked, the `number`-th of its kind.
inline FlowKey numbered_key(uint32_t number, bool ipv6 = false) {
  FlowKey key = {};
  key.in_port = 1 + number % 7;
  key.eth_type = be16(ipv6 ? 0x86dd : 0x0800);
  key.ip_proto = 17;
  key.eth_src = {2, 0, 0, 0, 0, 1};
  key.eth_dst = {2, 0, 0, 0, 0, 2};
  key.tp_src = be16(static_cast<uint16_t>(number));
  key.tp_dst = be16(static_cast<uint16_t>(53));
  if (ipv6) {
    key.ipv6_src[0] = 0x20;
    memcpy(&key.ipv6_src[12], &number, 4);
    key.ipv6_dst[0] = 0x20;
  } else {
    key.ip_src = be32(0x0a000000 + (number >> 8));
    key.ip_dst = be32(0x0b000000 + number);
  }
  return key;
}

}  // namespace vtep
