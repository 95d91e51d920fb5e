// host/datapath_server.cpp — the control thread: one poll loop over clients, netlink and the stop
// signal.
#include "host/datapath_server.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <thread>
#include <vector>

#include "base/assert.h"
#include "base/fd.h"
#include "datapath/datapath.h"
#include "host/control_connection.h"
#include "host/control_protocol.h"
#include "host/next_hop_resolver.h"
#include "host/socket_io.h"
#include "host/socket_lock.h"

namespace vtep {
namespace {

constexpr size_t callers_max = 4;           // connections that have not said hello yet
constexpr uint64_t accept_pause_ms = 1000;  // after the process ran out of descriptors

uint64_t now_ms() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

uint32_t peer_pid(int socket) noexcept {
  ucred who{};
  socklen_t bytes = sizeof who;
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &bytes) == 0
             ? static_cast<uint32_t>(who.pid)
             : 0;
}

// Removes the socket's file, also when the datapath could not be made.
struct SocketFile {
  explicit SocketFile(const std::string& where) : path(where) {}
  ~SocketFile() { remove(); }
  void remove() noexcept {
    if (!path.empty()) unlink(path.c_str());
    path.clear();
  }
  std::string path;
};

std::vector<uint8_t> refusal(const char* code, const std::string& why) {
  return MessageWriter().put_text(code).put_text(why).bytes();
}

}  // namespace

struct DatapathServer::State {
  State(const std::string& socket_path, const DatapathConfig& config)
      : path(socket_path),
        lock(socket_path),
        listener(listen_unix(socket_path, 0600)),
        file(socket_path),
        stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        datapath(config),
        resolver(datapath) {
    if (!stop.open()) throw Error("ERR_LIMIT", "cannot make an eventfd", errno);
    thread = std::thread([this] { run(); });
    pthread_setname_np(thread.native_handle(), "vtep-control");
  }

  ~State() {
    const uint64_t one = 1;
    if (write(stop.get(), &one, sizeof one) != sizeof one) DP_ASSERT(!"stop eventfd");
    thread.join();
    file.remove();  // before the listener goes: the next server may make a file of the same name
  }

  void run();
  bool turn();
  int wait_ms(uint64_t now) const noexcept;
  void accept_caller(uint64_t now);
  void serve_caller(ControlConnection& caller, uint64_t now);
  void serve_client(uint64_t now);
  void close_overdue(uint64_t now) noexcept;
  bool hello(ControlConnection& caller);
  std::string refuse_hello(const Message& request) const;
  MessageWriter answer(const Message& request);
  MessageWriter answer_ports(Call call, MessageReader& reader);
  MessageWriter answer_tables(Call call, MessageReader& reader);
  MessageWriter answer_tunnels(Call call, MessageReader& reader);

  std::string path;
  SocketLock lock;  // until the devices are free for the next server
  Fd listener;
  SocketFile file;
  Fd stop;  // readable: the server is being destroyed
  Datapath datapath;
  NextHopResolver resolver;
  ControlConnection client;  // the attached vtepd
  uint32_t client_pid = 0;
  std::vector<ControlConnection> callers;  // have not said hello yet
  uint64_t accept_after_ms = 0;            // nobody is accepted before
  std::thread thread;
};

// What goes wrong in one turn (no memory, no descriptors) must not end the thread that everything
// depends on: workers go on forwarding, and the next turn may do better.
void DatapathServer::State::run() {
  for (;;) {
    try {
      if (!turn()) return;
    } catch (const std::exception& error) {
      fprintf(stderr, "vtepd-datapath: the control thread failed once: %s\n", error.what());
      usleep(10000);
    }
  }
}

// Waits for something and does it; false: the server is being destroyed.
bool DatapathServer::State::turn() {
  uint64_t now = now_ms();
  const bool accepts = callers.size() < callers_max && now >= accept_after_ms;
  std::vector<pollfd> wanted = {{stop.get(), POLLIN, 0},
                                {resolver.fd(), POLLIN, 0},
                                {accepts ? listener.get() : -1, POLLIN, 0},
                                {client.fd(), client.events(), 0}};
  for (const auto& caller : callers) wanted.push_back({caller.fd(), caller.events(), 0});
  const int ready = poll(wanted.data(), wanted.size(), wait_ms(now));
  now = now_ms();
  if (ready > 0) {
    if (wanted[0].revents) return false;
    if (wanted[1].revents) resolver.on_readable();
    // The client that goes before the caller that comes: one vtepd may follow the other at once.
    if (wanted[3].revents) serve_client(now);
    for (size_t i = 0; i < callers.size(); i++)
      if (wanted[4 + i].revents) serve_caller(callers[i], now);
    if (wanted[2].revents) accept_caller(now);
  }
  close_overdue(now);
  resolver.on_time();
  return true;
}

// Milliseconds until something has to be done without being asked; -1: never.
int DatapathServer::State::wait_ms(uint64_t now) const noexcept {
  int wait = resolver.next_wake_ms();
  const auto at_most = [&wait](int limit) {
    if (limit >= 0) wait = wait < 0 ? limit : std::min(wait, limit);
  };
  at_most(client.wait_ms(now));
  for (const auto& caller : callers) at_most(caller.wait_ms(now));
  if (accept_after_ms > now) at_most(static_cast<int>(accept_after_ms - now));
  return wait;
}

void DatapathServer::State::accept_caller(uint64_t now) {
  Fd socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (socket.open()) {
    callers.emplace_back(std::move(socket), now);
    return;
  }
  // Without descriptors the listener stays readable, and would keep this thread busy.
  const bool gone_again = errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
  if (!gone_again) accept_after_ms = now + accept_pause_ms;
}

// A new connection says hello first. While a client is attached, others get ERR_BUSY.
void DatapathServer::State::serve_caller(ControlConnection& caller, uint64_t now) {
  const auto got = caller.receive(now);
  if (got == ControlConnection::Got::Nothing) return;
  if (got == ControlConnection::Got::Message && hello(caller)) {
    client_pid = peer_pid(caller.fd());
    client = std::move(caller);
  }
  caller = ControlConnection();
}

void DatapathServer::State::close_overdue(uint64_t now) noexcept {
  if (client.wait_ms(now) == 0) client.close();
  std::erase_if(callers, [now](const ControlConnection& caller) {
    return !caller.open() || caller.wait_ms(now) == 0;
  });
}

// Empty: the hello is a good one. Else the error's code and sentence.
std::string DatapathServer::State::refuse_hello(const Message& request) const {
  if (static_cast<Call>(request.header.call) != Call::Hello ||
      request.payload.size() != sizeof(HelloRequest))
    return "the first message was no hello";
  const auto asked = MessageReader(request.payload).get<HelloRequest>();
  if (asked.magic != layout_magic || asked.fingerprint != protocol_fingerprint())
    return "this vtepd was built for another datapath than the one at " + path +
           "; restart the datapath (packets stop for a moment)";
  return "";
}

bool DatapathServer::State::hello(ControlConnection& caller) {
  if (client.open()) {
    const std::string why = "another vtepd (pid " + std::to_string(client_pid) +
                            ") drives the datapath at " + path + "; stop it first";
    caller.reply(1, refusal("ERR_BUSY", why), now_ms());
    return false;
  }
  const std::string why = refuse_hello(caller.message());
  if (!why.empty()) {
    caller.reply(1, refusal("ERR_PROTOCOL", why), now_ms());
    return false;
  }
  std::vector<int> fds = {datapath.memory_fd(), datapath.slow_path_doorbell()};
  for (uint32_t worker = 0; worker < datapath.worker_count(); worker++) {
    fds.push_back(datapath.worker_doorbell(worker));
  }
  const HelloReply reply{datapath.memory_bytes(), datapath.worker_count(),
                         static_cast<uint32_t>(getpid())};
  return caller.reply_with(MessageWriter().put(reply).bytes(), fds);
}

// vtepd may go at any time; everything stays as it is then.
void DatapathServer::State::serve_client(uint64_t now) {
  if (client.events() == POLLOUT) return client.send_rest(now);
  const auto got = client.receive(now);
  if (got == ControlConnection::Got::Gone) return client.close();
  if (got == ControlConnection::Got::Nothing) return;
  try {
    const MessageWriter reply = answer(client.message());
    if (reply.bytes().size() > message_bytes_max)
      throw Error("ERR_LIMIT", "the answer does not fit a message of the control socket");
    client.reply(0, reply.bytes(), now_ms());
  } catch (const Error& error) {
    client.reply(1, refusal(error.code(), error.what()), now_ms());
  } catch (const std::exception& error) {
    client.reply(1, refusal("ERR_INTERNAL", error.what()), now_ms());
  }
}

MessageWriter DatapathServer::State::answer(const Message& request) {
  MessageReader reader(request.payload);
  const auto call = static_cast<Call>(request.header.call);
  switch (call) {
    case Call::AddPort:
    case Call::RemovePort:
    case Call::ListPorts:
    case Call::SetCapture:
    case Call::SetZone:
      return answer_ports(call, reader);
    case Call::SetTunnel:
    case Call::RemoveTunnel:
    case Call::ListTunnels:
    case Call::SetEndpoints:
    case Call::ListEndpoints:
      return answer_tunnels(call, reader);
    default:
      return answer_tables(call, reader);
  }
}

MessageWriter DatapathServer::State::answer_ports(Call call, MessageReader& reader) {
  MessageWriter reply;
  if (call == Call::AddPort) {
    reply.put(datapath.add_port(get_port(reader)));
    resolver.on_ports_changed();
  } else if (call == Call::RemovePort) {
    datapath.remove_port(reader.get<uint32_t>());
    resolver.on_ports_changed();
  } else if (call == Call::ListPorts) {
    const auto ports = datapath.list_ports();
    reply.put(static_cast<uint32_t>(ports.size()));
    for (const auto& [config, status] : ports) reply.put(config).put(status);
  } else if (call == Call::SetCapture) {
    const uint32_t port = reader.get<uint32_t>();
    datapath.set_capture(port, reader.get<uint32_t>() != 0);
  } else {
    const uint32_t port = reader.get<uint32_t>();
    const uint32_t vni = reader.get<uint32_t>();
    const uint16_t zone = reader.get<uint16_t>();
    datapath.set_zone(port, vni, zone, reader.get<uint16_t>());
  }
  return reply;
}

MessageWriter DatapathServer::State::answer_tunnels(Call call, MessageReader& reader) {
  MessageWriter reply;
  if (call == Call::SetTunnel) {
    const auto tunnel = reader.get<TunnelConfig>();
    datapath.set_tunnel(tunnel);
    resolver.on_tunnel_set(tunnel);
  } else if (call == Call::RemoveTunnel) {
    const uint32_t number = reader.get<uint32_t>();
    resolver.on_tunnel_removed(number);
    datapath.remove_tunnel(number);
  } else if (call == Call::ListTunnels) {
    reply.put_list(datapath.list_tunnels());
  } else if (call == Call::SetEndpoints) {
    datapath.set_endpoints(reader.get_list<TunnelEndpoints::Endpoint>());
  } else {
    reply.put_list(datapath.list_endpoints());
  }
  return reply;
}

MessageWriter DatapathServer::State::answer_tables(Call call, MessageReader& reader) {
  MessageWriter reply;
  if (call == Call::SetNetworks) {
    datapath.set_networks(reader.get_list<NetworkConfig>());
  } else if (call == Call::ListNetworks) {
    reply.put_list(datapath.list_networks());
  } else if (call == Call::SetGroups) {
    datapath.set_groups(get_groups(reader));
  } else if (call == Call::RemoveGroups) {
    datapath.remove_groups(reader.get_list<uint32_t>());
  } else if (call == Call::ListGroups) {
    put_groups(reply, datapath.list_groups());
  } else if (call == Call::SetMeter) {
    const uint32_t number = reader.get<uint32_t>();
    datapath.set_meter(number, get_meter(reader));
  } else if (call == Call::RemoveMeter) {
    datapath.remove_meter(reader.get<uint32_t>());
  } else {
    throw Error("ERR_PROTOCOL", "the datapath does not know this call");
  }
  return reply;
}

DatapathServer::DatapathServer(const std::string& socket_path, const DatapathConfig& config)
    : state_(std::make_unique<State>(socket_path, config)) {}

DatapathServer::~DatapathServer() = default;

}  // namespace vtep
