// bench/native/input.h — the packets that every system in the benches gets: byte for byte the same.
//
// Why:    a comparison is of the work done on equal input. Each flow is one UDP datagram of 64
//         bytes with its FCS (the FCS itself is not there), as RFC 2544 counts the shortest frame:
//         02:..:01 -> 02:..:02, 10.0.0.1.. port 1024.. -> 10.1.0.2 port 5001. As VXLAN the same
//         comes in VNI 100 from 172.31.1.2 to 172.31.1.1.
// Limits: 60000 source addresses, 64512 source ports each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vtep::bench {

constexpr uint32_t input_vni = 100;
constexpr uint16_t input_udp_port = 5001;  // destination of the inner datagrams, host order

enum class InputKind {
  Inner,    // as the container sends them
  Vxlan,    // the same, from the other host
  Replies,  // what the other host answers: the inner datagrams turned round, as VXLAN
};

using Frame = std::vector<uint8_t>;

enum class InputOrder { Sequential, Random };

struct Input {
  InputKind kind = InputKind::Inner;
  uint32_t flows = 1;
  InputOrder order = InputOrder::Sequential;
  bool colliding = false;  // sources as an attacker would choose them (colliding.h)
};

// A frame of each flow. Random order is the same in every run.
std::vector<Frame> input_frames(const Input& input);

// Writes them as a capture file; throws Error when that fails.
void write_capture(const std::string& path, const std::vector<Frame>& frames);
// The packets of a capture file; throws Error.
std::vector<Frame> read_capture(const std::string& path);

}  // namespace vtep::bench
