// test/native/port_support.cpp — see port_support.h.
#include "test/native/port_support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <cstring>

#include "base/be.h"
#include "packet/checksum.h"
#include "packet/gso.h"
#include "port/device.h"

namespace vtep::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

Fd this_namespace() { return Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)); }

uint8_t tx_can(const PortCapabilities& port) {
  return static_cast<uint8_t>((port.tx_checksum ? tx_can_checksum : 0) |
                              (port.tx_tso ? tx_can_tso : 0) | (port.tx_uso ? tx_can_uso : 0));
}

std::string quoted(const std::string& text) { return "'" + text + "'"; }

}  // namespace

void NamespaceTest::SetUp() {
  original_ = this_namespace();
  if (::unshare(CLONE_NEWNET) != 0) {
    original_.close();
    GTEST_SKIP() << "making a network namespace needs root: " << strerror(errno);
  }
  run(-1, "ip link set lo up");
}

void NamespaceTest::TearDown() {
  if (original_.open() && ::setns(original_.get(), CLONE_NEWNET) != 0)
    FAIL() << "going back to the first namespace: " << strerror(errno);
}

Fd NamespaceTest::make_namespace() {
  const Fd here = this_namespace();
  EXPECT_EQ(::unshare(CLONE_NEWNET), 0);
  Fd made = this_namespace();
  EXPECT_EQ(::setns(here.get(), CLONE_NEWNET), 0);
  run(made.get(), "ip link set lo up");
  return made;
}

void NamespaceTest::make_veth(const std::string& device, int netns, const std::string& peer,
                              const std::string& addresses) {
  const std::string path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(netns);
  run(-1, "ip link add dev " + device + " type veth peer name " + peer + " netns " + path);
  run(-1,
      "sysctl -qw net.ipv6.conf." + device + ".disable_ipv6=1; ip link set dev " + device + " up");
  run(netns, "ip link set dev " + peer + " up; for a in " + addresses + "; do ip addr add $a dev " +
                 peer + " nodad 2>/dev/null || ip addr add $a dev " + peer + "; done");
}

int run_status(int netns, const std::string& command, std::string& output) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return -1;
  const pid_t child = ::fork();
  if (child == 0) {
    if (netns >= 0 && ::setns(netns, CLONE_NEWNET) != 0) _exit(126);
    ::dup2(ends[1], 1);
    ::dup2(ends[1], 2);
    ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  ::close(ends[1]);
  char bytes[4096];
  for (ssize_t got; (got = ::read(ends[0], bytes, sizeof bytes)) > 0;)
    output.append(bytes, static_cast<size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string run(int netns, const std::string& command) {
  std::string output;
  EXPECT_EQ(run_status(netns, command, output), 0) << quoted(command) << ": " << output;
  return output;
}

PortConfig port_config(uint32_t number, PortKind kind, const std::string& device) {
  PortConfig config;
  config.number = number;
  config.kind = kind;
  set_text(config.name, "port" + std::to_string(number));
  set_text(config.device, device);
  return config;
}

Probe::Probe(int netns, const std::string& device) {
  std::thread([&] {
    ::setns(netns, CLONE_NEWNET);
    socket_ = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    sockaddr_ll address = {};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
    const int on = 1;
    ::setsockopt(socket_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
    // Room for all that a test sends, should its thread wait for a CPU.
    const int bytes = 8 << 20;
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    if (::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      socket_.close();
  }).join();
  EXPECT_TRUE(socket_.open());
}

void Probe::send(const std::vector<uint8_t>& frame) {
  EXPECT_EQ(::send(socket_.get(), frame.data(), frame.size(), 0),
            static_cast<ssize_t>(frame.size()));
}

std::vector<uint8_t> Probe::receive(uint16_t eth_type) {
  const auto end = Clock::now() + seconds(1);
  while (Clock::now() < end) {
    pollfd ready = {socket_.get(), POLLIN, 0};
    if (::poll(&ready, 1, 50) <= 0) continue;
    std::vector<uint8_t> frame(70000);
    const ssize_t got = ::recv(socket_.get(), frame.data(), frame.size(), MSG_DONTWAIT);
    if (got < 14 || frame[12] != eth_type >> 8 || frame[13] != (eth_type & 0xff)) continue;
    frame.resize(static_cast<size_t>(got));
    return frame;
  }
  return {};
}

UdpReader::UdpReader(int netns, uint16_t port) {
  std::thread([&] {
    ::setns(netns, CLONE_NEWNET);
    socket_ = Fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 any = {};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(port);
    const timeval patience = {1, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::bind(socket_.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) != 0) socket_.close();
  }).join();
  EXPECT_TRUE(socket_.open());
}

std::vector<std::vector<uint8_t>> UdpReader::read(uint32_t count) {
  std::vector<std::vector<uint8_t>> datagrams;
  while (datagrams.size() < count) {
    std::vector<uint8_t> bytes(70000);
    const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (got < 0) break;
    bytes.resize(static_cast<size_t>(got));
    datagrams.push_back(std::move(bytes));
  }
  return datagrams;
}

constexpr uint32_t outer_bytes = 14 + 20 + 8 + 8;

void TinyVtep::decap(Packet& packet) const {
  // An unfinished outer checksum ends with the outer header.
  if (packet.offload.checksum_start < outer_bytes) packet.offload = Offload{};
  trim_front(packet, outer_bytes);
}

void TinyVtep::encap(Packet& packet) const {
  prepend(packet, outer_bytes);
  uint8_t* out = packet.data;
  memset(out, 0, outer_bytes);
  memcpy(out, remote_mac.data(), 6);
  memcpy(out + 6, own_mac.data(), 6);
  store_be16(out + 12, be16(0x800));
  out[14] = 0x45;
  store_be16(out + 16, be16(static_cast<uint16_t>(packet.length - 14)));
  out[22] = 64;
  out[23] = 17;
  memcpy(out + 26, own_ip.data(), 4);
  memcpy(out + 30, remote_ip.data(), 4);
  store_be16(out + 24, checksum_finish(checksum_add(out + 14, 20)));
  store_be16(out + 34, be16(50000));
  store_be16(out + 36, be16(4789));
  store_be16(out + 38, be16(static_cast<uint16_t>(packet.length - 34)));
  out[42] = 0x08;
  store_be32(out + 46, be32(vni << 8));
}

Forwarder::Forwarder(FramePool& pool, Port& a, Port& b, const TinyVtep* vtep)
    : pool_(pool), frames_(pool), vtep_(vtep) {
  can_[0] = vtep == nullptr ? tx_can(a.capabilities()) : uint8_t{0};
  can_[1] = tx_can(b.capabilities());
  queues_[0] = a.open_queue(0, true);
  queues_[1] = b.open_queue(0, true);
  thread_ = std::thread([this] { loop(); });
}

Forwarder::~Forwarder() { stop(); }

const Seen* Forwarder::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  return seen_;
}

uint32_t Forwarder::pump(uint32_t from) {
  PortQueue& to = *queues_[1 - from];
  Seen& seen = seen_[from];
  Packet packets[64];
  const uint32_t count = queues_[from]->rx_burst(frames_, packets, 64);
  for (uint32_t i = 0; i < count; ++i) {
    const Packet& packet = packets[i];
    ++seen.packets;
    seen.superpackets += packet.offload.gso_type != GsoType::None;
    seen.needs_checksum += (packet.offload.flags & offload_needs_checksum) != 0;
    ++seen.gso_types[static_cast<uint32_t>(packet.offload.gso_type)];
    if (packet.length > seen.longest) seen.longest = packet.length;
    EXPECT_GE(headroom(pool_, packet), frame_headroom);
  }
  for (uint32_t i = 0; i < count; ++i) {
    Packet ready[segments_max];
    Finished finished;
    if (vtep_ != nullptr && from == 0) vtep_->decap(packets[i]);
    const uint32_t made =
        finish_tx(frames_, can_[1 - from], packets[i], {ready, segments_max}, finished);
    if (made == 0) ++seen.drops;
    for (uint32_t j = 0; vtep_ != nullptr && from == 1 && j < made; ++j) vtep_->encap(ready[j]);
    to.tx_burst(frames_, ready, made);
  }
  to.flush(frames_);
  return count;
}

void Forwarder::loop() {
  while (!stop_) {
    if (pump(0) + pump(1) != 0) continue;
    pollfd ready[] = {{queues_[0]->rx_fd(), POLLIN, 0}, {queues_[1]->rx_fd(), POLLIN, 0}};
    ::poll(ready, 2, 10);
  }
  for (uint32_t i = 0; i < 2; ++i) {
    for (const uint64_t count : queues_[i]->stats.drops) seen_[i].drops += count;
    seen_[i].kernel_drops = queues_[i]->stats.kernel_drops;
  }
}

namespace {

// A listening or connected TCP socket in a namespace.
Fd tcp_socket(int netns, int family) {
  Fd socket;
  std::thread([&] {
    ::setns(netns, CLONE_NEWNET);
    socket = Fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }).join();
  const timeval limit = {20, 0};
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return socket;
}

uint8_t stream_byte(size_t at) { return static_cast<uint8_t>(at * 31 + (at >> 11)); }

size_t read_stream(int listener) {
  const Fd stream(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  const timeval limit = {20, 0};
  ::setsockopt(stream.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  std::vector<uint8_t> bytes(1 << 16);
  size_t have = 0;
  for (ssize_t got; (got = ::recv(stream.get(), bytes.data(), bytes.size(), 0)) > 0;)
    for (ssize_t i = 0; i < got; ++i)
      if (bytes[static_cast<size_t>(i)] != stream_byte(have++)) return 0;
  return have;
}

}  // namespace

bool tcp_transfer(int client_netns, int server_netns, const std::string& address, size_t bytes) {
  sockaddr_storage where = {};
  const bool v6 = address.find(':') != std::string::npos;
  where.ss_family = v6 ? AF_INET6 : AF_INET;
  void* place = v6 ? static_cast<void*>(&reinterpret_cast<sockaddr_in6&>(where).sin6_addr)
                   : static_cast<void*>(&reinterpret_cast<sockaddr_in&>(where).sin_addr);
  ::inet_pton(where.ss_family, address.c_str(), place);
  reinterpret_cast<sockaddr_in&>(where).sin_port = htons(5001);
  const socklen_t size = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  const auto* target = reinterpret_cast<const sockaddr*>(&where);
  const Fd listener = tcp_socket(server_netns, where.ss_family);
  if (::bind(listener.get(), target, size) != 0 || ::listen(listener.get(), 1) != 0) return false;
  size_t arrived = 0;
  std::thread server([&] { arrived = read_stream(listener.get()); });
  Fd client = tcp_socket(client_netns, where.ss_family);
  bool sent = ::connect(client.get(), target, size) == 0;
  std::vector<uint8_t> chunk(1 << 17);
  for (size_t at = 0; sent && at < bytes;) {
    const size_t part = std::min(chunk.size(), bytes - at);
    for (size_t i = 0; i < part; ++i) chunk[i] = stream_byte(at + i);
    for (size_t done = 0; sent && done < part;) {
      const ssize_t got = ::send(client.get(), chunk.data() + done, part - done, MSG_NOSIGNAL);
      sent = got > 0;
      if (sent) done += static_cast<size_t>(got);
    }
    at += part;
  }
  if (sent) ::shutdown(client.get(), SHUT_WR);
  if (!sent) ::shutdown(listener.get(), SHUT_RDWR);
  server.join();
  return sent && arrived == bytes;
}

std::vector<Packet> receive_packets(PortQueue& queue, FrameCache& frames, uint32_t count) {
  std::vector<Packet> packets;
  const auto end = Clock::now() + seconds(1);
  while (packets.size() < count && Clock::now() < end) {
    Packet burst[batch_max];
    const uint32_t got =
        queue.rx_burst(frames, burst, count - static_cast<uint32_t>(packets.size()));
    for (uint32_t i = 0; i < got; ++i) {
      const bool chatter = burst[i].data[0] == 0x33 && burst[i].data[1] == 0x33;
      if (chatter)
        frames.free(burst[i]);
      else
        packets.push_back(burst[i]);
    }
    pollfd ready = {queue.rx_fd(), POLLIN, 0};
    if (got == 0) ::poll(&ready, 1, 20);
  }
  return packets;
}

std::vector<uint8_t> ethernet_frame(uint16_t eth_type, size_t payload_bytes) {
  std::vector<uint8_t> frame = {2,
                                0,
                                0,
                                0,
                                0,
                                1,
                                2,
                                0,
                                0,
                                0,
                                0,
                                2,
                                static_cast<uint8_t>(eth_type >> 8),
                                static_cast<uint8_t>(eth_type)};
  for (size_t i = 0; i < payload_bytes; ++i) frame.push_back(static_cast<uint8_t>(i));
  return frame;
}

}  // namespace vtep::test
