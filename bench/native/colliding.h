// bench/native/colliding.h — sources of datagrams that an attacker would choose: all of them have
// one CRC32C.
//
// Why:    a table whose hash a tenant can compute is a way to stall a worker. CRC32C is the usual
//         choice, and linear: with a fixed destination, the sources of equal CRC are a vector space
//         over bits, whatever the seed is. A table with a keyed hash must not notice.
#pragma once

#include <cstdint>
#include <vector>

namespace vtep::bench {

struct Source {
  uint32_t address;  // host order
  uint16_t port;     // host order
};

constexpr uint32_t colliding_max = 32768;

// `count` (at most colliding_max) different unicast sources such that the CRC32C over source
// address, any one destination address, source port and any one destination port, as they stand in
// a packet, is the same for all.
std::vector<Source> colliding_sources(uint32_t count);

}  // namespace vtep::bench
