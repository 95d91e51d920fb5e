// port/ingress_guard.h — keeps the host's own stack away from the packets of a port.
//
// Why:    AF_PACKET only copies: without a guard the host would also answer, route and learn from
//         what containers send. The guard drops every packet at tc ingress, which the kernel runs
//         after the packet taps, so that our socket has seen it and nobody else does.
// Thread: control thread; `Auto` finishes on a thread of its own.
// Owner:  with TCX (kernel 6.6) the guard is a bpf_link that ends with its descriptor, even on
//         SIGKILL. On older kernels it is a clsact filter, removed on destruction; after a SIGKILL
//         it stays until the next port on the device takes it over.
// Cost:   attaching by TCX waits for an RCU grace period, some 10 ms under the kernel's network
//         lock, which a hundred ports would feel; clsact takes 1 ms. So `Auto` begins with clsact,
//         and goes over to TCX as soon as no more ports are being added. There is always one of
//         the two. The empty clsact qdisc stays until the guard goes: taking it away stops the
//         device for as long, and what the port sends meanwhile would be lost uncounted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/fd.h"

namespace vtep {

enum class IngressGuardMethod : uint32_t { Auto, Tcx, Clsact };

class IngressGuard {
 public:
  // Throws Error ERR_PERMISSION or ERR_CONFIG_INVALID, naming `device`.
  IngressGuard(const std::string& device, uint32_t ifindex,
               IngressGuardMethod method = IngressGuardMethod::Auto);
  ~IngressGuard();
  IngressGuard(const IngressGuard&) = delete;
  IngressGuard& operator=(const IngressGuard&) = delete;

  // The method that guards now.
  const char* method() const noexcept;

 private:
  struct State;
  class Upgrades;

  std::shared_ptr<State> state_;
};

}  // namespace vtep
