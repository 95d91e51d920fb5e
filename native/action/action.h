// action/action.h — the action program of a flow: what is done to its packets, as 32-bit words.
//
// Why:    the same words are written by TypeScript (src/flow/actions.ts mirrors this file), kept in
//         shared memory, read back by a new vtepd and executed by workers. Every word is host order
//         unless said otherwise. validate() runs once, at installation; execute() trusts it.
// Limits: action_words_max words a program.
//
// First word of each action: op | words << 8 | arg << 16, where `words` counts the whole action.
//
//   op               words  arg        w1...
//   Output           2      -          port number
//   OutputTunnel     4      -          tunnel number, VNI, logical source port (0: none)
//   OutputGroup      4      -          group number, VNI, logical source port; not to the sender
//   SetEthSrc        3      -          MAC bytes 0..3, bytes 4..5 (memory order, zero padded)
//   SetEthDst        3      -          likewise
//   PushVlan         1      vid        an 802.1Q tag with PCP 0 (host order)
//   PopVlan          1      -          the outermost tag
//   SetIpv4Src       2      -          address as on the wire
//   SetIpv4Dst       2      -          likewise
//   SetIpv6Src       5      -          address as on the wire
//   SetIpv6Dst       5      -          likewise
//   SetTpSrc         1      port       host order; TCP, UDP or SCTP
//   SetTpDst         1      port       host order
//   SetDscp          1      dscp       0..63
//   DecTtl           6      -          IPv4 address, IPv6 address (4 words): source of the
//                                      time-exceeded
//   ArpReply         3      -          our MAC: turns the ARP request into the reply (then
//                                      Output in_port; back through the tunnel it came from)
//   NdReply          3      flags      our MAC: turns the solicitation into an advertisement;
//                                      flags: 1 router
//   EnforceMtu       8      -          MTU of the network (L3 bytes; 0: none), tunnel number or 0,
//                                      source of the too-big: IPv4 address, IPv6 address (4 words);
//                                      zero addresses: the packet's own destination answers. Clamps
//                                      the MSS of SYNs too. IPv4 without DF is fragmented.
//   Meter            2      -          meter number
//   Mirror           2      -          port number: a copy as it is now
//   Upcall           1      reason     a copy to the slow path (UpcallReason), then goes on
//   Drop             1      reason     DropReason; ends the program
//   CtCommit         2      -          zone; commits the packet's connection, both directions
//   Reject           1      -          TCP reset or ICMP port unreachable to the sender; drops with
//                                      AclReject; ends the program
//   EchoReply        1      -          turns an ICMP echo request into its reply, and a later
//                                      fragment of one around (then Output in_port)
//   Unreachable      6      kind       IPv4 address, IPv6 address (4 words): source of the error;
//                                      kind: UnreachableKind; drops with the kind's reason; ends
//                                      the program
//   RouterAdvert     4      lifetime   our MAC, MTU: turns a router solicitation into an
//                                      advertisement that is good for so many seconds (then
//                                      RouterPrefix, and Output in_port); behind NdReply and
//                                      Output it makes one more packet of the same
//   RouterPrefix     5      length     IPv6 prefix (4 words): an on-link prefix, added to the
//                                      advertisement; with 64 bits hosts make addresses of it
//   Sample           3      -          probability as n of 2^32, port number to mirror to
#pragma once

#include <cstdint>
#include <cstring>

#include "base/drop_reasons.h"
#include "base/limits.h"
#include "flow/flow_key.h"

namespace vtep {

enum class Op : uint8_t {
  End = 0,
  Output = 1,
  OutputTunnel = 2,
  OutputGroup = 3,
  SetEthSrc = 4,
  SetEthDst = 5,
  PushVlan = 6,
  PopVlan = 7,
  SetIpv4Src = 8,
  SetIpv4Dst = 9,
  SetIpv6Src = 10,
  SetIpv6Dst = 11,
  SetTpSrc = 12,
  SetTpDst = 13,
  SetDscp = 14,
  DecTtl = 15,
  ArpReply = 16,
  NdReply = 17,
  EnforceMtu = 18,
  Meter = 19,
  Mirror = 20,
  Upcall = 21,
  Drop = 22,
  CtCommit = 23,
  Sample = 24,
  Reject = 25,
  EchoReply = 26,
  Unreachable = 27,
  RouterAdvert = 28,
  RouterPrefix = 29,
  Count
};

// Why a packet cannot be routed: the argument of Unreachable.
enum class UnreachableKind : uint16_t {
  NoRoute = 0,  // DropReason::NoRoute
  Host = 1,     // DropReason::HostUnreachable
  Port = 2,     // it is for the router itself: DropReason::RouterItself; TCP is reset
  Count
};

// Words of each op, by number; 0: not an op.
constexpr uint8_t op_words[static_cast<uint32_t>(Op::Count)] = {
    0, 2, 4, 4, 3, 3, 1, 1, 2, 2, 5, 5, 1, 1, 1, 6, 3, 3, 8, 2, 2, 1, 1, 2, 3, 1, 1, 6, 4, 5};

constexpr uint32_t action_word(Op op, uint16_t arg = 0) noexcept {
  return static_cast<uint32_t>(op) | uint32_t{op_words[static_cast<uint32_t>(op)]} << 8 |
         uint32_t{arg} << 16;
}
constexpr Op action_op(uint32_t word) noexcept { return static_cast<Op>(word & 0xff); }
constexpr uint32_t action_length(uint32_t word) noexcept { return word >> 8 & 0xff; }
constexpr uint16_t action_arg(uint32_t word) noexcept { return static_cast<uint16_t>(word >> 16); }
// A MAC in the first six bytes of two words.
inline MacBytes action_mac(const uint32_t* words) noexcept {
  MacBytes mac;
  memcpy(mac.data(), words, mac.size());
  return mac;
}

// A program as a flow holds it. An empty one drops with DropReason::NoOutput.
struct ActionProgram {
  uint32_t count = 0;                     // words used
  uint32_t words[action_words_max] = {};
};

// Whether every action has its length, a known op and numbers inside the limits of base/limits.h.
// Reads at most `count` words. Never trusts the memory: copy first, then validate the copy.
bool validate(const uint32_t* words, uint32_t count) noexcept;

}  // namespace vtep
