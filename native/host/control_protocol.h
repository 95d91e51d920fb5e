// host/control_protocol.h — the words between vtepd and the datapath process on their unix socket.
//
// Why:    the rare calls of datapath/control.h, one request and one reply each, in order. Both ends
// run the same
//         addon on the same machine, so structs cross as bytes; `hello` compares layouts before
//         anything else.
// Thread: each end uses its socket from one thread.
// Limits: message_bytes_max; one client at a time (the second is told ERR_BUSY).
//
//   offset size  MessageHeader
//   0      4     bytes of the payload
//   4      4     Call
//   8      4     status: 0 ok, 1 error (payload: code NUL sentence NUL)
//   12     4     sequence number of the request, echoed
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "datapath/datapath_types.h"
#include "datapath/layout.h"

namespace vtep {

enum class Call : uint32_t {
  Hello = 1,  // HelloRequest → HelloReply, with the descriptors of memory and doorbells
  AddPort,
  RemovePort,
  ListPorts,
  SetEndpoints,
  ListEndpoints,
  SetNetworks,
  ListNetworks,
  SetTunnel,
  RemoveTunnel,
  ListTunnels,
  SetGroups,
  RemoveGroups,
  ListGroups,
  SetMeter,
  RemoveMeter,
  SetZone,
  SetCapture,
};

struct MessageHeader {
  uint32_t bytes;
  uint32_t call;
  uint32_t status;
  uint32_t sequence;
};

constexpr uint32_t protocol_version = 2;  // counts up when a call changes its meaning
constexpr uint32_t message_bytes_max = 16u << 20;
constexpr uint32_t hello_fd_max = 2 + worker_max;  // memory, slow path doorbell, one per worker

// The calls, and the sizes of every struct that crosses as bytes: another build is refused at
// hello.
constexpr uint64_t protocol_fingerprint() noexcept {
  uint64_t mixed = layout_version + (uint64_t{protocol_version} << 32);
  const uint64_t sizes[] = {sizeof(PortConfig),   sizeof(PortStatus),
                            sizeof(TunnelConfig), sizeof(TunnelStatus),
                            sizeof(GroupMember),  sizeof(MeterConfig),
                            sizeof(RegionHeader), sizeof(FlowSlot),
                            sizeof(UpcallRecord), sizeof(NetworkConfig),
                            drop_reason_count,    port_max,
                            tunnel_max,           group_max};
  for (uint64_t size : sizes) mixed = (mixed ^ size) * 0x100000001b3ull;
  return mixed;
}

struct HelloRequest {
  uint32_t magic;        // layout_magic
  uint32_t pid;          // of the client, for messages
  uint64_t fingerprint;  // protocol_fingerprint()
};

struct HelloReply {
  uint64_t memory_bytes;
  uint32_t worker_count;
  uint32_t pid;
};

// Builds a payload.
class MessageWriter {
 public:
  template <typename T>
  MessageWriter& put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto* from = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof value);
    return *this;
  }
  template <typename T>
  MessageWriter& put_list(const std::vector<T>& values) {
    put(static_cast<uint32_t>(values.size()));
    for (const T& value : values) put(value);
    return *this;
  }
  MessageWriter& put_text(const std::string& text) {
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    bytes_.push_back(0);
    return *this;
  }
  const std::vector<uint8_t>& bytes() const noexcept { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

// Reads a payload; throws Error{ERR_PROTOCOL} where it ends too early.
class MessageReader {
 public:
  explicit MessageReader(const std::vector<uint8_t>& bytes) : bytes_(bytes) {}
  template <typename T>
  T get() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    need(sizeof value);
    memcpy(static_cast<void*>(&value), bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  template <typename T>
  std::vector<T> get_list() {
    const uint32_t count = get<uint32_t>();
    if (count > message_bytes_max / sizeof(T)) need(SIZE_MAX);
    need(size_t{count} * sizeof(T));
    std::vector<T> values;
    values.reserve(count);
    for (uint32_t i = 0; i < count; i++) values.push_back(get<T>());
    return values;
  }
  std::string get_text() {
    const auto* from = reinterpret_cast<const char*>(bytes_.data()) + at_;
    const size_t length = strnlen(from, bytes_.size() - at_);
    need(length + 1);
    at_ += length + 1;
    return std::string(from, length);
  }

 private:
  void need(size_t count) const {
    if (count > bytes_.size() - at_)
      throw Error("ERR_PROTOCOL", "a message on the datapath's control socket is too short");
  }

  const std::vector<uint8_t>& bytes_;
  size_t at_ = 0;
};

// The bytes of a message are whatever the other end sent: texts end inside their arrays, and no
// bool holds anything but 0 and 1.
inline PortConfig get_port(MessageReader& reader) {
  auto port = reader.get<PortConfig>();
  port.name[sizeof port.name - 1] = 0;
  port.device[sizeof port.device - 1] = 0;
  port.rx_path[sizeof port.rx_path - 1] = 0;
  port.tx_path[sizeof port.tx_path - 1] = 0;
  return port;
}
inline void put_meter(MessageWriter& writer, const MeterConfig& meter) {
  writer.put(meter.rate).put(meter.burst).put(uint8_t{meter.packets});
}
inline MeterConfig get_meter(MessageReader& reader) {
  MeterConfig meter;
  meter.rate = reader.get<uint64_t>();
  meter.burst = reader.get<uint64_t>();
  meter.packets = reader.get<uint8_t>() != 0;
  return meter;
}

inline void put_groups(MessageWriter& writer, std::span<const GroupConfig> groups) {
  writer.put(static_cast<uint32_t>(groups.size()));
  for (const GroupConfig& group : groups) writer.put(group.number).put_list(group.members);
}
inline std::vector<GroupConfig> get_groups(MessageReader& reader) {
  const uint32_t count = reader.get<uint32_t>();
  if (count > group_max) throw Error("ERR_PROTOCOL", "a message announces too many groups");
  std::vector<GroupConfig> groups(count);
  for (GroupConfig& group : groups) {
    group.number = reader.get<uint32_t>();
    group.members = reader.get_list<GroupMember>();
  }
  return groups;
}

}  // namespace vtep
