// bench/native/udp_bench.cpp — small UDP datagrams between two network stacks: how many pass, and
// how long one takes there and back. The ends run in network namespaces, one program each.
//
//   udp_bench count  --device DEV --port P --seconds S   packets a second that come in by a device
//   udp_bench flood  --to ADDRESS --port P --seconds S   sends as fast as the kernel takes them
//   udp_bench answer --port P                            sends back what comes, until it is ended
//   udp_bench ask    --to ADDRESS --port P --seconds S   one datagram after the other is answered
//
// Datagrams carry 18 bytes: frames of 64 bytes with their FCS. `count` counts at the device, before
// the kernel drops what its socket does not read, and begins when a first packet has come. IPv4.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/fd.h"
#include "bench/native/cycles.h"
#include "bench/native/options.h"

namespace {

using namespace vtep;         // NOLINT: a bench is a file of its own
using namespace vtep::bench;  // NOLINT

constexpr size_t payload_bytes = 18;
constexpr uint32_t flood_flows = 64;  // source ports
constexpr uint32_t flood_burst = 64;  // datagrams a call
constexpr uint64_t settle_ns = 200'000'000;
constexpr uint64_t first_packet_ns_max = 10'000'000'000;
constexpr useconds_t look_us = 1000;

[[noreturn]] void fail(const std::string& doing) {
  throw std::runtime_error(doing + ": " + strerror(errno));
}

Fd udp_socket() {
  Fd made(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!made.open()) fail("making a socket");
  return made;
}

sockaddr_in place(const std::string& address, uint32_t port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, address.c_str(), &to.sin_addr) != 1)
    throw std::runtime_error("--to " + address + ": wants an IPv4 address");
  return to;
}

Fd bound(uint32_t port) {
  Fd made = udp_socket();
  const sockaddr_in any = place("0.0.0.0", port);
  if (::bind(made.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0)
    fail("binding port " + std::to_string(port));
  return made;
}

Fd connected(const sockaddr_in& to) {
  Fd made = udp_socket();
  if (::connect(made.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
    fail("connecting");
  return made;
}

void ready() {
  printf("ready\n");
  fflush(stdout);
}

// Packets that the device has received, as the kernel counts them.
uint64_t packets_of(const std::string& device) {
  std::ifstream file("/proc/self/net/dev");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    if (line.substr(line.find_first_not_of(' '), colon - line.find_first_not_of(' ')) != device)
      continue;
    std::istringstream columns(line.substr(colon + 1));
    uint64_t bytes = 0;
    uint64_t packets = 0;
    columns >> bytes >> packets;
    return packets;
  }
  throw std::runtime_error("there is no device " + device);
}

void count(Options options) {
  const std::string device = options.text("--device", "eth0");
  const Fd reader = bound(options.number("--port", 1, 65535));  // or the kernel would answer ICMP
  const auto wanted = static_cast<uint64_t>(options.seconds(1) * 1e9);
  options.finish();
  ready();
  const uint64_t idle = packets_of(device);
  const uint64_t deadline = now_ns() + first_packet_ns_max;
  while (packets_of(device) < idle + flood_burst) {
    if (now_ns() > deadline) throw std::runtime_error("no packets came");
    usleep(look_us);
  }
  usleep(settle_ns / 1000);
  const uint64_t before = packets_of(device);
  const uint64_t from = now_ns();
  usleep(static_cast<useconds_t>(wanted / 1000));
  const uint64_t packets = packets_of(device) - before;
  printf("{\"per_second\":%.0f}\n",
         static_cast<double>(packets) * 1e9 / static_cast<double>(now_ns() - from));
}

void flood(Options options) {
  const std::string address = options.text("--to", "");
  const sockaddr_in to = place(address, options.number("--port", 1, 65535));
  const auto wanted = static_cast<uint64_t>(options.seconds(1) * 1e9);
  options.finish();
  std::vector<Fd> sockets;
  for (uint32_t flow = 0; flow < flood_flows; flow++) sockets.push_back(connected(to));
  char payload[payload_bytes] = {};
  iovec bytes{payload, sizeof payload};
  mmsghdr burst[flood_burst] = {};
  for (mmsghdr& message : burst) {
    message.msg_hdr.msg_iov = &bytes;
    message.msg_hdr.msg_iovlen = 1;
  }
  const uint64_t until = now_ns() + wanted;
  uint64_t sent = 0;
  for (uint32_t flow = 0; now_ns() < until; flow = (flow + 1) % flood_flows) {
    const int done = ::sendmmsg(sockets[flow].get(), burst, flood_burst, 0);
    if (done < 0 && errno != ENOBUFS && errno != ECONNREFUSED && errno != EAGAIN) fail("sending");
    if (done > 0) sent += static_cast<uint64_t>(done);
  }
  printf("{\"sent\":%llu}\n", static_cast<unsigned long long>(sent));
}

void answer(Options options) {
  const Fd socket = bound(options.number("--port", 1, 65535));
  options.finish();
  ready();
  for (;;) {
    uint8_t bytes[64];
    sockaddr_in from{};
    socklen_t length = sizeof from;
    const ssize_t got = ::recvfrom(socket.get(), bytes, sizeof bytes, 0,
                                   reinterpret_cast<sockaddr*>(&from), &length);
    if (got > 0)
      ::sendto(socket.get(), bytes, static_cast<size_t>(got), 0,
               reinterpret_cast<const sockaddr*>(&from), length);
  }
}

void ask(Options options) {
  const std::string address = options.text("--to", "");
  const Fd socket = connected(place(address, options.number("--port", 1, 65535)));
  const auto wanted = static_cast<uint64_t>(options.seconds(1) * 1e9);
  options.finish();
  const timeval patience{0, 200'000};
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::vector<float> microseconds;
  uint64_t lost = 0;
  const uint64_t until = now_ns() + wanted;
  for (uint64_t number = 0; now_ns() < until; number++) {
    uint8_t bytes[payload_bytes] = {};
    memcpy(bytes, &number, sizeof number);
    const uint64_t from = now_ns();
    if (::send(socket.get(), bytes, sizeof bytes, 0) < 0) fail("sending");
    uint64_t back = number - 1;
    while (back != number && ::recv(socket.get(), bytes, sizeof bytes, 0) > 0)
      memcpy(&back, bytes, sizeof back);  // a late answer to an earlier one is passed over
    if (back != number) {
      lost++;
      continue;
    }
    microseconds.push_back(static_cast<float>(now_ns() - from) / 1000);
  }
  printf("{\"answered\":%zu,\"lost\":%llu,\"p50_us\":%.2f,\"p99_us\":%.2f}\n", microseconds.size(),
         static_cast<unsigned long long>(lost), quantile(microseconds, 0.5),
         quantile(microseconds, 0.99));
}

void run(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  const Options options(argc - 1, argv + 1);
  if (verb == "count") return count(options);
  if (verb == "flood") return flood(options);
  if (verb == "answer") return answer(options);
  if (verb == "ask") return ask(options);
  throw std::runtime_error("the first argument is count, flood, answer or ask");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
    return 0;
  } catch (const std::exception& error) {
    fprintf(stderr, "udp_bench: %s\n", error.what());
    return 1;
  }
}
