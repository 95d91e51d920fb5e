// test/native/port_support.h — namespaces, veth pairs, real TCP and a two-port forwarder for port
// tests.
//
// Why:    ports are judged by real devices and the kernel's own TCP, in namespaces made for one
//         test. Owner:  namespaces live as long as their descriptors: nothing stays behind,
//         whatever a test does.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "packet/frame_pool.h"
#include "port/port.h"

namespace vtep::test {

// Runs the test in a fresh network namespace (of the calling thread), or skips it with the reason.
class NamespaceTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A further namespace, with its loopback up.
  Fd make_namespace();
  // `device` here, `peer` in `netns`, both up; `address` ("10.0.0.1/24 2001:db8::1/64") on the
  // peer.
  void make_veth(const std::string& device, int netns, const std::string& peer,
                 const std::string& addresses);

 private:
  Fd original_;
};

// Runs a shell command in a namespace (-1: the caller's); returns its output. A failure fails the
// test.
std::string run(int netns, const std::string& command);
// Likewise, returning the exit code.
int run_status(int netns, const std::string& command, std::string& output);

PortConfig port_config(uint32_t number, PortKind kind, const std::string& device);

// A raw frame sender and receiver at the far end of a veth: AF_PACKET without any of our code.
class Probe {
 public:
  Probe(int netns, const std::string& device);
  void send(const std::vector<uint8_t>& frame);
  // Next frame with this Ethernet type (as seen after VLAN removal), or empty after a second.
  std::vector<uint8_t> receive(uint16_t eth_type);

 private:
  Fd socket_;
};

// An ordinary UDP socket, IPv4 and IPv6, at the far end of a veth.
class UdpReader {
 public:
  UdpReader(int netns, uint16_t port);
  // Up to `count` datagrams; fewer when none has come for a second.
  std::vector<std::vector<uint8_t>> read(uint32_t count);

 private:
  Fd socket_;
};

// What a forwarder saw.
struct Seen {
  uint64_t packets = 0;
  uint64_t superpackets = 0;
  uint64_t needs_checksum = 0;
  uint32_t longest = 0;
  uint64_t drops = 0;
  uint64_t kernel_drops = 0;
  uint64_t gso_types[8] = {};
};

// A VTEP in few lines: VXLAN over IPv4 without outer checksum, one remote end.
struct TinyVtep {
  std::array<uint8_t, 6> own_mac, remote_mac;
  std::array<uint8_t, 4> own_ip, remote_ip;
  uint32_t vni;

  void decap(Packet& packet) const;
  void encap(Packet& packet) const;
};

// Takes packets from each of two ports and gives them to the other, finished as far as that one
// needs, until it is destroyed.
class Forwarder {
 public:
  // With a VTEP, port a is its uplink.
  Forwarder(FramePool& pool, Port& a, Port& b, const TinyVtep* vtep = nullptr);
  ~Forwarder();
  // Stops and says what was seen: [0] from a to b, [1] from b to a.
  const Seen* stop();

 private:
  void loop();
  uint32_t pump(uint32_t from);

  FramePool& pool_;
  FrameCache frames_;
  std::unique_ptr<PortQueue> queues_[2];
  const TinyVtep* vtep_;
  uint8_t can_[2] = {};  // what each port takes unfinished
  Seen seen_[2];
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// Sends `bytes` over TCP from a client in one namespace to `address` (a server in the other). True
// if all of them arrived unchanged within 20 s.
bool tcp_transfer(int client_netns, int server_netns, const std::string& address, size_t bytes);

// Receives up to `count` packets within a second, without the multicasts that IPv6 sends by itself.
std::vector<Packet> receive_packets(PortQueue& queue, FrameCache& frames, uint32_t count);

// Frames of both sizes that the pool has.
struct FreeFrames {
  explicit FreeFrames(const FramePool& pool)
      : small(pool.free_count(false)), large(pool.free_count(true)) {}
  bool operator==(const FreeFrames&) const = default;
  uint32_t small, large;
};

// An Ethernet frame with the given type and a payload that counts up.
std::vector<uint8_t> ethernet_frame(uint16_t eth_type, size_t payload_bytes);

}  // namespace vtep::test
