// bench/native/wire.cpp — packet sockets, their ring, and what keeps the stack away.

#include "bench/native/wire.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/error.h"
#include "port/bpf.h"
#include "port/device.h"
#include "port/kernel_abi.h"

namespace vtep::bench {

namespace {

constexpr uint32_t slot_bytes = 256;
constexpr uint32_t slot_count = 65'536;  // more than 60 ms at a million frames a second
constexpr uint32_t block_bytes = 65'536;
constexpr size_t ring_bytes = size_t{slot_bytes} * slot_count;
constexpr uint32_t captured_max = 128;
constexpr int send_buffer_bytes = 8 << 20;

// A frame's bytes behind its headers.
const uint8_t zeros[65'536] = {};

Fd packet_socket(const std::string& doing) {
  Fd made(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.open()) throw_errno(doing, "CAP_NET_RAW", errno);
  return made;
}

template <class Value>
void set_option(const Fd& socket, int option, const Value& value, const std::string& doing) {
  if (::setsockopt(socket.get(), SOL_PACKET, option, &value, sizeof value) != 0)
    throw_errno(doing, "CAP_NET_RAW", errno);
}

void bind_to(const Fd& socket, uint32_t ifindex, uint16_t protocol, const std::string& doing) {
  sockaddr_ll address = {};
  address.sll_family = AF_PACKET;
  address.sll_protocol = be16(protocol).raw;
  address.sll_ifindex = static_cast<int>(ifindex);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw_errno(doing, "CAP_NET_RAW", errno);
}

constexpr sock_filter load(uint16_t width, uint32_t at) {
  return {static_cast<uint16_t>(BPF_LD | BPF_ABS | width), 0, 0, at};
}
constexpr sock_filter unless_equal(uint32_t value, uint8_t skip) {
  return {BPF_JMP | BPF_JEQ | BPF_K, 0, skip, value};
}
constexpr sock_filter give(uint32_t bytes) { return {BPF_RET | BPF_K, 0, 0, bytes}; }

// UDP whose payload begins with the run; its first bytes are enough.
void attach_filter(const Fd& socket, uint32_t run, const std::string& doing) {
  constexpr uint32_t payload_v4 = eth_header_bytes + ipv4_header_bytes + udp_header_bytes;
  constexpr uint32_t payload_v6 = eth_header_bytes + ipv6_header_bytes + udp_header_bytes;
  sock_filter code[] = {
      load(BPF_H, eth_type_offset),
      unless_equal(ETH_P_IP, 5),
      load(BPF_B, eth_header_bytes + ipv4_proto_offset),
      unless_equal(ip_proto_udp, 9),
      load(BPF_W, payload_v4),
      unless_equal(run, 7),
      give(captured_max),
      unless_equal(ETH_P_IPV6, 5),
      load(BPF_B, eth_header_bytes + ipv6_next_header_offset),
      unless_equal(ip_proto_udp, 3),
      load(BPF_W, payload_v6),
      unless_equal(run, 1),
      give(captured_max),
      give(0),
  };
  const sock_fprog filter = {sizeof code / sizeof code[0], code};
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0)
    throw_errno(doing, "CAP_NET_RAW", errno);
}

constexpr bpf_insn load_packet(uint8_t width, int32_t at) {
  return {static_cast<uint8_t>(BPF_LD | BPF_ABS | width), 0, 0, 0, at};
}
constexpr bpf_insn jump(uint8_t how, int16_t skip, int32_t value) {
  return {static_cast<uint8_t>(BPF_JMP | how | BPF_K), 0, 0, skip, value};
}
constexpr bpf_insn answer(int32_t value) { return {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, value}; }
constexpr bpf_insn leave{BPF_JMP | BPF_EXIT, 0, 0, 0, 0};

// Drops UDP to our ports and passes everything else on; not open where the kernel has no TCX.
Fd guard_stack(uint32_t ifindex) {
  constexpr int32_t drop = 2;   // TCX_DROP
  constexpr int32_t next = -1;  // TCX_NEXT
  constexpr int32_t port_v4 = eth_header_bytes + ipv4_header_bytes + udp_dst_offset;
  constexpr int32_t port_v6 = eth_header_bytes + ipv6_header_bytes + udp_dst_offset;
  const bpf_insn code[] = {
      {BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0},  // packet loads want the context here
      load_packet(BPF_H, eth_type_offset),
      jump(BPF_JNE, 4, ETH_P_IP),
      load_packet(BPF_B, eth_header_bytes + ipv4_proto_offset),
      jump(BPF_JNE, 10, ip_proto_udp),
      load_packet(BPF_H, port_v4),
      jump(BPF_JA, 4, 0),
      jump(BPF_JNE, 7, ETH_P_IPV6),
      load_packet(BPF_B, eth_header_bytes + ipv6_next_header_offset),
      jump(BPF_JNE, 5, ip_proto_udp),
      load_packet(BPF_H, port_v6),
      jump(BPF_JLT, 3, ports_from),
      jump(BPF_JGT, 2, ports_to),
      answer(drop),
      leave,
      answer(next),
      leave,
  };
  const Fd program =
      bpf_load(BPF_PROG_TYPE_SCHED_CLS, kernel::tcx_ingress, code, sizeof code / sizeof code[0]);
  if (!program.open()) return Fd();
  return bpf_attach(program.get(), ifindex, kernel::tcx_ingress, 0);
}

// Runs its maker in another network namespace, and is back at the end.
class Visit {
 public:
  explicit Visit(const std::string& netns) {
    if (netns.empty()) return;
    const std::string path = netns.find('/') == std::string::npos ? "/run/netns/" + netns : netns;
    home_ = Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    const Fd there(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!there.open() || !home_.open())
      throw_errno("opening network namespace " + path, "CAP_SYS_ADMIN", errno);
    if (::setns(there.get(), CLONE_NEWNET) != 0)
      throw_errno("entering network namespace " + path, "CAP_SYS_ADMIN", errno);
  }
  ~Visit() {
    if (home_.open()) ::setns(home_.get(), CLONE_NEWNET);
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

 private:
  Fd home_;
};

}  // namespace

Sender::Sender(const std::string& device, uint32_t ifindex) {
  const std::string doing = "opening device '" + device + "' to send";
  socket_ = packet_socket(doing);
  set_option(socket_, PACKET_QDISC_BYPASS, int{1}, doing);
  const int bytes = send_buffer_bytes;
  if (::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  bind_to(socket_, ifindex, 0, doing);
  for (uint32_t at = 0; at < burst_max; at++) {
    messages_[at].msg_hdr.msg_iov = vectors_[at];
    messages_[at].msg_hdr.msg_iovlen = 2;
    vectors_[at][0].iov_base = headers_[at];
    vectors_[at][1].iov_base = const_cast<uint8_t*>(zeros);
  }
}

uint32_t Sender::send(const FrameMaker& maker, Stamp first, uint32_t count) noexcept {
  const uint32_t head = maker.header_bytes();
  for (uint32_t at = 0; at < count; at++, first.number++) {
    maker.write(headers_[at], first);
    vectors_[at][0].iov_len = head;
    vectors_[at][1].iov_len = maker.bytes(first.number) - head;
  }
  const int sent = ::sendmmsg(socket_.get(), messages_, count, MSG_DONTWAIT);
  if (sent >= 0) return static_cast<uint32_t>(sent);
  if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR) error_ = errno;
  return 0;
}

Receiver::Receiver(const std::string& device, uint32_t ifindex) {
  const std::string doing = "opening device '" + device + "' to receive";
  socket_ = packet_socket(doing);
  set_option(socket_, PACKET_VERSION, int{TPACKET_V2}, doing);
  set_option(socket_, PACKET_IGNORE_OUTGOING, int{1}, doing);
  tpacket_req layout = {};
  layout.tp_block_size = block_bytes;
  layout.tp_block_nr = static_cast<uint32_t>(ring_bytes / block_bytes);
  layout.tp_frame_size = slot_bytes;
  layout.tp_frame_nr = slot_count;
  set_option(socket_, PACKET_RX_RING, layout, doing);
  attach_filter(socket_, 0, doing);
  void* memory = ::mmap(nullptr, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                        socket_.get(), 0);
  if (memory == MAP_FAILED) throw_errno(doing, "memory", errno);
  ring_ = static_cast<uint8_t*>(memory);
  bind_to(socket_, ifindex, ETH_P_ALL, doing);
  packet_mreq all = {};  // an end may have another MAC than its device
  all.mr_ifindex = static_cast<int>(ifindex);
  all.mr_type = PACKET_MR_PROMISC;
  set_option(socket_, PACKET_ADD_MEMBERSHIP, all, doing);
}

Receiver::~Receiver() {
  if (ring_ != nullptr) ::munmap(ring_, ring_bytes);
}

void Receiver::expect(uint32_t run) {
  attach_filter(socket_, run, "choosing the frames of a trial");
  RingFrame old;
  while (next(old)) {
  }
  take_drops();
}

bool Receiver::next(RingFrame& frame) noexcept {
  if (held_) {
    auto* before = reinterpret_cast<tpacket2_hdr*>(ring_ + size_t{slot_} * slot_bytes);
    std::atomic_ref(before->tp_status).store(TP_STATUS_KERNEL, std::memory_order_release);
    slot_ = (slot_ + 1) % slot_count;
    held_ = false;
  }
  uint8_t* slot = ring_ + size_t{slot_} * slot_bytes;
  auto* header = reinterpret_cast<tpacket2_hdr*>(slot);
  const uint32_t status = std::atomic_ref(header->tp_status).load(std::memory_order_acquire);
  if ((status & TP_STATUS_USER) == 0) return false;
  held_ = true;
  const uint32_t room = header->tp_mac < slot_bytes ? slot_bytes - header->tp_mac : 0;
  frame.bytes = slot + header->tp_mac;
  frame.captured = header->tp_snaplen < room ? header->tp_snaplen : room;
  frame.length = header->tp_len;
  frame.received_ns = uint64_t{header->tp_sec} * 1'000'000'000 + header->tp_nsec;
  return true;
}

uint64_t Receiver::take_drops() noexcept {
  tpacket_stats counted = {};
  socklen_t size = sizeof counted;
  if (::getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &counted, &size) != 0) return 0;
  return counted.tp_drops;
}

namespace {

constexpr useconds_t link_look_us = 10'000;
constexpr int link_looks_max = 100;

// The kernel tells of a link a moment after both ends were brought up: up to a second is waited.
Device device_with_link(const std::string& name) {
  Device device = find_device(name);
  for (int look = 0; !device.link_up && look < link_looks_max; look++) {
    usleep(link_look_us);
    device = find_device(name);
  }
  return device;
}

}  // namespace

Wire::Wire(const Place& place) {
  try {
    const Visit visit(place.netns);
    const Device device = device_with_link(place.device);
    if (!device.link_up)
      throw Error("ERR_CONFIG_INVALID", "device '" + place.device +
                                            "' has no link: bring it up (`ip link set " +
                                            place.device + " up`) and its other end too");
    stack_guard = guard_stack(device.ifindex);
    for (uint32_t port = ports_from; !stack_guard.open() && port <= ports_to; port++)
      sinks.push_back(UdpSink::open(static_cast<uint16_t>(port), false));
    sender = std::make_unique<Sender>(device.name, device.ifindex);
    receiver = std::make_unique<Receiver>(device.name, device.ifindex);
  } catch (const Error& error) {
    if (place.netns.empty()) throw;
    throw Error(error.code(), "in network namespace " + place.netns + ": " + error.what());
  }
}

}  // namespace vtep::bench
