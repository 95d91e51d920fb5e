// action/answer_limits.h — how often one sender is answered by the data path itself.
//
// Why:    ARP, ND, pings of a gateway, router solicitations and packets that end in an ICMP error
//         bring answers that we make. A sender that floods us with them shall get no more than its
//         part, and shall not use up anybody else's: each asker (flow/asker.h) has buckets of its
//         own. Errors have one for themselves (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 f),
//         so that who asks much for neighbours still learns that its packets are too big.
// Thread: AnswerBuckets belong to one worker; the rates hold per worker (action/meter.h).
#pragma once

#include <cstdint>

#include "action/meter.h"
#include "base/limits.h"

namespace vtep {

enum class AnswerKind : uint8_t {
  Reply,  // ARP, ND, echo, router advertisement
  Error,  // ICMP errors and TCP resets
};

// Of one asker; zero bytes are full buckets.
struct AnswerBuckets {
  MeterState replies;
  MeterState errors;
};

// Whether one answer more may be made now.
inline bool may_make_answer(AnswerBuckets& buckets, AnswerKind kind, uint64_t now_ns) noexcept {
  static constexpr MeterConfig replies{reply_port_rate, reply_port_burst, true};
  static constexpr MeterConfig errors{icmp_error_port_rate, icmp_error_port_burst, true};
  if (kind == AnswerKind::Reply) return meter_pass(replies, buckets.replies, 1, now_ns);
  return meter_pass(errors, buckets.errors, 1, now_ns);
}

}  // namespace vtep
