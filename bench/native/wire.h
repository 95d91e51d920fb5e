// bench/native/wire.h — the generator's hold on a device: a socket that sends, a ring that
// receives.
//
// Why:    AF_PACKET with a receive ring and sends that pass the queueing discipline: measured on
//         veth it carries more than AF_XDP does there, and works on every device. Each frame is one
//         packet: no superpackets, so that the device under test gets what a wire would bring.
//
//         The kernel stamps what it receives (CLOCK_REALTIME), so that a thread which wakes up late
//         measures no later; and it counts what finds no room in the ring.
// Host:   trial frames are dropped behind the ring (a program at TCX; before Linux 6.6 bound
//         sockets), or the stack would answer each with an ICMP error. ARP, neighbour discovery and
//         all else stay the host's own: it answers for the addresses that are on the device.
// Thread: opened by one thread; then the Sender belongs to one and the Receiver to one.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "bench/native/trial_frames.h"
#include "port/udp_sink.h"

namespace vtep::bench {

// Whose namespace and device: `netns` is a name of `ip netns`, a path, or empty for our own.
struct Place {
  std::string netns;
  std::string device;
};

class Sender {
 public:
  static constexpr uint32_t burst_max = 64;

  // Throws Error.
  Sender(const std::string& device, uint32_t ifindex);
  // Builds and sends frames first .. first + count - 1 (count <= burst_max), stamped with `now_ns`.
  // Returns how many the kernel took; fewer when the device has no room. error() tells more.
  uint32_t send(const FrameMaker& maker, Stamp first, uint32_t count) noexcept;
  // errno of the last send that the device refused for good; 0: none.
  int error() const noexcept { return error_; }
  void clear_error() noexcept { error_ = 0; }

 private:
  Fd socket_;
  int error_ = 0;
  mmsghdr messages_[burst_max] = {};
  iovec vectors_[burst_max][2] = {};
  uint8_t headers_[burst_max][trial_header_max] = {};
};

// A frame in the ring, until the next call.
struct RingFrame {
  const uint8_t* bytes = nullptr;
  uint32_t captured = 0;     // bytes that are there
  uint32_t length = 0;       // of the frame, without FCS
  uint64_t received_ns = 0;  // CLOCK_REALTIME
};

class Receiver {
 public:
  // Throws Error.
  Receiver(const std::string& device, uint32_t ifindex);
  ~Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  // From now on only frames of this run get into the ring; forgets what is there.
  void expect(uint32_t run);
  // The next frame; false when there is none. The one before is given back.
  bool next(RingFrame& frame) noexcept;
  // Frames that found no room in the ring since the last call.
  uint64_t take_drops() noexcept;

 private:
  Fd socket_;
  uint8_t* ring_ = nullptr;
  uint32_t slot_ = 0;
  bool held_ = false;  // the slot before is in our hands
};

// One end of a path, open.
struct Wire {
  // Throws Error, naming the namespace and the device.
  explicit Wire(const Place& place);

  Fd stack_guard;
  std::vector<std::shared_ptr<UdpSink>> sinks;  // instead, on older kernels
  std::unique_ptr<Sender> sender;
  std::unique_ptr<Receiver> receiver;
};

}  // namespace vtep::bench
