// flow/tcp_states.h — the TCP state machine of connection tracking, as one table.
//
// Why:    a middlebox sees segments, not state; Linux's table has been right about what to make of
// them
//         for twenty years. Windows are not looked at.
// Source: net/netfilter/nf_conntrack_proto_tcp.c, tcp_conntracks.
#pragma once

#include <cstdint>

#include "packet/headers.h"

namespace vtep::tcp_states {

// Column and value numbers are those of ConnectionState; two more values say what else to do.
constexpr uint8_t no = 0, ss = 1, sr = 2, es = 3, fw = 4, cw = 5, la = 6, tw = 7, cl = 8, s2 = 9;
constexpr uint8_t ignore = 14;   // let it pass, change nothing
constexpr uint8_t invalid = 15;  // fits no state of this connection

// Rows: what the segment is, by its flags.
enum class Segment : uint8_t { Syn = 0, SynAck = 1, Fin = 2, Ack = 3, Rst = 4, None = 5 };

constexpr Segment segment_of(uint8_t flags) noexcept {
  if (flags & tcp_rst) return Segment::Rst;
  if (flags & tcp_syn) return flags & tcp_ack ? Segment::SynAck : Segment::Syn;
  if (flags & tcp_fin) return Segment::Fin;
  return flags & tcp_ack ? Segment::Ack : Segment::None;
}

// [direction: 0 originator, 1 reply][segment][present state]
constexpr uint8_t transitions[2][6][10] = {
    {
        // no, ss, sr, es, fw, cw, la, tw, cl, s2
        {ss, ss, ignore, ignore, ignore, ignore, ignore, ss, ss, s2},
        {invalid, invalid, sr, invalid, invalid, invalid, invalid, invalid, invalid, sr},
        {invalid, invalid, fw, fw, la, la, la, tw, cl, invalid},
        {es, invalid, es, es, cw, cw, tw, tw, cl, invalid},
        {invalid, cl, cl, cl, cl, cl, cl, cl, cl, cl},
        {invalid, invalid, invalid, invalid, invalid, invalid, invalid, invalid, invalid, invalid},
    },
    {
        {invalid, s2, invalid, invalid, invalid, invalid, invalid, ss, invalid, s2},
        {invalid, sr, ignore, ignore, ignore, ignore, ignore, ignore, ignore, sr},
        {invalid, invalid, fw, fw, la, la, la, tw, cl, invalid},
        {invalid, ignore, sr, es, cw, cw, tw, tw, cl, ignore},
        {invalid, cl, cl, cl, cl, cl, cl, cl, cl, cl},
        {invalid, invalid, invalid, invalid, invalid, invalid, invalid, invalid, invalid, invalid},
    },
};

}  // namespace vtep::tcp_states
