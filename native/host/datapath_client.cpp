// host/datapath_client.cpp — the calls of datapath/control.h as messages.
#include "host/datapath_client.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <set>
#include <span>

#include "base/assert.h"
#include "base/fd.h"
#include "host/control_protocol.h"
#include "host/socket_io.h"

namespace vtep {
namespace {

constexpr int call_timeout_ms = 10000;

// So many fit a message, however large each is.
constexpr size_t groups_per_message = 256;
static_assert(groups_per_message * (8 + group_member_max * sizeof(GroupMember)) <
              message_bytes_max);

// Error keeps a pointer to its code for ever; codes that came over the wire are few, and kept.
const char* lasting_code(const std::string& code) {
  static std::mutex guard;
  static std::set<std::string> codes;
  const std::lock_guard lock(guard);
  return codes.insert(code).first->c_str();
}

class DatapathClient final : public DatapathControl {
 public:
  explicit DatapathClient(const std::string& path) : path_(path), socket_(connect_unix(path)) {
    MessageWriter hello;
    hello.put(HelloRequest{layout_magic, static_cast<uint32_t>(getpid()), protocol_fingerprint()});
    Message reply = call(Call::Hello, hello);
    const auto told = MessageReader(reply.payload).get<HelloReply>();
    if (reply.fds.size() != 2 + told.worker_count || told.worker_count > worker_max) {
      throw Error("ERR_PROTOCOL", "the datapath at " + path + " sent the wrong descriptors");
    }
    fds_ = std::move(reply.fds);
    memory_bytes_ = told.memory_bytes;
    void* memory =
        mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fds_[0].get(), 0);
    if (memory == MAP_FAILED) {
      throw Error("ERR_LIMIT", "cannot map the datapath's shared memory", errno);
    }
    memory_ = static_cast<uint8_t*>(memory);
  }
  ~DatapathClient() override {
    if (memory_) munmap(memory_, memory_bytes_);
  }
  DatapathClient(const DatapathClient&) = delete;
  DatapathClient& operator=(const DatapathClient&) = delete;

  PortStatus add_port(const PortConfig& config) override {
    return get<PortStatus>(Call::AddPort, MessageWriter().put(config));
  }
  void remove_port(uint32_t number) override {
    call(Call::RemovePort, MessageWriter().put(number));
  }
  std::vector<std::pair<PortConfig, PortStatus>> list_ports() override {
    const Message reply = call(Call::ListPorts, MessageWriter());
    MessageReader reader(reply.payload);
    std::vector<std::pair<PortConfig, PortStatus>> ports(reader.get<uint32_t>() % port_max);
    for (auto& [config, status] : ports) {
      config = reader.get<PortConfig>();
      status = reader.get<PortStatus>();
    }
    return ports;
  }

  void set_endpoints(const std::vector<TunnelEndpoints::Endpoint>& endpoints) override {
    call(Call::SetEndpoints, MessageWriter().put_list(endpoints));
  }
  std::vector<TunnelEndpoints::Endpoint> list_endpoints() override {
    return get_list<TunnelEndpoints::Endpoint>(Call::ListEndpoints);
  }
  void set_networks(const std::vector<NetworkConfig>& networks) override {
    call(Call::SetNetworks, MessageWriter().put_list(networks));
  }
  std::vector<NetworkConfig> list_networks() override {
    return get_list<NetworkConfig>(Call::ListNetworks);
  }
  void set_tunnel(const TunnelConfig& config) override {
    call(Call::SetTunnel, MessageWriter().put(config));
  }
  void remove_tunnel(uint32_t number) override {
    call(Call::RemoveTunnel, MessageWriter().put(number));
  }
  std::vector<TunnelStatus> list_tunnels() override {
    return get_list<TunnelStatus>(Call::ListTunnels);
  }
  void set_groups(const std::vector<GroupConfig>& groups) override {
    std::span<const GroupConfig> rest(groups);
    while (!rest.empty()) {
      const size_t count = std::min(rest.size(), groups_per_message);
      MessageWriter request;
      put_groups(request, rest.first(count));
      call(Call::SetGroups, request);
      rest = rest.subspan(count);
    }
  }
  void remove_groups(const std::vector<uint32_t>& numbers) override {
    call(Call::RemoveGroups, MessageWriter().put_list(numbers));
  }
  std::vector<GroupConfig> list_groups() override {
    const Message reply = call(Call::ListGroups, MessageWriter());
    MessageReader reader(reply.payload);
    return get_groups(reader);
  }
  void set_meter(uint32_t number, const MeterConfig& config) override {
    MessageWriter request;
    request.put(number);
    put_meter(request, config);
    call(Call::SetMeter, request);
  }
  void remove_meter(uint32_t number) override {
    call(Call::RemoveMeter, MessageWriter().put(number));
  }
  void set_zone(uint32_t port, uint32_t vni, uint16_t zone, uint16_t vlan) override {
    call(Call::SetZone, MessageWriter().put(port).put(vni).put(zone).put(vlan));
  }
  void set_capture(uint32_t port, bool on) override {
    call(Call::SetCapture, MessageWriter().put(port).put(uint32_t{on}));
  }

  uint8_t* memory() const noexcept override { return memory_; }
  uint64_t memory_bytes() const noexcept override { return memory_bytes_; }
  int slow_path_doorbell() const noexcept override { return fds_[1].get(); }
  int worker_doorbell(uint32_t worker) const noexcept override { return fds_[2 + worker].get(); }
  int liveness_fd() const noexcept override { return socket_.get(); }

 private:
  Message call(Call what, const MessageWriter& request) {
    const MessageHeader header{static_cast<uint32_t>(request.bytes().size()),
                               static_cast<uint32_t>(what), 0, ++sequence_};
    Message reply;
    if (closed_ || !send_message(socket_.get(), header, request.bytes(), {}, call_timeout_ms) ||
        !receive_message(socket_.get(), reply, call_timeout_ms) ||
        reply.header.sequence != sequence_) {
      closed_ = true;
      throw Error("ERR_DATAPATH_CLOSED", "the datapath at " + path_ + " has gone");
    }
    if (reply.header.status == 0) return reply;
    MessageReader reader(reply.payload);
    const char* code = lasting_code(reader.get_text());
    throw Error(code, reader.get_text());
  }
  template <typename T>
  T get(Call what, const MessageWriter& request) {
    const Message reply = call(what, request);
    return MessageReader(reply.payload).get<T>();
  }
  template <typename T>
  std::vector<T> get_list(Call what) {
    const Message reply = call(what, MessageWriter());
    return MessageReader(reply.payload).get_list<T>();
  }

  std::string path_;
  Fd socket_;
  std::vector<Fd> fds_;        // memory, slow path doorbell, worker doorbells
  uint8_t* memory_ = nullptr;  // mapped
  uint64_t memory_bytes_ = 0;
  uint32_t sequence_ = 0;
  bool closed_ = false;  // the datapath has gone
};

}  // namespace

std::unique_ptr<DatapathControl> attach_datapath(const std::string& socket_path) {
  return std::make_unique<DatapathClient>(socket_path);
}

}  // namespace vtep
